"""Bugs that other gateways shipped around OpenAI's and Azure's chat, each as a test, by its tag in our list of them.

Those about the Responses API (O1 to O4, O7, O11, Z6, Z7, Z11) are in `test_responses_pitfalls`. Z9, a stream that is
delivered all at once, is about the edge: its tests watch the bytes arrive.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.core.call import Entry, Peek
from trunkline.core.errors import UpstreamBroken
from trunkline.core.events import Event, Failed, Finished, Opaque, Started, TextDelta
from trunkline.core.secret import Secret
from trunkline.core.usage import Usage
from trunkline.dialects import anthropic, composed, gemini, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Envelope, Quirks
from trunkline.providers.models import quirks_of
from trunkline.providers.prices import PriceList
from trunkline.providers.settings import ProviderSettings
from trunkline.providers.target import bind, target

CHAT, MESSAGES = openai_chat.DIALECT, anthropic.DIALECT
ROLE: dict[str, Any] = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}
WORD: dict[str, Any] = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}
STOP: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
DONE = b"data: [DONE]\n\n"


def sse(*choices: dict[str, Any], **more: Any) -> bytes:
    """A chunk of a stream."""
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5"}
    return b"data: " + json.dumps(head | {"choices": list(choices)} | more).encode() + b"\n\n"


def read(data: bytes, stream: bool = True) -> list[Event]:
    reader = CHAT.reader(stream)
    return [*reader.feed(data), *reader.eof()]


def told(client: Dialect, events: list[Event]) -> bytes:
    writer = client.writer(Envelope(stream=True))
    return b"".join(writer.feed(event) for event in events) + writer.eof()


def asked(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields).encode()


def sent(body: bytes, model: str, lost: list[str] | None = None, base: Quirks | None = None) -> dict[str, Any]:
    """What a chat upstream gets of a chat request that is translated."""
    quirks = quirks_of(model, base or Quirks())
    out: dict[str, Any] = json.loads(
        CHAT.write_request(CHAT.read_request(body), model, quirks, [] if lost is None else lost)
    )
    return out


# ── OpenAI ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "chunk", [sse(STOP, usage=USAGE), sse(STOP) + sse(usage=USAGE), sse(STOP, usage=USAGE) + sse()]
)
def test_o5_usage_counts_whichever_chunk_brings_it(chunk: bytes) -> None:
    data = sse(ROLE) + sse(WORD) + chunk + DONE
    assert read(data)[-1] == Usage(input=9, output=2)
    for asked_for in (True, False):
        tap = CHAT.tap(Peek("m", stream=True, include_usage=asked_for))
        out = tap.feed(data)
        assert tap.usage == Usage(input=9, output=2)
        assert out.count(b'"finish_reason": "stop"') == 1


@pytest.mark.parametrize(
    "error", [{"message": "overloaded", "code": 503}, {"message": "no", "type": "server_error"}, "no"]
)
def test_o6_an_error_inside_a_200_stream_is_an_error_on_every_path(error: object) -> None:
    data = sse(ROLE) + sse(WORD) + b"data: " + json.dumps({"error": error}).encode() + b"\n\n" + DONE
    events = read(data)
    assert isinstance(events[-1], Failed)
    assert not any(isinstance(event, Finished) for event in events)
    assert b"event: error" in told(MESSAGES, events)
    assert b"message_stop" not in told(MESSAGES, events)
    assert b'"error"' in told(CHAT, events)
    assert b"[DONE]" not in told(CHAT, events)
    tap = CHAT.tap(Peek("m", stream=True))
    assert tap.feed(data) + tap.eof() == data
    assert tap.error is not None


def test_o6_an_error_instead_of_a_whole_answer_is_an_error() -> None:
    body = b'{"error": {"message": "overloaded", "code": 503}}'
    assert isinstance(read(body, stream=False)[-1], Failed)
    with pytest.raises(Exception, match="overloaded"):
        CHAT.tap(Peek("m")).feed(body)


@pytest.mark.parametrize("given", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("model", ["o3-mini", "gpt-5", "gpt-5.6-sol", "gpt-6-luna"])
def test_o8_the_limit_is_called_as_reasoning_models_want_it(given: str, model: str) -> None:
    out = sent(asked(**{given: 50}), model)
    assert out["max_completion_tokens"] == 50
    assert "max_tokens" not in out
    compatible = sent(asked(**{given: 50}), "llama", base=Quirks(max_tokens_field="max_tokens"))
    assert compatible["max_tokens"] == 50


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max"])
def test_o9_no_level_of_reasoning_is_dropped(effort: str) -> None:
    lost: list[str] = []
    assert sent(asked(reasoning_effort=effort), "gpt-5.6", lost)["reasoning_effort"] == effort
    assert lost == []
    claude = quirks_of("claude-opus-5", Quirks())
    body = json.loads(MESSAGES.write_request(CHAT.read_request(asked(reasoning_effort=effort)), "c", claude, lost))
    assert body["thinking"]["type"] == ("disabled" if effort == "none" else "adaptive")
    assert lost == []


@pytest.mark.parametrize("rest", [b"", sse(WORD), sse(WORD)[:-9]])
def test_o10_a_stream_that_is_cut_does_not_look_complete(rest: bytes) -> None:
    data = sse(ROLE) + sse(WORD) + rest
    events = read(data)
    assert isinstance(events[-1], Failed)
    assert isinstance(events[-1].error, UpstreamBroken)
    tap = CHAT.tap(Peek("m", stream=True))
    out = tap.feed(data) + tap.eof()
    assert not tap.complete
    assert b"upstream_broken" in out
    assert b"[DONE]" not in out


def test_o10_a_stream_of_nothing_is_no_answer() -> None:
    assert isinstance(read(DONE)[-1], Failed)
    assert isinstance(read(b"")[-1], Failed)


# ── Azure ──────────────────────────────────────────────────────────────────────────────────────────────────────────

FILTERED = {"hate": {"filtered": False, "severity": "safe"}}
AZURE_FIRST = (
    b'data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}\n\n'
)


def test_z1_a_first_chunk_without_choices_begins_nothing() -> None:
    events = read(AZURE_FIRST + sse(ROLE) + sse(WORD) + sse(STOP) + DONE)
    started = [event for event in events if isinstance(event, Started)]
    assert [(event.id, event.model) for event in started] == [("c1", "gpt-5")]
    assert TextDelta(0, "Hi") in events
    assert events.index(Opaque({"prompt_filter_results": [{"prompt_index": 0}]})) == events.index(started[0]) + 1


def test_z2_filter_results_reach_a_chat_client_and_no_other() -> None:
    data = AZURE_FIRST + sse(ROLE) + sse(WORD) + sse(STOP | {"content_filter_results": FILTERED}) + DONE
    whole = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "choices": [whole | {"content_filter_results": FILTERED}]}).encode()
    for events in (read(data), read(body, stream=False)):
        assert b'"content_filter_results":{"hate"' in told(CHAT, events)
        assert b"filter" not in told(MESSAGES, events)
    assert b'"prompt_filter_results":[{"prompt_index":0}]' in told(CHAT, read(data))


@pytest.mark.parametrize("client", [MESSAGES, gemini.DIALECT, openai_responses.DIALECT, composed.CONVERSE])
def test_z2_filter_results_that_a_client_cannot_be_told_are_reported(client: Dialect) -> None:
    whole = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "choices": [whole | {"content_filter_results": FILTERED}]}).encode()
    writer = client.writer(Envelope(False))
    for event in read(body, stream=False):
        writer.feed(event)
    assert b"filter" not in writer.eof()
    assert writer.lost == ["choices[0].content_filter_results"]
    assert CHAT.read_plain(body) is None


@pytest.mark.parametrize(
    "error",
    [
        {"code": "content_filter", "message": "filtered", "param": "prompt", "status": 400},
        {"code": "400", "message": "filtered", "innererror": {"code": "ResponsibleAIPolicyViolation"}},
        {
            "code": "content_filter",
            "type": None,
            "message": "filtered",
            "innererror": {"content_filter_result": FILTERED},
        },
    ],
)
def test_z3_a_refused_prompt_is_a_content_filter_error(error: dict[str, Any]) -> None:
    found = CHAT.read_error(400, [], json.dumps({"error": error}).encode())
    assert (found.kind, found.status, found.retryable) == ("content_filter", 400, False)
    assert json.loads(CHAT.write_error(found, "r"))["error"]["code"] == "content_filter"
    assert CHAT.error_status(found) == MESSAGES.error_status(found) == 400


def test_z4_an_error_after_the_role_chunk_is_seen_before_any_word() -> None:
    data = AZURE_FIRST + sse(ROLE) + b'data: {"error":{"code":"429","message":"Too many requests."}}\n\n'
    events = read(data)
    assert not any(isinstance(event, TextDelta) for event in events)
    assert isinstance(events[-1], Failed)
    assert (events[-1].error.status, events[-1].error.kind, events[-1].error.retryable) == (429, "rate_limit", True)


def azure(deployment: str, base_model: str | None = None) -> Any:
    settings = ProviderSettings(
        kind="azure", endpoint="https://r.openai.azure.com", api_key=Secret("k"), api_version="2024-10-21"
    )
    return target(bind("az", settings), deployment, base_model)


def test_z5_what_an_opaque_deployment_takes_is_known_by_its_base_model() -> None:
    request = asked(max_tokens=50, temperature=0.5, reasoning_effort="low")
    bodies = {}
    for base in ("o4-mini", "gpt-4o", None):
        lost: list[str] = []
        made = azure("prod-blue", base)
        bodies[base] = json.loads(CHAT.write_request(CHAT.read_request(request), made.model, made.quirks, lost)), lost
    body, lost = bodies["o4-mini"]
    assert (body["model"], body["max_completion_tokens"], body["reasoning_effort"]) == ("prod-blue", 50, "low")
    assert lost == ["temperature"]
    body, lost = bodies["gpt-4o"]
    assert (body["temperature"], lost) == (0.5, ["reasoning_effort"])
    assert bodies[None][1] == []


def test_z7_no_limit_is_made_up_for_those_who_set_none() -> None:
    request = MESSAGES.read_request(asked(max_tokens=30_000))
    assert json.loads(CHAT.write_request(request, "m", azure("d").quirks, []))["max_completion_tokens"] == 30_000
    unset = json.loads(CHAT.write_request(CHAT.read_request(asked()), "m", azure("d").quirks, []))
    assert not {"max_tokens", "max_completion_tokens"} & unset.keys()


def test_z8_an_unknown_deployment_is_not_found_and_another_target_may_have_it() -> None:
    body = b'{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}'
    found = CHAT.read_error(404, [], body)
    assert (found.kind, found.retryable) == ("not_found", True)
    assert found.upstream_code == "DeploymentNotFound"
    assert azure("prod-blue").apis[0].paths["generate"] == (
        b"/openai/deployments/prod-blue/chat/completions?api-version=2024-10-21"
    )


def test_z10_a_deployment_costs_what_its_base_model_costs() -> None:
    prices = PriceList()
    prices.load()
    usage = Usage(input=1000, output=1000)

    def cost(price_model: str | None) -> int | None:
        entry = Entry("i", 1.8e9, "/v1/chat/completions", 200, price_model=price_model, usage=usage)
        found = prices.cost(entry)
        return found and found[0]

    assert azure("prod-blue", "gpt-4o").price_model == "azure:gpt-4o"
    assert cost(azure("prod-blue", "gpt-4o").price_model) == cost("azure:gpt-4o")
    assert cost("azure:gpt-4o")
    assert cost(azure("prod-blue").price_model) is None
