"""A Gemini request as the persona takes it, and as the prompt cache counts it."""

from __future__ import annotations

import json
from typing import Any, Literal

from trunkline.sim.cache import Segment
from trunkline.sim.gemini_check import of
from trunkline.sim.persona import Ask, Tool
from trunkline.sim.tokens import count
from trunkline.sim.turn import Turn

Json = dict[str, Any]

MEDIA_TOKENS = 258
"""What one image or file costs; the real price depends on its size."""
PER_CONTENT = 1

_TYPES = {1: "string", 2: "number", 3: "integer", 4: "boolean", 5: "array", 6: "object", 7: "null"}
"""The enum's numbers, which JSON may give instead of names."""


def ask_of(body: Json, turn: Turn) -> Ask:
    config = body.get("generationConfig") or {}
    contents = body["contents"]
    tools, choice, named = _choice(body)
    return Ask(
        model=turn.name,
        text=_last_said(contents),
        tools=tools,
        choice=choice,
        named=named,
        results=[_said(response["response"]) for response in of(contents[-1], "functionResponse")],
        media=[kind for one in contents for kind in _media(one)],
        schema=_schema(config),
        think=thinks(config, turn),
        limit=turn.limit(config.get("maxOutputTokens")),
        stop=config.get("stopSequences") or [],
        refuse="refuse" in turn.cues,
        filtered="filtered" in turn.cues,
        length=turn.length,
        begun=_text(contents[-1]) if contents[-1].get("role") == "model" else "",
    )


def _last_said(contents: list[Json]) -> str:
    """What the user said last, in however many contents in a row."""
    said: list[str] = []
    for content in reversed(contents):
        if content.get("role") == "model":
            if said:
                break
        elif text := _text(content):
            said.append(text)
    return " ".join(reversed(said))


def thinks(config: Json, turn: Turn) -> bool:
    """A budget of 0 turns thinking off; any other setting turns it on; without one the model decides."""
    thinking = config.get("thinkingConfig") or {}
    if thinking.get("thinkingBudget") == 0:
        return False
    return turn.model.thinks or bool({"thinkingBudget", "thinkingLevel"} & set(thinking))


def _choice(body: Json) -> tuple[list[Tool], Literal["auto", "none", "required"], str | None]:
    """The tools that may be called, the mode, and the one tool that must be."""
    tools = [
        Tool(one["name"], one.get("parametersJsonSchema") or lowered(one.get("parameters") or {}))
        for tool in body.get("tools") or ()
        for one in tool.get("functionDeclarations") or ()
    ]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if allowed := calling.get("allowedFunctionNames"):
        tools = [tool for tool in tools if tool.name in allowed]
    mode = str(calling.get("mode", "AUTO")).upper()
    if mode == "ANY":
        return tools, "required", tools[0].name if len(tools) == 1 else None
    return tools, "none" if mode == "NONE" else "auto", None


def lowered(schema: Any) -> Any:
    """A schema of the subset as JSON schema: types in lower case."""
    if isinstance(schema, list):
        return [lowered(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {
        key: {name: lowered(one) for name, one in value.items()} if key == "properties" else lowered(value)
        for key, value in schema.items()
    }
    if "type" not in plain:
        return plain
    kind: Any = plain["type"]
    return {**plain, "type": _TYPES.get(kind) or str(kind).lower()}


def _schema(config: Json) -> Json | None:
    if config.get("responseMimeType") not in ("application/json", "text/x.enum"):
        return None
    schema: Json = config.get("responseJsonSchema") or lowered(config.get("responseSchema") or {})
    return schema


def _text(content: Json) -> str:
    return " ".join(part["text"] for part in content["parts"] if part.get("text") and not part.get("thought"))


def _said(response: Json) -> str:
    """What a function's response says: its only field where it has one, as text or JSON."""
    value = next(iter(response.values())) if len(response) == 1 else response
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _media(content: Json) -> list[str]:
    """The media types of a content, also of those inside function responses."""
    inner = [part for response in of(content, "functionResponse") for part in response.get("parts") or ()]
    found = []
    for part in [*content["parts"], *inner]:
        blob = part.get("inlineData") or part.get("fileData")
        if blob is not None:
            found.append(str(blob.get("mimeType") or "file by URI"))
    return found


def segments(body: Json) -> list[Segment]:
    """The prompt in cacheable steps: the tools, the instruction, then each content."""
    result = []
    if body.get("tools"):
        text = json.dumps(body["tools"])
        result.append(Segment(text, count(text)))
    if body.get("systemInstruction"):
        text = _text({"parts": body["systemInstruction"].get("parts") or []})
        result.append(Segment(f"system:{text}", count(text)))
    for content in body.get("contents") or ():
        # Media take part in the prefix by their bytes, but are not tokenized: base64 is not prose.
        known = json.dumps(content["parts"])
        extra = "".join(json.dumps(one) for kind in ("functionCall", "functionResponse") for one in of(content, kind))
        tokens = count(_text(content)) + count(extra) + PER_CONTENT + MEDIA_TOKENS * len(_media(content))
        result.append(Segment(f"{content.get('role')}:{known}", tokens))
    return result
