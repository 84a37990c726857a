"""Every failure of every provider, through the gateway, as the class that the caller's SDK has for it."""

from __future__ import annotations

from collections.abc import Iterable

import anthropic
import openai
import pytest

from . import matrix
from .drivers import Chat, Messages
from .errors_expected import DEADLINE, INSIDE, INSTEAD, WHOLE, ErrorRow, expected_error
from .families import Ask, Failure, Speaker
from .speakers import PROVIDERS, SPEAKERS

AFTER = {"sim-gemini": 2, "sim-vertex": 2}
"""Events before a break, of those that say more in one event; 5 elsewhere. The first ones reach the client alone: what
comes with them would still be an error with a status."""
ONE_OF_EACH = ("openai", "responses", "anthropic", "google-v1beta", "converse", "invoke")
"""A client for every way of framing a stream."""

CODES = {
    "429": "rate_limit_exceeded",
    "quota": "insufficient_quota",
    "context": "context_length_exceeded",
    "close": "upstream_broken",
    "404": "model_not_found",
    "filter": "content_filter",
}
"""What programs of OpenAI's SDK ask `code` for, where the provider's own words can mean it."""
CODED = {
    "429": "sim sim-anthropic sim-gemini sim-vertex sim-bedrock",
    "quota": "sim sim-azure sim-anthropic sim-gemini sim-bedrock",
    "context": " ".join(PROVIDERS),
    "close": " ".join(PROVIDERS),
    "404": "sim",
    "filter": "sim-azure sim-anthropic",
}
ADVISED = {"sim", "sim-azure", "sim-anthropic", "sim-gemini"}
"""Providers that say how long to wait, each in its own place."""


def cells(cues: Iterable[str], clients: Iterable[str]) -> pytest.MarkDecorator:
    """Each failure, client and provider."""
    rows = [(cue, client, target) for cue in cues for client in clients for target in PROVIDERS]
    return pytest.mark.parametrize(
        ("cue", "speaker", "target"), rows, indirect=["speaker"], ids=["-".join(row) for row in rows]
    )


def fail(speaker: Speaker, target: str, asked: Ask, rows: dict[str, ErrorRow], cue: str) -> Failure:
    """Ask for an error: it has the class that it should have, and gives nothing away."""
    wanted = expected_error(rows, cue, speaker.name, speaker.family, target)
    with matrix.noted(f"error {cue}", "streamed" if asked.stream else "whole", speaker.name, target) as note:
        with pytest.raises(speaker.errors) as raised:
            speaker.ask(asked)
        failure = speaker.failure(raised.value)
        assert failure.name == wanted
        assert "127.0.0.1" not in failure.body
        note(wanted, ())
    return failure


@cells((cue for cue in WHOLE if cue != "cut"), SPEAKERS)
def test_error(speaker: Speaker, target: str, cue: str) -> None:
    failure = fail(speaker, target, Ask(f"{target}/sim-small+{cue}"), WHOLE, cue)
    assert failure.headers["x-request-id"]
    assert failure.headers["x-trunkline-target"].startswith(f"{target}/")
    if speaker.family == "openai" and target in CODED.get(cue, "").split():
        assert CODES[cue] in failure.body
    if cue == "429":
        assert failure.headers.get("retry-after") == ("1" if target in ADVISED else None)


@cells(["cut"], ["openai"])
def test_answer_that_is_cut(speaker: Speaker, target: str, cue: str) -> None:
    fail(speaker, target, Ask(f"{target}/sim-small+{cue}"), WHOLE, cue)


@cells(["deadline"], SPEAKERS)
def test_deadline(speaker: Speaker, target: str, cue: str) -> None:
    asked = Ask(f"{target}/sim-small+hang=30s", headers={"x-trunkline-deadline-ms": "100"})
    fail(speaker, target, asked, {cue: DEADLINE}, cue)


@cells(INSTEAD, SPEAKERS)
def test_error_instead_of_a_stream(speaker: Speaker, target: str, cue: str) -> None:
    fail(speaker, target, Ask(f"{target}/sim-small+{cue}", stream=True), INSTEAD, cue)


@cells(("error-mid", "cut"), ONE_OF_EACH)
def test_error_inside_a_stream(speaker: Speaker, target: str, cue: str) -> None:
    _break(speaker, target, cue)


@cells(("short", "end"), ["openai"])
def test_stream_that_ends_too_early(speaker: Speaker, target: str, cue: str) -> None:
    _break(speaker, target, cue)


def _break(speaker: Speaker, target: str, cue: str) -> None:
    model = f"{target}/sim-small+{cue}+tps=25+after={AFTER.get(target, 5)}"
    fail(speaker, target, Ask(model, stream=True), INSIDE, cue)


async def test_error_of_a_chat(chat: Chat) -> None:
    """The asynchronous client raises as the blocking one does."""
    with pytest.raises(openai.RateLimitError) as failed:
        await chat.ask(model="sim-small+429")
    chat.note_failure(failed.value)
    assert failed.value.request_id


async def test_error_of_a_message(messages: Messages) -> None:
    with pytest.raises(anthropic.OverloadedError) as failed:
        await messages.ask(model="sim-small+529")
    messages.note_failure(failed.value)
    body = failed.value.response.json()
    assert (body["type"], type(body["error"]["message"])) == ("error", str)
    assert failed.value.request_id


async def test_error_inside_a_streamed_message(messages: Messages) -> None:
    """The type says what the status cannot."""
    after = AFTER.get(messages.target, 5)
    with pytest.raises(anthropic.APIStatusError) as failed:
        await messages.follow(model=f"sim-small+error-mid+tps=25+after={after}")
    messages.note_failure(failed.value)
    assert isinstance(failed.value.body, dict)
    overloaded = messages.target == "sim-anthropic"
    assert failed.value.body["error"]["type"] == ("overloaded_error" if overloaded else "api_error")


async def test_nothing_listens(chat: Chat, unused_tcp_port: int) -> None:
    away = Chat(chat.client.with_options(base_url=f"http://127.0.0.1:{unused_tcp_port}/v1"), chat.target)
    with pytest.raises(openai.APIConnectionError) as failed:
        await away.ask()
    chat.note_failure(failed.value)
