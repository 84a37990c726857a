"""What must come of each fault of the simulator, for the matrix: outcomes, and the few rules that give them.

answer   all of what the model says, once, with its end
refusal  the family's error, with its status: nothing of an answer was sent
broken   the family's error as an event of the stream: something of the answer had been sent
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Literal

from trunkline.sim.faults import FAULTS

Outcome = Literal["answer", "refusal", "broken"]
Mode = Literal["whole", "stream"]
Moment = Literal["before", "after"]
"""Whether the fault strikes before the first byte of the answer or behind its first events."""
Targets = Literal["one", "two", "bad", "again"]
"""`one`: a faulty target. `two`: a faulty one and a good one. `bad`: two faulty ones. `again`: one whose next call goes
well, on a route that goes on with what breaks off."""


@dataclass(frozen=True)
class Cell:
    fault: str
    mode: Mode
    moment: Moment
    targets: Targets

    @property
    def model(self) -> str:
        return f"{self.fault}-{self.mode}-{self.moment}-{self.targets}"


QUICK = {
    "latency": "latency=50ms",
    "ttft": "ttft=50ms",
    "tps": "tps=200",
    "slow": "slow+length=3",
    "length": "length=40",
    "rate": "rate=1",
}
"""Cues that take too long, or do not strike surely, by themselves."""

HARMLESS = frozenset(
    {
        "latency", "ttft", "tps", "slow", "retry-after", "no-retry-after", "after", "unknown-event", "crlf", "split",
        "huge-headers", "gzip", "no-usage", "usage-with-finish", "refuse", "filtered", "failed", "redacted", "length",
        "no-done",
    }
)  # fmt: skip
"""The answer is one all the same. `no-done`: whole but for its terminator, which the gateway adds."""
ITS_OWN = frozenset({"400", "413", "filter"})
"""The request's own fault: nobody else is asked."""
STREAMED = frozenset({"cut", "short", "stall", "end", "error-mid", "bad-sse", "bad-json"})
"""They strike where `after` says."""
ONLY_IN_STREAMS = frozenset({"end", "error-first", "error-mid", "bad-sse", "wrong-type"})
"""A whole answer does not have them, or is one all the same."""
PACE = 20
"""Tokens a second where a fault strikes behind the first events: these are sent on before it, unless the machine is so
busy that all of them come at once."""


def cells() -> list[Cell]:
    out = []
    for fault in FAULTS:
        for targets in ("one", "two", "bad"):
            out.append(Cell(fault, "whole", "before", targets))
            out.append(Cell(fault, "stream", "before", targets))
            if fault in STREAMED:
                out.append(Cell(fault, "stream", "after", targets))
        if fault in STREAMED:
            out.append(Cell(fault, "stream", "after", "again"))
    return out


def cues(cell: Cell) -> str:
    said = QUICK.get(cell.fault, cell.fault)
    if cell.fault in STREAMED and cell.mode == "stream":
        said += "+after=0" if cell.moment == "before" else f"+after=4+tps={PACE}"
    if cell.fault == "fail-first":  # counted by the model's name: each cell has its own
        said = f"503+fail-first+retry-after={1000 + zlib.crc32(cell.model.encode()) % 9000}ms"
    return said + ("+fail-first" if cell.targets == "again" else "")


def expected(cell: Cell) -> Outcome:
    if cell.fault in HARMLESS or (cell.fault in ONLY_IN_STREAMS and cell.mode == "whole"):
        return "answer"
    if cell.targets == "again":
        return "answer"
    if cell.moment == "after":
        return "broken"
    if cell.targets == "two" and cell.fault not in ITS_OWN:
        return "answer"
    return "refusal"


def early(cell: Cell) -> Outcome:
    """What is right too where the fault came together with all that was before it, and nothing had been sent on."""
    return expected(replace(cell, moment="before"))
