"""A Converse request as the persona takes it, and as the prompt cache counts it."""

from __future__ import annotations

import json
from typing import Any

from trunkline.sim.bedrock_check import asked_thinking, of
from trunkline.sim.cache import Segment, Ttl
from trunkline.sim.persona import Ask, Tool
from trunkline.sim.problems import Problem
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn

Json = dict[str, Any]

MEDIA = ("image", "document", "video", "audio")
MEDIA_TOKENS = 1_600
"""What one image or document costs; the real price depends on its size."""
PER_MESSAGE = 4
"""Tokens that frame a message."""


def ask_of(body: Json, turn: Turn) -> Ask:
    messages, inference = body["messages"], body.get("inferenceConfig") or {}
    config = body.get("toolConfig") or {}
    choice = config.get("toolChoice") or {}
    specs = [tool["toolSpec"] for tool in config.get("tools") or () if "toolSpec" in tool]
    thinking = asked_thinking(body)
    return Ask(
        model=turn.name,
        text=next(
            (text for one in reversed(messages) if one["role"] == "user" and (text := _text(one["content"]))), ""
        ),
        tools=[Tool(spec["name"], spec["inputSchema"]["json"]) for spec in specs],
        choice="required" if {"any", "tool"} & set(choice) else "auto",
        named=choice["tool"]["name"] if "tool" in choice else None,
        results=[_text(result["content"]) for result in of(messages[-1], "toolResult")],
        media=[kind for one in messages for block in one["content"] for kind in _media(block)],
        schema=_schema(body.get("outputConfig") or {}),
        think=turn.model.thinks if thinking is None else thinking != "disabled",
        limit=turn.limit(inference.get("maxTokens")),
        stop=inference.get("stopSequences") or [],
        refuse="refuse" in turn.cues,
        redacted="redacted" in turn.cues,
        filtered="filtered" in turn.cues,
        length=turn.length,
        begun=_text(messages[-1]["content"]) if messages[-1]["role"] == "assistant" else "",
    )


def _schema(output: Json) -> Json | None:
    wanted = output.get("textFormat")
    if wanted is None:
        return None
    try:
        schema: Json = json.loads(wanted["structure"]["jsonSchema"]["schema"])
    except ValueError as error:
        raise Problem(f"outputConfig.textFormat.structure.jsonSchema.schema is not JSON: {error}") from None
    return schema


def _text(content: list[Json]) -> str:
    said = [block["text"] if "text" in block else json.dumps(block["json"], ensure_ascii=False)
            for block in content if "text" in block or "json" in block]  # fmt: skip
    return " ".join(said)


def _media(block: Json) -> list[str]:
    """The media types of a block, also of those inside a tool's result."""
    if "toolResult" in block:
        return [kind for inner in block["toolResult"].get("content") or () for kind in _media(inner)]
    return [f"{kind}/{block[kind].get('format', 'txt')}" for kind in MEDIA if kind in block]


def segments(body: Json) -> list[Segment]:
    """The prompt in cacheable steps: tools, system, messages; a cache point marks the step before it."""
    steps: list[Segment] = []
    rows = [
        *(("tool", tool, 0) for tool in (body.get("toolConfig") or {}).get("tools") or ()),
        *(("system", block, 0) for block in body.get("system") or ()),
        *((one["role"], block, 0 if number else PER_MESSAGE)
          for one in body["messages"] for number, block in enumerate(one["content"])),
    ]  # fmt: skip
    for role, block, extra in rows:
        if "cachePoint" in block:
            if steps:
                steps[-1] = Segment(steps[-1].text, steps[-1].tokens, _ttl(block["cachePoint"]))
            continue
        known = json.dumps(block)
        media = len(_media(block))
        # Media take part in the prefix by their bytes, but are not tokenized: base64 is not prose.
        tokens = MEDIA_TOKENS * media if media else count(block.get("text", known))
        steps.append(Segment(f"{role}:{known}", tokens + extra))
    return steps


def _ttl(point: Json) -> Ttl:
    return "1h" if point.get("ttl") == "1h" else "5m"
