"""InvokeModel: each model's own body and answer, in Amazon's envelope.

A client's body tells whose it is: Claude's says its API's version, Nova's looks like Converse's. Those are translated
both ways; the bodies of all other models pass to Bedrock as they are, and go nowhere else. The dialect inside Claude's
envelope is given by `dialects.composed`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from trunkline.core.call import NOWHERE, Addressed, Peek
from trunkline.core.errors import BadRequest
from trunkline.core.reply import Flow
from trunkline.core.request import Request
from trunkline.core.usage import Usage
from trunkline.dialects.base import Dialect, Envelope, Quirks, Reader, Writer
from trunkline.dialects.bedrock import Bedrock
from trunkline.dialects.bedrock.answer_writer import WholeWriter
from trunkline.dialects.bedrock.families import family_of
from trunkline.dialects.bedrock.invoke_answers import InvokedWriter, StreamReader, WholeReader
from trunkline.dialects.bedrock.invoke_tap import StreamTap, read_whole
from trunkline.dialects.bedrock.nova import read_nova, write_nova
from trunkline.dialects.fields import decode_object
from trunkline.dialects.whole import WholeTap

NAME = "bedrock_invoke"
BETAS = "anthropic_beta"
"""Claude's experimental features: a header field of Anthropic's API, here a list in the body."""
_BETA = re.compile(r"[\w.-]{1,128}", re.ASCII)

_encode = msgspec.json.Encoder().encode


def maker_of(body: dict[str, Any]) -> str:
    """`claude`, `nova`, or "" for a body of any other model."""
    if "anthropic_version" in body and "messages" in body:
        return "claude"
    if "messages" in body and ("schemaVersion" in body or "inferenceConfig" in body):
        return "nova"
    return ""


def _checked(betas: Any) -> list[str]:
    """The names of features, fit for a header field. Raises BadRequest."""
    if isinstance(betas, list) and all(isinstance(each, str) and _BETA.fullmatch(each) for each in betas):
        return betas
    raise BadRequest(f"{BETAS} must be an array of names such as 'context-1m-2025-08-07'.", param=BETAS)


class Invoke(Bedrock):
    """`claude`: the dialect of Claude's bodies, in Amazon's version of their envelope."""

    name = NAME

    def __init__(self, claude: Dialect) -> None:
        self._claude = claude

    def peek(self, body: bytes, addressed: Addressed = NOWHERE) -> Peek:
        """`framing` tells whose words the answer must be in."""
        peek = super().peek(body, addressed)
        peek.framing = maker_of(decode_object(body))
        return peek

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        peek = peek or Peek("")
        fields = decode_object(body)
        match maker_of(fields):
            case "claude":
                request = self._claude.read_request(body, peek)
                if betas := request.extra.pop(BETAS, None):
                    request.aside[BETAS] = _checked(betas)
            case "nova":
                request = read_nova(fields, peek.model, peek.stream)
            case _:
                raise BadRequest(
                    "This body is not one that another provider could be asked with: only those of Claude (with "
                    "anthropic_version) and Nova (with schemaVersion) can be translated. Use Converse instead, at "
                    "/model/{model}/converse."
                )
        request.stream = peek.stream
        return request

    def write_request(self, request: Request, model: str, quirks: Quirks, lost: list[str]) -> bytes:
        match family_of(model, quirks).reasoning:
            case "claude":
                return self._claude.write_request(request, model, quirks, lost)
            case "nova":
                return write_nova(request, model, quirks, lost)
        raise BadRequest(f"{model} can be invoked with its own body alone. Reach it by Converse instead.")

    def tap(self, peek: Peek, request_id: str = "") -> Flow:
        return StreamTap() if peek.stream else WholeTap(self._read_whole)

    def reader(self, stream: bool) -> Reader:
        return StreamReader(self._claude) if stream else WholeReader(self._claude)

    def writer(self, envelope: Envelope) -> Writer:
        nova = envelope.framing == "nova"
        if envelope.stream:
            return InvokedWriter(envelope, self._claude, nova)
        return WholeWriter(envelope) if nova else self._claude.writer(envelope)

    def _read_whole(self, body: bytes) -> Usage | None:
        usage = read_whole(body)
        if usage is not None or b'"input_tokens"' not in body:
            return usage
        claude = self._claude.tap(Peek(""))
        claude.feed(body)
        return claude.usage
