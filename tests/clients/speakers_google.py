"""Google's SDK, for AI Studio (two versions of the API) and for Vertex AI."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from google import genai
from google.genai import errors, types

from .families import PDF, PNG, Ask, Call, Failure, Results, Said, Stop, User, turns

_STOPS: dict[str, Stop] = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "refused", "PROHIBITED_CONTENT": "refused"}


class Contents:
    family = "gemini"
    errors = errors.APIError

    def __init__(self, name: str, client: genai.Client) -> None:
        self.name, self.client = name, client

    def ask(self, asked: Ask) -> Said:
        request: Any = {"model": asked.model, "contents": _contents(asked), "config": _config(asked)}
        if not asked.stream:
            return _said([self.client.models.generate_content(**request)])
        return _said(list(self.client.models.generate_content_stream(**request)))

    def count(self, asked: Ask) -> int:
        answer = self.client.models.count_tokens(model=asked.model, contents=_contents(asked))
        return answer.total_tokens or 0

    def failure(self, error: Any) -> Failure:
        headers = getattr(error.response, "headers", None) or {}
        return Failure(f"{type(error).__name__}/{error.status}", error.code, str(error), headers)

    def close(self) -> None:
        self.client.close()


def _contents(asked: Ask) -> list[Any]:
    return turns(asked, _user, _results)


def _config(asked: Ask) -> types.GenerateContentConfig:
    declared = [types.FunctionDeclaration(name=tool.name, parameters_json_schema=tool.schema) for tool in asked.tools]
    return types.GenerateContentConfig(
        system_instruction=asked.system,
        tools=[types.Tool(function_declarations=declared)] if declared else None,
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True) if declared else None,
        response_mime_type="application/json" if asked.schema else None,
        response_json_schema=asked.schema,
        stop_sequences=list(asked.stop) or None,
        max_output_tokens=asked.limit,
        thinking_config=types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.LOW)
        if asked.think
        else None,
        http_options=types.HttpOptions(headers=asked.headers) if asked.headers else None,
    )


def _user(turn: User) -> types.Content:
    parts = [types.Part(text=turn.text)]
    if turn.image:
        parts.append(types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"))
    if turn.document:
        parts.append(types.Part.from_bytes(data=base64.b64decode(PDF), mime_type="application/pdf"))
    return types.Content(role="user", parts=parts)


def _results(turn: Results) -> list[Any]:
    responses = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"result": text}))
        for call, text in turn
    ]
    return [types.Content(role="user", parts=responses)]


def _said(chunks: Sequence[types.GenerateContentResponse]) -> Said:
    parts = [part for chunk in chunks for part in _parts(chunk)]
    texts = [part.text for part in parts if part.text and not part.thought]
    calls = tuple(
        Call(part.function_call.id, part.function_call.name or "", part.function_call.args or {})
        for part in parts
        if part.function_call
    )
    usage = chunks[-1].usage_metadata
    assert usage is not None
    response = chunks[0].sdk_http_response
    return Said(
        text="".join(texts),
        stop=_stop(chunks, bool(calls)),
        input=usage.prompt_token_count or 0,
        output=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        reasoned=usage.thoughts_token_count,
        headers=(response and response.headers) or {},
        turn=types.Content(role="model", parts=parts),
        calls=calls,
        thoughts="".join(part.text for part in parts if part.text and part.thought),
        pieces=len(texts),
    )


def _parts(chunk: types.GenerateContentResponse) -> list[types.Part]:
    content = chunk.candidates[0].content if chunk.candidates else None
    return (content.parts or []) if content else []


def _stop(chunks: Sequence[types.GenerateContentResponse], calls: bool) -> Stop:
    if any(chunk.prompt_feedback and chunk.prompt_feedback.block_reason for chunk in chunks):
        return "refused"
    reasons = [row.finish_reason for chunk in chunks for row in chunk.candidates or () if row.finish_reason]
    [reason] = reasons
    found = _STOPS[reason.value]
    return "calls" if calls and found == "stop" else found
