"""How a public model is served: its targets, and what happens between them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from trunkline.policy.breaker import HealthSettings
from trunkline.policy.ceiling import ConcurrencySettings
from trunkline.stages.routing.beyond import HedgeSettings, MirrorSettings, RecoverSettings

Positive = Annotated[float, Meta(gt=0, le=1e9)]
Strategy = Literal["priority", "weighted", "least_busy", "latency", "cost", "quota"]


class QuotaSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A target's `quota:`: what its account allows, where its provider does not say it in each answer. Counted by each
    process for itself."""

    rpm: Positive | None = None
    """Requests a minute."""
    tpm: Positive | None = None
    """Tokens a minute, input and output."""
    rpd: Positive | None = None
    """Requests a day."""


class TargetSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of a model's `targets:`."""

    target: str
    """`provider/model`: a name under `providers:`, and what that provider calls the model (for `azure`, the
    deployment)."""
    weight: Positive = 1.0
    """Its share of the calls, beside the others' of its tier."""
    tier: Annotated[int, Meta(ge=0, le=63)] = 0
    """The targets of the lowest tier that has one in good health are chosen from; the others stand by."""
    max_concurrency: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """How many calls at a time it is given, by each process; the next target is asked instead."""
    base_model: str | None = None
    """What the target really is, where its name does not tell: the model behind an Azure deployment, such as `gpt-4o`.
    Prices and capabilities are looked up under it."""
    when: str | None = None
    """A condition in CEL: the target is asked only by calls that meet it, such as `"batch" in tags`. See
    docs/routing.md for what it can look at."""
    canary: Annotated[float, Meta(ge=0, le=1)] | None = None
    """A share of the conversations, 0.05 for 5 %: these go to this target and all others do not. A conversation stays
    on its side."""
    quota: QuotaSettings = field(default_factory=QuotaSettings)
    """What the account behind the target allows. A target that has used it up is passed over while another one has
    not."""


class RetrySettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model's `retry:`: what follows once each of its targets has failed."""

    again: Annotated[int, Meta(ge=0, le=10)] = 0
    """Further attempts at targets that have failed already, beside the clients' own retries. Those of a client that
    says that it retries (OpenAI's, Anthropic's and AWS's SDKs do) are counted in."""
    base: Annotated[float, Meta(gt=0, le=60)] = 0.25
    """Seconds: the pause before the first of them is drawn from 0 to this, that before each next one from twice as
    much."""
    longest: Annotated[float, Meta(gt=0, le=600)] = 8.0
    """Seconds: no pause is longer. A provider that asks for more is not tried again in this call."""


class AffinitySettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model's `affinity:`: conversations stay with the target that has their beginning in its cache, as long as that
    is cheaper than to move."""

    by: str = "session"
    """What a conversation is recognised by. `session`: what the client calls it, and otherwise its beginning;
    `prefix`: its beginning; `key`: who calls; `header:NAME`: that header field."""
    ttl: Annotated[float, Meta(gt=0, le=86_400)] = 300.0
    """Seconds after its last call that a conversation is remembered: as long as providers cache."""


class ModelSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `models:`: a public model, under a name of your choosing that has no `/` in it."""

    targets: Annotated[tuple[TargetSettings, ...], Meta(min_length=1, max_length=64)]
    """What may answer."""
    strategy: Annotated[tuple[Strategy, ...], Meta(min_length=1, max_length=4)] = ("priority",)
    """How a target is chosen from those of a tier. `priority`: the first. `weighted`: in turn, by weight. `least_busy`:
    the one with the fewest calls in work, for its weight. `latency`: the one that is likely to answer soonest. `cost`:
    the cheapest. `quota`: the one with most left of its rate limits. A list: the first ranks, and of those that are
    about as good the next one chooses. Where the chosen one fails before its answer has begun, the next one is
    tried."""
    tolerance: Annotated[float, Meta(ge=0, le=10)] = 0.1
    """How much worse than the best is about as good, in a list of strategies: 0.1 is 10 %."""
    affinity: AffinitySettings | None = None
    """Conversations stay where their beginning is cached."""
    fallback: tuple[str, ...] = ()
    """Public models to try, in this order, when every target has failed."""
    refusal: Literal["stop", "next"] = "stop"
    """What follows when a provider's content filter refuses a request: the caller is told, or the next target is
    tried."""
    retry: RetrySettings = field(default_factory=RetrySettings)
    """Trying again what has failed."""
    recover: RecoverSettings = field(default_factory=RecoverSettings)
    """Going on with a stream that has broken off."""
    hedge: HedgeSettings | None = None
    """A second attempt where the first is slow to begin."""
    mirror: MirrorSettings | None = None
    """Copies of the calls, to another target."""


class RoutingSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `routing:` section: what holds for all models."""

    retry_share: Annotated[float, Meta(ge=0, le=10)] = 0.2
    """Further attempts at targets that have failed, for each call, over ten seconds: the bound that keeps retries from
    making an outage worse."""
    failover_share: Annotated[float, Meta(ge=0, le=10)] = 1.0
    """The same for attempts at other targets."""
    floor: Annotated[float, Meta(ge=0, le=10_000)] = 10.0
    """Further attempts a second that are allowed in any case, of either sort."""
    health: HealthSettings = field(default_factory=HealthSettings)
    """When a target is left out for a while."""
    concurrency: ConcurrencySettings = field(default_factory=ConcurrencySettings)
    """How many calls at a time a target is given."""
