"""Custom tools towards families that have none: a function of one string, whose description tells the grammar."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trunkline.dialects.anthropic import Anthropic
from trunkline.dialects.base import Dialect, Quirks
from trunkline.dialects.composed import CONVERSE
from trunkline.dialects.gemini import Gemini
from trunkline.dialects.openai_chat import OpenAIChat
from trunkline.dialects.openai_responses import OpenAIResponses

FAMILIES: dict[str, tuple[Dialect, Any]] = {
    "anthropic": (Anthropic(), lambda body: body["tools"]),
    "gemini": (Gemini(), lambda body: body["tools"][0]["functionDeclarations"]),
    "bedrock": (CONVERSE, lambda body: [tool["toolSpec"] for tool in body["toolConfig"]["tools"]]),
}
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'}
ASKED = {
    OpenAIResponses: {
        "model": "m",
        "input": "hello",
        "tools": [{"type": "custom", "name": "patch", "description": "Patches.", "format": GRAMMAR}],
    },
    OpenAIChat: {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [
            {
                "type": "custom",
                "custom": {
                    "name": "patch",
                    "description": "Patches.",
                    "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": 'start: "x"'}},
                },
            }
        ],
    },
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("client", ASKED, ids=lambda client: client.name)
def test_a_custom_tool_is_a_function_that_tells_its_grammar(client: type[Dialect], family: str) -> None:
    dialect, tools = FAMILIES[family]
    request = client().read_request(json.dumps(ASKED[client]).encode())
    lost: list[str] = []
    [tool] = tools(json.loads(dialect.write_request(request, "m", Quirks(), lost)))
    assert tool["name"] == "patch"
    assert tool["description"].startswith("Patches.\n\n")
    assert tool["description"].endswith('(lark), without any wrapping:\n\nstart: "x"')
    assert '{"input": {"type": "string"}}' in json.dumps(tool)
    assert lost == ["tools[0].format"]
