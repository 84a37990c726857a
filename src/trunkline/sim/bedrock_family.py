"""Bedrock's wire formats as rows: Converse and InvokeModel, that stream binary frames, and how the wire formats of
others are hosted. All take a signature or an API key.
"""

from __future__ import annotations

import base64

from msgspec import structs

from trunkline.sim import rates
from trunkline.sim.bedrock_errors import BEDROCK, BEDROCK_ERRORS
from trunkline.sim.bedrock_frames import broken, chunk, event, exception, spoiled
from trunkline.sim.bedrock_sign import guard
from trunkline.sim.family import Family

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


def hosted(family: Family) -> Family:
    """Another family's wire format behind the door of AWS."""
    return structs.replace(
        family,
        name=f"bedrock-{family.name}",
        guard=guard,
        errors=structs.replace(family.errors, rows={**family.errors.rows, **_CREDENTIALS}),
        id_header=b"x-amzn-requestid",
        rates=rates.none,
    )
