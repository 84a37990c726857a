"""Core requests and answers that Hypothesis may try on any dialect.

By default they hold what every dialect can say. What only some can say is asked for by keyword. Two requests are the
same when `said` makes them equal: it drops what depends on the dialect that was written in between (paths, names of
fields) and puts tool results that stand together into one message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from trunkline.core.events import (
    ArgumentsDelta,
    Event,
    Finished,
    PartFinished,
    PartKind,
    PartStarted,
    Reason,
    ReasoningDelta,
    SignatureDelta,
    Started,
    TextDelta,
)
from trunkline.core.request import (
    CacheMark,
    Document,
    FileId,
    Image,
    Inline,
    Message,
    OutputFormat,
    Part,
    PlainText,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Url,
)
from trunkline.core.usage import Usage
from trunkline.dialects.carried import unpack, unseal

TEXT_KINDS: tuple[PartKind, ...] = ("text", "tool_call")
COMMON_REASONS: tuple[Reason, ...] = ("stop", "length", "tool_calls")


def law(examples: int) -> settings:
    """Settings of a law: the same examples on every run, however slow the machine is."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=slow)


# Anything that JSON can carry: quotes, newlines, the line separators that trip naive SSE parsers, astral characters.
_characters = st.characters(exclude_categories=("Cs",))
texts = st.text(_characters, min_size=1, max_size=30)
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_-]{0,15}", fullmatch=True)
ids = st.from_regex(r"[a-z]{2,5}_[a-zA-Z0-9]{4,10}", fullmatch=True)
_scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
_nested = st.lists(_scalars, max_size=2) | st.dictionaries(names, _scalars, max_size=2)
objects = st.dictionaries(names, _scalars | _nested, max_size=3)
marks = st.sampled_from([CacheMark(), CacheMark("5m"), CacheMark("1h")])
_base64 = st.sampled_from(["aGVsbG8=", "AAECAw==", "/+8="])


def arguments() -> st.SearchStrategy[str]:
    """A tool call's arguments, as compactly as the dialects write them."""
    return objects.map(lambda value: msgspec.json.encode(value).decode())


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(names, st.sampled_from([{"type": "string"}, {"type": "integer"}]), max_size=3)
    return properties.map(
        lambda found: {"type": "object", "properties": found, "required": sorted(found), "additionalProperties": False}
    )


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _images(mark: st.SearchStrategy[CacheMark | None]) -> st.SearchStrategy[Image]:
    source = st.builds(Inline, st.sampled_from(["image/png", "image/jpeg"]), _base64) | st.builds(
        Url, st.sampled_from(["https://example.com/a.png", "https://example.com/b.jpg"])
    )
    return st.builds(Image, source, cache=mark)


def _documents(mark: st.SearchStrategy[CacheMark | None]) -> st.SearchStrategy[Document]:
    source = (
        st.builds(Inline, st.just("application/pdf"), _base64) | st.builds(FileId, ids) | st.builds(PlainText, texts)
    )
    return st.builds(Document, source, title=st.none() | texts, context=st.none() | texts, cache=mark)


@st.composite
def _rounds(draw: st.DrawFn, cache: bool, thinking: bool, documents: bool, is_error: bool) -> list[Message]:
    """A user's words and the answer to them, perhaps with tool calls and their results."""
    mark = st.none() | marks if cache else st.none()
    said: st.SearchStrategy[Part] = st.builds(Text, texts, cache=mark) | _images(mark)
    if documents:
        said = said | _documents(mark)
    out = [Message("user", draw(st.lists(said, min_size=1, max_size=3)))]
    answer: list[Part] = []
    if thinking and draw(st.booleans()):
        answer.append(Thinking(draw(texts), draw(ids)))
    calls = draw(st.lists(st.builds(ToolCall, ids, names, arguments(), cache=mark), max_size=3, unique_by=_id))
    if not calls or draw(st.booleans()):
        answer.append(Text(draw(texts)))
    out.append(Message("assistant", [*answer, *calls]))
    for call in calls:
        content: list[Part] = [Text(draw(texts))] if draw(st.booleans()) else []
        failed = is_error and draw(st.booleans())
        out.append(Message("tool", [ToolResult(call.id, content, failed, draw(mark))]))
    return out


def _id(call: ToolCall) -> str:
    return call.id


@st.composite
def requests(
    draw: st.DrawFn,
    *,
    cache: bool = False,
    thinking: bool = False,
    documents: bool = False,
    is_error: bool = False,
    top_k: bool = False,
) -> Request:
    """A request that ends with a user's turn. The flags add what only some dialects can say."""
    mark = st.none() | marks if cache else st.none()
    messages = [Message("system", [Text(draw(texts))])] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 2))):
        messages += draw(_rounds(cache, thinking, documents, is_error))
    if not messages or messages[-1].role != "tool":
        messages.append(Message("user", [Text(draw(texts))]))
    tool = st.builds(Tool, names, st.none() | texts, schemas(), st.sampled_from([None, True]), mark)
    tools = draw(st.lists(tool, max_size=3, unique_by=lambda found: found.name))
    choice = None
    if tools:
        named = ToolChoice("tool", tools[0].name)
        choice = draw(st.sampled_from([None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("none"), named]))
    parallel = False if choice is not None and choice.mode != "none" and draw(st.booleans()) else None
    output = OutputFormat("json_schema", schema=draw(schemas())) if draw(st.booleans()) else None
    return Request(
        model=draw(names),
        messages=messages,
        tools=list(tools),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output=output,
        max_tokens=draw(st.integers(1, 100_000)),
        temperature=draw(st.none() | st.sampled_from([0.0, 0.25, 1.0])),
        top_p=draw(st.none() | st.sampled_from([0.5, 1.0])),
        top_k=draw(st.none() | st.integers(1, 500)) if top_k else None,
        stop=draw(st.none() | st.lists(texts.filter(str.strip), min_size=1, max_size=3)),
        stream=draw(st.booleans()),
        user=draw(st.none() | ids),
    )


_DEPENDENT = {"maker", "aside", "at", "detail_at", "dialect", "names", "include_usage"}


def said(request: Request) -> Any:
    """The request as plain data, without what depends on the dialect that carried it."""
    value = _plain(msgspec.to_builtins(request))
    joined: list[dict[str, Any]] = []
    for message in value["messages"]:
        if message["role"] == "tool" and joined and joined[-1]["role"] == "tool":
            joined[-1]["parts"] += message["parts"]
        else:
            joined.append(message)
    value["messages"] = joined
    if (output := value["output"]) is not None:
        value["output"] = {"kind": output["kind"], "schema": output["schema"]}
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key not in _DEPENDENT}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def _part(draw: st.DrawFn, index: int, choice: int, kinds: Sequence[PartKind]) -> list[Event]:
    kind = draw(st.sampled_from(kinds))
    deltas: list[Event] = []
    start = PartStarted(index, kind, choice)
    match kind:
        case "tool_call":
            start = PartStarted(index, kind, choice, draw(ids), draw(names))
            whole = draw(arguments())
            cut = draw(st.integers(0, len(whole)))
            deltas = [ArgumentsDelta(index, piece) for piece in (whole[:cut], whole[cut:])]
        case "reasoning":
            deltas = [ReasoningDelta(index, piece) for piece in draw(st.lists(texts, min_size=1, max_size=3))]
            if draw(st.booleans()):
                deltas.append(SignatureDelta(index, draw(ids)))
        case "redacted_reasoning":
            start = PartStarted(index, kind, choice, data={"data": draw(ids)})
        case _:
            deltas = [TextDelta(index, piece) for piece in draw(st.lists(texts, min_size=1, max_size=4))]
    return [start, *deltas, PartFinished(index)]


@st.composite
def usages(draw: st.DrawFn, *, cache_write_1h: bool = False) -> Usage:
    plain, read, write = (draw(st.integers(0, 10**6)) for _ in range(3))
    output = draw(st.integers(0, 10**6))
    return Usage(
        input=plain + read + write,
        cache_read=read,
        cache_write=write,
        cache_write_1h=draw(st.integers(0, write)) if cache_write_1h else 0,
        output=output,
        reasoning=draw(st.integers(0, output)),
    )


@st.composite
def answers(
    draw: st.DrawFn,
    *,
    kinds: Sequence[PartKind] = TEXT_KINDS,
    reasons: Sequence[Reason] = COMMON_REASONS,
    choices: int = 1,
    usage: st.SearchStrategy[Usage] | None = None,
) -> list[Event]:
    """A whole answer by the grammar of `core.events`, ending with usage. Tool calls end with `tool_calls` and nothing
    else does, as in life. The parts of several choices come in turns."""
    parts: list[list[Event]] = []
    reason_of: dict[int, Reason] = {}
    for index in range(draw(st.integers(0, 4))):
        parts.append(draw(_part(index, index % choices, kinds)))
    for choice in range(choices):
        called = any(_calls(part, choice) for part in parts)
        others = [reason for reason in reasons if reason != "tool_calls"]
        reason_of[choice] = "tool_calls" if called else draw(st.sampled_from(others))
    out: list[Event] = [Started(draw(ids), draw(names))]
    out += [event for part in parts for event in part]
    for choice, reason in reason_of.items():
        sequence = draw(texts) if reason == "stop_sequence" else None
        out.append(Finished(reason, choice, sequence))
    out.append(draw(usage if usage is not None else usages()))
    return out


def _calls(part: list[Event], choice: int) -> bool:
    start = part[0]
    return isinstance(start, PartStarted) and start.kind == "tool_call" and start.choice == choice


def pieces(data: bytes, size: int) -> list[bytes]:
    """A body as the network may cut it; size 0: in one."""
    return [data[i : i + size] for i in range(0, len(data), size)] if size else [data]


def spoken(events: Sequence[Event]) -> dict[str, Any]:
    """What an answer says, whatever its shape: texts, calls, reasoning, reason."""
    out: dict[str, Any] = {"text": "", "refusal": "", "reasoning": "", "signatures": [], "calls": {}, "reasons": {}}
    kinds: dict[int, PartStarted] = {}
    for event in events:
        match event:
            case PartStarted(index):
                kinds[index] = event
                if event.kind in {"tool_call", "custom_tool_call"}:
                    out["calls"][index] = [_bare_id(event.id), event.name, ""]
            case TextDelta(index, text):
                out[kinds[index].kind] += text
            case ReasoningDelta(index, text):
                out["reasoning"] += text
            case SignatureDelta(index, signature):
                out["signatures"].append(_bare(signature))
            case ArgumentsDelta(index, text):
                out["calls"][index][2] += text
            case Finished(reason, choice):
                out["reasons"][choice] = reason
    out["calls"] = [(key, name, json.loads(text or "{}")) for key, name, text in out["calls"].values()]
    return out


def _bare(signature: str) -> str:
    """Without the seals of the dialects that it went through."""
    bare, maker = unseal(signature, "")
    return _bare(bare) if maker else bare


def _bare_id(call_id: str) -> str:
    """Without the thoughts that were packed into it on the way."""
    bare, carried = unpack(call_id)
    return _bare_id(bare) if carried else bare


def normalize(events: list[Event]) -> list[Event]:
    """Merge neighbouring deltas of one part: two sequences that normalize alike say the same thing."""
    out: list[Event] = []
    for event in events:
        last = out[-1] if out else None
        match event, last:
            case (TextDelta(index, ""), _) | (ReasoningDelta(index, ""), _) | (ArgumentsDelta(index, ""), _):
                continue
            case TextDelta(index, text), TextDelta(before, head) if index == before:
                out[-1] = TextDelta(index, head + text)
            case ReasoningDelta(index, text), ReasoningDelta(before, head) if index == before:
                out[-1] = ReasoningDelta(index, head + text)
            case ArgumentsDelta(index, text), ArgumentsDelta(before, head) if index == before:
                out[-1] = ArgumentsDelta(index, head + text)
            case _:
                out.append(event)
    return out
