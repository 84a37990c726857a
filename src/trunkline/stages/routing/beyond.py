"""What a model may have beside one attempt after the other: the settings of recovery, hedging and mirroring."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Share = Annotated[float, Meta(ge=0, le=1)]


class RecoverSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model's `recover:`: what follows when a streamed answer breaks off after it has begun."""

    mode: Literal["off", "continue"] = "off"
    """`off`: the client gets its family's error, as an event of the stream. `continue`: where nothing of the answer was
    sent yet, another one takes its place; where text was, a model that can take up its own words goes on with it. Every
    stream is then read and written anew, also between a client and a provider of one family."""
    attempts: Annotated[int, Meta(ge=1, le=10)] = 2
    """How often one answer is gone on with."""
    silence: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """Seconds without a byte inside an answer after which it has broken off."""


class HedgeSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model's `hedge:`: a second attempt at another target while the first has not begun to answer. The first to
    begin is the answer; the other one is cancelled."""

    share: Share = 0.05
    """Further prompt that may be sent because of it, as a share of all that is sent to this model: never more."""
    after: Annotated[float, Meta(gt=0, le=600)] | None = None
    """Seconds to wait for the first target; by default the time in which 95 % of its answers begin."""
    floor: Annotated[float, Meta(ge=0, le=600)] = 0.05
    """Seconds that are waited at least."""


class MirrorSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model's `mirror:`: copies of its calls to another target, whose answers nobody sees. They are in the ledger,
    under no key and with the tag `mirror`, and delay nothing."""

    target: str
    """`provider/model`."""
    share: Share = 1.0
    """Of the calls."""
    max_in_flight: Annotated[int, Meta(ge=1, le=10_000)] = 10
    """Copies at once; further ones are left out."""
