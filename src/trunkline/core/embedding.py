"""Texts to vectors: what all families can say of it, as plain values.

One request asks for the vectors of many texts. What providers disagree on (how many at once, whether the purpose is
said for each text or for all) is the wire formats' business: see `dialects/embeddings`.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

Purpose = Literal[
    "query", "document", "similarity", "classification", "clustering", "question", "fact", "code",
]  # fmt: skip
"""What the vectors are for: many models embed a question and its answer differently."""

Truncate = Literal["none", "start", "end"]
"""Which end of a text that is too long is cut off; `none`: such a text is an error."""


class Item(Struct):
    """One text to embed. `at` is its JSON path in the client's own body."""

    text: str
    at: str
    purpose: Purpose | None = None
    title: str | None = None


class EmbedRequest(Struct):
    items: list[Item]
    dimensions: int | None = None
    truncate: Truncate | None = None
    normalize: bool | None = None
    """Whether the vectors shall have length 1."""
    user: str | None = None
    base64: bool = False
    """How the client wants its vectors: little-endian float32 in base64, instead of numbers."""
    by_type: bool = False
    """The client wants its vectors below the name of their number type."""
    said: dict[str, str] = field(default_factory=dict)
    """Attribute to the JSON path where the client said it, for what a target cannot be told."""
    extra: list[str] = field(default_factory=list)
    """JSON paths of fields that nobody here knows."""


class Embeddings(Struct):
    """Vectors, in the order of their texts. A number read from base64 is exactly its float32."""

    vectors: list[list[float]]
    tokens: int | None = None
    """Of all texts together; None where the upstream said nothing."""
    model: str = ""
    """As the upstream named it."""
