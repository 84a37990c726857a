"""AWS's SDK for Bedrock: Converse, and InvokeModel with Claude's body."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from botocore.exceptions import ClientError

from . import speakers_anthropic as claude
from .families import PDF, PNG, Ask, Call, Failure, Results, Said, Stop, User, present, turns

_STOPS: dict[str, Stop] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "calls",
    "content_filtered": "refused", "guardrail_intervened": "refused", "refusal": "refused",
}  # fmt: skip
_CLAUDE = {"anthropic_version": "bedrock-2023-05-31"}
_BUDGET = 1024


class _Bedrock:
    family = "bedrock"
    errors = ClientError

    def __init__(self, client: Any) -> None:
        self.client = client
        self._headers: dict[str, str] = {}
        client.meta.events.register("before-call", self._add_headers)

    def _add_headers(self, params: Any, **_: Any) -> None:
        """botocore's way to header fields that no operation has."""
        params["headers"].update(self._headers)

    def failure(self, error: Any) -> Failure:
        answer: Any = error.response
        meta = answer.get("ResponseMetadata", {})
        name = type(error).__name__
        if name in {"EventStreamError", "ClientError"}:  # streams have no others, nor what the service's model has not
            name = f"{name}/{answer['Error']['Code']}"
        return Failure(name, meta.get("HTTPStatusCode"), str(error), meta.get("HTTPHeaders", {}))

    def close(self) -> None:
        self.client.close()


class Converse(_Bedrock):
    name = "converse"

    def ask(self, asked: Ask) -> Said:
        self._headers = asked.headers
        request = {"modelId": asked.model, **_converse(asked)}
        if not asked.stream:
            answer = self.client.converse(**request)
            return _said(answer["output"]["message"], answer)
        answer = self.client.converse_stream(**request)
        return _gathered(answer)

    def count(self, asked: Ask) -> int:
        told = _converse(asked)
        told.pop("inferenceConfig", None)
        tokens: int = self.client.count_tokens(modelId=asked.model, input={"converse": told})["inputTokens"]
        return tokens


def _converse(asked: Ask) -> dict[str, Any]:
    tools = [{"toolSpec": {"name": tool.name, "inputSchema": {"json": tool.schema}}} for tool in asked.tools]
    output = {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": json.dumps(asked.schema), "name": "answer"}},
    }
    return {"messages": turns(asked, _user, _results)} | present(
        system=[{"text": asked.system}] if asked.system else None,
        toolConfig={"tools": tools} if tools else None,
        inferenceConfig=present(maxTokens=asked.limit, stopSequences=list(asked.stop)),
        outputConfig={"textFormat": output} if asked.schema else None,
        additionalModelRequestFields={"thinking": {"type": "enabled", "budget_tokens": _BUDGET}}
        if asked.think
        else None,
    )


def _user(turn: User) -> Any:
    content: list[Any] = [{"text": turn.text}]
    if turn.image:
        content.append({"image": {"format": "png", "source": {"bytes": base64.b64decode(PNG)}}})
    if turn.document:
        content.append({"document": {"format": "pdf", "name": "a", "source": {"bytes": base64.b64decode(PDF)}}})
    return {"role": "user", "content": content}


def _results(turn: Results) -> list[Any]:
    blocks = [{"toolResult": {"toolUseId": call.id, "content": [{"text": text}]}} for call, text in turn]
    return [{"role": "user", "content": blocks}]


def _said(message: Any, answer: Any, pieces: int = 1) -> Said:
    blocks, usage = message["content"], answer["usage"]
    cached = sum(usage.get(f"cache{what}InputTokens", 0) for what in ("Read", "Write"))
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    reasoning = [block["reasoningContent"] for block in blocks if "reasoningContent" in block]
    return Said(
        text="".join(block.get("text", "") for block in blocks),
        stop=_STOPS[answer["stopReason"]],
        input=usage["inputTokens"] + cached,
        output=usage["outputTokens"],
        reasoned=None,
        headers=answer["ResponseMetadata"]["HTTPHeaders"],
        turn=message,
        calls=tuple(Call(use["toolUseId"], use["name"], use["input"]) for use in uses),
        thoughts="".join(one.get("reasoningText", {}).get("text", "") for one in reasoning),
        pieces=pieces,
    )


def _gathered(answer: Any) -> Said:
    """Of a stream, by the numbers of its blocks."""
    blocks: dict[int, dict[str, Any]] = {}
    end: dict[str, Any] = {"ResponseMetadata": answer["ResponseMetadata"]}
    pieces = 0
    for name, value in (pair for event in _all(answer["stream"]) for pair in event.items()):
        match name:
            case "messageStart":
                assert value["role"] == "assistant"
            case "contentBlockStart":
                blocks[value["contentBlockIndex"]] = {"toolUse": {**value["start"]["toolUse"], "input": ""}}
            case "contentBlockDelta":
                pieces += "text" in value["delta"]
                _grow(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
            case "messageStop" | "metadata":
                end |= value
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return _said({"role": "assistant", "content": [blocks[number] for number in sorted(blocks)]}, end, pieces)


def _all(stream: Any) -> list[Any]:
    """Every event. botocore leaves a stream that broke open."""
    with closing(stream):
        return list(stream)


def _grow(block: dict[str, Any], delta: dict[str, Any]) -> None:
    match delta:
        case {"text": text}:
            block["text"] = block.get("text", "") + text
        case {"toolUse": {"input": text}}:
            block["toolUse"]["input"] += text
        case {"reasoningContent": {"redactedContent": data}}:
            block["reasoningContent"] = {"redactedContent": data}
        case {"reasoningContent": more}:
            [(name, text)] = more.items()
            shown = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
            shown[name] = shown.get(name, "") + text


class Invoke(_Bedrock):
    """InvokeModel and its stream, with the body of a Claude model."""

    name = "invoke"

    def ask(self, asked: Ask) -> Said:
        self._headers = asked.headers
        request = {"modelId": asked.model, "body": json.dumps(claude.body(asked) | _CLAUDE)}
        if not asked.stream:
            answer = self.client.invoke_model(**request)
            return claude.said(json.loads(answer["body"].read()), answer["ResponseMetadata"]["HTTPHeaders"])
        answer = self.client.invoke_model_with_response_stream(**request)
        message, pieces = _accumulated(json.loads(event["chunk"]["bytes"]) for event in _all(answer["body"]))
        return claude.said(message, answer["ResponseMetadata"]["HTTPHeaders"], pieces)

    def count(self, asked: Ask) -> int:
        told = json.dumps(claude.body(asked) | _CLAUDE).encode()
        counted = self.client.count_tokens(modelId=asked.model, input={"invokeModel": {"body": told}})
        tokens: int = counted["inputTokens"]
        return tokens


_FIELDS = {
    "text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature", "input_json_delta": "json",
}  # fmt: skip


def _accumulated(events: Iterator[Any]) -> tuple[dict[str, Any], int]:
    """The Message that Claude's events come to, and in how many the text came. boto3 leaves this to its caller."""
    message: dict[str, Any] = {}
    pieces = 0
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
            case "content_block_delta":
                delta, block = event["delta"], message["content"][event["index"]]
                name = _FIELDS[delta["type"]]
                block[name] = block.get(name, "") + next(value for key, value in delta.items() if key != "type")
                pieces += name == "text"
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    for block in message["content"]:
        if (text := block.pop("json", None)) is not None:
            block["input"] = json.loads(text or "{}")
    return message, pieces
