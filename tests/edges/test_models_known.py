"""The catalog at work: targets passed over, calls refused with a hint, corrections, and what is shown of it all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.edges.families import ANTHROPIC, OPENAI
from tests.edges.test_learned import FINE, OLD_NAME
from tests.edges.upstreams import Upstream, whole
from tests.running import running, write_config
from tests.talking import ask
from trunkline.cli.main import root

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
SEEN = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, IMAGE]}]
ADMIN = "an-admin-key-for-tests"


def two(first: str, second: str, **more: Any) -> dict[str, Any]:
    blind = {"blind": {"inputs": ["text"]}, "brief": {"context": 100}}
    return {
        "providers": {"one": OPENAI.provider(first), "two": OPENAI.provider(second)},
        "models": {
            "both": {"targets": [{"target": "one/blind"}, {"target": "two/able"}]},
            "blinder": {"targets": [{"target": "one/blind"}]},
            "brief": {"targets": [{"target": "one/brief"}]},
            "sighted": {"targets": [{"target": "two/able"}]},
        },
        "catalog": blind | {"able": {"inputs": ["text", "image"]}},
    } | more


async def test_a_target_that_cannot_see_is_passed_over(tmp_path: Path) -> None:
    async with Upstream(FINE) as one, Upstream(FINE) as other:
        async with running(tmp_path, two(one.url, other.url)) as run:
            answer = await ask(run.port, OPENAI.path, OPENAI.ask("both", messages=SEEN))
            assert answer.headers["x-trunkline-target"] == "two/able"
            assert answer.headers["x-trunkline-attempts"] == "1"
            assert (await ask(run.port, OPENAI.path, OPENAI.ask("both"))).headers["x-trunkline-target"] == "one/blind"
        assert (len(one.asked), len(other.asked)) == (1, 1)


async def test_where_no_target_can_the_caller_is_told_who_can(tmp_path: Path) -> None:
    async with Upstream(FINE) as up, running(tmp_path, two(up.url, up.url)) as run:
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("blinder", messages=SEEN))
        assert answer.status == 400
        error = answer.json["error"]
        assert (error["code"], error["param"]) == ("unsupported_capability", "messages[0].content[1]")
        assert "images" in error["message"]
        assert "The model 'two/able' can." in error["message"] or "The model 'sighted' can." in error["message"]
        assert not up.asked
        entry = await run.entry()
        assert (entry.error, entry.attempts) == ("unsupported_capability", [])


async def test_the_refusal_is_in_the_callers_family(tmp_path: Path) -> None:
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    async with Upstream(FINE) as up, running(tmp_path, two(up.url, up.url)) as run:
        asked = ANTHROPIC.ask("blinder", messages=[{"role": "user", "content": [block]}])
        answer = await ask(run.port, ANTHROPIC.path, asked)
        assert answer.status == 400
        assert answer.json["error"]["type"] == "invalid_request_error"
        assert "images" in answer.json["error"]["message"]


async def test_a_prompt_is_too_long_only_beyond_doubt(tmp_path: Path) -> None:
    async with Upstream(FINE) as up, running(tmp_path, two(up.url, up.url)) as run:
        said = [{"role": "user", "content": "word " * 100}]
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("brief", messages=said))).status == 200
        said = [{"role": "user", "content": "word " * 1000}]
        answer = await ask(run.port, OPENAI.path, OPENAI.ask("brief", messages=said))
        assert answer.json["error"]["code"] == "unsupported_capability"
        assert "length" in answer.json["error"]["message"]


async def test_what_cannot_be_read_is_the_providers_to_judge(tmp_path: Path) -> None:
    """The identity path passes what the gateway does not understand."""
    async with Upstream(whole(OPENAI.answer)) as up, running(tmp_path, two(up.url, up.url)) as run:
        odd = [{"role": "user", "content": {"image": "of a new kind"}}]
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("blinder", messages=odd))).status == 200
        assert up.asked[0].json["messages"] == odd


async def test_reasoning_may_be_waived_by_the_caller(tmp_path: Path) -> None:
    async with Upstream(FINE) as up:
        sections = {"providers": {"one": OPENAI.provider(up.url)}}
        async with running(tmp_path, sections) as run:
            asked = ANTHROPIC.ask("one/gpt-4o", thinking={"type": "adaptive"}, max_tokens=4000)
            assert (await ask(run.port, ANTHROPIC.path, asked)).status == 400
            answer = await ask(run.port, ANTHROPIC.path, asked, {"x-trunkline-strict": "0"})
            assert answer.status == 200
            assert "thinking" in answer.headers["x-trunkline-lost"]


async def test_the_admin_sees_what_is_known_and_what_was_learned(tmp_path: Path) -> None:
    async with Upstream(OLD_NAME, FINE) as up, running(tmp_path, two(up.url, up.url, admin_key=ADMIN)) as run:
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("sighted", max_tokens=5))).status == 200
        answer = await ask(run.port, "/admin/v1/models", headers={"authorization": f"Bearer {ADMIN}"})
        rows = {row["name"]: row for row in answer.json["data"]}
        assert rows["blinder"]["lacks"] == ["audio", "document", "image", "video"]
        assert rows["both"]["lacks"] == ["audio", "document", "video"]
        (learned,) = rows["sighted"]["targets"][0]["learned"]
        assert learned["parameter"] == "max_tokens"
        assert learned["instead"] == "max_completion_tokens"
        assert 0 < learned["seconds_left"] <= 3600
        assert (await ask(run.port, "/admin/v1/models")).status == 401


def test_the_command_shows_the_configured_models(tmp_path: Path) -> None:
    path = str(write_config(tmp_path, two("http://127.0.0.1:1", "http://127.0.0.1:2")))
    shown = CliRunner().invoke(root, ["models", "--config", path, "--json"])
    assert shown.exit_code == 0, shown.output
    rows = {row["name"]: row for row in json.loads(shown.stdout)}
    assert rows["brief"]["targets"][0]["facts"]["context"] == 100
    seeing = CliRunner().invoke(root, ["models", "--config", path, "--need", "image"])
    assert "sighted" in seeing.stdout
    assert "blinder" not in seeing.stdout


def test_the_command_shows_the_shipped_table() -> None:
    shown = CliRunner().invoke(root, ["models", "--all", "--need", "video", "gemini-*"])
    assert shown.exit_code == 0, shown.output
    assert "gemini-2.5-flash" in shown.stdout
    assert "claude" not in shown.stdout


def test_a_fault_in_the_catalog_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    path = str(write_config(tmp_path, {"catalog": {"m": {"inputs": ["smell"], "contxt": 5}}}))
    shown = CliRunner().invoke(root, ["check", path])
    assert shown.exit_code == 1
    assert "catalog.m.contxt" in shown.stderr
    assert "context" in shown.stderr
    assert "smell" in shown.stderr


async def test_the_list_of_models_tells_their_sizes_where_the_family_has_a_field_for_it(tmp_path: Path) -> None:
    async with running(tmp_path, {"sim": {"enabled": True}}) as run:
        ours = {"anthropic-version": "2023-06-01"}
        shown = (await ask(run.port, "/v1/models/sim/sim-small", headers=ours)).json
        assert (shown["max_input_tokens"], shown["max_tokens"]) == (128_000, 16_384)
        shown = (await ask(run.port, "/v1beta/models/sim/sim-tiny")).json
        assert (shown["inputTokenLimit"], shown["outputTokenLimit"]) == (512, 128)
        assert set((await ask(run.port, "/v1/models/sim/sim-tiny")).json) == {"id", "object", "created", "owned_by"}
