"""The body that Nova takes when it is invoked: Converse's, but for where the settings stand.

Source: Amazon Nova user guide, "Complete request schema"; recorded requests.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.request import Request
from trunkline.dialects.base import Quirks
from trunkline.dialects.bedrock.request_reader import read_fields
from trunkline.dialects.bedrock.request_writer import body_of
from trunkline.dialects.fields import Fields

SCHEMA = "messages-v1"

_encode = msgspec.json.Encoder().encode


def read_nova(body: dict[str, Any], model: str, stream: bool) -> Request:
    """Raises BadRequest naming the field."""
    body = {name: value for name, value in body.items() if name != "schemaVersion"}
    if type(config := body.get("inferenceConfig")) is dict:
        config = dict(config)
        if "max_new_tokens" in config:
            config.setdefault("maxTokens", config.pop("max_new_tokens"))
        if "topK" in config:
            body["additionalModelRequestFields"] = {"inferenceConfig": {"topK": config.pop("topK")}}
        body["inferenceConfig"] = config
    return read_fields(Fields(body), model, stream)


def write_nova(request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
    """What Converse would put into fields of its own goes beside them; a format of the answer cannot be asked for."""
    body = body_of(request, model, quirks, lost)
    if body.pop("outputConfig", None) is not None:
        lost.append(request.name_of("output"))
    additional = body.pop("additionalModelRequestFields", {})
    config = body.get("inferenceConfig", {}) | additional.pop("inferenceConfig", {})
    if config:
        body["inferenceConfig"] = config
    return _encode({"schemaVersion": SCHEMA} | body | additional)
