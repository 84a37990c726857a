"""A conversation that goes on by id, at targets that fail and forget: what each of them is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.edges.families import ANTHROPIC, OPENAI
from tests.edges.upstreams import Upstream, hang_up, whole
from tests.running import Running, running
from tests.talking import Answer, ask

PATH = "/v1/responses"


def response(number: int) -> dict[str, Any]:
    """A provider's whole answer."""
    said = {"type": "output_text", "text": f"answer {number}", "annotations": []}
    message = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [said]}
    return {
        "id": f"resp_{number}", "object": "response", "created_at": 1, "status": "completed", "model": "real",
        "output": [message], "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9},
    }  # fmt: skip


def chain(**urls: str) -> dict[str, Any]:
    """A model with these targets, in their order: `first` speaks the Responses format, `other` Anthropic's."""
    kinds = {"first": OPENAI, "second": OPENAI, "other": ANTHROPIC}
    return {
        "providers": {name: kinds[name].provider(url) for name, url in urls.items()},
        "models": {"m": {"targets": [{"target": f"{name}/a"} for name in urls]}},
    }


async def create(run: Running, input: Any, previous: str | None = None) -> Answer:
    return await ask(run.port, PATH, {"model": "m", "input": input, "previous_response_id": previous})


async def test_who_remembers_fails_and_another_family_is_told_everything(tmp_path: Path) -> None:
    async with (
        Upstream(whole(response(1)), hang_up) as first,
        Upstream(whole(ANTHROPIC.answer)) as other,
        running(tmp_path, chain(first=first.url, other=other.url)) as run,
    ):
        begun = await create(run, "one")
        second = await create(run, "two", begun.json["id"])
        assert second.status == 200
        assert second.headers["x-trunkline-target"] == "other/a"
        assert first.asked[1].json["previous_response_id"] == "resp_1"
        told = [(message["role"], str(message["content"])) for message in other.asked[0].json["messages"]]
        assert [role for role, _ in told] == ["user", "assistant", "user"]
        assert all(text in said for text, (_, said) in zip(["one", "answer 1", "two"], told, strict=True))
        third = await create(run, "three", second.json["id"])
        assert third.status == 200
    entries = run.entries()
    assert [attempt.target for attempt in entries[1].attempts] == ["first/a", "other/a"]


async def test_who_remembers_fails_and_another_of_the_same_format_gets_no_foreign_ids(tmp_path: Path) -> None:
    async with (
        Upstream(whole(response(1)), hang_up) as first,
        Upstream(whole(response(2))) as second,
        running(tmp_path, chain(first=first.url, second=second.url)) as run,
    ):
        begun = await create(run, "one")
        answer = await create(run, "two", begun.json["id"])
        assert answer.json["previous_response_id"] == "resp_1"
        told = second.asked[0].json
        assert "previous_response_id" not in told
        assert [item["role"] for item in told["input"]] == ["user", "assistant", "user"]
        assert "id" not in told["input"][1]


async def test_who_has_forgotten_is_told_everything(tmp_path: Path) -> None:
    error = {
        "message": "Previous response not found.",
        "code": "previous_response_not_found",
        "type": "x",
        "param": None,
    }
    async with (
        Upstream(whole(response(1)), whole({"error": error}, 400), whole(response(3))) as first,
        running(tmp_path, chain(first=first.url)) as run,
    ):
        begun = await create(run, "one")
        answer = await create(run, "two", begun.json["id"])
        assert answer.status == 200
        assert first.asked[1].json["previous_response_id"] == "resp_1"
        assert len(first.asked[2].json["input"]) == 3


@pytest.mark.parametrize("id", ["msg_unknown", "", None, 7, [], {}])
async def test_a_reference_to_nothing_is_for_the_provider_to_refuse(id: Any, tmp_path: Path) -> None:
    async with (
        Upstream(whole(response(1)), whole(response(2))) as first,
        running(tmp_path, chain(first=first.url)) as run,
    ):
        begun = await create(run, "one")
        reference = [{"type": "item_reference", "id": id}, {"role": "user", "content": "?", "id": id}]
        await create(run, reference, begun.json["id"])
        assert first.asked[1].json["input"] == reference


async def test_a_reference_becomes_what_it_refers_to(tmp_path: Path) -> None:
    reference = [{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "what was that?"}]
    async with (
        Upstream(whole(response(1)), whole(response(2)), hang_up) as first,
        Upstream(whole(ANTHROPIC.answer)) as other,
        running(tmp_path, chain(first=first.url, other=other.url)) as run,
    ):
        begun = await create(run, "one")
        second = await create(run, reference, begun.json["id"])
        assert first.asked[1].json["input"] == reference, "its maker knows it"
        third = await create(run, reference, second.json["id"])
        assert third.headers["x-trunkline-target"] == "other/a"
        assert "x-trunkline-lost" not in third.headers
        assert str(other.asked[0].json["messages"]).count("answer 1") == 3, "said once, referred to twice"
