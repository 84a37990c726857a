"""What may be used, of what, and in which time: the words in which limits are set, decided and told.

A *limit* is a rule that somebody wrote. For a call it becomes a *want*: so much of this counter, of which there is no
more than that. All wants of a call are taken together or not at all; what was taken is a *grant*, and is settled when
the real use is known. All amounts and times are integers, so that every store comes to the same sums: tokens, calls,
nano-dollars; milliseconds since the epoch, by the store's own clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol, final

from msgspec import Struct

if TYPE_CHECKING:
    from trunkline.core.call import Entry

Dimension = Literal[
    "requests", "input_tokens", "output_tokens", "tokens", "cost", "concurrent_requests", "concurrent_streams",
]  # fmt: skip
"""`tokens`: input and output together. `cost`: nano-dollars. The last two count what is going on now, in no window."""

Span = Literal["minute", "hour", "day", "month"]

CONCURRENT: frozenset[Dimension] = frozenset({"concurrent_requests", "concurrent_streams"})

MOST = 2**53 - 1
"""No limit and no amount is larger: Redis's scripts compute in doubles, which hold every integer up to here. In money
it is nine million dollars."""


MONTH = -1
"""A window's width: calendar months."""


class Window(Struct, frozen=True):
    """A stretch of time, cut into buckets of one width, numbered from the epoch. An amount goes into the bucket of the
    moment in which it is taken, and counts as long as that bucket lives. `policy.quota` has the arithmetic."""

    name: str
    """`minute` (fixed, from :00 to :59 UTC), `rolling minute`, and so on; `now` for what is going on."""
    width: int
    """Of a bucket, in milliseconds; 0: one bucket, for ever; `MONTH`: calendar months, UTC."""
    kept: int
    """A bucket lives until it is this many behind the present one: 0 for fixed windows, where only the present one
    counts."""


class Want(Struct, frozen=True):
    """A limit as one call meets it: the part that is the same for all calls of its kind. The amount is beside it."""

    counter: str
    """Of whom what is counted: `requests rolling minute key:key_12ab`. The wants of one call name each counter once."""
    window: Window
    most: int
    soft: bool = False
    """It is counted and told, and refuses nobody."""
    kept: bool = False
    """What was taken stays taken where nobody settles it (a call that was let in was let in); else it returns."""
    dimension: Dimension = "requests"
    scope: str = "global"
    """For people: `global`, `key ci`, `team research`, `tag app`, `model gpt-5`."""


class Grant(Struct):
    """What was taken. `amounts[i]`, `buckets[i]` and `totals[i]` belong to `wants[i]`."""

    wants: tuple[Want, ...]
    amounts: Sequence[int]
    buckets: Sequence[int]
    """Into which each amount went: that of the moment `at`. A store that has no use for them names none."""
    totals: Sequence[int]
    """Of each counter in its window, this grant included."""
    at: int
    """When, by the store's clock."""
    expires: int
    """When it returns by itself, what is `kept` excepted, if it is neither settled nor renewed before."""
    id: str = ""
    """The store's own name for it."""


@final
class Refusal(Struct, frozen=True):
    """Nothing was taken. The one named is that which holds longest."""

    want: Want
    amount: int
    """As asked for."""
    total: int
    """Of the counter in its window."""
    at: int
    """When, by the store's clock."""
    wait: int | None
    """Milliseconds after which this call would pass if nobody else took anything; 0 where that is no matter of time
    (something that goes on now must end); None: never, for it wants more than the limit itself."""


class Standing(Struct, frozen=True):
    """How a caller stands with a limit."""

    want: Want
    left: int
    """0 where there is nothing left, or less than nothing."""
    reset: float
    """Seconds until all that is taken now can be taken anew; 0 for what goes on now."""


class Allowance(Protocol):
    """What a call may use, from its admission to its end."""

    @property
    def grant(self) -> Grant:
        """What it was given when it was admitted."""
        ...

    async def extend(self) -> bool:
        """Take once more what one attempt may use, for one that comes on top (a hedge, the continuation of an answer
        that broke off). False where it does not fit: then it must not be made."""
        ...

    def settle(self, entry: Entry) -> None:
        """The call has come to its end, and this was its use. Once; never raises."""
        ...
