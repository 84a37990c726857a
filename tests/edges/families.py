"""The two families of clients and providers, as rows: a test written once runs for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HELLO = [{"role": "user", "content": "hello there"}]


@dataclass(frozen=True)
class Family:
    name: str
    """Also the kind of its provider."""
    path: str
    body: dict[str, Any]
    base: str
    """What its provider's `base_url` has after the address."""
    answer: dict[str, Any]
    """A provider's whole answer: the text `hi`, 7 tokens in, 2 out."""
    events: tuple[bytes, ...]
    """The same as a stream; the last event is the terminator."""
    ping: bytes
    terminator: bytes
    error_event: bytes
    """An error as an event of a stream."""

    def __str__(self) -> str:
        return self.name

    def ask(self, model: str, **fields: Any) -> dict[str, Any]:
        return self.body | {"model": model} | fields

    def provider(self, url: str, **settings: Any) -> dict[str, Any]:
        return {"kind": self.name, "base_url": url + self.base, "api_key": "sk-provider-secret-42"} | settings

    def error_code(self, body: Any) -> str:
        """Our code in this family's error envelope, which is checked."""
        if self.name == "anthropic":
            assert body["type"] == "error"
            assert body["request_id"].startswith("req_")
        error = body["error"]
        assert isinstance(error["message"], str)
        assert isinstance(error["type"], str)
        return str(error["code"])


def _chat(delta: str, finish: str = "null", usage: str = "") -> bytes:
    return (
        b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"real","choices":[{"index":0,"delta":'
        + f'{delta},"finish_reason":{finish}}}]{usage}}}\n\n'.encode()
    )


OPENAI = Family(
    name="openai",
    path="/v1/chat/completions",
    body={"messages": HELLO},
    base="/v1",
    answer={
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "real",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9},
    },
    events=(
        _chat('{"role":"assistant","content":"h"}'),
        _chat('{"content":"i"}'),
        _chat("{}", '"stop"'),
        b'data: {"id":"c1","object":"chat.completion.chunk","created":1,"model":"real","choices":[],"usage":'
        b'{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}\n\n',
        b"data: [DONE]\n\n",
    ),
    ping=b": ping\n\n",
    terminator=b"data: [DONE]",
    error_event=b'data: {"error":{"message":"sorry","type":"server_error","param":null,"code":null}}\n\n',
)

ANTHROPIC = Family(
    name="anthropic",
    path="/v1/messages",
    body={"messages": HELLO, "max_tokens": 100},
    base="",
    answer={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "real",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 2},
    },
    events=tuple(
        b"event: %s\ndata: %s\n\n" % (name, data)
        for name, data in (
            (
                b"message_start",
                b'{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"real",'
                b'"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":1}}}',
            ),
            (
                b"content_block_start",
                b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
            ),
            (
                b"content_block_delta",
                b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}',
            ),
            (b"content_block_stop", b'{"type":"content_block_stop","index":0}'),
            (
                b"message_delta",
                b'{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
                b'"usage":{"output_tokens":2}}',
            ),
            (b"message_stop", b'{"type":"message_stop"}'),
        )
    ),
    ping=b'event: ping\ndata: {"type": "ping"}\n\n',
    terminator=b"message_stop",
    error_event=b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"sorry"}}\n\n',
)

FAMILIES = (OPENAI, ANTHROPIC)
PAIRS = tuple((client, upstream) for client in FAMILIES for upstream in FAMILIES)
"""Who asks, who answers: the identity path twice, translation twice."""
