"""The bounds of what is kept to answer a request that comes again."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class IdempotencySettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `idempotency:` section: calls with an `Idempotency-Key` header are made once, and a call that comes again is
    given the same answer. Each process keeps its own. Times in seconds, sizes in bytes."""

    ttl: Annotated[float, Meta(ge=0, le=7 * 86_400)] = 3600.0
    """How long an answer is kept, in seconds. 0: the header is not looked at."""
    max_size: Annotated[int, Meta(ge=1024)] = 4 * 1024 * 1024
    """The largest answer that is kept, in bytes. A call whose answer was larger is refused when it comes again."""
    memory: Annotated[int, Meta(ge=1024)] = 64 * 1024 * 1024
    """Bytes of answers that each process keeps, all together; the oldest go first."""
    max_entries: Annotated[int, Meta(ge=1)] = 10_000
    """Answers that each process keeps; the oldest go first."""
    linger: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """Seconds for which a call goes on at the provider when its client has left, so that the client's next try finds
    the answer. 0: it ends at once, as calls without the header do."""
