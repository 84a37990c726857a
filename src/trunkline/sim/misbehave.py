"""What each cue does to a planned exchange: a table of small functions, applied in its order.

Order matters and is the table's: first what kind of answer it is, then what its events say, then how its bytes are
packed, and last what the connection does, so that `gzip+cut` cuts compressed bytes, as a real failure would.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from trunkline.sim.exchange import Break, Exchange, Pause, Step
from trunkline.sim.family import Family
from trunkline.sim.faults import ERRORS, FAULTS, MAX_SECONDS, Cues
from trunkline.sim.problems import Problem

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"

SEARCHED = 256
"""Bytes of the last event in which its kind is looked for."""

Change = Callable[[Exchange, Cues, Family], None]


def failure(cues: Cues, family: Family, model: str, request_id: str) -> Exchange | None:
    """The error that the cues ask for, or None. A condition alone (`fail-first`, `rate`) means 503."""
    name = next((name for name in cues if name in ERRORS), None)
    if name is None and any(FAULTS[cue].group != "when" for cue in cues):
        return None
    if name == "502":
        return Exchange(502, [(b"content-type", b"text/html")], [HTML])
    after = None if "no-retry-after" in cues else cues.get("retry-after", 1.0)
    return family.errors.exchange(Problem(name=name or "503"), model, request_id, after) if cues else None


def misbehave(exchange: Exchange, cues: Cues, family: Family) -> None:
    """Apply every cue that edits an exchange, in place."""
    for name, change in CHANGES.items():
        if name in cues:
            change(exchange, cues, family)


def _cut_at(exchange: Exchange, cues: Cues) -> int:
    """The index in the body's steps behind its first `after` events."""
    wanted = int(cues.get("after", FAULTS["after"].default))
    for index, step in enumerate(exchange.body):
        if isinstance(step, bytes):
            if wanted == 0:
                return index
            wanted -= 1
    return len(exchange.body)


def _halved(exchange: Exchange, cues: Cues) -> list[Step]:
    """The steps before a break: `after` events of a stream, half the bytes of a whole body."""
    if exchange.stream:
        return exchange.body[: _cut_at(exchange, cues)]
    body = exchange.whole()
    return [body[: len(body) // 2]]


def _error_first(exchange: Exchange, cues: Cues, family: Family) -> None:
    if exchange.stream:
        exchange.body = [family.opening + _error_event(family) + family.closing]


def _error_mid(exchange: Exchange, cues: Cues, family: Family) -> None:
    if exchange.stream:
        exchange.body = [*_halved(exchange, cues), family.between + _error_event(family) + family.closing]


def _error_event(family: Family) -> bytes:
    name = "529" if family.name == "anthropic" else "500"
    return family.stream_error(family.errors.event(Problem(name=name), "", "req_sim"))


def _end(exchange: Exchange, cues: Cues, family: Family) -> None:
    if exchange.stream:
        exchange.body = _halved(exchange, cues)


def _no_done(exchange: Exchange, cues: Cues, family: Family) -> None:
    last = exchange.body[-1] if exchange.body else None
    if exchange.stream and isinstance(last, bytes) and family.terminator in last[:SEARCHED]:
        del exchange.body[-1]


def _bad_sse(exchange: Exchange, cues: Cues, family: Family) -> None:
    if exchange.stream:
        exchange.body = [*_halved(exchange, cues), family.garbage]


def _bad_json(exchange: Exchange, cues: Cues, family: Family) -> None:
    if not exchange.stream:
        exchange.body = _halved(exchange, cues)
        return
    at = _cut_at(exchange, cues)
    exchange.body.insert(at, family.broken)


def _unknown_event(exchange: Exchange, cues: Cues, family: Family) -> None:
    if exchange.stream:
        exchange.body.insert(_cut_at(exchange, cues), family.oddity)


def _stall(exchange: Exchange, cues: Cues, family: Family) -> None:
    if exchange.stream:
        exchange.body.insert(_cut_at(exchange, cues), Pause(cues["stall"]))
    else:
        body = exchange.whole()
        exchange.body = [body[: len(body) // 2], Pause(cues["stall"]), body[len(body) // 2 :]]


def _empty(exchange: Exchange, cues: Cues, family: Family) -> None:
    exchange.body = []


def _crlf(exchange: Exchange, cues: Cues, family: Family) -> None:
    if exchange.stream and family.lines:
        exchange.body = [step.replace(b"\n", b"\r\n") if isinstance(step, bytes) else step for step in exchange.body]


def _wrong_type(exchange: Exchange, cues: Cues, family: Family) -> None:
    kept = [header for header in exchange.headers if header[0] != b"content-type"]
    exchange.headers = [*kept, (b"content-type", b"text/html; charset=utf-8")]


def _huge_headers(exchange: Exchange, cues: Cues, family: Family) -> None:
    kilobytes = min(int(cues["huge-headers"]), 4096)
    exchange.headers += [(b"x-sim-padding-%d" % i, b"x" * 1000) for i in range(kilobytes)]


def _gzip(exchange: Exchange, cues: Cues, family: Family) -> None:
    packer = zlib.compressobj(wbits=31)
    exchange.body = [
        packer.compress(step) + packer.flush(zlib.Z_SYNC_FLUSH) if isinstance(step, bytes) else step
        for step in exchange.body
    ]
    exchange.body.append(packer.flush(zlib.Z_FINISH))
    exchange.headers.append((b"content-encoding", b"gzip"))


def _split(exchange: Exchange, cues: Cues, family: Family) -> None:
    size = max(1, int(cues["split"]))
    exchange.body = [
        piece
        for step in exchange.body
        for piece in ([step[i : i + size] for i in range(0, len(step), size)] if isinstance(step, bytes) else [step])
    ]


def _cut(exchange: Exchange, cues: Cues, family: Family) -> None:
    # A reset discards what the client has not read yet; the pause lets the events before it arrive.
    exchange.body = [*_halved(exchange, cues), Pause(0.05), Break.RESET]


def _short(exchange: Exchange, cues: Cues, family: Family) -> None:
    exchange.body = [*_halved(exchange, cues), Break.CLOSE]


def _latency(exchange: Exchange, cues: Cues, family: Family) -> None:
    exchange.before.insert(0, Pause(cues["latency"]))


def _hang(exchange: Exchange, cues: Cues, family: Family) -> None:
    exchange.before = [Pause(min(cues["hang"], MAX_SECONDS)), Break.CLOSE]


def _reset(exchange: Exchange, cues: Cues, family: Family) -> None:
    exchange.before.append(Break.RESET)


def _close(exchange: Exchange, cues: Cues, family: Family) -> None:
    exchange.before.append(Break.CLOSE)


CHANGES: dict[str, Change] = {
    "error-first": _error_first,
    "error-mid": _error_mid,
    "end": _end,
    "no-done": _no_done,
    "bad-sse": _bad_sse,
    "bad-json": _bad_json,
    "unknown-event": _unknown_event,
    "stall": _stall,
    "empty": _empty,
    "crlf": _crlf,
    "wrong-type": _wrong_type,
    "huge-headers": _huge_headers,
    "gzip": _gzip,
    "cut": _cut,
    "short": _short,
    "split": _split,
    "latency": _latency,
    "hang": _hang,
    "reset": _reset,
    "close": _close,
}
