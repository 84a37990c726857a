"""The clients of the fault matrix: how each family asks, and what it makes of what it gets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.edges.fault_table import Outcome
from tests.talking import connected, request
from trunkline.core.events import Event, Failed, Finished, PartStarted, Started, TextDelta
from trunkline.dialects import anthropic, bedrock, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect

QUESTION = "hello"
SAYS_ELSE = frozenset({"refuse", "filtered", "length", "slow"})
"""Faults with which the simulator says another text."""


@dataclass
class Heard:
    """What a client got."""

    status: int
    request_id: str
    body: bytes
    outcome: Outcome
    text: str = ""
    ended: bool = False
    """The answer's own end was told."""
    started: int = 1
    seconds: float = 0.0

    def whole(self, fault: str) -> bool:
        """All of the answer, once."""
        said = fault in SAYS_ELSE or (self.text.startswith("I am ") and self.text.count("I am ") == 1)
        return self.ended and self.started == 1 and (said and (fault in SAYS_ELSE or self.text.endswith('"hello".')))


@dataclass(frozen=True)
class Client:
    """`streams`: the path of a streamed call, `{model}` filled in; `field`: how the body asks for a stream."""

    name: str
    path: str
    streams: str
    body: dict[str, Any]
    dialect: Dialect
    field: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    async def ask(self, port: int, model: str, stream: bool, deadline: float) -> Heard:
        path = (self.streams if stream else self.path).replace("{model}", model)
        named = {} if "{model}" in self.path else {"model": model}
        body = self.body | named | (self.field if stream else {})
        head = {"x-trunkline-deadline-ms": str(int(deadline * 1000))}
        async with connected(port) as line, asyncio.timeout(deadline + 5):
            await line.send(request(path, body, head))
            answer = await line.read_head()
            answer.body = await line.read_body()
        names = [name.decode() for name in self.dialect.id_headers]
        request_id = next(answer.headers[name] for name in names if name in answer.headers)
        if answer.status >= 400:
            assert json.loads(answer.body)
            return Heard(answer.status, request_id, answer.body, "refusal")
        return self._read(answer.body, stream, answer.status, request_id)

    def _read(self, body: bytes, stream: bool, status: int, request_id: str) -> Heard:
        reader = self.dialect.reader(stream)
        events: list[Event] = [*reader.feed(body), *reader.eof()]
        failed = any(isinstance(event, Failed) for event in events)
        outcome: Literal["answer", "broken"] = "broken" if failed else "answer"
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        ended = sum(isinstance(event, Finished) for event in events) == 1
        if self.name == "chat" and stream:
            ended = ended and body.count(b"data: [DONE]") <= 1  # some hosts leave it out
        parts = sum(isinstance(event, PartStarted) for event in events)
        started = sum(isinstance(event, Started) for event in events)
        return Heard(status, request_id, body, outcome, text, ended, started if parts <= 1 else parts)


CHAT = Client(
    "chat",
    "/v1/chat/completions",
    "/v1/chat/completions",
    {"messages": [{"role": "user", "content": QUESTION}]},
    openai_chat.DIALECT,
    {"stream": True},
)

OTHERS = (
    Client(
        "responses",
        "/v1/responses",
        "/v1/responses",
        {"input": QUESTION},
        openai_responses.DIALECT,
        {"stream": True},
    ),
    Client(
        "anthropic",
        "/v1/messages",
        "/v1/messages",
        {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 100},
        anthropic.DIALECT,
        {"stream": True},
    ),
    Client(
        "gemini",
        "/v1beta/models/{model}:generateContent",
        "/v1beta/models/{model}:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": QUESTION}]}]},
        gemini.DIALECT,
    ),
    Client(
        "bedrock",
        "/model/{model}/converse",
        "/model/{model}/converse-stream",
        {"messages": [{"role": "user", "content": [{"text": QUESTION}]}]},
        bedrock.DIALECT,
    ),
)
