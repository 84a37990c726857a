"""What each endpoint is asked in `test_every_surface`: a right body, one that the target cannot be told whole, and how
a refusal looks in its family."""

from __future__ import annotations

import base64
import json
from typing import Any

from trunkline.edge.surfaces import Surface

PRICED = {"generate": "gpt-4o", "complete": "gpt-3.5-turbo-instruct", "embed": "text-embedding-3-small"}
"""Operations that are paid by the token, and a model that the price list knows."""

_HI = [{"role": "user", "content": "hello"}]
_PARTS = [{"role": "user", "parts": [{"text": "hello"}]}]
_BLOCKS = [{"role": "user", "content": [{"text": "hello"}]}]
_CLAUDE: dict[str, Any] = {"messages": _HI, "max_tokens": 50}
_INVOKED = {"anthropic_version": "bedrock-2023-05-31", **_CLAUDE}

GENERATE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai_chat": ({"messages": _HI}, {"seed": 4}),
    "openai_responses": ({"input": "hello"}, {"top_logprobs": 2}),
    "openai_completions": ({"prompt": "hello"}, {"seed": 4}),
    "anthropic": (_CLAUDE, {"top_k": 4}),
    "gemini": ({"contents": _PARTS}, {"generationConfig": {"topK": 4}}),
    "bedrock": ({"messages": _BLOCKS}, {"additionalModelRequestFields": {"top_k": 4}}),
    "bedrock_invoke": (_INVOKED, {"top_k": 4}),
}
"""By dialect: a body without a model, and fields that nobody but its own family, or OpenAI, could be told."""

COUNT: dict[str, dict[str, Any]] = {
    "openai_responses": {"input": "hello"},
    "anthropic": {"messages": _HI},
    "gemini": {"contents": _PARTS},
    "bedrock": {"input": {"converse": {"messages": _BLOCKS}}},
}

_CONTENT = {"content": {"parts": [{"text": "hello"}]}}
EMBED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "openai": ({"input": "hello"}, {"user": "someone"}),
    "gemini": (_CONTENT, {"title": "a"}),
    "gemini-batch": ({"requests": [{"model": "models/served", **_CONTENT}]}, {}),
    "vertex": (_CONTENT, {}),
    "vertex-batch": ({"requests": [{"model": "models/served", **_CONTENT}]}, {}),
    "predict": ({"instances": [{"content": "hello"}]}, {}),
}

_PICTURE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
OTHERS: dict[str, dict[str, Any]] = {
    "moderate": {"input": "hello"},
    "image": {"prompt": "a cat"},
    "image:edits": {"prompt": "green", "images": [{"image_url": f"data:image/png;base64,{_PICTURE}"}]},
    "speech": {"input": "hello", "voice": "alloy"},
}

BOUNDARY = "a-border"
_FILES = {"image:variations": ("image", "a.png", "image/png")}
_SOUND = ("file", "a.wav", "audio/wav")


def kind(surface: Surface) -> str:
    return f"{surface.operation}:{surface.form}" if surface.form else surface.operation


def body(surface: Surface, model: str, *, more: bool = False, padding: Any = None) -> bytes:
    """A right one; `more`: with fields that a translation loses; `padding`: in a field that nobody knows."""
    fields = _fields(surface, more)
    if fields is None:
        return form(surface, model)
    named = {} if "{model}" in surface.path else {"model": model}
    return json.dumps(named | fields | ({"padding": padding} if padding is not None else {})).encode()


def _fields(surface: Surface, more: bool) -> dict[str, Any] | None:
    """None where the endpoint takes a form alone. Raises KeyError for an endpoint that nobody has thought of here."""
    match surface.operation:
        case "generate" | "complete":
            plain, lossy = GENERATE[surface.dialect.name]
        case "count_tokens":
            plain, lossy = COUNT[surface.dialect.name], {}
        case "embed":
            plain, lossy = EMBED[surface.form]
        case _ if surface.multipart and kind(surface) not in OTHERS:
            return None
        case _:
            plain, lossy = OTHERS[kind(surface)], {}
    return plain | lossy if more else plain


def loses(surface: Surface) -> bool:
    """Whether there is something here that a translation loses."""
    match surface.operation:
        case "generate" | "complete":
            return bool(GENERATE[surface.dialect.name][1])
        case "embed":
            return bool(EMBED[surface.form][1])
    return False


def form(surface: Surface, model: str) -> bytes:
    name, filename, media = _FILES.get(kind(surface), _SOUND)
    content = base64.b64decode(_PICTURE) if media == "image/png" else b"RIFF" + bytes(40)
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
    tail = f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n--{BOUNDARY}--\r\n'
    return f"{head}Content-Type: {media}\r\n\r\n".encode() + content + tail.encode()


def refusal(dialect: str, headers: dict[str, str], wire: Any) -> str:
    """The family's own word for what is wrong; it must stand where the family's SDK looks. Raises KeyError."""
    match dialect:
        case "anthropic":
            assert wire["type"] == "error"
            return str(wire["error"]["type"])
        case "gemini":
            assert wire["error"]["message"]
            return str(wire["error"]["status"])
        case "bedrock" | "bedrock_invoke":
            assert wire["message"]
            return headers["x-amzn-errortype"]
    assert wire["error"]["message"]
    return str(wire["error"]["code"])
