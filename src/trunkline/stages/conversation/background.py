"""Answers in the background: accepted at once, made in a task of the gateway's own, told to whoever asks.

The call goes on after its answer (`queued`) has gone out, so its entry in the ledger waits for the end of the work.
The provider is always asked for a stream: each of its events is numbered anew and kept for a while, so that a client
whose connection broke can go on behind the last one it saw (`starting_after`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from trunkline.core.call import Call
from trunkline.core.errors import (
    ClientGone,
    GatewayError,
    InternalError,
    Overloaded,
    TooLarge,
    UpstreamBroken,
    known,
)
from trunkline.core.reply import Flow, Reply
from trunkline.core.stores import Kept
from trunkline.core.usage import Usage
from trunkline.dialects.base import Envelope
from trunkline.dialects.openai_responses.output import Output
from trunkline.dialects.openai_responses.remembered import FINAL, parsed, renumbered, rewritten
from trunkline.stages.conversation.remembering import Keep, Memo
from trunkline.stages.conversation.settings import ResponsesSettings

log = logging.getLogger("trunkline.calls")

LISTENING = 0.05
"""Seconds between looks for what other processes ask."""
LINGERING = 64
"""Finished answers whose events are kept, the latest."""
LINGERING_BYTES = 64 * 1024 * 1024
"""Of these events."""

_OURS = frozenset({"response.created", "response.queued", "error"})
"""Events of the upstream that are not told: the first two are ours to say, and an error is in `response.failed`."""
_encode = msgspec.json.Encoder().encode

_EVENTS = b"text/event-stream"
_TOO_EARLY = "The upstream's answer ended before it was complete."
CANCELLED = "response_cancelled"

Ask = Callable[[], Awaitable[Reply]]


class Told:
    """A flow for what is said already: it passes. `run`: whose usage it is, None where it is nobody's."""

    def __init__(self, run: Run | None = None) -> None:
        self._run = run
        self._over = False
        self._error: GatewayError | None = None

    @property
    def complete(self) -> bool:
        """What nobody has begun to answer is not, though its end was told."""
        return self._over and (self._run is None or self._run.flow is not None)

    @property
    def usage(self) -> Usage | None:
        return self._run.flow.usage if self._run is not None and self._run.flow is not None else None

    @property
    def error(self) -> GatewayError | None:
        return self._error or (self._run.error if self._run is not None else None)

    @property
    def produced(self) -> int:
        return self._run.flow.produced if self._run is not None and self._run.flow is not None else 0

    def feed(self, data: bytes) -> bytes:
        self._over = True
        return data

    def eof(self) -> bytes:
        self._over = True
        return b""

    def fail(self, error: GatewayError) -> bytes:
        self._error = error
        return b""


class Accepted(Reply):
    """An answer that goes out before its call has ended: what waits for the end is told by `conclude`."""

    __slots__ = ()

    def finish(self, error: GatewayError | None = None) -> None:
        pass

    def conclude(self, error: GatewayError | None) -> None:
        super().finish(error)


class Tail:
    """A source that reads what a run has told and is yet to tell, from behind one event on."""

    def __init__(self, run: Run, after: int) -> None:
        self._run = run
        self._at = after + 1

    async def read(self) -> bytes:
        run = self._run
        while self._at >= len(run.events):
            if run.over:
                return b""
            await run.news.wait()
        out = b"".join(run.events[self._at :])
        self._at = len(run.events)
        return out

    def close(self) -> None:
        pass


class Run:
    """One answer in the background."""

    def __init__(self, call: Call, memo: Memo, changes: dict[str, Any], keep: Keep, limit: int) -> None:
        assert call.key is not None
        assert call.peek is not None
        self.id = f"resp_{secrets.token_hex(24)}"
        self.key = call.key.id
        self.events: list[bytes] = []
        self.over = False
        self.news = asyncio.Event()
        self.reply: Accepted
        self.task: asyncio.Task[None]
        self._inner: Reply | None = None
        """The upstream's answer, once it has begun."""
        self._error: GatewayError | None = None
        self._memo = memo
        self._changes = changes | {"id": self.id}
        self._keep = keep
        self._limit = limit
        """Bytes of events that may be told."""
        self.size = 0
        """Bytes of those that have been."""
        envelope = Envelope(stream=True, model=call.peek.model, created=int(call.arrived), request_id=call.id)
        self.response = rewritten(_encode(Output(envelope).response("queued")), **self._changes)
        """As it stands."""
        for kind in ("response.created", "response.queued"):
            self._add(kind, _encode({"type": kind, "sequence_number": 0, "response": msgspec.Raw(self.response)}))

    @property
    def flow(self) -> Flow | None:
        return self._inner.flow if self._inner is not None else None

    @property
    def error(self) -> GatewayError | None:
        return self._error or (self.flow.error if self.flow is not None else None)

    def kept(self) -> Kept | None:
        return self._memo.kept(self.response, id=self.id, running=not self.over)

    def resumed(self, after: int) -> Reply:
        """A stream of what comes after this event."""
        return Reply(Told(), source=Tail(self, after), content_type=_EVENTS)

    def accepted(self, streamed: bool) -> Accepted:
        """The answer to the call that began it: all of its stream, or that it is queued."""
        if streamed:
            return Accepted(Told(self), source=Tail(self, -1), content_type=_EVENTS)
        return Accepted(Told(self), body=self.response)

    async def cancel(self) -> None:
        await self.end(ClientGone("The response was cancelled.", code="response_cancelled"))

    async def end(self, error: GatewayError) -> None:
        """With this error, if it has not ended; return once it has."""
        if not self.over:
            self.task.cancel(error)
        await asyncio.wait([self.task])
        self._break_off(error)  # a task that is cancelled before it has begun says nothing

    # ── What the upstream says ─────────────────────────────────────────────────────────────────────────────────────

    async def play(self, ask: Ask) -> None:
        """Ask, and tell all of the answer. Ends with a final event whatever happens."""
        try:
            self._inner = await ask()
            await self._pump(self._inner)
            self._break_off(self._inner.flow.error or UpstreamBroken(_TOO_EARLY))
        except (GatewayError, asyncio.CancelledError) as raised:
            self._break_off(known(raised))
        except BaseException:
            self._break_off(InternalError("The gateway made a mistake; its log says more."))
            raise
        finally:
            if self._inner is not None:
                self._inner.close()

    async def _pump(self, reply: Reply) -> None:
        """To the upstream's end, which may come behind the answer's: so its connection can be used again."""
        assert reply.source is not None
        self._tell(reply.head)
        if not self.over:
            self._keep(self.kept())  # who asks another process is told that it is in progress
        while data := await reply.source.read():
            self._tell(reply.flow.feed(data))
        self._tell(reply.flow.eof())

    def _tell(self, block: bytes) -> None:
        for kind, response, payload in parsed(block):
            if self.over or kind in _OURS:
                continue
            if not response:
                self._add(kind, payload)
                continue
            told = rewritten(response, **self._changes)
            self._fits(len(told))
            self.response = told
            if kind in FINAL:
                self._end()
            self._add(kind, rewritten(payload, response=msgspec.Raw(self.response)))

    def _break_off(self, error: GatewayError) -> None:
        """It will never be complete, unless it is."""
        if self.over:
            return
        self._error = error
        cancelled = error.code == CANCELLED
        kind = "response.cancelled" if cancelled else "response.failed"
        shown = None if cancelled else {"code": "server_error", "message": error.message}
        self.response = rewritten(self.response, status=kind.removeprefix("response."), error=shown)
        self._end()
        self._add(kind, _encode({"type": kind, "sequence_number": 0, "response": msgspec.Raw(self.response)}))

    def _end(self) -> None:
        """The end is known, and not told yet: it is remembered, and the call's entry is written."""
        self.over = True
        self._keep(self.kept())
        error, reply = self.error, self.reply
        if self._inner is not None:
            self._inner.finish(error)
        if error is not None:
            reply.status = error.status
        if reply.body is not None:
            reply.body = self.response
        reply.conclude(error)

    def _fits(self, more: int) -> None:
        """Raises TooLarge: what could not be remembered, nobody could ask for."""
        if self.size + more > self._limit:
            raise TooLarge("The conversation is larger than responses.max_size allows.")

    def _add(self, kind: str, payload: bytes) -> None:
        event = renumbered(kind, payload, len(self.events))
        self.size += len(event)
        if not self.over:
            self._fits(0)
        self.events.append(event)
        news, self.news = self.news, asyncio.Event()
        news.set()


class Runs:
    """All of them in this process. `keep` puts the state of one where others find it."""

    def __init__(self, settings: ResponsesSettings, keep: Keep, interrupted: Callable[[str, str], bool]) -> None:
        self._settings = settings
        self._keep = keep
        self._interrupted = interrupted
        """Whether another process asks to end the answer of this key and id."""
        self._listening: asyncio.Task[None] | None = None
        self._runs: dict[tuple[str, str], Run] = {}
        """Those at work, and the last that ended."""

    @property
    def active(self) -> int:
        return sum(not run.over for run in self._runs.values())

    def begin(self, call: Call, ask: Ask, memo: Memo, changes: dict[str, Any], streamed: bool) -> Reply:
        """The answer of a call that goes on in the background. Raises Overloaded, TooLarge."""
        if self.active >= self._settings.max_background:
            raise Overloaded(
                f"{self._settings.max_background} responses are in the background already (responses.max_background).",
                code="too_many_background_responses",
                retry_after=5.0,
            )
        run = Run(call, memo, changes, self._keep, self._settings.max_size - memo.size)
        self._runs[run.key, run.id] = run
        if call.header(b"x-trunkline-deadline-ms") is None:
            call.deadline = asyncio.get_running_loop().time() + self._settings.background_timeout
        self._keep(run.kept())
        run.reply = run.accepted(streamed)
        run.task = asyncio.create_task(run.play(ask))
        run.task.add_done_callback(self._ended)
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen())
        return run.reply

    def find(self, kept: Kept) -> Run | None:
        return self._runs.get((kept.key, kept.id))

    def drop(self, run: Run) -> None:
        """Forget a run that has ended."""
        self._runs.pop((run.key, run.id), None)

    async def _listen(self) -> None:
        """While there is anything to end, look whether another process asks for it."""
        try:
            while self.active:
                await asyncio.sleep(LISTENING)
                for run in list(self._runs.values()):
                    if not run.over and self._interrupted(run.key, run.id):
                        await run.cancel()
        finally:
            self._listening = None

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (mistake := task.exception()) is not None:
            log.error("a mistake of the gateway's own, in the background", exc_info=mistake)
        ended = [run for run in self._runs.values() if run.over]
        while len(ended) > LINGERING or sum(run.size for run in ended) > LINGERING_BYTES:
            self.drop(ended.pop(0))

    async def aclose(self, error: GatewayError) -> None:
        """End those at work, with this error; return once they have."""
        await asyncio.gather(*(run.end(error) for run in self._runs.values() if not run.over))
        if self._listening is not None:
            self._listening.cancel()
