"""What a call whose key is known must get past before its body is read: it is given its priority, and refused where the
gateway has too much to do for such calls."""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.core.call import PRIORITIES, Call, Priority
from trunkline.core.errors import BadRequest
from trunkline.policy.shedding import Shedding, given

_PRIORITIES: dict[bytes, Priority] = {each.encode(): each for each in PRIORITIES}


class Admittance:
    """`usual`: the priority of calls whose key and team have none; `teams`: that of their keys."""

    def __init__(self, shedding: Shedding, usual: Priority, teams: Mapping[str, Priority]) -> None:
        self._shedding = shedding
        self.take(usual, teams)

    def take(self, usual: Priority, teams: Mapping[str, Priority]) -> None:
        """Go by these from now on."""
        self._usual = usual
        self._teams = teams

    def __call__(self, call: Call, asked: Priority | None) -> None:
        """Raises Overloaded."""
        key = call.key
        assert key is not None
        own = key.priority or self._teams.get(key.team or "", self._usual)
        call.priority = own if asked is None else given(asked, own)
        if self._shedding.refused:
            self._shedding.check(call.priority)


def read_priority(value: bytes) -> Priority:
    """A value of `x-trunkline-priority`. Raises BadRequest."""
    priority = _PRIORITIES.get(value.strip().lower())
    if priority is None:
        raise BadRequest(f"x-trunkline-priority must be one of {', '.join(PRIORITIES)}.")
    return priority
