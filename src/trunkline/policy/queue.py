"""Who goes next where more want in than can be served: a bounded queue, fair by weight, with classes and deadlines.

Classes come strictly before each other: no interactive call waits behind one of a batch. Two things keep the lower ones
from starving: one place in `YIELD_EVERY` goes to the class whose oldest call has waited longest, once that is `aging`
seconds. Within a class, tenants share by weight: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), which
needs to know neither how long a call takes nor how many are served at once. A tenant's next call starts, in virtual
time, where its last one ended; the call that starts first is next, and is the virtual time.

Pure: `now` is any clock in seconds that only goes forward.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from trunkline.core.call import PRIORITIES, Priority

YIELD_EVERY = 20
"""Of so many places, one goes to a lower class whose calls have waited too long."""
MAX_LOOKS = 32
"""Calls that are asked, at most, whether they can use a place that became free."""
MEMORY = 30.0
"""Seconds over which the rate of service is observed."""
SPARE_FLOWS = 1024
"""Tenants without a waiting call that are remembered, beside those with one, until others have caught up."""

Refusal = Literal["full", "tenant_full", "too_long", "timeout"]
"""Why a call may not wait: no room, no room for this tenant, it would take longer than it has, or it has taken that."""


class QueueSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `queue:` section: where calls wait while every target of their model has as many as it bears, each model's in
    a queue of their own. Times in seconds."""

    max_wait: Annotated[float, Meta(ge=0, le=3600)] = 30.0
    """The longest that a call waits, where its own deadline is not nearer. 0: calls are refused at once."""
    size: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    """Calls that may wait for one model, in each process."""
    per_tenant: Annotated[int, Meta(ge=1, le=1_000_000)] = 250
    """Of these, how many may be of one team, or of one key that is in none."""
    aging: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """Seconds after which calls of a lower priority get one place in twenty, so that they do not wait for ever."""
    limits: bool = False
    """Whether calls wait too whom a limit of the gateway's own refuses, where it will have room in time."""
    priority: Priority = "default"
    """What calls have whose key and team have no priority; a call may ask for less by `x-trunkline-priority`."""


class Ticket:
    """A call that waits. `until`: when it is of no use any more; `cost`: how much of its tenant's share it takes."""

    __slots__ = ("cost", "priority", "since", "tenant", "until", "weight")

    def __init__(
        self, tenant: str, priority: Priority, until: float, *, weight: float = 1.0, cost: float = 1.0
    ) -> None:
        self.tenant = tenant
        self.priority = priority
        self.until = until
        self.weight = weight
        self.cost = cost
        self.since = 0.0


T = TypeVar("T", bound=Ticket)


class Refused(Struct, frozen=True):
    reason: Refusal
    wait: float | None
    """Seconds after which those who wait now have been served, at the rate observed; None where none is known."""


class Pace:
    """The rate at which places become free while somebody waits for them: sums that fade, so that the latest counts
    most. Time in which nobody waited is not counted, and a standstill is."""

    def __init__(self) -> None:
        self._served = 0.0
        self._spent = 0.0
        self._since = 0.0

    def begins(self, now: float) -> None:
        """From now on somebody waits."""
        self._since = now

    def served(self, now: float) -> None:
        spent = max(now - self._since, 0.0)
        fading = math.exp(-spent / MEMORY)
        self._served = self._served * fading + 1.0
        self._spent = self._spent * fading + spent
        self._since = now

    def wait(self, calls: float, now: float) -> float | None:
        """Seconds until so many have been served; None where nothing has been observed."""
        if not self._served:
            return None
        return calls * (self._spent + max(now - self._since, 0.0)) / self._served


class _Flow(Generic[T]):
    """One tenant in one class."""

    __slots__ = ("name", "waiting", "weight")

    def __init__(self, name: str) -> None:
        self.name = name
        self.weight = 1.0
        self.waiting: OrderedDict[T, None] = OrderedDict()


class _Class(Generic[T]):
    """Those of one priority. Every flow is in the heap just once, by where its next call starts: an empty one leaves it
    when virtual time has come to that point, for from then on it is like one that never was."""

    def __init__(self) -> None:
        self.arrived: OrderedDict[T, None] = OrderedDict()
        """All of them, in the order in which they came."""
        self._flows: dict[str, _Flow[T]] = {}
        self._heap: list[tuple[float, int, _Flow[T]]] = []
        self._order = count()
        self._time = 0.0

    def backlog(self, tenant: str) -> int:
        flow = self._flows.get(tenant)
        return len(flow.waiting) if flow is not None else 0

    def add(self, ticket: T) -> None:
        flow = self._flows.get(ticket.tenant)
        if flow is None:
            flow = self._flows[ticket.tenant] = _Flow[T](ticket.tenant)
            self._list(flow, self._time)
        flow.weight = ticket.weight
        flow.waiting[ticket] = None
        self.arrived[ticket] = None

    def remove(self, ticket: T) -> None:
        """It is served or goes away."""
        del self.arrived[ticket]
        del self._flows[ticket.tenant].waiting[ticket]
        if not self.arrived:  # the busy time is over, and all are equal again
            self._flows.clear()
            self._heap.clear()
            self._time = 0.0
        elif len(self._flows) > len(self.arrived) + SPARE_FLOWS:
            self._forget()

    def take(self, fits: Callable[[T], bool], looks: int) -> tuple[T | None, int]:
        """The next one that fits, removed and charged to its tenant, and how many looks are left."""
        passed: list[tuple[float, int, _Flow[T]]] = []
        found = None
        while self._heap and looks > 0 and found is None:
            entry = heappop(self._heap)
            start, _, flow = entry
            if not flow.waiting:
                del self._flows[flow.name]
                continue
            passed.append(entry)
            for ticket in islice(flow.waiting, looks):
                looks -= 1
                if fits(ticket):
                    found = ticket
                    passed.pop()
                    self._time = max(self._time, passed[0][0] if passed else start)
                    self._list(flow, start + ticket.cost / ticket.weight)
                    break
        for entry in passed:
            heappush(self._heap, entry)
        if found is not None:
            self.remove(found)
        return found, looks

    def before(self, ticket: Ticket) -> float:
        """How many of this class are served before a call that comes now: all of a tenant's own, and of the others'
        what their weights give them in that time."""
        rounds = (self.backlog(ticket.tenant) + 1) * ticket.cost / ticket.weight
        own = self.backlog(ticket.tenant)
        return own + sum(
            min(len(flow.waiting), rounds * flow.weight) for flow in self._flows.values() if flow.name != ticket.tenant
        )

    def _list(self, flow: _Flow[T], start: float) -> None:
        heappush(self._heap, (max(start, self._time), next(self._order), flow))

    def _forget(self) -> None:
        """Whoever has nothing waiting is forgotten, and what it has had before."""
        self._flows = {name: flow for name, flow in self._flows.items() if flow.waiting}
        self._heap = [entry for entry in self._heap if entry[2].waiting]
        heapify(self._heap)


class FairQueue(Generic[T]):
    """Tickets of all classes, `len` of them."""

    def __init__(self, settings: QueueSettings) -> None:
        self.settings = settings
        self._classes: dict[Priority, _Class[T]] = {priority: _Class() for priority in PRIORITIES}
        self._count = 0
        self._turn = 0
        self._pace = Pace()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        """By class, and then in the order in which they came."""
        for each in self._classes.values():
            yield from each.arrived

    def depth(self, priority: Priority) -> int:
        return len(self._classes[priority].arrived)

    def enter(self, ticket: T, now: float) -> Refused | None:
        """Wait, or be told why that is not possible."""
        wait = self.expected(ticket, now)
        if self._count >= self.settings.size:
            return Refused("full", wait)
        if sum(each.backlog(ticket.tenant) for each in self._classes.values()) >= self.settings.per_tenant:
            return Refused("tenant_full", wait)
        if now + (wait or 0.0) > ticket.until:
            return Refused("too_long", wait)
        if self._count == 0:
            self._pace.begins(now)
        ticket.since = now
        self._classes[ticket.priority].add(ticket)
        self._count += 1
        return None

    def leave(self, ticket: T) -> bool:
        """It goes away unserved. Whether it was there."""
        of = self._classes[ticket.priority]
        if ticket not in of.arrived:
            return False
        of.remove(ticket)
        self._count -= 1
        return True

    def take(self, now: float, fits: Callable[[T], bool] = lambda ticket: True) -> T | None:
        """The ticket that is served next, of those that fit the place: removed. Those past their time are passed over;
        whoever waits with them sees to their leaving."""
        looks = MAX_LOOKS

        def alive(ticket: T) -> bool:
            return ticket.until > now and fits(ticket)

        for each in self._order(now):
            found, looks = each.take(alive, looks)
            if found is not None:
                self._count -= 1
                self._turn += 1
                self._pace.served(now)
                return found
        return None

    def head(self, now: float) -> T | None:
        """The ticket that is to be served next; it stays."""
        found: list[T] = []

        def note(ticket: T) -> bool:
            if ticket.until > now:
                found.append(ticket)
            return False

        for each in self._order(now):
            if not found:
                each.take(note, MAX_LOOKS)
        return found[0] if found else None

    def expected(self, ticket: Ticket, now: float) -> float | None:
        """Seconds that a call would wait which comes now, at the rate observed; None where none is known."""
        higher = 0
        for priority, each in self._classes.items():
            if priority == ticket.priority:
                break
            higher += len(each.arrived)
        return self._pace.wait(higher + self._classes[ticket.priority].before(ticket) + 1, now)

    def _order(self, now: float) -> list[_Class[T]]:
        """The classes, in the order in which they are asked for this place."""
        order = [each for each in self._classes.values() if each.arrived]
        if len(order) < 2 or (self._turn + 1) % YIELD_EVERY:
            return order
        oldest = min(order, key=_oldest)
        if now - _oldest(oldest) >= self.settings.aging:
            order.remove(oldest)
            order.insert(0, oldest)
        return order


def _oldest(of: _Class[T]) -> float:
    return next(iter(of.arrived)).since
