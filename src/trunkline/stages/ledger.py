"""One entry per call, whatever happens: answered, refused, failed, or the client gone.

The outermost stage. The entry is written when the end of the answer is known and before its last byte is sent, so that
every answer that a client saw whole is in the ledger, even if the process dies in the same moment.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import msgspec
from msgspec import structs

from trunkline.core.call import Call, Entry
from trunkline.core.errors import Blame, ClientGone, DeadlineExceeded, GatewayError, InternalError, known
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Flow, Reply, Watched
from trunkline.core.stores import Journal, Meters, Prices
from trunkline.core.usage import Usage
from trunkline.dialects.asked import asked
from trunkline.policy.estimate import BYTES_PER_TOKEN, TOKENS_PER_FILE, estimate_tokens

log = logging.getLogger("trunkline.calls")

_LEVELS: dict[Blame, int] = {"client": logging.DEBUG, "gateway": logging.WARNING, "upstream": logging.WARNING}

_COUNTED = frozenset({"generate", "complete", "embed"})
"""Operations that are paid by the token of text: estimated where the upstream counted none."""

MAX_DECODED = 1024 * 1024
"""Bytes of a request that are decoded to estimate its tokens; a larger one is judged by its length."""
_FILES = re.compile(rb'"[A-Za-z0-9+/_:;,=-]{4097,}+"')
"""Long strings without a space: somebody's base64, with or without `data:image/png;base64,` before it."""

MAX_RECORDED = 1024 * 1024
"""Bytes of a streamed answer that are kept where bodies are: each open stream holds as much in memory."""


class Ledger:
    def __init__(self, journal: Journal, meters: Meters, prices: Prices, clock: Callable[[], float]) -> None:
        self._journal = journal
        self._meters = meters
        self._prices = prices
        self._clock = clock

    async def __call__(self, call: Call, proceed: Handler) -> Reply:
        try:
            reply = await proceed(call)
        except BaseException as raised:
            error = known(raised)
            call.usage = call.usage or _abandoned(call, error)
            self.write(call, error.status, error)
            raise
        if call.capture == "full" and reply.body is None:
            reply.flow = _Recording(reply.flow, reply.head)
        reply.on_finish.append(lambda error: self._finished(call, reply, error))
        return reply

    def _finished(self, call: Call, reply: Reply, error: GatewayError | None) -> None:
        flow = reply.flow
        call.usage = flow.usage or reply.usage
        error = error or flow.error
        if call.usage is None and call.surface.operation in _COUNTED:
            call.usage = _estimate(call, flow) or _abandoned(call, error)
        said = flow.said if isinstance(flow, _Recording) else reply.body
        self.write(call, reply.status, error, said)

    def write(
        self, call: Call, status: int, error: GatewayError | None, answer: bytes | bytearray | None = None
    ) -> None:
        """Append the entry of a call that has come to its end."""
        key, target, peek, clock = call.key, call.target, call.peek, self._clock
        told = call.capture != "none"
        entry = Entry(
            id=call.id,
            at=call.arrived,
            surface=call.surface.path,
            status=status,
            key=key.id if key is not None else None,
            team=key.team if key is not None else None,
            tags=call.tags if told else (),
            model=peek.model if peek is not None else None,
            target=target.name if target is not None else None,
            price_model=target.price_model if target is not None else None,
            stream=peek is not None and peek.stream,
            attempts=call.attempts if told else [],
            priority=call.priority,
            waited=call.waited,
            first_byte=call.first_byte,
            duration=clock() - call.started,
            usage=call.usage,
            error=error.code if error is not None else None,
            message=error.full if error is not None and told else None,
            bytes_in=len(call.body),
            bytes_out=call.bytes_out,
            lost=tuple(call.lost) if told else (),
        )
        if call.capture == "full":
            entry.request = call.body.decode("utf-8", "replace")
            entry.response = answer.decode("utf-8", "replace") if answer is not None else None
        if entry.usage is not None and entry.usage.estimated:
            entry.usage = _possible(call, entry.usage)
        priced = self._prices.cost(entry)
        if priced is not None:
            entry.cost, entry.price_date = priced
        if len(call.attempts) > 1 or call.recovery is not None:
            self._beside(entry, call)
        call.usage, call.cost = entry.usage, entry.cost
        self._journal.append(entry)
        if call.grant is not None:
            call.grant.settle(entry)
        self._meters.record(entry)
        if error is not None or log.isEnabledFor(logging.DEBUG):
            _tell(entry, error)

    def _beside(self, entry: Entry, call: Call) -> None:
        """Attempts that did not become the answer, or not all of it, may have been paid for all the same."""
        for attempt in call.attempts:
            if attempt.usage is None:
                continue
            if attempt.usage.estimated:
                attempt.usage = _possible(call, attempt.usage)
            entry.usage = attempt.usage if entry.usage is None else entry.usage + attempt.usage
            part = structs.replace(entry, price_model=attempt.price_model, usage=attempt.usage)
            priced = self._prices.cost(part)
            if priced is not None:
                attempt.cost, entry.price_date = priced
                entry.cost = (entry.cost or 0) + attempt.cost


def _tell(entry: Entry, error: GatewayError | None) -> None:
    """One line a call, which says no more than that it was where nobody need look into it."""
    level = logging.DEBUG if error is None else _LEVELS[error.blame]
    if type(error) is InternalError:
        level = logging.ERROR
    facts = {
        "request_id": entry.id,
        "target": entry.target,
        "code": entry.error,
        "status": entry.status,
        "duration": round(entry.duration, 3),
    }
    if error is None:
        log.log(level, "%s, model %s: answered", entry.surface, entry.model, extra=facts)
    else:
        log.log(level, "%s, model %s: %s: %s", entry.surface, entry.model, error.code, error.full, extra=facts)


class _Recording(Watched):
    """A stream's flow that keeps what has gone to the client, up to a bound."""

    __slots__ = ("said",)

    def __init__(self, flow: Flow, head: bytes) -> None:
        super().__init__(flow)
        self.said = bytearray(head)

    def seen(self, out: bytes) -> bytes:
        self.said += out[: MAX_RECORDED - len(self.said)]
        return out


def _estimate(call: Call, flow: Flow) -> Usage | None:
    """Tokens of an answer whose upstream gave none: from the size of the request and what has gone by."""
    if flow.produced == 0 and not flow.complete:
        return None
    return Usage(input=_estimate_input(call.body), output=flow.produced, estimated=True)


def _abandoned(call: Call, error: GatewayError | None) -> Usage | None:
    """What a call has used that its caller gave up before anything was answered: its prompt, which the provider had. If
    that were free, whoever hangs up in the last moment could use a provider without end."""
    attempt = call.attempt
    if attempt is None or attempt.usage is not None or call.surface.operation not in _COUNTED:
        return None
    if not isinstance(error, (ClientGone, DeadlineExceeded)) or attempt.reason != error.code:
        return None
    tokens, facts = _estimate_input(call.body), call.target.facts
    most = facts.input if facts.input is not None else facts.context
    return Usage(input=tokens if most is None else min(tokens, most), estimated=True)


def _possible(call: Call, usage: Usage) -> Usage:
    """Our own count of an answer that broke off, at most what the request allows: a count of bytes or events knows
    nothing of tokens, and what cannot have been used must not be paid for."""
    peek = call.peek
    said = asked(call.body, call.surface.dialect.name, peek.framing if peek is not None else "")
    if said.output is None or usage.output <= said.output * said.answers:
        return usage
    return structs.replace(usage, output=said.output * said.answers)


def _estimate_input(body: bytes) -> int:
    """Tokens of a request. Files in base64 are taken out first: what is left is small enough to decode."""
    bare, files = _FILES.subn(b'""', body)
    tokens = files * TOKENS_PER_FILE
    if len(bare) <= MAX_DECODED:
        try:
            return tokens + estimate_tokens(msgspec.json.decode(bare))
        except (ValueError, RecursionError):  # not UTF-8, say: the request was read by somebody more lenient
            pass
    return tokens + len(bare) // BYTES_PER_TOKEN
