"""Conversations that stay where they were answered: found when a call comes, kept when its answer has come."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from trunkline.core.errors import GatewayError
from trunkline.core.reply import Reply
from trunkline.policy.affinity import Affinities
from trunkline.policy.balance import spread
from trunkline.stages.routing.facts import conversation
from trunkline.stages.routing.journey import Journey
from trunkline.stages.routing.route import Candidate
from trunkline.stages.routing.settings import AffinitySettings


class Homes:
    """`clock`: seconds, monotonic."""

    def __init__(self, affinities: Affinities, clock: Callable[[], float]) -> None:
        self.affinities = affinities
        self._clock = clock

    def look(self, journey: Journey, affinity: AffinitySettings) -> None:
        journey.home = conversation(journey.call, affinity.by)
        journey.call.lot = spread(journey.home)
        journey.ask.bond = self.affinities.find(journey.home, journey.ask.now)

    def remember(self, journey: Journey, candidate: Candidate, reply: Reply) -> None:
        reply.on_finish.append(partial(self._settled, journey, candidate, reply))

    def _settled(self, journey: Journey, candidate: Candidate, reply: Reply, error: GatewayError | None) -> None:
        """An answer that broke off is no reason to stay."""
        affinity = journey.route.settings.affinity
        if affinity is None or error is not None or reply.flow.error is not None:
            return
        usage = reply.flow.usage or reply.usage
        cached = usage.cache_read + usage.cache_write if usage is not None else 0
        self.affinities.keep(journey.home, candidate.name, cached, affinity.ttl, self._clock())
