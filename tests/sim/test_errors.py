"""Every error cue raises the right class in both official SDKs, with the family's envelope and headers."""

from __future__ import annotations

import anthropic as anthropic_sdk
import openai as openai_sdk
import pytest
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from trunkline.sim.errors import ANTHROPIC, AZURE, OPENAI
from trunkline.sim.faults import ERRORS
from trunkline.sim.server import Handle

from .conftest import HELLO, KEY, raw

OPENAI_CLASSES = {
    "400": openai_sdk.BadRequestError,
    "401": openai_sdk.AuthenticationError,
    "403": openai_sdk.PermissionDeniedError,
    "404": openai_sdk.NotFoundError,
    "408": openai_sdk.APIStatusError,
    "409": openai_sdk.ConflictError,
    "413": openai_sdk.APIStatusError,
    "429": openai_sdk.RateLimitError,
    "500": openai_sdk.InternalServerError,
    "502": openai_sdk.InternalServerError,
    "503": openai_sdk.InternalServerError,
    "504": openai_sdk.InternalServerError,
    "529": openai_sdk.InternalServerError,
    "quota": openai_sdk.RateLimitError,
    "too-large": openai_sdk.RateLimitError,
    "billing": openai_sdk.RateLimitError,
    "context": openai_sdk.BadRequestError,
    "filter": openai_sdk.BadRequestError,
}
ANTHROPIC_CLASSES = {
    "400": anthropic_sdk.BadRequestError,
    "401": anthropic_sdk.AuthenticationError,
    "403": anthropic_sdk.PermissionDeniedError,
    "404": anthropic_sdk.NotFoundError,
    "408": anthropic_sdk.APIStatusError,
    "409": anthropic_sdk.ConflictError,
    "413": anthropic_sdk.APIStatusError,
    "429": anthropic_sdk.RateLimitError,
    "500": anthropic_sdk.InternalServerError,
    "502": anthropic_sdk.InternalServerError,
    "503": anthropic_sdk.InternalServerError,
    "504": anthropic_sdk.InternalServerError,
    "529": anthropic_sdk.InternalServerError,
    "quota": anthropic_sdk.RateLimitError,
    "too-large": anthropic_sdk.RateLimitError,
    "billing": anthropic_sdk.APIStatusError,
    "context": anthropic_sdk.BadRequestError,
    "filter": anthropic_sdk.BadRequestError,
}


def test_every_error_cue_has_a_row_in_every_family_and_a_class_here() -> None:
    for table in (OPENAI, AZURE, ANTHROPIC):
        assert set(table) | {"502"} == set(ERRORS)
    assert set(OPENAI_CLASSES) == set(ANTHROPIC_CLASSES) == set(ERRORS)


@pytest.mark.parametrize("cue", ERRORS)
async def test_openai_error_classes(openai: AsyncOpenAI, cue: str) -> None:
    with pytest.raises(OPENAI_CLASSES[cue]) as failed:
        await openai.chat.completions.create(model=f"sim-small+{cue}", messages=HELLO)
    assert isinstance(failed.value, openai_sdk.APIStatusError)
    if cue == "502":
        assert "<html>" in failed.value.response.text
        return
    row = OPENAI[cue]
    assert failed.value.status_code == row.status
    assert (failed.value.code, failed.value.type) == (row.code, row.type)
    assert "{model}" not in failed.value.message
    assert failed.value.request_id
    assert ("x-ratelimit-limit-requests" in failed.value.response.headers) == (row.status == 429)
    assert ("retry-after" in failed.value.response.headers) == row.retry


@pytest.mark.parametrize("cue", ERRORS)
async def test_anthropic_error_classes(anthropic: AsyncAnthropic, cue: str) -> None:
    with pytest.raises(ANTHROPIC_CLASSES[cue]) as failed:
        await anthropic.messages.create(model=f"sim-small+{cue}", max_tokens=9, messages=HELLO)
    assert isinstance(failed.value, anthropic_sdk.APIStatusError)
    if cue == "502":
        return
    row = ANTHROPIC[cue]
    assert failed.value.status_code == row.status
    body = failed.value.response.json()
    assert body["type"] == "error"
    assert body["error"]["type"] == row.type
    assert body["request_id"] == failed.value.response.headers["request-id"]
    assert ("anthropic-ratelimit-requests-reset" in failed.value.response.headers) == (row.status == 429)
    assert failed.value.response.headers["x-should-retry"] == (
        "true" if row.status in (408, 409) or row.status >= 429 else "false"
    )


async def test_an_error_event_inside_a_stream_raises_in_both_sdks(
    openai: AsyncOpenAI, anthropic: AsyncAnthropic
) -> None:
    for cue in ("error-first", "error-mid"):
        stream = await openai.chat.completions.create(model=f"sim-small+{cue}", messages=HELLO, stream=True)
        with pytest.raises(openai_sdk.APIError, match="server had an error"):
            [chunk async for chunk in stream]
        with pytest.raises(anthropic_sdk.APIStatusError, match="Overloaded"):
            async with anthropic.messages.stream(model=f"sim-small+{cue}", max_tokens=99, messages=HELLO) as events:
                await events.get_final_message()


async def test_retry_after_is_a_cue_and_the_sdk_obeys_it(sim: Handle) -> None:
    async with AsyncOpenAI(base_url=f"{sim.url}/v1", api_key=KEY, max_retries=2) as client:
        model = "sim-small+429+fail-first=2+retry-after=10ms"
        answer = await client.chat.completions.create(model=model, messages=HELLO)
    assert "simulator" in (answer.choices[0].message.content or "")
    assert len(sim.app.calls) == 3
    assert b"retry-after: 3" in (await raw(sim, {}, "529, retry-after=2500ms")).head
    assert b"retry-after" not in (await raw(sim, {}, "429, no-retry-after")).head


@pytest.mark.parametrize(("cue", "reset"), [("20ms", b"20ms"), ("3s", b"3s"), ("90s", b"1m30s")])
async def test_openai_writes_resets_as_durations(sim: Handle, cue: str, reset: bytes) -> None:
    reply = await raw(sim, {}, f"429, retry-after={cue}")
    assert b"x-ratelimit-reset-requests: " + reset + b"\r\n" in reply.head


async def test_successes_carry_rate_limits_too(sim: Handle) -> None:
    assert b"x-ratelimit-remaining-tokens" in (await raw(sim, {})).head
    assert b"anthropic-ratelimit-tokens-remaining" in (await raw(sim, {"max_tokens": 9}, path="/v1/messages")).head
