"""Requests to count tokens: a Converse request without what says how to answer, or the body for an invoked model."""

from __future__ import annotations

import base64
from collections.abc import Callable

from trunkline.core.errors import BadRequest
from trunkline.core.request import Request
from trunkline.dialects.bedrock.request_reader import read_fields
from trunkline.dialects.fields import Fields, decode_object


def read_count_request(body: bytes, model: str, invoked: Callable[[bytes, str], Request]) -> Request:
    """Raises BadRequest naming the field."""
    wanted = Fields(Fields(decode_object(body)).need("input", dict), "input")
    if "converse" in wanted.left:
        return read_fields(Fields(wanted.need("converse", dict), "input.converse"), model)
    if "invokeModel" not in wanted.left:
        raise BadRequest("input must have the field converse or invokeModel.", param="input")
    text = Fields(wanted.need("invokeModel", dict), "input.invokeModel").need("body", str)
    try:
        body = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadRequest("input.invokeModel.body must be base64.", param="input.invokeModel.body") from error
    return invoked(body, model)
