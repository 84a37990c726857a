"""Tools in namespaces, which OpenAI's Responses alone have, with models of other families."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.running import running
from trunkline.core.request import ForeignTool, Message, Request, Tool, ToolCall
from trunkline.dialects.namespaced import scopes_of, without_namespaces
from trunkline.sim.server import start
from trunkline.sim.settings import Settings

SCHEMA = {
    "type": "object",
    "properties": {"id": {"type": "integer"}},
    "required": ["id"],
    "additionalProperties": False,
}
LOOKUP = {"type": "function", "name": "look_up", "description": "Looks up.", "strict": False, "parameters": SCHEMA}
SPACE = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [LOOKUP]}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
async def test_a_tool_in_a_namespace_is_called_and_answered(kind: str, stream: bool, tmp_path: Path) -> None:
    simulator = await start(settings=Settings())
    asked: list[Any] = [{"role": "user", "content": 'call crm__look_up({"id": 7})'}]
    options: Any = {"model": "other/sim-thinker", "tools": [SPACE], "store": False}
    try:
        sections = {"providers": {"other": {"kind": kind, "base_url": simulator.url, "api_key": "any"}}}
        async with running(tmp_path, sections) as run:
            client = openai.AsyncOpenAI(base_url=f"{run.url}/v1", api_key="any", max_retries=0)
            if stream:
                events = [event async for event in await client.responses.create(input=asked, stream=True, **options)]
                answer = events[-1].response
            else:
                answer = await client.responses.create(input=asked, **options)
            [call] = [item for item in answer.output if item.type == "function_call"]
            assert (call.name, call.namespace, call.arguments) == ("look_up", "crm", '{"id":7}')
            result = {"type": "function_call_output", "call_id": call.call_id, "output": "Ada"}
            asked += [*(item.model_dump(exclude_none=True) for item in answer.output), result]
            final = await client.responses.create(input=asked, **options)
            assert '"Ada"' in final.output_text
            assert not [path for entry in run.entries() for path in entry.lost if path.startswith("tools")]
            await client.close()
    finally:
        await simulator.aclose()


def request(*tools: Any, call: ToolCall | None = None) -> Request:
    messages = [Message("assistant", [call])] if call is not None else []
    return Request("m", messages, "openai_responses", tools=list(tools))


def test_what_cannot_be_named_stays_in_the_namespace() -> None:
    custom = {"type": "custom", "name": "patch"}
    space = ForeignTool("openai_responses", {**SPACE, "tools": [LOOKUP, custom]}, at="tools[0]")
    written = without_namespaces(request(space))
    assert [tool.name for tool in written.tools if isinstance(tool, Tool)] == ["crm__look_up"]
    assert space in written.tools


@pytest.mark.parametrize("other", [Tool("crm__look_up"), None])
def test_a_name_that_is_taken_or_too_long_is_not_given(other: Tool | None) -> None:
    space = ForeignTool("openai_responses", SPACE if other else {**SPACE, "name": "c" * 60}, at="tools[0]")
    asked = request(*([other] if other else []), space)
    assert scopes_of(asked) == {}
    assert without_namespaces(asked) is asked


def test_calls_in_the_history_have_the_full_name() -> None:
    call = ToolCall("1", "look_up", "{}", extra={"namespace": "crm", "more": 1})
    [message] = without_namespaces(request(ForeignTool("openai_responses", SPACE), call=call)).messages
    [part] = message.parts
    assert isinstance(part, ToolCall)
    assert (part.name, part.extra) == ("crm__look_up", {"more": 1})
