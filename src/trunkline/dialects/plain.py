"""The short way of a whole answer that is one text and nothing more, as most are.

By way of events such an answer costs a reader with its state, seven objects, and a writer that gathers them again. Here
a dialect reads its own shape of it in one step, and another writes its own in one more: a third of the time. A shape is
a typed struct. It names what would make an answer more than that, and lets it hold nothing; whatever does not fit in it
goes by way of events. The law is that no client can tell by which way its answer came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from trunkline.core.events import Finished, Started
from trunkline.core.usage import Usage

T = TypeVar("T")

Words = Annotated[str, Meta(min_length=1)]
Nothing = tuple[()] | None
"""The type of a field that may be there, but say nothing."""


class Plain(Struct, frozen=True):
    """Stands for the events `Started`, one text's, `Finished`, and `Usage` where there is one. What only the upstream's
    own dialect understands is not in it: to a client of that dialect the bytes pass."""

    head: Started
    text: str
    finished: Finished
    usage: Usage | None


def shape(kind: type[T]) -> Callable[[bytes], T | None]:
    """Reads a body as `kind`; None where it is not of that shape."""
    decode = msgspec.json.Decoder(kind).decode

    def read(body: bytes) -> T | None:
        try:
            return decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    return read
