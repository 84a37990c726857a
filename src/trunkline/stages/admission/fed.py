"""What a provider may add to a prompt by itself: the tools that it runs there, and the words that explain all others.

Nobody can bound what a search brings in, or how often a tool's results are read. So tools are known one by one: those
that the caller runs himself, whose description is all that the model gets. Any other kind, also one that did not exist
when this was written, has no bound.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import Struct

EXPLAINED = 1024
"""Tokens that providers add with tools or a schema, which they explain to their models (Anthropic's documentation says
up to 530 tokens for the tools alone)."""
_PREDEFINED = 1536
"""The same for each tool that is known to the provider by its name, and described there (Anthropic's documentation: 735
tokens and a system prompt of 499 for the use of a computer, the largest)."""

_FEEDS = re.compile(
    rb'"type"\s*:\s*"(?:web_search|web_fetch|code_interpreter|code_execution|file_search|mcp|image_generation|x_search'
    rb'|retrieval)|"(?:web_search_options|mcp_servers|google_?[sS]earch\w*|google_?[mM]aps|url_?[cC]ontext'
    rb'|code_?[eE]xecution|file_?[sS]earch|retrieval|enterprise_?[wW]eb_?[sS]earch|systemTool)"\s*:'
)
"""How tools at providers are asked for, wherever it stands: a caller's own function may have the same name."""
_DESCRIBED = frozenset({"function", "custom", "namespace", "tool_search"})
"""Types of tools whose description is in the request."""
_RUN_BY_CALLER = re.compile(
    r"local_shell|apply_patch|computer(?:[-_]use[-_]preview)?"
    r"|(?:bash|text_editor|computer|memory)_\d+|tool_search_tool\w*"
)
"""Types of those that the provider describes, and the caller runs."""
_FIELDS = frozenset({
    "functionDeclarations", "function_declarations", "computerUse", "computer_use", "toolSpec", "cachePoint", "name",
})  # fmt: skip
"""Where tools have no type: which field they have, in Gemini's, Bedrock's and Anthropic's requests."""
_OWN = frozenset({
    "description", "input_schema", "strict", "cache_control", "defer_loading", "eager_input_streaming",
    "input_examples", "allowed_callers",
})  # fmt: skip
"""Further fields of a caller's own tool that has no type."""


class _Body(Struct):
    tools: Any = None
    toolConfig: Any = None  # noqa: N815 - Bedrock's name
    search_parameters: Any = None
    enable_search: Any = None
    plugins: Any = None
    """The last three: how some hosts are told to search."""


_decode = msgspec.json.Decoder(_Body).decode


def is_fed(body: bytes) -> bool:
    """Whether the provider may be asked to add to the prompt what it likes."""
    return _FEEDS.search(body) is not None or tools_of(body) is None


def tools_of(body: bytes) -> int | None:
    """Tokens that the provider adds to explain tools or a schema; None where one of them has no bound."""
    try:
        seen = _decode(body)
        lists = [seen.tools]
        if body.count(b'"tools"') > 1:
            lists = [value for name, value in _pairs(body) if name == "tools"]
    except (ValueError, RecursionError):
        return None
    if seen.search_parameters or seen.enable_search or seen.plugins:
        return None
    if isinstance(seen.toolConfig, dict):
        lists.append(seen.toolConfig.get("tools"))
    total = EXPLAINED
    for tool in (tool for tools in lists if isinstance(tools, list) for tool in tools):
        tokens = _tokens(tool)
        if tokens is None:
            return None
        total += tokens
    return total


def _tokens(tool: Any) -> int | None:
    """Of one tool, beside its description in the request."""
    if not isinstance(tool, dict):
        return 0  # no provider takes it
    kind = tool.get("type")
    if not isinstance(kind, str):
        return 0 if tool.keys() & _FIELDS and not tool.keys() - _FIELDS - _OWN else None
    if kind in _DESCRIBED:
        return 0
    if kind == "shell":
        where = tool.get("environment")
        return _PREDEFINED if where is None or (isinstance(where, dict) and where.get("type") == "local") else None
    return _PREDEFINED if _RUN_BY_CALLER.fullmatch(kind) else None


def _pairs(body: bytes) -> list[tuple[str, Any]]:
    """The fields of an object in order, those that are there twice included. Raises ValueError, RecursionError."""
    last: list[list[tuple[str, Any]]] = [[]]

    def seen(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        last[0] = pairs  # the outermost object ends last
        return dict(pairs)

    json.loads(body, object_pairs_hook=seen)
    return last[0]
