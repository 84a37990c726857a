"""The WebSocket mode of Responses, as OpenAI's SDK asks for it: several turns on one connection, at every family."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.clients.test_responses_state import FAMILIES, SIMULATED, asking
from tests.running import Running, until
from tests.running import running as gateway
from trunkline.core.call import KeySpec

pytest.importorskip("websockets")

FINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
TOOL: Any = {
    "type": "function", "name": "get_weather", "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}  # fmt: skip


async def told(connection: Any) -> list[Any]:
    """The events of one answer."""
    seen: list[Any] = []
    async with asyncio.timeout(20):
        while not seen or seen[-1].type not in FINAL:
            seen.append(await connection.recv())
    return seen


async def turn(connection: Any, **fields: Any) -> Any:
    """One turn's last event."""
    await connection.response.create(**fields)
    return (await told(connection))[-1]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
async def test_three_turns_on_one_connection(family: str, store: bool, tmp_path: Path) -> None:
    model = f"{family}/chat-small"
    async with (
        gateway(tmp_path, SIMULATED) as run,
        asking(run) as client,
        client.responses.connect() as connection,
    ):
        await connection.response.create(model=model, input="one", store=store)
        first = await told(connection)
        assert [event.sequence_number for event in first] == list(range(len(first)))
        assert "one" in "".join(event.delta for event in first if event.type == "response.output_text.delta")
        second = await turn(
            connection, model=model, input="two", store=store, previous_response_id=first[-1].response.id
        )
        third = await turn(connection, model=model, input="three", store=store, previous_response_id=second.response.id)
        answers = [first[-1].response, second.response, third.response]
        assert [answer.status for answer in answers] == ["completed"] * 3
        used = [answer.usage.input_tokens for answer in answers]
        assert used == sorted(set(used)), "each turn holds those before it"
        assert third.response.previous_response_id == second.response.id
        entries = run.entries()
    assert [(entry.surface, entry.status, entry.target) for entry in entries] == [("/v1/responses", 200, model)] * 3
    assert all(entry.usage is not None and entry.stream and entry.lost == () for entry in entries)


@pytest.mark.parametrize("family", FAMILIES)
async def test_thoughts_and_calls_go_on_where_nothing_is_stored(family: str, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "model": f"{family}/reason-small", "tools": [TOOL], "store": False, "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
    }  # fmt: skip
    async with (
        gateway(tmp_path, SIMULATED) as run,
        asking(run) as client,
        client.responses.connect() as connection,
    ):
        first = await turn(connection, input="call get_weather", **asked)
        call = next(item for item in first.response.output if item.type == "function_call")
        result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
        second = await turn(connection, input=result, previous_response_id=first.response.id, **asked)
        assert second.type == "response.completed"
        assert second.response.output_text


async def test_a_conversation_moves_between_families(tmp_path: Path) -> None:
    async with (
        gateway(tmp_path, SIMULATED) as run,
        asking(run) as client,
        client.responses.connect() as connection,
    ):
        previous, used = None, []
        for family in [*FAMILIES, "sim"]:
            done = await turn(
                connection, model=f"{family}/reason-small", input=f"at {family}", store=False,
                previous_response_id=previous, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"],
            )  # fmt: skip
            assert done.type == "response.completed"
            previous = done.response.id
            used.append(done.response.usage.input_tokens)
        assert used[-1] > used[0]


@pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")  # the SDK's own use of its library
def test_the_synchronous_client(tmp_path: Path) -> None:
    def two_turns(url: str) -> list[Any]:
        with openai.OpenAI(base_url=url, api_key="anyone") as client, client.responses.connect() as connection:
            last: list[Any] = []
            for text in ("one", "two"):
                previous = last[-1].response.id if last else None
                connection.response.create(
                    model="sim-anthropic/chat-small", input=text, store=False, previous_response_id=previous
                )
                last.append(next(event for event in connection if event.type in FINAL))
            return last

    async def served() -> list[Any]:
        async with gateway(tmp_path, SIMULATED) as run:
            return await asyncio.to_thread(two_turns, f"{run.url}/openai/v1")

    first, second = asyncio.run(served())
    assert "two" in second.response.output_text
    assert second.response.usage.input_tokens > first.response.usage.input_tokens


async def test_what_is_not_stored_is_the_connections_alone(tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED, begin=True) as run, asking(run) as client:
        ask: dict[str, Any] = {"model": "sim/chat-small", "input": "two", "store": False}
        async with client.responses.connect() as one, client.responses.connect() as other:
            first = await turn(one, **ask)
            refused = await turn(other, previous_response_id=first.response.id, **ask)
            assert (refused.status, refused.error.code) == (400, "previous_response_not_found")
            with pytest.raises(openai.BadRequestError):
                await client.responses.create(previous_response_id=first.response.id, **ask)
            with pytest.raises(openai.NotFoundError):
                await client.responses.retrieve(first.response.id)
            again = await turn(one, previous_response_id=first.response.id, **ask)
            assert again.type == "response.completed"
        async with client.responses.connect() as later:
            refused = await turn(later, previous_response_id=first.response.id, **ask)
            assert refused.error.code == "previous_response_not_found"
        assert run.listener.config.http.memory.size == 0  # type: ignore[union-attr]


async def test_what_is_stored_outlives_the_connection(tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED) as run, asking(run) as client:
        async with client.responses.connect() as connection:
            first = (await turn(connection, model="sim-gemini/chat-small", input="one")).response
        shown = await client.responses.retrieve(first.id)
        assert shown.output_text == first.output_text
        async with client.responses.connect() as connection:
            second = await turn(
                connection, model="sim-anthropic/chat-small", input="two", previous_response_id=first.id
            )
        assert second.response.previous_response_id == first.id


async def test_prepared_without_an_answer(tmp_path: Path) -> None:
    async with (
        gateway(tmp_path, SIMULATED) as run,
        asking(run) as client,
        client.responses.connect() as connection,
    ):
        said = await turn(connection, model="sim/chat-small", input="one", store=False, generate=False)
        assert (said.type, said.response.output, said.response.usage.total_tokens) == ("response.completed", [], 0)
        alone = await turn(connection, model="sim/chat-small", input="two", store=False)
        after = await turn(
            connection, model="sim/chat-small", input="two", store=False, previous_response_id=said.response.id
        )
        assert after.response.usage.input_tokens > alone.response.usage.input_tokens
        prepared = run.entries()[0]
    assert (prepared.status, prepared.target, prepared.attempts) == (200, None, [])
    assert prepared.usage is None or prepared.usage.total == 0


async def test_errors_are_events_and_the_connection_goes_on(tmp_path: Path) -> None:
    async with (
        gateway(tmp_path, SIMULATED) as run,
        asking(run) as client,
        client.responses.connect() as connection,
    ):
        for family in ("sim", "sim-anthropic", "sim-gemini"):
            limited = await turn(connection, model=f"{family}/chat-small+429", input="one")
            assert (limited.type, limited.status, bool(limited.error.message)) == ("error", 429, True)
            assert limited.headers["x-request-id"] == run.entries()[-1].id
        unknown = await turn(connection, model="nowhere/chat-small", input="one")
        assert (unknown.status, unknown.error.code) == (404, "model_not_found")
        background = await turn(connection, model="sim/chat-small", input="one", background=True)
        assert (background.status, background.error.param) == (400, "background")
        await connection.send({"type": "response.teleport"})  # type: ignore[arg-type]
        assert (await told(connection))[0].error.param == "type"
        await connection.send_raw("{")
        assert (await told(connection))[0].error.code == "invalid_json"
        assert run.entries()[-1].error == "invalid_json"
        await connection.response.steer(input="left", previous_response_id="resp_1")
        steered: Any = await connection.recv()
        assert (steered.type, steered.error.code) == ("response.steer.failed", "steering_not_supported")
        assert (await turn(connection, model="sim/chat-small", input="one")).type == "response.completed"


@pytest.mark.parametrize("family", ["sim", "sim-anthropic", "sim-gemini"])
async def test_an_answer_that_breaks_off(family: str, tmp_path: Path) -> None:
    async with (
        gateway(tmp_path, SIMULATED) as run,
        asking(run) as client,
        client.responses.connect() as connection,
    ):
        await connection.response.create(model=f"{family}/chat-small+cut+after=2", input="one")
        seen = await told(connection)
        assert seen[0].type == "response.created"
        assert seen[-1].type in {"error", "response.failed"}
        assert (await run.entry()).error == "upstream_broken"


async def test_lanes(tmp_path: Path) -> None:
    """A slow answer in one lane does not hold up the other; in one lane they come one after another."""
    async with (
        gateway(tmp_path, SIMULATED) as run,
        asking(run) as client,
        client.responses.connect() as connection,
    ):
        slow, fast = "sim-anthropic/chat-small+ttft=400ms", "sim-anthropic/chat-small"
        await connection.response.create(model=slow, input="a", stream_id="left")
        await connection.response.create(model=fast, input="b", stream_id="left")
        await connection.response.create(model=fast, input="c", stream_id="right")
        ended: list[Any] = []
        async with asyncio.timeout(20):
            while len(ended) < 3:
                event: Any = await connection.recv()
                assert event.stream_id in {"left", "right"}
                if event.type in FINAL:
                    ended.append((event.stream_id, event.response.output_text[-3:-2]))
        assert ended == [("right", "c"), ("left", "a"), ("left", "b")]
        assert len(run.entries()) == 3


async def test_a_key_that_is_disabled_is_refused_on_the_next_message(tmp_path: Path) -> None:
    async with gateway(tmp_path, {**SIMULATED, "auth": "required"}, begin=True) as run:
        secret = await _key(run)
        async with asking(run, secret) as client, client.responses.connect() as connection:
            assert (await turn(connection, model="sim/chat-small", input="one")).type == "response.completed"
            assert run.gateway.stores.shipper is not None
            assert run.gateway.stores.shipper.keys is not None
            run.gateway.stores.shipper.keys.set_disabled("mine", True)
            await until(lambda: run.gateway.stores.ring.find(secret.encode()).disabled, "the key is disabled")  # type: ignore[union-attr]
            refused = await turn(connection, model="sim/chat-small", input="two")
            assert (refused.status, refused.error.code) == (401, "disabled_api_key")


async def _key(run: Running) -> str:
    shipper = run.gateway.stores.shipper
    assert shipper is not None
    await until(lambda: shipper.keys is not None, "the keys are open")
    assert shipper.keys is not None
    _, secret = shipper.keys.create(KeySpec("mine"))
    await until(lambda: run.gateway.stores.ring.find(secret.encode()) is not None, "the key is known")
    return secret


async def test_without_a_key_there_is_no_connection(tmp_path: Path) -> None:
    from websockets.exceptions import InvalidStatus

    async with gateway(tmp_path, {**SIMULATED, "auth": "required"}, begin=True) as run:
        await _key(run)
        async with asking(run, "wrong") as client:
            with pytest.raises(InvalidStatus) as refused:
                await client.responses.connect().enter()
    assert refused.value.response.status_code == 401
