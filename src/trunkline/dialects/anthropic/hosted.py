"""The Messages body in the envelope of another host: Google's Vertex AI, Amazon's InvokeModel.

The body is the same but for three things: the model stands in the path, the API's version in the body, and its version
is the host's own. Answers are the same altogether. It is one dialect by name, so between it and Anthropic's own API the
bytes pass, and only these fields are put right.
"""

from __future__ import annotations

from typing import Any

import msgspec

from trunkline.core.call import Peek
from trunkline.core.request import Request
from trunkline.dialects.anthropic import Anthropic
from trunkline.dialects.base import Quirks
from trunkline.dialects.carried import marked
from trunkline.dialects.fields import raw_fields

_encode = msgspec.json.Encoder().encode

VERSION = "anthropic_version"


class HostedAnthropic(Anthropic):
    """`version`: what the host calls its version of the API. `left_out`: fields that the host takes elsewhere."""

    def __init__(self, version: str, left_out: frozenset[str]) -> None:
        self._version = version
        self._left_out = left_out

    def patch(self, body: bytes, model: str, peek: Peek, quirks: Quirks) -> bytes:
        if not peek.plain and marked(body):
            return self._unmarked(body, model, peek)
        return self._enveloped(body, model)

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        """The path may say what the body does not: that the answer shall be a stream."""
        request = _bare(super().read_request(body, peek))
        request.stream = request.stream or (peek is not None and peek.stream)
        return request

    def read_count_request(self, body: bytes, peek: Peek | None = None) -> Request:
        return _bare(super().read_count_request(body, peek))

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return self._enveloped(super().write_request(request, model, quirks, lost), model)

    def write_count_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        return self._enveloped(super().write_count_request(request, model, quirks, lost), model)

    def _enveloped(self, body: bytes, model: str) -> bytes:
        """The version first; one that the caller gave stays."""
        given = {name: value for name, value in raw_fields(body).items() if name not in self._left_out}
        fields: dict[str, Any] = {VERSION: self._version, **given}
        if "model" not in self._left_out:
            fields["model"] = model
        return _encode(fields)


def _bare(request: Request) -> Request:
    request.extra.pop(VERSION, None)
    return request
