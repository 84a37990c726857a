"""A parameter that a provider refuses: asked once more without it where that is allowed, and not asked again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI
from tests.edges.upstreams import Upstream, whole
from tests.running import running
from tests.talking import ask


def refusal(message: str, param: str | None = None, code: str | None = None) -> Any:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return whole({"error": error}, 400)


OLD_NAME = refusal(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "max_tokens",
    "unsupported_parameter",
)
NO_SEED = refusal("Unsupported parameter: 'seed' is not supported with this model.", "seed", "unsupported_parameter")
NO_TEMPERATURE = refusal("Unsupported value: 'temperature' ...", "temperature", "unsupported_value")
FINE = whole(OPENAI.answer)
LOSSY = {"x-trunkline-strict": "0"}


def one(url: str) -> dict[str, Any]:
    return {"providers": {"one": OPENAI.provider(url)}}


async def test_a_renamed_limit_costs_one_try_and_is_remembered(tmp_path: Path) -> None:
    async with Upstream(OLD_NAME, FINE) as up, running(tmp_path, one(up.url)) as run:
        asked = OPENAI.ask("one/m", max_tokens=50, temperature=0.25)
        answer = await ask(run.port, OPENAI.path, asked)
        assert answer.status == 200
        assert "x-trunkline-lost" not in answer.headers
        assert answer.headers["x-trunkline-attempts"] == "2"
        entry = await run.entry()
        assert [(each.target, each.status, each.reason) for each in entry.attempts] == [
            ("one/m", 400, "upstream_invalid_request"),
            ("one/m", 200, None),
        ]
        assert (await ask(run.port, OPENAI.path, asked)).headers["x-trunkline-attempts"] == "1"
        assert [each.json.get("max_tokens") for each in up.asked] == [50, None, None]
        assert [each.json.get("max_completion_tokens") for each in up.asked] == [None, 50, 50]
        assert all(b'"temperature": 0.25' in each.body or b'"temperature":0.25' in each.body for each in up.asked)


@pytest.mark.parametrize(
    ("headers", "status", "tries"), [({}, 400, 1), ({"x-trunkline-strict": "1"}, 400, 1), (LOSSY, 200, 2)]
)
async def test_on_the_identity_path_only_the_caller_gives_a_parameter_up(
    headers: dict[str, str], status: int, tries: int, tmp_path: Path
) -> None:
    async with Upstream(NO_SEED, FINE) as up, running(tmp_path, one(up.url)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("one/m", seed=7), headers)
        assert (answer.status, len(up.asked)) == (status, tries)
        assert answer.headers.get("x-trunkline-lost") == ("seed" if status == 200 else None)


async def test_a_lesson_does_not_bind_a_caller_who_takes_no_losses(tmp_path: Path) -> None:
    async with Upstream(NO_SEED, FINE, NO_SEED) as up, running(tmp_path, one(up.url)) as run:
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("one/m", seed=7), LOSSY)).status == 200
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("one/m", seed=7))).status == 400
        assert "seed" in up.asked[-1].json


async def test_one_callers_mistake_takes_nothing_from_the_next(tmp_path: Path) -> None:
    """A value out of range, and two parameters that exclude each other."""
    too_hot = refusal("Unsupported value: 'temperature' does not support 9.", "temperature", "unsupported_value")
    both = refusal("`temperature` and `top_p` cannot both be specified for this model.")
    async with Upstream(too_hot, FINE, both, FINE) as up, running(tmp_path, one(up.url)) as run:
        await ask(run.port, OPENAI.path, OPENAI.ask("one/m", temperature=9), LOSSY)
        await ask(run.port, OPENAI.path, OPENAI.ask("one/m", temperature=0.5, top_p=0.5), LOSSY)
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("one/m", temperature=0.5, top_p=0.5), LOSSY)
        assert answer.headers["x-trunkline-attempts"] == "1"
        assert (up.asked[-1].json["temperature"], up.asked[-1].json["top_p"]) == (0.5, 0.5)


async def test_a_value_that_asks_for_nothing_is_no_loss(tmp_path: Path) -> None:
    async with Upstream(NO_TEMPERATURE, FINE) as up, running(tmp_path, one(up.url)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("one/m", temperature=1))
        assert answer.status == 200
        assert "x-trunkline-lost" not in answer.headers
        assert "temperature" not in up.asked[-1].json


async def test_translated_the_loss_is_told_in_the_callers_words(tmp_path: Path) -> None:
    no_stop = refusal("Unsupported parameter: 'stop' is not supported.", "stop", "unsupported_parameter")
    async with Upstream(no_stop, FINE) as up, running(tmp_path, one(up.url)) as run:
        answer = await ask(run.port, ANTHROPIC.path, ANTHROPIC.ask("one/m", stop_sequences=["x"]))
        assert answer.status == 200
        assert answer.headers["x-trunkline-lost"] == "stop_sequences"
        assert "stop" not in up.asked[-1].json


async def test_strict_translation_loses_nothing(tmp_path: Path) -> None:
    no_stop = refusal("Unsupported parameter: 'stop' is not supported.", "stop", "unsupported_parameter")
    async with Upstream(no_stop, FINE) as up, running(tmp_path, one(up.url)) as run:
        asked = ANTHROPIC.ask("one/m", stop_sequences=["x"])
        assert (await ask(run.port, ANTHROPIC.path, asked, {"x-trunkline-strict": "1"})).status == 400
        assert len(up.asked) == 1


async def test_usage_that_only_the_gateway_asked_for_is_no_loss(tmp_path: Path) -> None:
    no_usage = refusal("stream_options: Extra inputs are not permitted")
    async with Upstream(no_usage, FINE) as up, running(tmp_path, one(up.url)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("one/m", stream=True))
        assert answer.status == 200
        assert "x-trunkline-lost" not in answer.headers
        assert "stream_options" not in up.asked[-1].json


async def test_several_parameters_are_learned_one_after_the_other_but_not_without_end(tmp_path: Path) -> None:
    names = ("seed", "logit_bias", "presence_penalty", "frequency_penalty")
    refusals = [refusal(f"{name}: Extra inputs are not permitted") for name in names]
    asked = OPENAI.ask("one/m", seed=1, logit_bias={"1": 1}, presence_penalty=1, frequency_penalty=1)
    async with Upstream(*refusals[:2], FINE) as up, running(tmp_path, one(up.url)) as run:
        assert (await ask(run.port, OPENAI.path, asked, LOSSY)).status == 200
        assert len(up.asked) == 3
    async with Upstream(*refusals) as up, running(tmp_path, one(up.url)) as run:
        assert (await ask(run.port, OPENAI.path, asked, LOSSY)).status == 400
        assert len(up.asked) == 3


async def test_an_error_that_names_no_parameter_is_the_callers(tmp_path: Path) -> None:
    async with Upstream(refusal("Something is wrong with 'messages'."), FINE) as up:
        async with running(tmp_path, one(up.url)) as run:
            assert (await ask(run.port, OPENAI.path, OPENAI.ask("one/m", seed=1), LOSSY)).status == 400
        assert len(up.asked) == 1
