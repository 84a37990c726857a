"""The short way to what a call takes comes to what the long one does, for whatever goes it, as nearly all does."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stages.scripted import Place
from trunkline.config import Config
from trunkline.config.plane import plane_of
from trunkline.core.call import Call, Key
from trunkline.core.errors import CostUnknown, GatewayError
from trunkline.core.secret import Secret
from trunkline.dialects import anthropic, openai_chat
from trunkline.providers.catalog_facts import Facts
from trunkline.providers.prices import PriceList
from trunkline.providers.settings import ProviderSettings
from trunkline.stages.admission import Planner
from trunkline.stages.admission.measure import measured, usual
from trunkline.stages.admission.settings import LimitSettings
from trunkline.stages.routing.settings import ModelSettings, TargetSettings

AT = 1_790_000_000.0
PRICES = PriceList()
PRICES.load()
MODELS = {
    "one": ["o/gpt-4o-mini"], "two": ["o/gpt-4o-mini", "o/gpt-4-32k"], "thinks": ["o/o3"], "small": ["o/gpt-4-32k"],
    "older": ["d/deepseek-chat"], "odd": ["o/oddity"], "unknown": ["o/nobody-knows-it"],
}  # fmt: skip
"""`older` knows the limit by its older name alone."""
CONFIG = Config(
    providers={
        "o": ProviderSettings(kind="openai", api_key=Secret("sk-0123456789")),
        "d": ProviderSettings(kind="deepseek", api_key=Secret("sk-0123456789")),
    },
    models={
        name: ModelSettings(targets=tuple(TargetSettings(target=each) for each in targets))
        for name, targets in MODELS.items()
    },
    catalog={"oddity": Facts(context=1000, output=1000)},
)
RESOLVE = plane_of(CONFIG).directory.resolve
LIMITS = [
    ("requests=9/minute", "concurrent_streams=9"),
    ("tokens=9/minute", "input_tokens=9/day", "output_tokens=9/hour soft"),
    ("tokens=9/minute exact", "output_tokens=9/day exact"),
    ("cost=9/month",),
    ("cost=9/month soft", "tokens=9/minute"),
    ("requests=9/minute", "tokens=9/minute", "cost=9/month", "concurrent_requests=9"),
]
HIDDEN = ', "tools": [{"t\\u0079pe": "web\\u005fsearch_preview"}]'
NUMBERS: st.SearchStrategy[Any] = st.sampled_from([1, 7, 256, 4096, 10**7, 10**13, 0, -1, None, "16", 2.5, True, {}])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": NUMBERS,
    "max_completion_tokens": NUMBERS,
    "stream": st.booleans(),
    "n": st.sampled_from([1, 2, None]),
    "temperature": st.just(0.5),
    "prediction": st.just({"type": "content", "content": "perhaps this"}),
    "tools": st.just([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]),
    "web_search_options": st.just({}),
    "extra_body": st.just({"max_tokens": 9999}),
    "max_output_tokens": NUMBERS,
}
TEXTS = ["hello", "two\nlines", "caf\u00e9", "x" * 3000]
PARTS = [
    'she said "max_tokens": 9',
    [{"type": "text", "text": "hello"}],
    [{"type": "image_url", "image_url": {"url": "https://a.example/i.png"}}],
]


def turns(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def a_call(fields: dict[str, Any], dialect: Any, end: str = "") -> Call:
    """`end`: how its body goes on beyond these fields."""
    call = Call("req_1", Place(dialect=dialect), [], arrived=AT, started=0.0)
    call.body = (json.dumps(fields)[:-1] + end + "}").encode()
    call.peek = dialect.peek(call.body)
    return call


def amounts(
    allow: tuple[str, ...], call: Call, learned: list[tuple[int, int]]
) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
    """By the short way, and by the long one. None: not at all."""
    assert call.peek is not None
    plan = Planner((LimitSettings(allow=allow),), {}, RESOLVE).of(Key(id="key_1", name="ci"), call.peek.model, ())
    for prompt, answer in learned:
        plan.expectation.learn(2000, prompt, answer)
    short = usual(call, plan, PRICES)
    try:
        return short, measured(call, plan, len(call.body), 0, PRICES, refuses=True)
    except CostUnknown:
        return short, None


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("allow", LIMITS)
def test_a_text_goes_the_short_way_and_comes_to_the_same(allow: tuple[str, ...], model: str) -> None:
    lengths: list[dict[str, int]] = [{}]  # nobody says how long the answer may be
    lengths += [{name: n} for name, n in product(("max_tokens", "max_completion_tokens"), (1, 100, 10**7))]
    for content, length in product(TEXTS, lengths):
        call = a_call({"model": model, "messages": turns(content)} | length, openai_chat.DIALECT)
        for learned in ([], [(400, 70)] * 8):
            short, long = amounts(allow, call, learned)
            assert short == long or short is None
            if model in ("one", "thinks", "small", "older", "odd") and "cost=9/month soft" not in allow:
                assert (short is None) is (long is None)


@settings(max_examples=1000)
@given(
    model=st.sampled_from(sorted(MODELS)),
    allow=st.sampled_from(LIMITS[1:]),
    content=st.sampled_from([*TEXTS, *PARTS]),
    length=st.sampled_from(["max_tokens", "max_completion_tokens", "user"]),
    number=NUMBERS,
    more=st.fixed_dictionaries({}, optional=FIELDS),
    dialect=st.sampled_from([openai_chat.DIALECT, anthropic.DIALECT]),
    end=st.sampled_from(
        ["", ', "max_tokens": 77', ', "max_completion_tokens": 78', ', "n": 3', ', "Max_Tokens": 78', HIDDEN]
    ),
)
def test_whatever_goes_the_short_way_comes_to_the_same(
    model: str, allow: tuple[str, ...], content: Any, length: str, number: Any, more: dict[str, Any], dialect: Any,
    end: str,
) -> None:  # fmt: skip
    try:
        call = a_call({"model": model, "messages": turns(content), length: number} | more, dialect, end)
    except GatewayError:
        return  # no such request gets so far
    short, long = amounts(allow, call, [])
    assert short == long or short is None


@pytest.mark.parametrize(("model", "short"), [("older", False), ("small", True)])
def test_names_in_other_letters_matter_to_hosts_that_may_take_them(model: str, short: bool) -> None:
    call = a_call({"model": model, "messages": turns("hello"), "max_tokens": 9, "Max_Tokens": 999}, openai_chat.DIALECT)
    found, long = amounts(("cost=9/month",), call, [])
    assert (found is not None) is (long is not None) is short
