"""The stream of a response: every item is opened, filled and closed, and every event is numbered.

As with chat, a stream has thousands of deltas that differ in a few bytes: the JSON around a delta is encoded once an
item. There is no `[DONE]`: the last event is the response's end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trunkline.sim import responses_answer as out
from trunkline.sim.exchange import Pause, Step
from trunkline.sim.openai_answer import logprob
from trunkline.sim.persona import Part
from trunkline.sim.responses_answer import Saying, encode

OBFUSCATED = 16
"""Deltas are padded to about this many characters, so that their sizes tell nothing."""


class _Numbered:
    """Server-sent events with a running number."""

    def __init__(self) -> None:
        self.number = 0

    def event(self, kind: str, **fields: Any) -> bytes:
        data = encode({"type": kind, **fields, "sequence_number": self.number})
        self.number += 1
        return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"

    def tail(self) -> bytes:
        """The end of an event whose beginning is already bytes."""
        self.number += 1
        return b',"sequence_number":%d}\n\n' % (self.number - 1)


def stream(said: Saying) -> list[Step]:
    """The response as events; where a pace is set, a pause before every token."""
    return list(_events(said, _Numbered()))


def _events(said: Saying, to: _Numbered) -> Iterator[Step]:
    states = ["queued", "in_progress"] if said.background else ["in_progress"]
    yield to.event("response.created", response=out.opening(said, states[0]))
    for state in states:
        yield to.event(f"response.{state}", response=out.opening(said, state))
    index = 0
    search = said.searched is not None
    whole = out.whole(said)
    for part in said.answer.parts:
        if search and part.kind not in ("thinking", "redacted"):
            yield from _searching(said, to, index)
            index, search = index + 1, False
        yield to.event(
            "response.output_item.added", output_index=index, item=out.item(said, index, part, "in_progress", "")
        )
        item = whole["output"][index]
        if part.kind in ("thinking", "redacted"):
            yield from _reasoning(said, to, index, part)
        elif part.kind == "tool":
            yield from _call(said, to, index, part)
        else:
            yield from _message(said, to, index, part)
        yield to.event("response.output_item.done", output_index=index, item=item)
        index += 1
    yield to.event(f"response.{whole['status']}", response=whole)


def _searching(said: Saying, to: _Numbered, index: int) -> Iterator[Step]:
    item_id = said.item_id("ws", index)
    yield to.event("response.output_item.added", output_index=index, item=out.search_item(said, index, "in_progress"))
    for state in ("in_progress", "searching", "completed"):
        yield to.event(f"response.web_search_call.{state}", output_index=index, item_id=item_id)
    yield to.event("response.output_item.done", output_index=index, item=out.search_item(said, index, "completed"))


def _reasoning(said: Saying, to: _Numbered, index: int, part: Part) -> Iterator[Step]:
    if not said.summarized:
        yield from _pace(said) * len(part.pieces)  # the wait is real, the text stays hidden
        return
    at = {"item_id": said.item_id("rs", index), "output_index": index, "summary_index": 0}
    yield to.event("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
    yield from _deltas(said, to, part, "response.reasoning_summary_text.delta", at)
    yield to.event("response.reasoning_summary_text.done", **at, text=part.text)
    yield to.event("response.reasoning_summary_part.done", **at, part={"type": "summary_text", "text": part.text})


def _call(said: Saying, to: _Numbered, index: int, part: Part) -> Iterator[Step]:
    kind, field, prefix = (
        ("custom_tool_call_input", "input", "ctc") if part.free_form else ("function_call_arguments", "arguments", "fc")
    )
    at = {"item_id": said.item_id(prefix, index), "output_index": index}
    yield from _deltas(said, to, part, f"response.{kind}.delta", at)
    yield to.event(f"response.{kind}.done", **at, **{field: part.text})


def _message(said: Saying, to: _Numbered, index: int, part: Part) -> Iterator[Step]:
    at = {"item_id": said.item_id("msg", index), "output_index": index, "content_index": 0}
    yield to.event("response.content_part.added", **at, part=out.content_part(said, part, ""))
    whole = out.content_part(said, part, part.text)
    if part.kind == "refusal":
        yield from _deltas(said, to, part, "response.refusal.delta", at)
        yield to.event("response.refusal.done", **at, refusal=part.text)
    else:
        yield from _deltas(said, to, part, "response.output_text.delta", at)
        for number, one in enumerate(whole["annotations"]):
            yield to.event("response.output_text.annotation.added", **at, annotation_index=number, annotation=one)
        yield to.event("response.output_text.done", **at, text=part.text, logprobs=whole["logprobs"])
    yield to.event("response.content_part.done", **at, part=whole)


def _deltas(said: Saying, to: _Numbered, part: Part, kind: str, at: dict[str, Any]) -> Iterator[Step]:
    pace = _pace(said)
    start = b"event: " + kind.encode() + b"\ndata: " + encode({"type": kind, **at})[:-1]
    logged = kind == "response.output_text.delta"
    padded = (said.request.get("stream_options") or {}).get("include_obfuscation") is not False
    for piece in part.pieces:
        yield from pace
        more = b""
        if logged:
            more = b',"logprobs":' + (b"[]" if said.logprobs is None else encode([logprob(piece, said.logprobs)]))
        if padded:
            more += b',"obfuscation":"' + b"s" * max(0, OBFUSCATED - len(piece)) + b'"'
        yield start + b',"delta":' + encode(piece) + more + to.tail()


def _pace(said: Saying) -> tuple[Step, ...]:
    return (Pause(1 / said.tps),) if said.tps else ()
