"""What the gateway remembers, as OpenAI's SDK asks for it: conversations, background, deletion, at every family."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.running import Running, until
from tests.running import running as gateway
from trunkline.core.call import KeySpec

FAMILIES = ["sim", "sim-anthropic", "sim-gemini", "sim-bedrock", "sim-azure", "sim-vertex"]
SIMULATED = {"sim": {"enabled": True}}


@asynccontextmanager
async def asking(run: Running, key: str = "anyone") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{run.url}/v1", api_key=key, max_retries=0, timeout=20) as client:
        yield client


async def words(client: openai.AsyncOpenAI, id: str) -> list[str]:
    """All that a response answers, oldest first."""
    items: list[Any] = [item async for item in await client.responses.input_items.list(id, order="asc", limit=2)]
    return [item.content[0].text for item in items]


async def ended(client: openai.AsyncOpenAI, id: str) -> Any:
    async with asyncio.timeout(20):
        while True:
            response = await client.responses.retrieve(id)
            if response.status not in {"queued", "in_progress"}:
                return response
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_conversation_of_three_turns(family: str, tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED) as run, asking(run) as client:
        model = f"{family}/chat-small"
        first = await client.responses.create(model=model, input="one")
        second = await client.responses.create(model=model, input="two", previous_response_id=first.id, store=True)
        stream = await client.responses.create(model=model, input="three", previous_response_id=second.id, stream=True)
        third: Any = [event async for event in stream][-1]
        assert third.type == "response.completed"
        assert "three" in third.response.output_text
        assert third.response.usage.input_tokens > second.usage.input_tokens > first.usage.input_tokens
        assert [second.previous_response_id, third.response.previous_response_id] == [first.id, second.id]
        said = await words(client, third.response.id)
        assert [said[0], said[2], said[4]] == ["one", "two", "three"]
        assert said[1] == first.output_text
        entries = run.entries()
        assert [entry.lost for entry in entries if entry.usage] == [(), (), ()]


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_call_and_its_result_by_id(family: str, tmp_path: Path) -> None:
    tool: Any = {
        "type": "function", "name": "get_weather", "strict": False,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }  # fmt: skip
    async with gateway(tmp_path, SIMULATED) as run, asking(run) as client:
        model = f"{family}/reason-small"
        asked = await client.responses.create(
            model=model, input="call get_weather", tools=[tool], reasoning={"effort": "low"}
        )
        call: Any = next(item for item in asked.output if item.type == "function_call")
        result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
        answer = await client.responses.create(
            model=model, input=result, tools=[tool], previous_response_id=asked.id, reasoning={"effort": "low"}
        )
        assert answer.status == "completed"
        assert answer.output_text


async def test_a_conversation_moves_between_families(tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED) as run, asking(run) as client:
        previous, said = None, []
        for family in [*FAMILIES, "sim"]:
            answer = await client.responses.create(
                model=f"{family}/reason-small", input=f"at {family}", previous_response_id=previous,
                reasoning={"effort": "low"}, include=["reasoning.encrypted_content"],
            )  # fmt: skip
            previous = answer.id
            said.append(f"at {family}")
        listed = client.responses.input_items.list(answer.id, order="asc", limit=100)
        mine: list[Any] = [item async for item in await listed if getattr(item, "role", None) == "user"]
        assert [item.content[0].text for item in mine] == said


async def test_the_one_who_remembers_comes_first(tmp_path: Path) -> None:
    chain = {"targets": [{"target": "sim/chat-large"}, {"target": "sim/chat-small"}]}
    async with gateway(tmp_path, {**SIMULATED, "models": {"chain": chain}}) as run, asking(run) as client:
        create = client.responses.with_raw_response.create
        first = await create(model="sim/chat-small", input="one")
        second = await create(model="chain", input="two", previous_response_id=first.parse().id)
        third = await create(model="chain", input="three")
        targets = [answer.headers["x-trunkline-target"] for answer in (second, third)]
        assert targets == ["sim/chat-small", "sim/chat-large"]
        assert (await words(client, second.parse().id))[::2] == ["one", "two"]


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    """The simulator does: what only it would remember is told to it again."""
    async with gateway(tmp_path, SIMULATED, begin=True) as run, asking(run) as client:
        first = [await client.responses.create(model=f"{family}/chat-small", input="one") for family in FAMILIES[:3]]
    async with gateway(tmp_path, SIMULATED, begin=True) as run, asking(run) as client:
        for family, answer in zip(FAMILIES, first, strict=False):
            again = await client.responses.retrieve(answer.id)
            assert again.output_text == answer.output_text
            # A simulator that begins anew gives the same ids: this one asks what it never heard of.
            second = await client.responses.create(
                model=f"{family}/chat-large", input="two", previous_response_id=answer.id
            )
            assert (await words(client, second.id))[::2] == ["one", "two"]


async def test_to_another_key_it_does_not_exist(tmp_path: Path) -> None:
    async with gateway(tmp_path, {**SIMULATED, "auth": "required"}, begin=True) as run:
        shipper = run.gateway.stores.shipper
        assert shipper is not None
        await until(lambda: shipper.keys is not None, "the keys are open")
        assert shipper.keys is not None
        (_, mine), (_, theirs) = (shipper.keys.create(KeySpec(name)) for name in ("mine", "theirs"))
        await until(lambda: run.gateway.stores.ring.find(theirs.encode()) is not None, "the keys are known")
        async with asking(run, mine) as me, asking(run, theirs) as other:
            answer = await me.responses.create(model="sim/chat-small", input="one")
            for refused in (
                lambda: other.responses.retrieve(answer.id),
                lambda: other.responses.delete(answer.id),
                lambda: other.responses.cancel(answer.id),
                lambda: other.responses.input_items.list(answer.id),
            ):
                with pytest.raises(openai.NotFoundError):
                    await refused()
            with pytest.raises(openai.BadRequestError, match="not found"):
                await other.responses.create(model="sim/chat-small", input="two", previous_response_id=answer.id)
            assert (await me.responses.retrieve(answer.id)).id == answer.id


@pytest.mark.parametrize("family", FAMILIES)
async def test_deleted_is_gone_and_what_followed_goes_on(family: str, tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED, begin=True) as run, asking(run) as client:
        model = f"{family}/chat-small"
        first = await client.responses.create(model=model, input="one")
        second = await client.responses.create(model=model, input="two", previous_response_id=first.id)
        await client.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(first.id)
        with pytest.raises(openai.BadRequestError):
            await client.responses.create(model=model, input="two", previous_response_id=first.id)
        third = await client.responses.create(model=model, input="three", previous_response_id=second.id)
        assert (await words(client, third.id))[::2] == ["one", "two", "three"]


@pytest.mark.parametrize("family", FAMILIES)
async def test_background(family: str, tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED) as run, asking(run) as client:
        queued = await client.responses.create(model=f"{family}/chat-small", input="one", background=True)
        assert queued.status in {"queued", "in_progress"}
        done = await ended(client, queued.id)
        assert (done.status, done.background, done.id) == ("completed", True, queued.id)
        assert "one" in done.output_text
        (entry,) = [entry for entry in run.entries() if entry.usage is not None]
        assert (entry.surface, entry.status, entry.target) == ("/v1/responses", 200, f"{family}/chat-small")
        follow = await client.responses.create(
            model=f"{family}/chat-small", input="two", previous_response_id=queued.id
        )
        assert (await words(client, follow.id))[::2] == ["one", "two"]


async def test_a_stream_of_the_background_is_resumed_where_it_broke(tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED) as run, asking(run) as client:
        stream = await client.responses.create(
            model="sim-anthropic/chat-small", input="one", background=True, stream=True
        )
        seen: list[Any] = []
        async for event in stream:
            seen.append(event)
            if len(seen) == 6:
                break
        await stream.close()
        again = await client.responses.retrieve(
            seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number
        )
        rest: list[Any] = [event async for event in again]
        assert [event.sequence_number for event in [*seen, *rest]] == list(range(6 + len(rest)))
        assert rest[-1].type == "response.completed"
        assert "one" in rest[-1].response.output_text
        assert (await ended(client, seen[0].response.id)).output_text == rest[-1].response.output_text
        assert len([entry for entry in run.entries() if entry.usage is not None]) == 1


@pytest.mark.parametrize("family", ["sim", "sim-anthropic", "sim-gemini"])
async def test_cancelled_within_a_tenth_of_a_second(family: str, tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED) as run, asking(run) as client:
        queued = await client.responses.create(model=f"{family}/chat-small+tps=1", input="one", background=True)
        await until(lambda: run.gateway.stores.transport.stats()["open"] > 0, "the provider is asked")
        begun = asyncio.get_running_loop().time()
        cancelled = await client.responses.cancel(queued.id)
        assert asyncio.get_running_loop().time() - begun < 0.5, "with room for a busy machine"
        assert cancelled.status == "cancelled"
        assert (await client.responses.retrieve(queued.id)).status == "cancelled"
        (entry,) = [entry for entry in run.entries() if entry.model is not None]
        assert (entry.status, entry.error) == (499, "response_cancelled")
        assert run.gateway.conversation.runs.active == 0


async def test_a_stop_ends_the_background_in_words_and_in_the_ledger(tmp_path: Path) -> None:
    async with gateway(tmp_path, SIMULATED, begin=True) as run, asking(run) as client:
        slow = await client.responses.create(model="sim/chat-small+tps=1", input="one", background=True)
        assert run.gateway.edge.busy == 1
    async with gateway(tmp_path, SIMULATED, begin=True) as run, asking(run) as client:
        broken = await client.responses.retrieve(slow.id)
        assert broken.status == "failed"
        assert broken.error is not None
        assert "shut down" in broken.error.message


def blocking(work: Callable[[openai.OpenAI], Any], run: Running) -> Any:
    with openai.OpenAI(base_url=f"{run.url}/v1", api_key="anyone", max_retries=0, timeout=20) as client:
        return work(client)


async def test_the_other_client(tmp_path: Path) -> None:
    """The SDK that waits."""

    def work(client: openai.OpenAI) -> Any:
        first = client.responses.create(model="sim-gemini/chat-small", input="one")
        second = client.responses.create(model="sim/chat-small", input="two", previous_response_id=first.id)
        texts = [item.content[0].text for item in client.responses.input_items.list(second.id, order="asc")]  # type: ignore[union-attr]
        queued = client.responses.create(model="sim/chat-small", input="three", background=True, stream=True)
        last: Any = list(queued)[-1]
        return texts, first.output_text, last.type, client.responses.retrieve(last.response.id).status

    async with gateway(tmp_path, SIMULATED) as run:
        texts, said, last, status = await asyncio.to_thread(blocking, work, run)
    assert texts == ["one", said, "two"]
    assert (last, status) == ("response.completed", "completed")
