"""What a client must send back and has no field for: signatures of another family's model.

A model signs its thoughts, or the calls that they led to, and wants them back unchanged; a signature of one family
means nothing to another. Two encodings take them through clients of any family, without a store:

- `seal`: a signature in a field that holds signatures of the client's own family is marked with its maker;
- `pack`: thoughts that came before a tool call travel in the call's id, where the client's format has no place for
  thoughts at all. Clients echo ids, and nobody but us reads them. What the id was is in front.

Both are pure and stable: the same thoughts give the same bytes, so that a provider's prompt cache holds.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Struct

from trunkline.core.request import Part, RedactedThinking, Thinking, ToolCall

MAX_UNPACKED = 4 * 1024 * 1024
"""Bytes of thoughts in one id."""
MAX_RATIO = 16
"""How many times its own length an id may unfold to. Ids come from clients, many in one request: small ones must not
unfold into all of the memory. Thoughts that repeat themselves so much are packed as they are."""
_MARK = "_tl1_"
_SEAL = "tl1:"


class Carried(Struct, frozen=True, array_like=True, omit_defaults=True):
    """`thinking`: a thought with its signature; `redacted`: an encrypted one, in `signature`; `call`: the signature of
    the tool call itself."""

    maker: str
    """The dialect whose signature it is."""
    kind: Literal["thinking", "redacted", "call"]
    signature: str = ""
    text: str = ""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Carried]).decode


def seal(signature: str, maker: str, own: str) -> str:
    """The signature as a client of dialect `own` gets it: marked, unless it is of its own family."""
    return signature if maker in {"", own} else f"{_SEAL}{maker}:{signature}"


def unseal(signature: str, own: str) -> tuple[str, str]:
    """(signature, maker) of what a client of dialect `own` sent back."""
    if signature.startswith(_SEAL):
        maker, colon, bare = signature[len(_SEAL) :].partition(":")
        if colon and maker:
            return bare, maker
    return signature, own


def marked(body: bytes) -> bool:
    """Whether a request may hold something of the two encodings."""
    return b"tl1" in body and (b'"tl1:' in body or b"_tl1_" in body)  # one search settles nearly all


def pack(id: str, thoughts: Sequence[Carried]) -> str:
    """The id of a tool call with the thoughts that belong to it."""
    if not thoughts:
        return id
    data = _encode(thoughts)
    folded = zlib.compress(data, 6)
    if len(data) > MAX_RATIO * len(folded):
        folded = zlib.compress(data, 0)
    packed = base64.urlsafe_b64encode(folded).rstrip(b"=")
    return f"{id}{_MARK}{packed.decode()}"


def unpack(id: str) -> tuple[str, list[Carried]]:
    """The call's own id, and what was packed with it: nothing where it is not, or no longer, of our making. What was
    packed last comes off: of two gateways in a row each takes its own. (The mark may stand in the packed text by
    chance, so the one before it is tried too.)"""
    bare, packed = id, ""
    for _ in range(2):
        bare, mark, more = bare.rpartition(_MARK)
        if not mark:
            return id, []
        packed = f"{more}{_MARK}{packed}" if packed else more
        if (carried := _unfolded(packed)) is not None:
            return bare, carried
    return id, []


def _unfolded(packed: str) -> list[Carried] | None:
    try:
        unfold = zlib.decompressobj()
        folded = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4))
        data = unfold.decompress(folded, min(MAX_UNPACKED, MAX_RATIO * len(folded)))
        return None if unfold.unconsumed_tail or not unfold.eof else _decode(data)
    except (binascii.Error, zlib.error, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None


def placed(parts: Sequence[Part], calls: Sequence[tuple[ToolCall, Sequence[Carried]]]) -> list[Part]:
    """The parts of a turn and the calls that come next, each with what was packed into its id ahead of it. A thought
    that the client has brought back elsewhere too is not said twice: its place is before the last call that has it."""
    owner = {
        one.signature: number for number, (_, carried) in enumerate(calls) for one in carried if one.kind != "call"
    }
    out = [part for part in parts if _proof(part) not in owner]
    for number, (call, carried) in enumerate(calls):
        for one in carried:
            if one.kind == "call":
                call.signature, call.maker = one.signature, one.maker
            elif owner[one.signature] == number:
                out.append(_thought(one, f"{call.at}.id"))
        out.append(call)
    return out


def _thought(one: Carried, at: str) -> Part:
    if one.kind == "thinking":
        return Thinking(one.text, one.signature, at=at, maker=one.maker)
    return RedactedThinking(one.signature, at, maker=one.maker)


def _proof(part: Part) -> str | None:
    match part:
        case Thinking(signature=signature):
            return signature
        case RedactedThinking(data=data):
            return data
        case _:
            return None
