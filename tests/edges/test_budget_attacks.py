"""Callers that try to use more than they may. The provider here is greedy: it counts all that a request lets it count,
by the most generous reading; what it has counted must never be more than what the gateway had reserved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI
from tests.edges.upstreams import Answer, Upstream, silence, stream, whole
from tests.running import Running, running, until
from tests.talking import ask, connected, request
from trunkline.core.limit import Grant, Want, Window
from trunkline.core.stores import Used
from trunkline.core.usage import NANO
from trunkline.policy.quota import WINDOWS
from trunkline.stages.routing.mirror import Mirrors
from trunkline.state.counters_memory import MemoryCounters

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"
GEMINI = "/v1beta/models/gemini:generateContent"
BUDGET = {"limits": [{"allow": ["cost=100/day"]}]}
HELLO = '"messages": [{"role": "user", "content": "hello"}]'


class Nothing:
    """A ledger without a past."""

    def used(self, scope: str, window: Window, calls: bool, until: float) -> list[Used]:
        return []


@asynccontextmanager
async def greedy(
    directory: Path, *answers: Answer, limits: dict[str, Any] = BUDGET, **models: Any
) -> AsyncIterator[tuple[Running, Upstream]]:
    """Models that cost money, all of them at the same upstream."""
    async with Upstream(*answers) as upstream:
        providers = {
            "openai": OPENAI.provider(upstream.url),
            "claude": ANTHROPIC.provider(upstream.url),
            "gemini": {"kind": "gemini", "base_url": upstream.url, "api_key": "sk-provider-secret-42"},
            "host": {"kind": "fireworks", "base_url": f"{upstream.url}/v1", "api_key": "sk-provider-secret-42"},
        }
        named = {
            "m": {"targets": [{"target": "openai/gpt-4o-mini"}]},
            "claude": {"targets": [{"target": "claude/claude-sonnet-4-5"}]},
            "gemini": {"targets": [{"target": "gemini/gemini-2.5-flash"}]},
            "hosted": {"targets": [{"target": "host/accounts/fireworks/models/gpt-oss-120b"}]},
        }
        async with running(directory, {"providers": providers, "models": named | models} | limits) as run:
            run.gateway.stores.prices.load()
            run.gateway.seeding.look(run.gateway.admission.planner, list, Nothing())
            yield run, upstream


def chat(output: int, input: int = 7) -> Answer:
    usage = {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}
    return whole(OPENAI.answer | {"usage": usage})


def gemini(output: int) -> Answer:
    candidate = {"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": output, "totalTokenCount": output + 5}
    return whole({"candidates": [candidate], "usageMetadata": usage})


def claude(input: int) -> Answer:
    return whole(ANTHROPIC.answer | {"usage": {"input_tokens": input, "output_tokens": 1}})


def _delta(text: str) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return (
        b"data: " + json.dumps({"id": "c1", "object": "chat.completion.chunk", "choices": [choice]}).encode() + b"\n\n"
    )


async def spent(run: Running) -> int:
    """What the budget holds, once nothing is reserved."""
    await until(lambda: run.gateway.admission.gauges()["trunkline_limit_grants"] == 0, "all grants settled")
    rows = await run.gateway.admission.shown()
    return next(int(row["used"]) for row in rows if row["dimension"] == "cost")


async def unexceeded(run: Running) -> None:
    """What was reserved was enough, and the budget holds what the ledger does."""
    assert await spent(run) == sum(entry.cost or 0 for entry in run.entries())
    assert run.gateway.admission.overruns == 0


GOOGLE = '{"contents": [{"parts": [{"text": "a"}]}], "generationConfig": '
MOST = 16_384
"""Tokens that an answer of this model has at most."""

LONGER: dict[str, tuple[str, str, Answer]] = {
    "a length as text, and several": (CHAT, f'{{"model": "m", {HELLO}, "max_tokens": "10", "n": 8}}', chat(80)),
    "a broken length": (CHAT, f'{{"model": "m", {HELLO}, "max_tokens": 9.5}}', chat(10)),
    "none at all": (CHAT, f'{{"model": "m", {HELLO}, "max_tokens": 0}}', chat(MOST)),
    "less than none": (CHAT, f'{{"model": "m", {HELLO}, "max_tokens": -1}}', chat(MOST)),
    "said twice, the first holds": (CHAT, f'{{"max_tokens": 900, "model": "m", {HELLO}, "max_tokens": 1}}', chat(900)),
    "said twice, the last is empty": (CHAT, f'{{"model": "m", {HELLO}, "max_tokens": 9, "n": 5, "n": null}}', chat(45)),
    "said twice, as escapes": (
        CHAT, f'{{"max_\\u0074okens": 900, "model": "m", {HELLO}, "max_tokens": 1}}', chat(900),
    ),
    "a wrong field beside it": (CHAT, f'{{"model": "m", {HELLO}, "max_tokens": 9, "best_of": [], "n": 50}}', chat(450)),
    "a guess at the answer": (
        CHAT,
        f'{{"model": "m", {HELLO}, "max_tokens": 9, "prediction": {{"type": "content", "content": "{"a b " * 50}"}}}}',
        chat(109),
    ),
    "Google's numbers as text": (
        GEMINI,
        GOOGLE + '{"maxOutputTokens": "10", "candidateCount": "8"}}',
        gemini(80),
    ),
    "Google's other spelling": (
        GEMINI,
        GOOGLE + '{"maxOutputTokens": 10, "candidate_count": 8}}',
        gemini(80),
    ),
    "Google's configuration twice": (
        GEMINI,
        GOOGLE + '{"maxOutputTokens": 10, "candidateCount": 8},'
        ' "generationConfig": {"maxOutputTokens": 10}}',
        gemini(80),
    ),
    "tools that Anthropic describes": (
        "/v1/messages",
        f'{{"model": "claude", {HELLO}, "max_tokens": 1, "tools": [{{"type": "computer_20250124", "name": "computer"}}'
        ', {"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "edit"}]}',
        claude(346 + 499 + 735 + 245 + 700 + 20),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LONGER)
async def test_what_was_reserved_was_enough(case: str, tmp_path: Path) -> None:
    path, body, answer = LONGER[case]
    async with greedy(tmp_path, answer) as (run, upstream):
        said = await ask(run.port, path, body.encode())
        assert said.status == 200, said.body
        assert len(upstream.asked) == 1
        assert await spent(run) > 0
        await unexceeded(run)


FED: dict[str, dict[str, Any]] = {
    "a shell there": {"tools": [{"type": "shell", "environment": {"type": "container_auto"}}]},
    "a tool of tomorrow": {"tools": [{"type": "telepathy_20270101"}]},
    "a browser": {"tools": [{"type": "browser_search"}]},
    "a search by a field": {"search_parameters": {"mode": "on"}},
    "a search by a flag": {"enable_search": True},
    "a plug-in": {"plugins": [{"id": "web"}]},
}


@pytest.mark.parametrize("case", FED)
async def test_what_feeds_the_model_at_the_provider_has_no_bound(case: str, tmp_path: Path) -> None:
    async with greedy(tmp_path, chat(5)) as (run, upstream):
        said = await ask(run.port, CHAT, OPENAI.ask("m", **FED[case]))
        assert (said.status, said.json["error"]["code"]) == (400, "cost_unknown"), said.body
        body = json.dumps(OPENAI.ask("m", **FED[case]))
        hidden = (
            body.replace('"tools"', '"t\\u006fols"').replace("search", "se\\u0061rch").replace("plug", "pl\\u0075g")
        )
        if hidden != body:
            assert (await ask(run.port, CHAT, hidden.encode())).status == 400
        assert upstream.asked == []


IMAGE = '{"type": "image_url", "image_url": {"url": "https://a.example/i.png"}}'
MISSPELT: dict[str, str] = {
    "the length": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "Max_Tokens": 100000}}',
    "the length with a Kelvin": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "max_to\N{KELVIN SIGN}ens": 100000}}',
    "the length with it as an escape": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "max_to\\u212aens": 100000}}',
    "the length in escapes": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "m\\u0061x_\\u0054oken\\u0073": 1000}}',
    "the first of two": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "a": {{"N": 100}}, "a": 1}}',
    "how many": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "N": 100}}',
    "an image": f'{{"model": "hosted", "messages": [{{"role": "user", "Content": [{IMAGE}]}}], "max_tokens": 9}}',
    "its type": '{"model": "hosted", "messages": [{"role": "user", "content": [{"TYPE": "image_url"}]}], "n": 1}',
}
SPELT: dict[str, str] = {
    "schemas have names of their own": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "tools": [{{"type": "function",'
    ' "function": {"name": "f", "parameters": {"type": "object", "properties": {"N": {"type": "integer"}, "Type": {}}}'
    "}}]}",
    "so have those of answers": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "response_format": {{"type":'
    ' "json_schema", "json_schema": {"name": "f", "schema": {"type": "object", "default": {"N": 1}}}}}',
    "so has metadata": f'{{"model": "hosted", {HELLO}, "max_tokens": 9, "metadata": {{"Type": "x"}}}}',
    "what is said is not read": '{"model": "hosted", "messages": [{"role": "user", "content": "{\\"N\\": 1, Max: 2}"}],'
    ' "max_tokens": 9}',
}


@pytest.mark.parametrize("case", MISSPELT)
async def test_a_name_in_other_letters_has_no_bound_where_the_host_may_take_it(case: str, tmp_path: Path) -> None:
    async with greedy(tmp_path, chat(100_000)) as (run, upstream):
        said = await ask(run.port, CHAT, MISSPELT[case].encode())
        assert (said.status, said.json["error"]["code"]) == (400, "cost_unknown"), said.body
        assert "is spelt in other letters than its own" in said.json["error"]["message"]
        assert upstream.asked == []


@pytest.mark.parametrize("case", SPELT)
async def test_names_of_the_callers_own_may_be_any(case: str, tmp_path: Path) -> None:
    async with greedy(tmp_path, chat(9)) as (run, _):
        said = await ask(run.port, CHAT, SPELT[case].encode())
        assert said.status == 200, said.body
        await unexceeded(run)


async def test_a_tool_there_cannot_hide_behind_a_second_list(tmp_path: Path) -> None:
    body = f'{{"model": "m", {HELLO}, "tools": [{{"type": "browser_search"}}], "tools": []}}'
    async with greedy(tmp_path, chat(5)) as (run, _):
        assert (await ask(run.port, CHAT, body.encode())).status == 400


async def test_escapes_that_encoders_write_are_no_reason_to_refuse(tmp_path: Path) -> None:
    """Go's encoder writes `<` like this, and .NET's an apostrophe."""
    body = f'{{"model": "m", {HELLO}, "max_tokens": 9}}'.replace("hello", "it\\u0027s \\u003cb\\u003e")
    async with greedy(tmp_path, chat(9)) as (run, _):
        assert (await ask(run.port, CHAT, body.encode())).status == 200
        await unexceeded(run)
        assert await spent(run) < 0.001 * NANO


LEAVING: dict[str, tuple[str, dict[str, Any], tuple[bytes, ...]]] = {
    "a long word": (CHAT, OPENAI.ask("m", stream=True, max_tokens=1), (OPENAI.events[0], _delta("x" * 400))),
    "many events": (
        RESPONSES,
        {"model": "m", "input": "hello", "stream": True, "max_output_tokens": 16},
        tuple(b'data: {"type":"response.in_progress","sequence_number":%d}\n\n' % number for number in range(40)),
    ),
    "nothing yet": (CHAT, OPENAI.ask("m", max_tokens=1), ()),
}


@pytest.mark.parametrize("case", LEAVING)
async def test_who_leaves_early_pays_no_more_than_he_could_use_and_no_less_than_the_prompt(
    case: str, tmp_path: Path
) -> None:
    path, body, events = LEAVING[case]
    async with greedy(tmp_path, stream(*events, None) if events else silence) as (run, upstream):
        async with connected(run.port) as line:
            await line.send(request(path, body))
            await upstream.arrived.wait()
            received = b""
            if events:
                await line.read_head()
                while len(received) < sum(map(len, events)):
                    received += await line.read_chunk()
        entry = await run.entry()
        await unexceeded(run)
        assert entry.usage is not None
        assert entry.usage.input >= 1
        assert entry.usage.output <= body.get("max_tokens", 16)
        assert await spent(run) > 0


async def test_a_deadline_that_passes_is_no_free_answer(tmp_path: Path) -> None:
    async with greedy(tmp_path, silence) as (run, _):
        said = await ask(run.port, CHAT, OPENAI.ask("m"), {"x-trunkline-deadline-ms": "60"})
        assert said.status == 504
        assert await spent(run) > 0
        await unexceeded(run)


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_refused_in_the_background_has_used_nothing(streamed: bool, tmp_path: Path) -> None:
    body = {"model": "m", "input": "hello", "background": True, "stream": streamed, "max_output_tokens": 500}
    async with greedy(tmp_path, chat(5), limits={"limits": [{"allow": ["cost=0.000001/day"]}]}) as (run, upstream):
        assert (await ask(run.port, RESPONSES, body)).status == 200
        entry = await run.entry()
        assert (entry.error, entry.usage, entry.cost, upstream.asked) == ("limit_too_small", None, None, [])


async def test_a_limit_of_a_model_knows_it_by_whatever_name_it_goes(tmp_path: Path) -> None:
    """Its name here, and its provider's own; also where somebody writes it otherwise."""
    limits = {
        "limits": [
            {"scope": "model", "allow": ["requests=2/day"]},
            {"models": ["gpt-*"], "allow": ["requests=3/day"]},
        ]
    }
    async with greedy(tmp_path, chat(5), limits=limits) as (run, _):

        async def status(name: str) -> int:
            return (await ask(run.port, CHAT, OPENAI.ask(name))).status

        names = ["gpt-4o-mini", "openai/gpt-4o-mini", "openai/gpt-4o-mini ", "openai/GPT-4o-mini"]
        assert [await status(name) for name in names] == [200, 200, 429, 429]
        assert [await status(name) for name in ("openai/gpt-4.1", "gpt-4.1-mini")] == [200, 429]
        assert [await status("m") for _ in range(3)] == [200, 200, 429]


def _decided(mirrors: Mirrors, number: int) -> bool:
    return mirrors.made + mirrors.left_out == number


async def test_copies_cannot_exceed_the_budget_of_all(tmp_path: Path) -> None:
    """They are no key's, but the money is spent."""
    mirrored = {"targets": [{"target": "openai/gpt-4o-mini"}], "mirror": {"target": "openai/gpt-4o"}}
    limits = {
        "limits": [{"allow": ["cost=0.001/day", "requests=10/day"]}, {"scope": "key", "allow": ["cost=0.001/day"]}]
    }
    async with greedy(tmp_path, chat(20), limits=limits, mirrored=mirrored) as (run, upstream):
        mirrors = run.gateway.routing.mirrors
        for number in range(1, 6):
            assert (await ask(run.port, CHAT, OPENAI.ask("mirrored", max_tokens=20))).status == 200
            await until(partial(_decided, mirrors, number), "the copy, or none")
            await spent(run)
        assert 0 < mirrors.made < 5
        assert len(upstream.asked) == 5 + mirrors.made
        held = {row["limit"]: row["used"] for row in await run.gateway.admission.shown()}
        entries = run.entries()
    assert len(entries) == 5 + mirrors.made
    assert held["global: $0.001 per day"] == sum(entry.cost or 0 for entry in entries) <= 0.001 * NANO
    assert held["key anyone: $0.001 per day"] == sum(entry.cost or 0 for entry in entries if entry.key)
    assert held["global: 10 requests per day"] == 5


async def test_what_was_let_in_for_nothing_is_counted_though_its_counter_was_empty_meanwhile() -> None:
    """A call whose cost nobody could know reserves nothing; empty counters are forgotten after a second or so."""
    clock = [1_000_000_000_000_000_000]
    counters = MemoryCounters(lambda: clock[0])
    wants = tuple(
        Want(f"cost {name}", window, 100, dimension="cost") for name, window in WINDOWS.items() if window.width
    )
    grant = await counters.take(wants, [0] * len(wants), 120_000)
    assert isinstance(grant, Grant)
    clock[0] += 3_000_000_000
    await counters.read([])
    later = await counters.take(wants, [0] * len(wants), 120_000)
    assert isinstance(later, Grant)
    counters.settle(grant, [70] * len(wants))
    counters.settle(later, [20] * len(wants))
    assert await counters.read([(want.counter, want.window) for want in wants]) == [90] * len(wants)


@pytest.mark.parametrize("limited", [True, False])
async def test_the_limit_of_an_answer_is_not_left_out_where_a_budget_was_reckoned_by_it(
    limited: bool, tmp_path: Path
) -> None:
    refusal = {"message": "Unsupported parameter: 'max_tokens'", "type": "invalid_request_error", "param": "max_tokens"}
    refusal |= {"code": "unsupported_parameter"}
    answers = whole({"error": refusal}, 400), chat(5)
    body = OPENAI.ask("m", max_tokens=9)
    async with greedy(tmp_path, *answers, limits=BUDGET if limited else {}) as (run, upstream):
        said = await ask(run.port, CHAT, body, {"x-trunkline-strict": "0"})
        assert (said.status, len(upstream.asked)) == ((400, 1) if limited else (200, 2))
        assert b"max_tokens" in upstream.asked[0].body


async def test_what_a_provider_remembers_of_its_own_thoughts_is_reckoned(tmp_path: Path) -> None:
    """A conversation that goes on by an id alone: the gateway has not seen what the provider thought."""
    used = {"input_tokens": 10, "output_tokens": 9000, "total_tokens": 9010}
    later = {"input_tokens": 9030, "output_tokens": 5, "total_tokens": 9035}
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "real",
        "output": [],
    }
    answers = whole(answer | {"usage": used}), whole(answer | {"id": "resp_2", "usage": later})
    async with greedy(tmp_path, *answers) as (run, upstream):
        first = await ask(run.port, RESPONSES, {"model": "m", "input": "hello", "max_output_tokens": 9000})
        body = {"model": "m", "input": "on", "max_output_tokens": 16, "previous_response_id": first.json["id"]}
        assert (await ask(run.port, RESPONSES, body)).status == 200
        assert upstream.asked[1].json["previous_response_id"] == "resp_1"
        await unexceeded(run)


async def test_a_repetition_costs_nothing_twice_also_while_the_first_runs(tmp_path: Path) -> None:
    body, headers = OPENAI.ask("m", max_tokens=20), {"idempotency-key": "the same"}
    async with greedy(tmp_path, chat(20)) as (run, upstream):
        answers = await asyncio.gather(*(ask(run.port, CHAT, body, headers) for _ in range(20)))
        answers.append(await ask(run.port, CHAT, body, headers))
        assert {each.status for each in answers} == {200}
        assert len(upstream.asked) == 1
        await until(lambda: len(run.entries()) == 21, "all entries")
        assert sum(1 for entry in run.entries() if entry.cost) == 1
        await unexceeded(run)


async def test_a_crowd_at_the_edge_of_a_limit_gets_exactly_what_there_is(tmp_path: Path) -> None:
    """Two hundred at once, by two surfaces; a refusal takes nothing of the other limits either."""
    limits = {"limits": [{"allow": ["requests=37/day", "cost=100/day", "concurrent_requests=200"]}]}
    async with greedy(tmp_path, chat(20), limits=limits) as (run, upstream):
        bodies = [OPENAI.ask(name, max_tokens=20) for name in ("m", "openai/gpt-4o-mini")]
        answers = await asyncio.gather(*(ask(run.port, CHAT, bodies[number % 2]) for number in range(200)))
        statuses = [each.status for each in answers]
        assert (statuses.count(200), statuses.count(429)) == (37, 163)
        assert len(upstream.asked) == 37
        await unexceeded(run)
        held = {row["dimension"]: row["used"] for row in await run.gateway.admission.shown()}
        assert (held["requests"], held["concurrent_requests"]) == (37, 0)
