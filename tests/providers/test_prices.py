"""Costs are those of the price list, to the nano-dollar, whatever is read ahead for speed."""

from __future__ import annotations

import datetime
from decimal import Decimal

import genai_prices
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.core.call import Entry
from trunkline.core.usage import NANO, Usage
from trunkline.providers.prices import Brackets, PriceList, Sounding

AT = 1_790_000_000.0
MODELS = [
    "openai:gpt-4.1",
    "perplexity:sonar",
    "openai:gpt-4o-mini",
    "openai:gpt-4o-audio-preview",
    "openai:gpt-5.4",
    "anthropic:claude-sonnet-4-5",
    "anthropic:claude-opus-4-7",
    "anthropic:claude-3-haiku-20240307",
    "azure:gpt-4o",
    "google:gemini-2.5-flash",
    "google:gemini-2.5-pro",
    "aws:amazon.nova-lite-v1:0",
]
PRICES = PriceList()
PRICES.load()


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    read, written, fresh = draw(st.tuples(*[st.integers(0, 400_000)] * 3))
    audio = draw(st.sampled_from([0, 0, min(fresh, 1000)]))
    return Usage(
        input=read + written + fresh,
        cache_read=read,
        cache_write=written,
        cache_write_1h=draw(st.integers(0, written)),
        output=draw(st.integers(0, 200_000)),
        input_audio=audio,
    )


def entry(price_model: str | None, usage: Usage | None, at: float = AT) -> Entry:
    return Entry(id="call", at=at, surface="/v1/chat/completions", status=200, price_model=price_model, usage=usage)


def by_the_library(price_model: str, usage: Usage) -> Decimal:
    provider, _, model = price_model.partition(":")
    priced = genai_prices.calc_price(
        PRICES._usage(usage),
        model,
        provider_id=provider,
        genai_request_timestamp=datetime.datetime.fromtimestamp(AT, datetime.UTC),
    )
    return priced.total_price * NANO


@pytest.mark.parametrize("price_model", MODELS)
@settings(max_examples=40, deadline=None)
@given(usage=usages())
def test_a_cost_is_the_price_lists(price_model: str, usage: Usage) -> None:
    known = PRICES.cost(entry(price_model, usage))
    assert known is not None
    assert abs(known[0] - by_the_library(price_model, usage)) <= Decimal("0.5")


def test_prices_by_token_are_read_ahead() -> None:
    for price_model in ("anthropic:claude-sonnet-4-5", "google:gemini-2.5-flash"):
        PRICES.cost(entry(price_model, Usage(input=1)))
        assert isinstance(PRICES._look_up(price_model, AT).pricing, Brackets | Sounding)


def test_the_date_of_the_price_is_the_calls() -> None:
    known = PRICES.cost(entry("openai:gpt-4.1", Usage(input=1_000_000)))
    assert known == (2 * NANO, "2026-09-21")


@pytest.mark.parametrize("usage", [None, Usage(input=5)])
@pytest.mark.parametrize("price_model", [None, "openai:there-is-no-such-model", "nobody:gpt-4.1"])
def test_what_has_no_price_has_no_cost(price_model: str | None, usage: Usage | None) -> None:
    assert PRICES.cost(entry(price_model, usage)) is None


def test_before_the_list_is_loaded_nothing_is_priced() -> None:
    assert PriceList().cost(entry("openai:gpt-4.1", Usage(input=5))) is None
