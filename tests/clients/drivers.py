"""One way to use both SDKs, blocking or not: a test is written once and runs with each client.

A driver remembers what the gateway said it lost, so that every test also tells, as a whole, what translation cost it.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

KEY = "sk-client-0123456789"
HELLO: list[Any] = [{"role": "user", "content": "hello there"}]
AZURE_S_OWN = ("answer:prompt_filter_results", "answer:choices[0].content_filter_results")
"""In every whole answer of Azure's, and never in Anthropic's format: told once, by the test of the headers."""
OPENAI = ("sim", "sim-azure")
GOOGLE = ("sim-gemini", "sim-vertex")
PLAIN = ("sim-anthropic", "sim-bedrock")
"""Whose formats have one answer, no log probabilities, and JSON by a schema alone."""
TARGETS = (*OPENAI, "sim-anthropic", *GOOGLE, "sim-bedrock")


def user(content: Any) -> Any:
    return {"role": "user", "content": content}


async def settled(value: Any) -> Any:
    """What a blocking client returned, or an asynchronous one promised."""
    return await value if inspect.isawaitable(value) else value


async def drained(stream: Any) -> list[Any]:
    """All of a stream."""
    if hasattr(stream, "__aiter__"):
        return [item async for item in stream]
    return list(stream)


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


@dataclass
class Driver:
    """A client, and the provider that it shall reach. Models are named without the provider."""

    client: Any
    target: str
    lost: list[str] = field(default_factory=list)
    """What was reported as lost so far, of requests and (after `answer:`) of answers."""
    failed: list[str] = field(default_factory=list)
    """The classes of the errors that were expected and came."""
    headers: Any = None
    """Of the last answer."""

    def named(self, request: dict[str, Any]) -> dict[str, Any]:
        return {**request, "model": f"{self.target}/{request.get('model', 'sim-small')}"}

    def note(self, headers: Any) -> None:
        self.headers = headers
        for name, prefix in (("x-trunkline-lost", ""), ("x-trunkline-lost-answer", "answer:")):
            found = [prefix + path for path in headers.get(name, "").split(", ") if path]
            self.lost += [path for path in found if path not in self.lost and path not in AZURE_S_OWN]

    def note_failure(self, error: Exception) -> None:
        name = type(error).__name__
        if name not in self.failed:
            self.failed.append(name)


class Chat(Driver):
    """`OpenAI` or `AsyncOpenAI`."""

    async def ask(self, messages: list[Any] = HELLO, **request: Any) -> Any:
        """A ChatCompletion; with `stream=True` the list of its chunks."""
        create = self.client.chat.completions.with_raw_response.create
        raw = await settled(create(messages=messages, **self.named(request)))
        self.note(raw.headers)
        answer = await settled(raw.parse())
        return await drained(answer) if request.get("stream") else answer

    async def parse(self, messages: list[Any] = HELLO, **request: Any) -> Any:
        raw = await settled(
            self.client.chat.completions.with_raw_response.parse(messages=messages, **self.named(request))
        )
        self.note(raw.headers)
        return await settled(raw.parse())

    async def follow(self, messages: list[Any] = HELLO, **request: Any) -> tuple[Any, list[str]]:
        """By the SDK's own accumulator: the completion and the types of its events."""
        async with entered(self.client.chat.completions.stream(messages=messages, **self.named(request))) as stream:
            events = await drained(stream)
            return await settled(stream.get_final_completion()), [event.type for event in events]


class Messages(Driver):
    """`Anthropic` or `AsyncAnthropic`."""

    async def ask(self, messages: list[Any] = HELLO, **request: Any) -> Any:
        """A Message; with `stream=True` the list of its events."""
        create = self.client.messages.with_raw_response.create
        raw = await settled(create(messages=messages, **{"max_tokens": 1000, **self.named(request)}))
        self.note(raw.headers)
        answer = await settled(raw.parse())
        return await drained(answer) if request.get("stream") else answer

    async def follow(self, messages: list[Any] = HELLO, **request: Any) -> tuple[Any, list[str]]:
        """By the SDK's own accumulator: the message and the types of its events."""
        manager = self.client.messages.stream(messages=messages, **{"max_tokens": 1000, **self.named(request)})
        async with entered(manager) as stream:
            self.note(stream.response.headers)
            events = await drained(stream)
            return await settled(stream.get_final_message()), [event.type for event in events]
