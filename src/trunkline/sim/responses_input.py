"""What a Responses request says, as the persona and the cache want it: the conversation is a row of items.

A conversation may begin in a response given before (`previous_response_id`), and an item may stand in for one that
the simulator keeps (`item_reference`).
"""

from __future__ import annotations

from typing import Any

from trunkline.sim.cache import Segment
from trunkline.sim.memory import Memory
from trunkline.sim.persona import Ask, Tool
from trunkline.sim.problems import Problem
from trunkline.sim.responses_answer import encode
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn

Json = dict[str, Any]

MEDIA_TOKENS = 85
"""What one image, file or sound costs; the real price depends on its size."""
PER_ITEM = 3
"""Tokens that frame an item."""
RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})
CHOSEN = frozenset({"function", "custom"})
"""Types of `tool_choice` that name a tool of the caller's."""


def conversation(body: Json, memory: Memory) -> list[Json]:
    """All items of the conversation, oldest first.

    Raises:
        Problem: the previous response or a referred item is not kept.
    """
    given = body.get("input") or []
    items = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    before: list[Json] = []
    if previous := body.get("previous_response_id"):
        kept = memory.get(previous)
        if kept is None:
            raise Problem(
                f"Previous response with id '{previous}' not found.",
                param="previous_response_id", code="previous_response_not_found",
            )  # fmt: skip
        before = kept.conversation
    known = memory.items(item["id"] for item in items if _stands_in(item))
    return [*before, *(_resolved(item, known) for item in items)]


def _stands_in(item: Json) -> bool:
    """Whether the item's content is the simulator's to know: a reference, or reasoning without its content."""
    return item.get("type") == "item_reference" or (
        item.get("type") == "reasoning" and not item.get("encrypted_content")
    )


def _resolved(item: Json, known: dict[str, Json]) -> Json:
    if not _stands_in(item):
        return item
    if item["id"] not in known:
        raise Problem(
            f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false. Try again "
            "with `store` set to true, or remove this item from your input.", param="input", name="missing",
        )  # fmt: skip
    return known[item["id"]]


def ask(body: Json, items: list[Json], turn: Turn) -> Ask:
    """The request, as far as the answer depends on it."""
    tools, choice, named = _choice(body, items)
    wanted = (body.get("text") or {}).get("format") or {}
    return Ask(
        model=turn.name,
        text=next((text(item.get("content")) for item in reversed(items) if item.get("role") == "user"), ""),
        tools=tools,
        choice=choice,
        named=named,
        parallel=body.get("parallel_tool_calls") is not False,
        results=_results(items),
        media=[kind for item in items for kind in _media(item)],
        schema={"json_schema": wanted.get("schema"), "json_object": {}}.get(wanted.get("type", "text")),
        think=thinks(body, turn),
        limit=turn.limit(body.get("max_output_tokens")),
        refuse="refuse" in turn.cues,
        filtered="filtered" in turn.cues,
        length=turn.length,
    )


def thinks(body: Json, turn: Turn) -> bool:
    effort = (body.get("reasoning") or {}).get("effort")
    return turn.model.thinks if effort is None else effort != "none"


def offered(body: Json, items: list[Json]) -> list[Json]:
    """The tools of the request and of its `additional_tools` items, those inside a namespace one by one."""
    given = [*(body.get("tools") or ()), *(tool for item in items for tool in _brought(item))]
    flat: list[Json] = []
    for tool in given:
        if tool.get("type") == "namespace":
            flat += [{**inner, "namespace": tool.get("name")} for inner in tool.get("tools") or ()]
        else:
            flat.append(tool)
    return flat


def _brought(item: Json) -> list[Json]:
    return item.get("tools") or [] if item.get("type") in ("additional_tools", "tool_search_output") else []


def _choice(body: Json, items: list[Json]) -> tuple[list[Tool], Any, str | None]:
    """The caller's tools that may be called, the mode, and the one that must be."""
    tools = [
        Tool(tool["name"], tool.get("parameters") or {}, tool["type"] == "custom")
        for tool in offered(body, items)
        if tool["type"] in CHOSEN
    ]
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return tools, choice, None
    if choice["type"] == "allowed_tools":
        names = {tool.get("name") for tool in choice.get("tools") or ()}
        return [tool for tool in tools if tool.name in names], choice.get("mode", "auto"), None
    if choice["type"] in CHOSEN:
        return tools, "required", choice["name"]
    return tools, "auto", None


def _results(items: list[Json]) -> list[str]:
    """The tool results that end the conversation."""
    results: list[str] = []
    for item in reversed(items):
        if item.get("type") not in RESULTS:
            break
        results.insert(0, text(item.get("output")))
    return results


def text(content: Any) -> str:
    """The texts of a content or output, joined."""
    if isinstance(content, list):
        return " ".join(part.get("text") or part.get("refusal") or "" for part in content)
    return content if isinstance(content, str) else ""


def _media(item: Json) -> list[str]:
    """The media type of each part that is not text."""
    kinds = []
    for name in ("content", "output"):
        for part in item[name] if isinstance(item.get(name), list) else ():
            match part.get("type"):
                case "input_image":
                    kinds.append(_data_type(str(part.get("image_url"))) or "image by reference")
                case "input_file":
                    kinds.append(_data_type(str(part.get("file_data"))) or "file by reference")
                case "input_audio":
                    kinds.append(f"audio/{(part.get('input_audio') or {}).get('format')}")
    return kinds


def _data_type(url: str) -> str:
    return url[5 : url.find(";")] if url.startswith("data:") and ";" in url[:100] else ""


def segments(body: Json, items: list[Json]) -> list[Segment]:
    """The prompt in cacheable steps: the tools, the instructions, then each item."""
    out = []
    if body.get("tools"):
        tools = encode([body["tools"], (body.get("text") or {}).get("format")]).decode()
        out.append(Segment(tools, count(tools)))
    if body.get("instructions"):
        out.append(Segment(str(body["instructions"]), count(str(body["instructions"])) + PER_ITEM))
    for item in items:
        media = len(_media(item))
        said = text(item.get("content")) or text(item.get("output")) or item.get("arguments") or item.get("input") or ""
        # Media and sealed reasoning take part in the prefix by their bytes, but are not tokenized: base64 is no prose.
        # So do ids, which a stateless client may leave out, not at all.
        known = encode({name: value for name, value in item.items() if name not in ("id", "status")}).decode()
        out.append(Segment(known, count(str(said)) + PER_ITEM + MEDIA_TOKENS * media))
    return out
