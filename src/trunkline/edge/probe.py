"""Asking a live target what it takes, with small real requests: one a question, each judged by what came back.

The requests are written by the target's own dialect with nothing held back, so that the answer is the provider's and
not the catalog's. A question that the dialect cannot put is left unasked.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from trunkline.core.call import Call, Peek
from trunkline.core.errors import GatewayError, UpstreamError
from trunkline.core.events import Event, Failed, PartStarted, TextDelta
from trunkline.core.request import (
    Document,
    Image,
    Inline,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Request,
    Text,
    Tool,
    ToolChoice,
)
from trunkline.core.usage import Usage
from trunkline.dialects.base import Quirks
from trunkline.dialects.mapping import LEVELS
from trunkline.edge.sender import Sender
from trunkline.providers.target import BoundApi, Target

PATIENCE = 60.0
"""Seconds for one answer."""
LIMIT = 2048
"""Tokens of an answer: room for some thinking."""

Verdict = Literal["yes", "no", "unasked", "unclear"]
Judge = Callable[[list[Event]], bool]


class Question(Struct, frozen=True):
    name: str
    fields: dict[str, Any]
    """Of the `Request`, over those of the plain one."""
    judge: Judge | None = None
    """Whether the answer shows it; None where to be accepted is enough."""
    quirks: dict[str, Any] = {}


class Finding(Struct, frozen=True):
    name: str
    verdict: Verdict
    detail: str = ""
    """The provider's own words, where it refused."""
    usage: Usage | None = None


def _png() -> str:
    """A red square of 16 by 16, base64."""

    def piece(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"".join(b"\0" + b"\xff\0\0" * 16 for _ in range(16)))
    head = piece(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + head + piece(b"IDAT", rows) + piece(b"IEND", b"")).decode()


def _pdf() -> str:
    """A page that says "Hello", base64."""
    content = b"BT /F1 24 Tf 72 720 Td (Hello) Tj ET"
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(content), content),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    out, places = b"%PDF-1.4\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"xref\n0 6\n0000000000 65535 f \n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        table,
        len(out),
    )
    return base64.b64encode(out + tail).decode()


def _user(*parts: Part | str) -> Message:
    return Message("user", [Text(part) if isinstance(part, str) else part for part in parts])


def _calls(least: int) -> Judge:
    return lambda events: sum(isinstance(each, PartStarted) and each.kind == "tool_call" for each in events) >= least


def _json(events: list[Event]) -> bool:
    try:
        return isinstance(msgspec.json.decode(_text(events)), dict)
    except msgspec.DecodeError:
        return False


def _text(events: list[Event]) -> str:
    return "".join(each.text for each in events if isinstance(each, TextDelta))


def _counted(events: list[Event]) -> bool:
    return any(isinstance(each, Usage) and each.input > 0 for each in events)


_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
           "additionalProperties": False}  # fmt: skip
_TOOL, _CLOCK = Tool("weather", "The weather in a city.", _SCHEMA), Tool("clock", "The time in a city.", _SCHEMA)
_HELLO = _user("Say OK.")

QUESTIONS: tuple[Question, ...] = (
    Question("text", {}, lambda events: bool(_text(events))),
    Question("system", {"messages": [Message("system", [Text("Be brief.")]), _HELLO]}),
    Question("developer", {"messages": [Message("developer", [Text("Be brief.")]), _HELLO]}, None,
             {"developer_role": True}),
    Question("tools", {"tools": [_TOOL], "tool_choice": ToolChoice("required")}, _calls(1)),
    Question("tool_choice", {"tools": [_TOOL], "tool_choice": ToolChoice("tool", "weather")}, _calls(1)),
    Question("parallel_tools", {
        "messages": [_user("Use the tools weather and clock, both at once, for Paris.")], "tools": [_TOOL, _CLOCK],
        "tool_choice": ToolChoice("required"), "parallel_tool_calls": True,
    }, _calls(2)),
    Question("json_schema", {"messages": [_user("Name a city, as JSON.")],
                             "output": OutputFormat("json_schema", "answer", schema=_SCHEMA, strict=True)}, _json),
    Question("image", {"messages": [_user("What colour?", Image(Inline("image/png", _png())))]}),
    Question("document", {"messages": [_user("What does it say?",
                                             Document(Inline("application/pdf", _pdf()), "hello.pdf"))]}),
    Question("temperature", {"temperature": 0.5}),
    Question("top_p", {"top_p": 0.5}),
    Question("top_k", {"top_k": 5}),
    Question("stop", {"stop": ["ZZZ"]}),
    Question("seed", {"seed": 7}),
    Question("frequency_penalty", {"frequency_penalty": 0.5}),
    Question("presence_penalty", {"presence_penalty": 0.5}),
    Question("logprobs", {"logprobs": True}),
    Question("n", {"n": 2}),
    Question("streaming", {"stream": True}, lambda events: bool(_text(events))),
    Question("streaming_usage", {"stream": True, "include_usage": True}, _counted),
    *(Question(f"effort {level}", {"reasoning": Reasoning(level)}) for level in LEVELS),
    Question("max_tokens", {}, None, {"max_tokens_field": "max_tokens"}),
    Question("max_completion_tokens", {}, None, {"max_tokens_field": "max_completion_tokens"}),
    Question("prefill", {"messages": [_HELLO, Message("assistant", [Text("O")])]}, None, {"prefill": True}),
)  # fmt: skip


class Probe:
    """`clock`: seconds since the epoch."""

    def __init__(self, sender: Sender, target: Target, clock: Callable[[], float]) -> None:
        self._sender = sender
        self._target = target
        self._clock = clock
        self._api: BoundApi = target.apis[0]

    async def findings(self) -> AsyncIterator[Finding]:
        """One after the other. Nothing more is asked where plain text does not work."""
        for question in QUESTIONS:
            found = await self._ask(question)
            yield found
            if question.name == "text" and found.verdict != "yes":
                return

    async def _ask(self, question: Question) -> Finding:
        request = structs.replace(Request("", [_HELLO], max_tokens=LIMIT), **question.fields)
        plain = structs.replace(self._target.quirks, drop=frozenset(), efforts=())
        quirks: Quirks = structs.replace(plain, **question.quirks)
        lost: list[str] = []
        try:
            body = self._api.dialect.write_request(request, self._target.model, quirks, lost)
            if lost or self._says_nothing(question, request, body):
                return Finding(question.name, "unasked", "this wire format has no word for it")
            events = await self._events(request, body)
        except UpstreamError as error:
            refused = error.status in (400, 422) and error.kind == "invalid_request"
            return Finding(question.name, "no" if refused else "unclear", error.message)
        except GatewayError as error:
            return Finding(question.name, "unclear", error.message)
        return self._judged(question, events)

    def _says_nothing(self, question: Question, request: Request, body: bytes) -> bool:
        """Whether a quirk makes no difference here: then there is nothing to ask."""
        if not question.quirks:
            return False
        turned = {name: _other(value) for name, value in question.quirks.items()}
        quirks = structs.replace(self._target.quirks, drop=frozenset(), efforts=(), **turned)
        try:
            return self._api.dialect.write_request(request, self._target.model, quirks, []) == body
        except GatewayError:
            return False

    async def _events(self, request: Request, body: bytes) -> list[Event]:
        now = self._clock()
        started = asyncio.get_running_loop().time()
        call = Call("probe", None, [], now, started)
        call.target, call.api, call.deadline = self._target, self._api, started + PATIENCE
        call.peek = Peek(self._target.model, request.stream)
        path = self._api.path("generate", call.peek)
        assert path is not None
        more = self._api.api.translated
        response = await self._sender.send(call, path, more(request) if more is not None else [], body)
        data = await self._sender.body(call, response)
        reader = self._api.dialect.reader(request.stream)
        return [*reader.feed(data), *reader.eof()]

    def _judged(self, question: Question, events: list[Event]) -> Finding:
        usage = next((each for each in reversed(events) if isinstance(each, Usage)), None)
        failed = next((each for each in events if isinstance(each, Failed)), None)
        if failed is not None:
            return Finding(question.name, "unclear", failed.error.message, usage)
        if question.judge is not None and not question.judge(events):
            return Finding(question.name, "unclear", "accepted, but the answer does not show it", usage)
        return Finding(question.name, "yes", "", usage)


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case "max_tokens":
            return "max_completion_tokens"
    return "max_tokens"


_FACTS = ("tools", "parallel_tools", "json_schema", "streaming", "developer", "prefill")
_REFUSABLE = (
    "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty", "presence_penalty", "logprobs", "n",
)  # fmt: skip


def overrides(findings: list[Finding]) -> dict[str, Any]:
    """What the findings say, as an entry of `catalog:`. What was not answered clearly is not in it."""
    verdicts = {each.name: each.verdict for each in findings}
    facts: dict[str, Any] = {name: verdicts[name] == "yes" for name in _FACTS if verdicts.get(name) in ("yes", "no")}
    media = [name for name in ("image", "document") if verdicts.get(name) == "yes"]
    if all(verdicts.get(name) in ("yes", "no") for name in ("image", "document")):
        facts["inputs"] = ["text", *media]
    refused = [name for name in _REFUSABLE if verdicts.get(name) == "no"]
    if refused:
        facts["refuses"] = refused
    limits = [name for name in ("max_tokens", "max_completion_tokens") if verdicts.get(name) == "yes"]
    if len(limits) == 1:
        facts["max_tokens_name"] = limits[0]
    levels = [level for level in LEVELS if verdicts.get(f"effort {level}") == "yes"]
    if levels:
        facts["efforts"] = levels
    return facts
