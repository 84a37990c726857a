"""The official OpenAI SDK through the gateway: how answers end, what only chat has, headers, models, patience."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from pydantic import BaseModel

from .drivers import GOOGLE, HELLO, OPENAI, PLAIN, TARGETS, Chat, drained, settled, user


class Person(BaseModel):
    name: str


def text_of(answer: Any) -> str:
    return answer.choices[0].message.content or ""


async def test_stop_sequence(chat: Chat) -> None:
    answer = await chat.ask(stop=["never said", "simulator"])
    assert text_of(answer) == "I am sim-small, a "
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_length_stop(chat: Chat, field: str) -> None:
    answer = await chat.ask(**{field: 5})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


async def test_length_stop_in_parse(chat: Chat) -> None:
    with pytest.raises(openai.LengthFinishReasonError) as failed:
        await chat.parse(response_format=Person, max_completion_tokens=3)
    chat.note_failure(failed.value)


async def test_content_filter_in_parse(chat: Chat) -> None:
    """An answer cut by the provider's filter; what Anthropic has instead is a refusal, which means the same here."""
    cue = "refuse" if chat.target == "sim-anthropic" else "filtered"
    with pytest.raises(openai.ContentFilterFinishReasonError) as failed:
        await chat.parse(response_format=Person, model=f"sim-small+{cue}")
    chat.note_failure(failed.value)


async def test_refusal(chat: Chat) -> None:
    answer = await chat.ask(model="sim-small+refuse")
    [choice] = answer.choices
    said = choice.message.refusal or choice.message.content
    assert said is None if chat.target in GOOGLE else "told to refuse" in said  # Google blocks the prompt
    assert choice.finish_reason == ("stop" if chat.target in OPENAI else "content_filter")


@pytest.mark.loses("n", "seed", to=PLAIN)
async def test_alternatives(chat: Chat) -> None:
    answer = await chat.ask(n=3, seed=7)
    alone = chat.target in PLAIN
    assert [choice.index for choice in answer.choices] == ([0] if alone else [0, 1, 2])
    assert len({choice.message.content for choice in answer.choices}) == len(answer.choices)


@pytest.mark.loses("n", to=PLAIN)
async def test_streamed_alternatives(chat: Chat) -> None:
    chunks = await chat.ask(n=2, stream=True)
    texts: dict[int, str] = {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert sorted(texts) == ([0] if chat.target in PLAIN else [0, 1])
    assert "hello there" in texts[0]


@pytest.mark.loses("logprobs", "top_logprobs", to=PLAIN)
async def test_logprobs(chat: Chat) -> None:
    answer = await chat.ask(logprobs=True, top_logprobs=2)
    found = answer.choices[0].logprobs
    assert (found is None) is (chat.target in PLAIN)
    if found is not None:
        assert "".join(row.token for row in found.content) == text_of(answer)


@pytest.mark.loses("frequency_penalty", "presence_penalty", "logit_bias", to=PLAIN)
@pytest.mark.loses("logit_bias", to=GOOGLE)
async def test_penalties(chat: Chat) -> None:
    assert text_of(await chat.ask(frequency_penalty=0.5, presence_penalty=0.5, logit_bias={"1": 2}, temperature=0.3))


@pytest.mark.loses("user", to=[*GOOGLE, "sim-bedrock"])
async def test_who_asks(chat: Chat) -> None:
    assert text_of(await chat.ask(user="someone", service_tier="auto"))


async def test_strict_mode_refuses_what_would_be_lost(chat: Chat) -> None:
    if chat.target not in PLAIN:
        assert len((await chat.ask(n=2, extra_headers={"x-trunkline-strict": "1"})).choices) == 2
        return
    with pytest.raises(openai.BadRequestError) as failed:
        await chat.ask(n=2, extra_headers={"x-trunkline-strict": "1"})
    chat.note_failure(failed.value)
    assert (failed.value.code, failed.value.param) == ("lossy_translation", "n")


async def test_headers(chat: Chat) -> None:
    answer = await chat.ask()
    assert chat.headers["x-request-id"] == answer._request_id
    assert answer._request_id.startswith("req_")
    assert chat.headers["x-trunkline-target"] == f"{chat.target}/sim-small"
    assert chat.headers["x-trunkline-attempts"] == "1"
    assert "x-trunkline-lost" not in chat.headers


async def test_models(chat: Chat) -> None:
    listed = [model.id for model in await drained(chat.client.models.list())]
    assert {"chat-small", "azure-large", "messages-small"} <= set(listed)
    assert (await settled(chat.client.models.retrieve("chat-small"))).id == "chat-small"
    with pytest.raises(openai.NotFoundError) as failed:
        await settled(chat.client.models.retrieve("no-such-model"))
    assert failed.value.code == "model_not_found"


async def test_a_client_s_time_limit(chat: Chat) -> None:
    with pytest.raises(openai.APITimeoutError) as failed:
        await chat.ask(model="sim-small+hang=30s", timeout=0.3)
    chat.note_failure(failed.value)


async def test_a_deadline(chat: Chat) -> None:
    with pytest.raises(openai.InternalServerError) as failed:
        await chat.ask(model="sim-small+hang=30s", extra_headers={"x-trunkline-deadline-ms": "200"})
    chat.note_failure(failed.value)
    assert (failed.value.status_code, failed.value.code) == (504, "deadline_exceeded")


async def test_retries_by_the_sdk(chat: Chat, request: pytest.FixtureRequest) -> None:
    """`fail-first` counts by the model's name, so each run has a name of its own."""
    own = 100 + TARGETS.index(chat.target) + 10 * ("async" in request.node.name)
    model = f"sim-small+429+retry-after=10ms+fail-first=2+length={own}"
    with pytest.raises(openai.RateLimitError):
        await chat.ask(HELLO, model=model)
    patient = Chat(chat.client.with_options(max_retries=1), chat.target)
    assert text_of(await patient.ask(HELLO, model=model))


async def test_unknown_model(chat: Chat) -> None:
    with pytest.raises(openai.NotFoundError) as failed:
        await chat.ask(model="sim-nothing")
    chat.note_failure(failed.value)


async def test_unicode(chat: Chat) -> None:
    asked = "naïve 日本語 🙂 \u2028 \x7f"
    whole = text_of(await chat.ask([user(asked)]))
    assert all(part in whole for part in ("naïve", "日本語", "🙂"))
    streamed, _ = await chat.follow([user(asked)])
    assert text_of(streamed) == whole
