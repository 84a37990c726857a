"""Anthropic's SDK, and its body as others carry it (Bedrock's InvokeModel)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic

from .families import PDF, PNG, Ask, Call, Failure, Results, Said, Stop, User, present, turns

STOPS: dict[str, Stop] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "calls", "refusal": "refused",
}  # fmt: skip
LIMIT = 4000
"""Where a scenario sets none."""


class Messages:
    name = "anthropic"
    family = "anthropic"
    errors = anthropic.APIError

    def __init__(self, client: anthropic.Anthropic) -> None:
        self.client = client

    def ask(self, asked: Ask) -> Said:
        request = {"model": asked.model, **body(asked), **present(extra_headers=asked.headers)}
        if not asked.stream:
            raw: Any = self.client.messages.with_raw_response.create(**request)
            return said(raw.parse().to_dict(), raw.headers)
        pieces = 0
        with self.client.messages.stream(**request) as stream:
            for event in stream:
                pieces += event.type == "text"
            return said(stream.get_final_message().to_dict(), stream.response.headers, pieces)

    def count(self, asked: Ask) -> int:
        request = body(asked)
        del request["max_tokens"]
        return self.client.messages.count_tokens(model=asked.model, **request).input_tokens

    def failure(self, error: Any) -> Failure:
        response = getattr(error, "response", None)
        headers = response.headers if response is not None else {}
        return Failure(type(error).__name__, getattr(error, "status_code", None), f"{error} {error.body}", headers)

    def close(self) -> None:
        self.client.close()


def body(asked: Ask) -> dict[str, Any]:
    """A Messages request, but for the model."""
    output = {"effort": "low"} if asked.think else {}
    if asked.schema:
        output["format"] = {"type": "json_schema", "schema": asked.schema}  # type: ignore[assignment]
    return {"max_tokens": asked.limit or LIMIT, "messages": turns(asked, _user, _results)} | present(
        system=asked.system,
        tools=[{"name": tool.name, "input_schema": tool.schema} for tool in asked.tools],
        stop_sequences=list(asked.stop),
        thinking={"type": "adaptive"} if asked.think else None,
        output_config=output,
    )


def _user(turn: User) -> Any:
    content: list[Any] = [{"type": "text", "text": turn.text}]
    if turn.image:
        content.append({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}})
    if turn.document:
        source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
        content.append({"type": "document", "source": source, "title": "a.pdf"})
    return {"role": "user", "content": content}


def _results(turn: Results) -> list[Any]:
    blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in turn]
    return [{"role": "user", "content": blocks}]


def said(message: Mapping[str, Any], headers: Mapping[str, str], pieces: int = 1) -> Said:
    """What a Message says."""
    blocks, usage = message["content"], message["usage"]
    cached = sum(usage.get(f"cache_{what}_input_tokens") or 0 for what in ("read", "creation"))
    return Said(
        text="".join(block["text"] for block in blocks if block["type"] == "text"),
        stop=STOPS[message["stop_reason"]],
        input=usage["input_tokens"] + cached,
        output=usage["output_tokens"],
        reasoned=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        headers=headers,
        turn={"role": "assistant", "content": [dict(block) for block in blocks]},
        calls=tuple(
            Call(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"
        ),
        thoughts="".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        pieces=pieces,
    )
