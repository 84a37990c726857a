"""The gateway's own limits, as every family's SDK raises and shows them."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from .errors_expected import _FAMILIES, WHOLE
from .families import Ask, Speaker
from .processes import Servers, servers
from .speakers import SPEAKERS

MODELS = {
    "limited": {"targets": [{"target": "sim/sim-small"}]},
    "spent": {"targets": [{"target": "sim/gpt-4o-mini"}]},
    "roomy": {"targets": [{"target": "sim/sim-small"}]},
}
LIMITS = [
    {"scope": "model", "names": ["limited"], "allow": ["requests=0/minute"]},
    {"scope": "model", "names": ["spent"], "allow": ["cost=0.000000001/minute"]},
    {"scope": "model", "names": ["roomy"], "allow": ["requests=50/minute", "tokens=100000/minute"]},
]


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("limits"), {"models": MODELS, "limits": LIMITS}) as both:
        yield both


@pytest.mark.parametrize("name", SPEAKERS)
@pytest.mark.parametrize(("model", "row"), [("limited", "429"), ("spent", "quota")])
def test_every_sdk_raises_the_class_that_it_has_for_it(limited: Servers, name: str, model: str, row: str) -> None:
    speaker: Speaker = SPEAKERS[name](limited.gateway)
    try:
        with pytest.raises(speaker.errors) as raised:
            speaker.ask(Ask(model, limit=50))
        failure = speaker.failure(raised.value)
        family = {"responses": "openai", "azure": "openai"}.get(speaker.family, speaker.family)
        assert failure.name == WHOLE[row][_FAMILIES.index(family)]
        assert f"model {model}" in failure.body
        assert failure.headers["x-should-retry"] == "false"
    finally:
        speaker.close()


@pytest.mark.parametrize("name", SPEAKERS)
def test_every_sdk_can_ask_while_there_is_room(limited: Servers, name: str) -> None:
    speaker: Speaker = SPEAKERS[name](limited.gateway)
    try:
        assert speaker.ask(Ask("roomy", limit=50))
    finally:
        speaker.close()


def test_programs_of_openai_s_sdk_find_the_code_that_they_ask_for(limited: Servers) -> None:
    client = openai.OpenAI(base_url=f"{limited.gateway}/v1", api_key="sk-any", max_retries=2)
    hello = [{"role": "user", "content": "hello"}]
    with client, pytest.raises(openai.RateLimitError) as raised:
        client.chat.completions.create(model="spent", messages=hello, max_tokens=5)  # type: ignore[arg-type]
    assert raised.value.code == "insufficient_quota"


def test_answers_tell_each_family_how_much_is_left(limited: Servers) -> None:
    client = openai.OpenAI(base_url=f"{limited.gateway}/v1", api_key="sk-any")
    hello = [{"role": "user", "content": "hello"}]
    with client:
        answer = client.chat.completions.with_raw_response.create(model="roomy", messages=hello)  # type: ignore[arg-type]
    told = answer.headers
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-limit-tokens"]) == ("50", "100000")
    assert 0 <= int(told["x-ratelimit-remaining-requests"]) < 50
    assert told["x-ratelimit-reset-requests"] in ("1m0s", "1m1s")
