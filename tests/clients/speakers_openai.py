"""OpenAI's SDK: chat, the same by Azure's client, and Responses."""

from __future__ import annotations

from typing import Any

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from .families import PDF, PNG, Ask, Call, Failure, Results, Said, Stop, User, arguments, present, turns

_CHAT_STOPS: dict[str, Stop] = {
    "stop": "stop", "length": "length", "tool_calls": "calls", "content_filter": "refused",
}  # fmt: skip


class _OpenAI:
    family = "openai"
    errors = openai.APIError
    client: openai.OpenAI

    def failure(self, error: Any) -> Failure:
        response = getattr(error, "response", None)
        headers = response.headers if response is not None else {}
        return Failure(type(error).__name__, getattr(error, "status_code", None), f"{error} {error.body}", headers)

    def count(self, asked: Ask) -> int:
        raise NotImplementedError("Chat Completions has no endpoint that counts")

    def close(self) -> None:
        self.client.close()


class Chat(_OpenAI):
    """Chat Completions."""

    def __init__(self, name: str, client: openai.OpenAI) -> None:
        self.name, self.client = name, client

    def ask(self, asked: Ask) -> Said:
        create = self.client.chat.completions.with_raw_response.create
        streamed = {"stream": True, "stream_options": {"include_usage": True}} if asked.stream else {}
        raw: Any = create(**_chat_request(asked), **streamed)
        if not asked.stream:
            return _chat_said(raw.parse(), raw.headers)
        state, pieces = ChatCompletionStreamState(), 0
        with raw.parse() as stream:
            for chunk in stream:
                pieces += sum(bool(choice.delta.content) for choice in chunk.choices)
                state.handle_chunk(chunk)
        return _chat_said(state.current_completion_snapshot, raw.headers, pieces)


def _chat_request(asked: Ask) -> dict[str, Any]:
    messages = turns(asked, _chat_user, _chat_results)
    if asked.system:
        messages.insert(0, {"role": "system", "content": asked.system})
    return {"model": asked.model, "messages": messages} | present(
        tools=[
            {"type": "function", "function": {"name": tool.name, "parameters": tool.schema}} for tool in asked.tools
        ],
        response_format=asked.schema
        and {"type": "json_schema", "json_schema": {"name": "answer", "schema": asked.schema, "strict": True}},
        stop=list(asked.stop),
        max_completion_tokens=asked.limit,
        reasoning_effort="low" if asked.think else None,
        extra_headers=asked.headers,
    )


def _chat_user(turn: User) -> Any:
    if not (turn.image or turn.document):
        return {"role": "user", "content": turn.text}
    content: list[Any] = [{"type": "text", "text": turn.text}]
    if turn.image:
        content.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}})
    if turn.document:
        file = {"file_data": f"data:application/pdf;base64,{PDF}", "filename": "a.pdf"}
        content.append({"type": "file", "file": file})
    return {"role": "user", "content": content}


def _chat_results(turn: Results) -> list[Any]:
    return [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in turn]


def _chat_said(answer: Any, headers: Any, pieces: int = 1) -> Said:
    choice, usage = answer.choices[0], answer.usage
    message = choice.message
    turn = message.to_dict()
    for call in turn.get("tool_calls") or ():
        call["function"].pop("parsed_arguments", None)  # the accumulator's own; the API refuses it
        call.pop("index", None)
    turn.pop("parsed", None)
    details = usage.completion_tokens_details
    return Said(
        text=message.content or "",
        stop="refused" if message.refusal else _CHAT_STOPS[choice.finish_reason],
        input=usage.prompt_tokens,
        output=usage.completion_tokens,
        reasoned=details and details.reasoning_tokens,
        headers=headers,
        turn=turn,
        calls=tuple(
            Call(call.id, call.function.name, arguments(call.function.arguments)) for call in message.tool_calls or ()
        ),
        thoughts=(message.model_extra or {}).get("reasoning_content") or "",
        pieces=pieces,
    )


class ErrorEvent(openai.APIError):
    """The service's own error in a stream of Responses: an event to the SDK, and raised by nobody."""


class Responses(_OpenAI):
    """Responses, which keep nothing: a conversation's items are sent again."""

    name = "responses"

    def __init__(self, client: openai.OpenAI) -> None:
        self.client = client

    def ask(self, asked: Ask) -> Said:
        raw: Any = self.client.responses.with_raw_response.create(
            **_responses_request(asked), store=False, stream=asked.stream
        )
        if not asked.stream:
            return _responses_said(raw.parse(), raw.headers)
        with raw.parse() as stream:
            events = list(stream)
        if events[-1].type == "error":
            raise ErrorEvent(events[-1].message, raw.http_request, body=events[-1].to_dict())
        assert [event.sequence_number for event in events] == list(range(len(events)))
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
        said = _responses_said(events[-1].response, raw.headers, len(texts))
        assert said.text == "".join(texts)
        return said

    def count(self, asked: Ask) -> int:
        request = _responses_request(asked)
        request.pop("include", None)
        return self.client.responses.input_tokens.count(**request).input_tokens


def _responses_request(asked: Ask) -> dict[str, Any]:
    return {"model": asked.model, "input": turns(asked, _responses_user, _responses_results)} | present(
        instructions=asked.system,
        tools=[
            {"type": "function", "name": tool.name, "parameters": tool.schema, "strict": True} for tool in asked.tools
        ],
        text=asked.schema
        and {"format": {"type": "json_schema", "name": "answer", "schema": asked.schema, "strict": True}},
        max_output_tokens=asked.limit,
        reasoning={"effort": "low", "summary": "auto"} if asked.think else None,
        include=["reasoning.encrypted_content"] if asked.think else None,
        extra_body={"stop": list(asked.stop)} if asked.stop else None,
        extra_headers=asked.headers,
    )


def _responses_user(turn: User) -> Any:
    content: list[Any] = [{"type": "input_text", "text": turn.text}]
    if turn.image:
        content.append({"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"})
    if turn.document:
        data = f"data:application/pdf;base64,{PDF}"
        content.append({"type": "input_file", "file_data": data, "filename": "a.pdf"})
    return {"role": "user", "content": content}


def _responses_results(turn: Results) -> list[Any]:
    return [{"type": "function_call_output", "call_id": call.id, "output": text} for call, text in turn]


def _responses_said(answer: Any, headers: Any, pieces: int = 1) -> Said:
    items, usage = answer.output, answer.usage
    calls = tuple(
        Call(item.call_id, item.name, arguments(item.arguments)) for item in items if item.type == "function_call"
    )
    summaries = [part.text for item in items if item.type == "reasoning" for part in item.summary]
    return Said(
        text=answer.output_text,
        stop=_responses_stop(answer, bool(calls)),
        input=usage.input_tokens,
        output=usage.output_tokens,
        reasoned=usage.output_tokens_details.reasoning_tokens,
        headers=headers,
        turn=[item.to_dict() for item in items],
        calls=calls,
        thoughts="".join(summaries),
        pieces=pieces,
    )


def _responses_stop(answer: Any, calls: bool) -> Stop:
    if answer.status == "incomplete":
        return "length" if answer.incomplete_details.reason == "max_output_tokens" else "refused"
    assert answer.status == "completed"
    contents = [part for item in answer.output if item.type == "message" for part in item.content]
    if any(part.type == "refusal" for part in contents):
        return "refused"
    return "calls" if calls else "stop"
