"""Every failure of a provider, through the gateway, as the class that the caller's SDK has for it.

A connection that breaks before or inside a whole answer is no `APIConnectionError` here: the caller's connection holds,
and the gateway says over it what happened to the other one.
"""

from __future__ import annotations

import anthropic
import openai
import pytest

from .drivers import Chat, Driver, Messages

CLASSES: dict[str, tuple[str, str]] = {
    "400": ("BadRequestError", "BadRequestError"),
    "401": ("AuthenticationError", "AuthenticationError"),
    "403": ("PermissionDeniedError", "PermissionDeniedError"),
    "404": ("NotFoundError", "NotFoundError"),
    "408": ("APIStatusError", "RequestTimeoutError"),
    "409": ("ConflictError", "ConflictError"),
    "413": ("APIStatusError", "ContentTooLargeError"),
    "429": ("RateLimitError", "RateLimitError"),
    "500": ("InternalServerError", "InternalServerError"),
    "502": ("InternalServerError", "InternalServerError"),
    "503": ("InternalServerError", "OverloadedError"),
    "504": ("InternalServerError", "GatewayTimeoutError"),
    "529": ("InternalServerError", "OverloadedError"),
    "quota": ("RateLimitError", "RateLimitError"),
    "too-large": ("RateLimitError", "ContentTooLargeError"),
    "billing": ("RateLimitError", "PaymentRequiredError"),
    "context": ("BadRequestError", "BadRequestError"),
    "filter": ("BadRequestError", "BadRequestError"),
    "reset": ("InternalServerError", "InternalServerError"),
    "close": ("InternalServerError", "InternalServerError"),
    "cut": ("InternalServerError", "InternalServerError"),
    "empty": ("InternalServerError", "InternalServerError"),
    "bad-json": ("InternalServerError", "InternalServerError"),
}
"""The simulator's cue → what OpenAI's SDK raises, and Anthropic's."""

OTHERWISE: dict[tuple[type[Driver], str, str], str] = {
    (Messages, "503", "sim-anthropic"): "ServiceUnavailableError",  # its own status, passed on
    (Messages, "too-large", "sim-anthropic"): "RateLimitError",
}

CODES = {
    "quota": "insufficient_quota",
    "context": "context_length_exceeded",
    "cut": "upstream_broken",
    "429": "rate_limit_exceeded",
}
"""What programs ask `code` for, whatever the provider, unless it is OpenAI's own (or Azure's) word."""

OWN = {("sim-azure", "429"): "429"}

PACED = "+tps=12+after=5"
"""The stream's first events reach the client alone: what comes with them would still be an error with a status."""

BREAKS = ("error-mid", "cut", "short", "end")


@pytest.mark.parametrize("cue", CLASSES)
async def test_error(chat: Chat, cue: str) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        await chat.ask(model=f"sim-small+{cue}")
    chat.note_failure(failed.value)
    assert type(failed.value).__name__ == CLASSES[cue][0]
    if cue in CODES:
        assert failed.value.code == OWN.get((chat.target, cue), CODES[cue])
    assert failed.value.request_id
    assert "127.0.0.1" not in failed.value.response.text


@pytest.mark.parametrize("cue", CLASSES)
async def test_error_of_a_message(messages: Messages, cue: str) -> None:
    with pytest.raises(anthropic.APIStatusError) as failed:
        await messages.ask(model=f"sim-small+{cue}")
    messages.note_failure(failed.value)
    expected = OTHERWISE.get((Messages, cue, messages.target), CLASSES[cue][1])
    assert type(failed.value).__name__ == expected
    body = failed.value.response.json()
    assert (body["type"], type(body["error"]["message"])) == ("error", str)
    assert failed.value.request_id
    assert "127.0.0.1" not in failed.value.response.text


@pytest.mark.parametrize("cue", ["429", "529", "error-first"])
async def test_error_instead_of_a_stream(chat: Chat, cue: str) -> None:
    with pytest.raises(openai.APIStatusError) as failed:
        await chat.ask(model=f"sim-small+{cue}", stream=True)
    chat.note_failure(failed.value)
    assert type(failed.value).__name__ == ("RateLimitError" if cue == "429" else "InternalServerError")


@pytest.mark.parametrize("cue", BREAKS)
async def test_error_inside_a_stream(chat: Chat, cue: str) -> None:
    with pytest.raises(openai.APIError) as failed:
        await chat.ask(model=f"sim-small+{cue}{PACED}", stream=True)
    chat.note_failure(failed.value)
    assert not isinstance(failed.value, openai.APIStatusError | openai.APIConnectionError)
    assert (failed.value.code == "upstream_broken") is (cue != "error-mid")
    assert failed.value.message


@pytest.mark.parametrize("cue", BREAKS)
async def test_error_inside_a_streamed_message(messages: Messages, cue: str) -> None:
    """Anthropic's SDK raises by the status, which was 200: the type says what it is."""
    with pytest.raises(anthropic.APIStatusError) as failed:
        await messages.follow(model=f"sim-small+{cue}{PACED}")
    messages.note_failure(failed.value)
    assert isinstance(failed.value.body, dict)
    overloaded = cue == "error-mid" and messages.target == "sim-anthropic"
    assert failed.value.body["error"]["type"] == ("overloaded_error" if overloaded else "api_error")


async def test_nothing_listens(chat: Chat, unused_tcp_port: int) -> None:
    away = Chat(chat.client.with_options(base_url=f"http://127.0.0.1:{unused_tcp_port}/v1"), chat.target)
    with pytest.raises(openai.APIConnectionError) as failed:
        await away.ask()
    chat.note_failure(failed.value)
