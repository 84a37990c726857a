"""What was asked, dialect-free.

Every message and part knows `at`, its JSON path in the client's own body, so that what a translation cannot carry is
named in the client's words. Unknown fields are kept in `extra`: their own dialect writes them back, others report them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

Extra = dict[str, Any]
"""Fields that we do not know. An `aside`, where something has one, is what its own dialect writes back and no other
would miss: the ids and states of what is said again, settings that ask for what is done anyway."""


class CacheMark(Struct, frozen=True):
    """The prompt up to here is worth caching (Anthropic `cache_control`). `ttl` is "5m", "1h" or the default."""

    ttl: str | None = None


# ── Where the bytes of an image or a document are ──────────────────────────────────────────────────────────────────


class Inline(Struct, frozen=True):
    media_type: str
    data: str
    """base64"""


class Url(Struct, frozen=True):
    """`https:`, or a provider's own store: `gs:` (Google), `s3:` (Amazon)."""

    url: str
    media_type: str | None = None


class FileId(Struct, frozen=True):
    id: str
    media_type: str | None = None


class PlainText(Struct, frozen=True):
    text: str


Source = Inline | Url | FileId | PlainText


# ── Parts of a message ─────────────────────────────────────────────────────────────────────────────────────────────


class Text(Struct):
    text: str
    cache: CacheMark | None = None
    extra: Extra | None = None
    at: str = ""
    signature: str | None = None
    """As in `ToolCall`."""
    maker: str = ""
    aside: Extra | None = None
    """Where it is set, even empty, the client's own item of text begins here; the next texts belong to it."""


class Image(Struct):
    source: Source
    detail: str | None = None
    cache: CacheMark | None = None
    extra: Extra | None = None
    at: str = ""
    detail_at: str = ""
    """The JSON path of `detail`, where it is further down than `at`."""


class Document(Struct):
    source: Source
    title: str | None = None
    context: str | None = None
    citations: dict[str, Any] | None = None
    cache: CacheMark | None = None
    extra: Extra | None = None
    at: str = ""


class Audio(Struct):
    data: str
    format: str
    extra: Extra | None = None
    at: str = ""


class Video(Struct):
    source: Source
    extra: Extra | None = None
    at: str = ""


class Thinking(Struct):
    """The model's own reasoning, sent back. `signature` proves to its maker that it is unchanged."""

    text: str
    signature: str | None = None
    extra: Extra | None = None
    at: str = ""
    maker: str = ""
    """The dialect whose signature it is: of no use to any other. "" where it is the request's own."""
    aside: Extra | None = None


class RedactedThinking(Struct):
    data: str
    at: str = ""
    extra: Extra | None = None
    maker: str = ""
    """As in `Thinking`."""


class Refusal(Struct):
    text: str
    at: str = ""
    aside: Extra | None = None
    """As in `Text`."""


class ToolCall(Struct):
    id: str
    name: str
    arguments: str
    """JSON text, as the model wrote it; free text where `custom`."""
    custom: bool = False
    cache: CacheMark | None = None
    extra: Extra | None = None
    at: str = ""
    signature: str | None = None
    """Gemini's models sign their calls: to be sent back with it, unchanged."""
    maker: str = ""
    """As in `Thinking`."""
    aside: Extra | None = None


class ToolResult(Struct):
    call_id: str
    content: list[Part]
    is_error: bool = False
    cache: CacheMark | None = None
    extra: Extra | None = None
    at: str = ""
    custom: bool = False
    """As in `ToolCall`: its result."""
    aside: Extra | None = None


class Foreign(Struct):
    """A part that only `dialect` understands, kept as it came."""

    dialect: str
    data: dict[str, Any]
    at: str = ""


Part = Text | Image | Document | Audio | Video | Thinking | RedactedThinking | Refusal | ToolCall | ToolResult | Foreign

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Message(Struct):
    """`tool` messages hold nothing but `ToolResult` parts; `ToolCall`, `Thinking` and `Refusal` are the assistant's."""

    role: Role
    parts: list[Part]
    name: str | None = None
    extra: Extra | None = None
    at: str = ""


# ── What may be called, and how to answer ──────────────────────────────────────────────────────────────────────────


class Tool(Struct):
    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    """JSON Schema of the arguments."""
    strict: bool | None = None
    cache: CacheMark | None = None
    extra: Extra | None = None
    at: str = ""


class CustomTool(Struct):
    """A tool whose input is free text (OpenAI), perhaps of a grammar: `format` is OpenAI's object of that name."""

    name: str
    description: str | None = None
    format: dict[str, Any] | None = None
    extra: Extra | None = None
    at: str = ""


class ForeignTool(Struct):
    """A tool that only `dialect` understands (web search, computer use), kept as it came."""

    dialect: str
    data: dict[str, Any]
    at: str = ""


class ToolChoice(Struct, frozen=True):
    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None
    """Set where mode is `tool`."""
    allowed: tuple[str, ...] | None = None
    """Only these tools may be chosen (OpenAI `allowed_tools`)."""


class OutputFormat(Struct, frozen=True):
    kind: Literal["json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


ThinkingMode = Literal["enabled", "adaptive", "disabled", "between_tools"]


class Reasoning(Struct, frozen=True):
    """How hard to think: a level, a token budget, or both. `mode` is Anthropic's thinking type where one was given."""

    effort: str | None = None
    budget: int | None = None
    mode: ThinkingMode | None = None
    display: str | None = None
    """Whether thoughts are shown: Anthropic's `summarized` or `omitted`, and what means the same elsewhere."""
    summary: str | None = None
    """How they are summed up: OpenAI's `auto`, `concise`, `detailed`."""


class Request(Struct):
    model: str
    messages: list[Message]
    dialect: str = ""
    """The client's dialect: whose fields `extra` holds, here and in messages, parts and tools."""
    tools: list[Tool | CustomTool | ForeignTool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    output: OutputFormat | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: list[str] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    n: int | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    stream: bool = False
    include_usage: bool = False
    """Whether a streaming client asked for usage (OpenAI); other dialects always report it."""
    user: str | None = None
    metadata: dict[str, Any] | None = None
    tier: str | None = None
    cache: CacheMark | None = None
    """A mark on the whole request (Anthropic's top-level `cache_control`)."""
    extra: Extra = field(default_factory=dict)
    """Top-level fields that we do not know."""
    aside: Extra = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """What the client's dialect calls a field of this struct, where it differs."""

    def name_of(self, attribute: str) -> str:
        """The client's JSON path of one of this struct's fields."""
        return self.names.get(attribute, attribute)
