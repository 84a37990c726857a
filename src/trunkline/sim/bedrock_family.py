"""Bedrock's wire formats as rows: Converse, InvokeModel, and its own OpenAI and Anthropic surfaces.

The first two stream binary frames. All four take a signature or an API key.
"""

from __future__ import annotations

import base64

from msgspec import structs

from trunkline.sim import rates
from trunkline.sim.bedrock_errors import BEDROCK, BEDROCK_ERRORS
from trunkline.sim.bedrock_frames import broken, chunk, event, exception, spoiled
from trunkline.sim.bedrock_sign import guard
from trunkline.sim.errors import ANTHROPIC, OPENAI
from trunkline.sim.family import ANTHROPIC_FAMILY, OPENAI_FAMILY, Family

_ODDITY = {"novelty": {"depth": 1}}
_CREDENTIALS = {
    "no-credentials": BEDROCK["no-credentials"],
    "incomplete": BEDROCK["incomplete"],
    "signature": BEDROCK["signature"],
}

CONVERSE_FAMILY = Family(
    name="bedrock",
    credentials=(),
    unauthenticated="",
    guard=guard,
    errors=BEDROCK_ERRORS,
    id_header=b"x-amzn-requestid",
    rates=rates.none,
    stream_error=lambda data: exception("internalServerException", data),
    terminator=b"messageStop",
    oddity=event("simulatorOddity", _ODDITY),
    garbage=spoiled(event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "x"}})),
    broken=broken(),
    lines=False,
)
INVOKE_FAMILY = structs.replace(
    CONVERSE_FAMILY,
    name="bedrock-invoke",
    terminator=base64.b64encode(b'{"type":"message_stop'),
    oddity=chunk(b'{"type":"simulator_oddity","novelty":{"depth":1}}'),
    garbage=spoiled(chunk(b'{"type":"ping"}')),
    broken=chunk(b'{"type":"content_block_delta","index":'),
)
BEDROCK_OPENAI_FAMILY = structs.replace(
    OPENAI_FAMILY,
    name="bedrock-openai",
    guard=guard,
    errors=structs.replace(OPENAI_FAMILY.errors, rows={**OPENAI, **_CREDENTIALS}),
    id_header=b"x-amzn-requestid",
    rates=rates.none,
)
BEDROCK_ANTHROPIC_FAMILY = structs.replace(
    ANTHROPIC_FAMILY,
    name="bedrock-anthropic",
    guard=guard,
    errors=structs.replace(ANTHROPIC_FAMILY.errors, rows={**ANTHROPIC, **_CREDENTIALS}),
    id_header=b"x-amzn-requestid",
    rates=rates.none,
)
