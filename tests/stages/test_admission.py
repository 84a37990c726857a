"""Admission alone, before an inner handler that does as it is told: what is taken, what is given back, what is refused
because nobody could say what it costs."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest

from tests.stages.scripted import Inner, Place, Said
from trunkline.config import Config
from trunkline.config.plane import plane_of
from trunkline.core.call import Call, Entry, Key, Peek
from trunkline.core.errors import BudgetExceeded, CostUnknown, LimitExceeded, ModelNotFound
from trunkline.core.reply import Reply
from trunkline.core.secret import Secret
from trunkline.core.usage import NANO, Usage
from trunkline.dialects import anthropic, openai_chat
from trunkline.providers.catalog_facts import Facts
from trunkline.providers.prices import PriceList
from trunkline.providers.settings import ProviderSettings
from trunkline.stages.admission import Admission, Planner
from trunkline.stages.admission.settings import AdmissionSettings, LimitSettings, TeamSettings
from trunkline.stages.routing.settings import ModelSettings, TargetSettings
from trunkline.state.counters_memory import MemoryCounters

KEY = Key(id="key_1", name="ci", team="research", tags=("app",))


@pytest.fixture(scope="module")
def prices() -> PriceList:
    loaded = PriceList()
    loaded.load()
    return loaded


def stage(
    prices: PriceList, *allow: str, unpriced: Any = "refuse", teams: dict[str, TeamSettings] | None = None, **scope: Any
) -> Admission:
    """Models: `cheap` and `dear`, and `both` of them; `odd` has no price."""
    models = {"cheap": ["gpt-4o-mini"], "dear": ["gpt-4-32k"], "both": ["gpt-4o-mini", "gpt-4-32k"], "odd": ["oddity"]}
    config = Config(
        providers={"o": ProviderSettings(kind="openai", api_key=Secret("sk-0123456789"))},
        models={
            name: ModelSettings(targets=tuple(TargetSettings(target=f"o/{each}") for each in targets))
            for name, targets in models.items()
        },
        catalog={"oddity": Facts(context=1000, output=1000)},
    )
    limits = (LimitSettings(allow=allow, **scope),) if allow else ()
    planner = Planner(limits, teams or {}, plane_of(config).directory.resolve)
    return Admission(MemoryCounters(time.time_ns), prices, planner, AdmissionSettings(unpriced=unpriced), lambda: True)


def a_call(model: str = "cheap", key: Key = KEY, dialect: Any = openai_chat.DIALECT, **fields: Any) -> Call:
    operation = fields.pop("operation", "generate")
    call = Call("req_1", Place(dialect=dialect, operation=operation), [], arrived=time.time(), started=time.monotonic())
    call.key, call.tags = key, key.tags
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100} | fields
    call.body = json.dumps({name: value for name, value in body.items() if value is not None}).encode()
    call.peek = Peek(model, bool(fields.get("stream")))
    return call


def ended(call: Call, usage: Usage | None = None, cost: int | None = None) -> None:
    assert call.grant is not None
    call.grant.settle(Entry("req_1", call.arrived, "/v1/chat/completions", 200, usage=usage, cost=cost))


async def admit(admission: Admission, call: Call) -> Call:
    reply = Reply(Said(), body=b"{}")
    assert await admission(call, Inner([reply])) is reply
    return call


async def used(admission: Admission) -> dict[str, int]:
    return {f"{row['scope']} {row['dimension']}": row["used"] for row in await admission.shown()}


async def test_where_nothing_is_limited_nothing_is_taken(prices: PriceList) -> None:
    call = await admit(stage(prices), a_call())
    assert call.grant is None


async def test_every_scope_has_a_counter_of_its_own_and_a_call_counts_in_all(prices: PriceList) -> None:
    for scope, who in (("global", ""), ("key", " ci"), ("team", " research"), ("tag", " app"), ("model", " cheap")):
        admission = stage(prices, "requests=1/minute", scope=scope)
        await admit(admission, a_call())
        with pytest.raises(LimitExceeded) as refused:
            await admit(admission, a_call())
        assert await used(admission) == {f"{scope}{who} requests": 1}
        assert f"{scope}{who}: 1 requests per minute" in refused.value.message
        assert 60 <= (refused.value.retry_after or 0) <= 61


async def test_a_key_cannot_exceed_its_team_nor_its_own_limits(prices: PriceList) -> None:
    teams = {"research": TeamSettings(limits=("requests=3/day",))}
    admission = stage(prices, teams=teams)
    first, second = (Key(id=name, name=name, team="research", limits=("requests=2/day",)) for name in ("a", "b"))
    for key in (first, first, second):
        await admit(admission, a_call(key=key))
    for key, who in ((first, "key a"), (second, "team research")):
        with pytest.raises(LimitExceeded, match=f"{who}: "):
            await admit(admission, a_call(key=key))
    assert await used(admission) == {"key a requests": 2, "key b requests": 1, "team research requests": 3}


async def test_names_and_models_choose_whom_a_limit_is_for(prices: PriceList) -> None:
    admission = stage(prices, "requests=1/day", scope="key", names=("c*",), models=("che*",))
    await admit(admission, a_call())
    await admit(admission, a_call("dear"))
    await admit(admission, a_call(key=Key(id="key_2", name="other")))
    with pytest.raises(LimitExceeded, match="key ci among che"):
        await admit(admission, a_call())


async def test_money_reserves_the_most_and_is_settled_to_what_it_was(prices: PriceList) -> None:
    admission = stage(prices, "cost=1/day")
    call = await admit(admission, a_call())
    reserved = (await used(admission))["global cost"]
    assert prices.ceiling("openai:gpt-4o-mini", call.arrived, len(call.body), 100) < reserved < NANO // 1000  # type: ignore[operator]
    ended(call, Usage(input=10, output=5), 4_500)
    assert await used(admission) == {"global cost": 4_500}


async def test_what_failed_or_was_given_up_gives_all_back(prices: PriceList) -> None:
    admission = stage(prices, "cost=1/day", "tokens=1000/day", "concurrent_requests=2", "requests=10/day")
    call = await admit(admission, a_call())
    ended(call)
    assert await used(admission) == {
        "global cost": 0, "global tokens": 0, "global concurrent_requests": 0, "global requests": 1,
    }  # fmt: skip


async def test_the_dearest_target_of_the_route_counts(prices: PriceList) -> None:
    reserved = {}
    for model in ("cheap", "dear", "both"):
        admission = stage(prices, "cost=100/day")
        await admit(admission, a_call(model))
        reserved[model] = (await used(admission))["global cost"]
    assert reserved["both"] == reserved["dear"] > 50 * reserved["cheap"]


@pytest.mark.parametrize(
    ("fields", "times"),
    [
        ({"n": 4}, 3.0),
        ({"max_tokens": 16_000}, 100.0),
        ({"max_tokens": None}, 100.0),
        ({"max_tokens": None, "max_output_tokens": 1}, 100.0),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x"}}]}]}, 100.0),
    ],
    ids=["alternatives", "long answers", "no limit", "a limit of another family", "images"],
)
async def test_what_may_cost_more_reserves_more(prices: PriceList, fields: dict[str, Any], times: float) -> None:
    admission, plain = stage(prices, "cost=100/day"), stage(prices, "cost=100/day")
    await admit(plain, a_call())
    await admit(admission, a_call(**fields))
    assert (await used(admission))["global cost"] > times * (await used(plain))["global cost"]


@pytest.mark.parametrize(
    "fields",
    [
        {"model": "odd"},
        {"tools": [{"type": "web_search_preview"}]},
        {"web_search_options": {}},
        {"operation": "image"},
        {"operation": "transcribe"},
    ],
    ids=["no price", "a tool there", "a tool without a type", "images", "sound"],
)
async def test_what_nobody_can_know_is_refused_unless_it_may_pass(prices: PriceList, fields: dict[str, Any]) -> None:
    with pytest.raises(CostUnknown, match="cannot be known beforehand"):
        await admit(stage(prices, "cost=100/day"), a_call(**dict(fields)))
    admission = stage(prices, "cost=100/day", unpriced="allow")
    call = await admit(admission, a_call(**dict(fields)))
    ended(call, Usage(input=10, output=5), 7)
    assert await used(admission) == {"global cost": 7}
    await admit(stage(prices, "tokens=1000000/day", "cost=1/day soft"), a_call(**dict(fields)))


async def test_a_tool_there_cannot_hide_behind_escapes(prices: PriceList) -> None:
    call = a_call(tools=[{"type": "web_search_preview"}])
    call.body = call.body.replace(b"web_search", b"\\u0077eb_search")
    with pytest.raises(CostUnknown):
        await admit(stage(prices, "cost=100/day"), call)


async def test_a_function_of_the_caller_s_may_be_called_like_a_tool_there(prices: PriceList) -> None:
    tools = [{"type": "function", "function": {"name": "web_search", "parameters": {}}}]
    call = await admit(stage(prices, "cost=100/day"), a_call(tools=tools))
    assert call.grant is not None


async def test_a_call_larger_than_its_limit_is_told_that_waiting_is_of_no_use(prices: PriceList) -> None:
    with pytest.raises(BudgetExceeded, match="more than all that is allowed") as refused:
        await admit(stage(prices, "cost=0.0000001/day"), a_call())
    assert (refused.value.code, refused.value.retry_after) == ("limit_too_small", None)


async def test_a_soft_limit_warns_once_and_refuses_nobody(prices: PriceList, caplog: pytest.LogCaptureFixture) -> None:
    admission = stage(prices, "requests=2/day soft")
    with caplog.at_level(logging.WARNING, "trunkline.calls"):
        for _ in range(5):
            await admit(admission, a_call())
    assert [record.getMessage() for record in caplog.records] == ["soft limit passed, global: 2 requests per day"]
    assert admission.gauges()["trunkline_limit_warnings"] == 3


async def test_a_hard_and_a_soft_limit_of_one_kind_are_two(prices: PriceList) -> None:
    admission = stage(prices, "requests=3/day", "requests=1/day soft", "requests=9/day")
    for _ in range(3):
        await admit(admission, a_call())
    with pytest.raises(LimitExceeded):
        await admit(admission, a_call())
    assert admission.gauges()["trunkline_limit_warnings"] == 2


async def test_streams_are_counted_apart(prices: PriceList) -> None:
    admission = stage(prices, "concurrent_streams=1")
    stream = await admit(admission, a_call(stream=True))
    await admit(admission, a_call())
    with pytest.raises(LimitExceeded, match="another call has ended") as refused:
        await admit(admission, a_call(stream=True))
    assert refused.value.retry_after == 1.0
    ended(stream)
    await admit(admission, a_call(stream=True))


async def test_an_attempt_on_top_takes_tokens_and_money_once_more(prices: PriceList) -> None:
    admission = stage(prices, "cost=0.001/day", "requests=10/day", "concurrent_requests=1")
    call = await admit(admission, a_call(max_tokens=500))
    once = (await used(admission))["global cost"]
    assert call.grant is not None
    grants = 1
    while await call.grant.extend():
        grants += 1
    assert grants == 0.001 * NANO // once
    assert await used(admission) == {
        "global cost": grants * once, "global requests": 1, "global concurrent_requests": 1,
    }  # fmt: skip
    ended(call, Usage(input=100, output=700), once + 17)
    assert await used(admission) == {
        "global cost": once + 17, "global requests": 1, "global concurrent_requests": 0,
    }  # fmt: skip
    assert admission.overruns == 0


async def test_who_used_more_than_was_possible_is_counted_and_told(
    prices: PriceList, caplog: pytest.LogCaptureFixture
) -> None:
    admission = stage(prices, "cost=1/day")
    call = await admit(admission, a_call())
    ended(call, Usage(input=10, output=5), NANO // 2)
    assert admission.overruns == 1
    assert "a call used $0.50 where at most" in caplog.text
    assert await used(admission) == {"global cost": NANO // 2}


async def test_a_call_that_passes_twice_is_admitted_once(prices: PriceList) -> None:
    """As one does whose conversation a provider has forgotten."""
    admission = stage(prices, "requests=10/day")
    call = await admit(admission, a_call())
    await admit(admission, call)
    assert await used(admission) == {"global requests": 1}


async def test_a_model_that_is_not_there_counts_as_a_request_of_its_caller_alone(prices: PriceList) -> None:
    admission = stage(prices, "requests=10/day", "cost=1/day", scope="key")
    unknown = ModelNotFound("no")
    with pytest.raises(ModelNotFound):
        await admission(a_call("nowhere"), Inner([unknown]))
    assert await used(admission) == {"key ci requests": 1, "key ci cost": 0}
    per_model = stage(prices, "requests=10/day", scope="model")
    with pytest.raises(ModelNotFound):
        await per_model(a_call("nowhere"), Inner([unknown]))
    assert await used(per_model) == {}


async def test_tokens_follow_what_was_learned_and_exact_ones_do_not(prices: PriceList) -> None:
    admission = stage(prices, "tokens=1000000/day", "output_tokens=1000000/day exact")
    for _ in range(60):
        call = await admit(admission, a_call(max_tokens=5000, dialect=anthropic.DIALECT))
        ended(call, Usage(input=20, output=40), 0)
    before = await used(admission)
    await admit(admission, a_call(max_tokens=5000, dialect=anthropic.DIALECT))
    after = await used(admission)
    taken = {name: after[name] - before[name] for name in after}
    assert 50 <= taken["global tokens"] <= 120
    assert taken["global output_tokens"] == 5000


async def test_other_limits_hold_from_now_on_and_what_was_counted_stays(prices: PriceList) -> None:
    admission, stricter = stage(prices, "requests=5/day"), stage(prices, "requests=2/day")
    for _ in range(2):
        await admit(admission, a_call())
    admission.use(stricter.planner, AdmissionSettings())
    with pytest.raises(LimitExceeded, match="2 requests per day"):
        await admit(admission, a_call())
