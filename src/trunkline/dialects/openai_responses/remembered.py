"""What a request and an answer say of being remembered, and how a request goes on with what was said before.

None of this is translation: the pieces of a conversation are kept as the bytes that they came in, so that the same
conversation gives the same bytes each time that it is sent.

Where a conversation goes to another provider than the one that made an item, the item's id means nothing there, and a
thought that only its maker can read is of no use (one that our own seal names another family's maker of, every writer
knows how to treat).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from trunkline.core.errors import BadRequest
from trunkline.dialects.carried import marked
from trunkline.dialects.fields import Fields, decode_object, raw_fields
from trunkline.dialects.sse import event, events

Makers = tuple[tuple[str, int], ...]
"""Which provider said how many of the items of a conversation, in their order; "" the client."""

DROP: Any = object()
"""In the place of a field's new value: the field is left out."""

FINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The events that end a stream; each holds the whole response."""


_REFERENCE = b"item_reference"


class Life(Struct, frozen=True):
    """What shall become of an answer, and what came before it."""

    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    generate: bool | None = None


class Answer(Struct, frozen=True):
    """The few fields of a response object that decide something."""

    id: str = ""
    status: str = ""
    background: bool | None = None
    output: list[Raw] = []
    usage: Any = None

    @property
    def total_tokens(self) -> int:
        """Tokens of the whole conversation so far, as the provider counted them; 0 where it did not."""
        total = self.usage.get("total_tokens") if isinstance(self.usage, dict) else None
        return max(0, total) if type(total) is int else 0


class _Input(Struct):
    input: Raw = Raw(b"null")


class _Item(Struct):
    type: str | None = None
    id: str | None = None
    content: Raw = Raw(b"null")


class _Event(Struct):
    type: str = ""
    response: Raw = Raw(b"")


_encode = msgspec.json.Encoder().encode
_life = msgspec.json.Decoder(Life).decode
_answer = msgspec.json.Decoder(Answer).decode
_input = msgspec.json.Decoder(_Input).decode
_items = msgspec.json.Decoder(list[Raw]).decode
_item = msgspec.json.Decoder(_Item).decode
_event = msgspec.json.Decoder(_Event).decode

_BAD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def read_life(body: bytes) -> Life:
    """Raises BadRequest naming the field."""
    try:
        life = _life(body)
    except _BAD:
        top = Fields(decode_object(body))  # the slow way, for the sake of its error messages
        life = Life(
            top.get("store", bool),
            top.get("background", bool),
            top.get("previous_response_id", str),
            top.any("conversation"),
            top.get("generate", bool),
        )
    if life.previous_response_id is not None and life.conversation is not None:
        raise BadRequest(
            "previous_response_id and conversation exclude each other: send one of them.", param="previous_response_id"
        )
    if life.background and life.store is False:
        raise BadRequest("background needs a stored response: leave store out, or set it to true.", param="background")
    return life


def read_answer(response: bytes) -> Answer | None:
    """None where this is no response object, in JSON as it has to be: what is kept is read again, later."""
    try:
        response.decode()
        answer = _answer(response)
    except _BAD:
        return None
    sound = answer.id and all(bytes(item).startswith(b"{") for item in answer.output)
    return answer if sound else None


def input_items(body: bytes) -> list[Raw]:
    """The items of a request's `input`; a string is one message. Anything else is for the reader to refuse."""
    try:
        value = bytes(_input(body).input)
        if value.startswith(b'"'):
            return [Raw(b'{"type":"message","role":"user","content":[{"type":"input_text","text":' + value + b"}]}")]
        return _items(value) if value.startswith(b"[") else []
    except _BAD:
        return []


def decode_items(items: bytes) -> list[Raw]:
    """A JSON array of them."""
    return _items(items)


def encode_items(items: Sequence[Raw]) -> bytes:
    return b"[" + b",".join(map(bytes, items)) + b"]"


def rewritten(body: bytes, **changes: Any) -> bytes:
    """A JSON object with these fields set, or left out (`DROP`); all others, and their order, as they came."""
    fields = raw_fields(body)
    for name, value in changes.items():
        if value is DROP:
            fields.pop(name, None)
        else:
            fields[name] = value if type(value) is Raw else Raw(_encode(value))
    return _encode(fields)


# ── Conversations that go on ───────────────────────────────────────────────────────────────────────────────────────


def expanded(body: bytes, items: Sequence[Raw]) -> bytes:
    """The request with all of its conversation, in these items."""
    return rewritten(body, previous_response_id=DROP, input=Raw(encode_items(items)))


def continued(items: Sequence[Raw], makers: Makers, body: bytes) -> tuple[list[Raw], Makers]:
    """A conversation and the items of a request that goes on with it. A reference to an item in it becomes that item,
    as whoever made it has said it: nobody else would know what is meant."""
    whole, who = list(items), list(makers)
    known = _by_id(items, makers) if _REFERENCE in body else {}
    for item in input_items(body):
        meant, maker = known.get(_referred(item), (item, ""))
        whole.append(meant)
        who.append((maker, 1))
    return whole, tuple(who)


def _by_id(items: Sequence[Raw], makers: Makers) -> dict[str, tuple[Raw, str]]:
    by = (maker for maker, count in makers for _ in range(count))
    return {name: (item, maker) for item, maker in zip(items, by, strict=False) if (name := _said(item).id)}


def _referred(item: Raw) -> str:
    """The id that it refers to; "" where it is no reference."""
    said = _said(item) if _REFERENCE in bytes(item) else _Item()
    return said.id or "" if said.type == _REFERENCE.decode() else ""


def _said(item: Raw) -> _Item:
    """What it says of itself; nothing where it is of no known shape, which is for a reader to refuse."""
    try:
        return _item(item)
    except _BAD:
        return _Item()


def for_provider(items: Sequence[Raw], makers: Makers, provider: str) -> list[Raw]:
    """The items as this provider, speaking this dialect, can take them."""
    out: list[Raw] = []
    at = 0
    for maker, count in makers:
        run = items[at : at + count]
        at += count
        out += run if maker in {"", provider} else [kept for item in run if (kept := _foreign(item)) is not None]
    return [*out, *items[at:]]


def portable(response: bytes) -> bytes:
    """A response that no provider remembers, as one to go on from: its items without ids, which mean nothing to
    anybody, and without the thoughts that only a memory could read."""
    answer = read_answer(response)
    items = answer.output if answer is not None else []
    kept = [Raw(rewritten(bytes(item), id=DROP, status=DROP)) for item in items if _readable(item)]
    return rewritten(response, output=Raw(encode_items(kept)))


def _readable(item: Raw) -> bool:
    data = bytes(item)
    return _said(item).type != "reasoning" or bool(raw_fields(data).get("encrypted_content"))


def _foreign(item: Raw) -> Raw | None:
    """An item that another provider made; None where only that one can read it."""
    data = bytes(item)
    if _said(item).type == "reasoning" and not marked(data):
        return None
    return Raw(rewritten(data, id=DROP, status=DROP))


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


def told(block: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """A run of whole events in which `change` (an event's type, the response in it) has put another response wherever
    one is. All others pass."""
    if b'"response":' not in block:
        return block
    out = b""
    for name, payload in events(block):
        changed = payload
        if b'"response":' in payload:
            seen = _event(payload)
            response = bytes(seen.response)
            if response.startswith(b"{") and (new := change(seen.type, response)) is not response:
                changed = rewritten(payload, response=Raw(new))
        out += event(name, changed) if name else b"data: " + changed + b"\n\n"
    return out


def parsed(block: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """(type, response where there is one, all of it) of each event in a run."""
    for _, payload in events(block):
        seen = _event(payload)
        yield seen.type, bytes(seen.response), payload


def renumbered(kind: str, payload: bytes, number: int) -> bytes:
    """An event with this number."""
    return event(kind.encode(), rewritten(payload, sequence_number=number))


def listed(items: bytes, response_id: str) -> list[dict[str, Any]]:
    """Items as they are listed: each with an id and a type, texts in parts."""
    out: list[dict[str, Any]] = []
    for number, item in enumerate(msgspec.json.decode(items, type=list[dict[str, Any]])):
        whole = {"id": f"in_{response_id.removeprefix('resp_')}_{number}", "type": "message", **item}
        if whole["type"] == "message" and isinstance(text := whole.get("content"), str):
            kind = "output_text" if whole.get("role") == "assistant" else "input_text"
            part: dict[str, Any] = {"type": kind, "text": text}
            whole["content"] = [part | {"annotations": []} if kind == "output_text" else part]
        out.append(whole)
    return out
