"""The bounds of what is remembered of answers."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ResponsesSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `responses:` section: what is remembered of the answers of `/v1/responses`. Times in seconds, sizes in
    bytes."""

    ttl: Annotated[float, Meta(ge=0)] = 30 * 86_400.0
    """How long an answer is remembered, in seconds, where its request does not say `store: false`. 0: nothing is, and
    nothing runs in the background."""
    max_size: Annotated[int, Meta(ge=1024)] = 16 * 1024 * 1024
    """The largest conversation that is remembered, with its last answer, in bytes."""
    memory: Annotated[int, Meta(ge=1024)] = 256 * 1024 * 1024
    """Where there is no database (`state.durable: null`): bytes of conversations that each process remembers, the
    latest."""
    max_background: Annotated[int, Meta(ge=0)] = 100
    """Answers in the background that each process works on at once; further ones are refused with 503."""
    background_timeout: Annotated[float, Meta(gt=0)] = 3600.0
    """Seconds an answer in the background may take, where the caller sets no deadline."""
