"""One call that several may listen to: its answer is made once, kept, and told to everyone from its beginning.

The call is made in a task of its own, so it outlives the connection of whoever asked first: a client whose connection
broke asks again and goes on listening. With nobody left it ends after a while (`linger`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from trunkline.core.call import Call
from trunkline.core.errors import ClientGone, GatewayError, InternalError, known
from trunkline.core.pipeline import Handler
from trunkline.core.reply import Flow, Reply

BACKLOG = 256 * 1024
"""Bytes that may wait for the slowest listener where the answer is too large to be kept."""


class Performance:
    """`may_keep` is asked before so many bytes more are kept."""

    def __init__(self, fingerprint: bytes, linger: float, may_keep: Callable[[Performance, int], bool]) -> None:
        self.fingerprint = fingerprint
        self.by: tuple[Any, Any] = None, None
        """The target that was asked, and its API."""
        self.reply: Reply | None = None
        """The answer, once it has begun."""
        self.error: GatewayError | None = None
        """Why there is none, or why it broke off without a word."""
        self.stopped = False
        """It ends before its time: nobody may join any more."""
        self.concluded = False
        """All that the answer used is known, which may be long after it was told (of one in the background)."""
        self.over = False
        self.kept = True
        """All of the answer is here. Otherwise it was too large, and only what somebody waits for is."""
        self.held = 0
        """Bytes that count as kept."""
        self._size = 0
        """Bytes that are here."""
        self.task: asyncio.Task[None]
        self._pieces: list[bytes] = []
        self._dropped = 0
        """Pieces that were here, before those that are."""
        self._listeners: dict[object, int] = {}
        """How many pieces each of them has heard."""
        self._linger = linger
        self._why: GatewayError = ClientGone("Nobody waits for this answer.")
        self._leaving: asyncio.TimerHandle | None = None
        self._may_keep = may_keep
        self._news = asyncio.Event()

    @property
    def flow(self) -> Flow | None:
        return self.reply.flow if self.reply is not None else None

    @property
    def complete(self) -> bool:
        """The answer came to its proper end."""
        return self.reply is not None and (self.reply.body is not None or self.reply.flow.complete)

    @property
    def broken(self) -> GatewayError | None:
        """What ended it, if not its proper end."""
        return self.error or (self.flow.error if self.flow is not None else None)

    @property
    def end(self) -> int:
        """Pieces told so far."""
        return self._dropped + len(self._pieces)

    # ── Making it ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def play(self, call: Call, proceed: Handler) -> None:
        """Make the call, and tell all of its answer."""
        try:
            try:
                reply = await proceed(call)
            finally:
                self.by = call.target, call.api
            reply.on_finish.append(self._concluded)
            self.reply = reply
            if reply.body is not None:
                self._keep(len(reply.body))
                reply.finish()
            else:
                await self._pump(reply)
        except (GatewayError, asyncio.CancelledError) as raised:
            self._break_off(known(raised))
        except BaseException:
            self._break_off(InternalError("The gateway made a mistake; its log says more."))
            raise
        finally:
            self.close()

    async def _pump(self, reply: Reply) -> None:
        """To the upstream's end, which may come behind the answer's: so its connection can be used again."""
        assert reply.source is not None
        flow, out, more = reply.flow, reply.head, True
        while True:
            more = more and flow.error is None
            if flow.complete or not more:
                reply.finish(flow.error)
            self._tell(out)
            if not more:
                return
            await self._heard()
            data = await reply.source.read()
            more = bool(data)
            out = flow.feed(data) if more else flow.eof()

    def _tell(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._keep(len(piece))
        self._wake()

    def _keep(self, size: int) -> None:
        """So many bytes more are here, if they may be."""
        self._size += size
        if self.kept and not self._may_keep(self, size):
            self.kept = False
        self._trim()

    def _break_off(self, error: GatewayError) -> None:
        """What broke an answer off is told in it, in the words of whoever asked first; an answer of mere bytes can only
        be cut."""
        reply = self.reply
        if reply is None or reply.body is not None:
            self.error = self.error or error
        elif not reply.flow.complete:
            reply.finish(error)
            if reply.raw:
                self.error = error
            else:
                self._tell(reply.flow.fail(error))

    def stop(self, error: GatewayError) -> None:
        """End it now."""
        if not self.over:
            self.stopped, self._why = True, error
            self.task.cancel(error)

    def close(self) -> None:
        """The task has ended, or it never began."""
        if self.over:
            return
        if self.reply is None and self.error is None:
            self.error = self._why
        if self.reply is not None:
            self.reply.close()
        self.over = True
        self._stay()
        self._wake()

    def _concluded(self, error: GatewayError | None) -> None:
        self.concluded = True

    # ── Listening to it ────────────────────────────────────────────────────────────────────────────────────────────

    def join(self, listener: object) -> None:
        self._listeners[listener] = self._dropped
        self._stay()

    def leave(self, listener: object) -> None:
        if self._listeners.pop(listener, None) is None:
            return
        self._trim()
        if not self._listeners and not self.over:
            loop = asyncio.get_running_loop()
            self._leaving = loop.call_later(self._linger, self.stop, self._why)

    async def news(self) -> None:
        """Wait until there is something new."""
        await self._news.wait()

    async def heard(self, listener: object) -> bytes:
        """What this listener has not heard yet; b"" at the end. Raises what broke it off, if that is not told in it."""
        while (at := self._listeners[listener]) == self.end:
            if self.over:
                if self.error is not None:
                    raise self.error
                return b""
            await self.news()
        out = b"".join(self._pieces[at - self._dropped :])
        self._listeners[listener] = self.end
        self._trim()
        return out

    def up_to_date(self, listener: object) -> bool:
        """Whether it has heard all that was told, or listens no more."""
        return self._listeners.get(listener, self.end) == self.end

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    # ── Letting go of it ───────────────────────────────────────────────────────────────────────────────────────────

    def _trim(self) -> None:
        """Where it is not kept: drop what everybody has heard."""
        if self.kept:
            return
        heard = min(self._listeners.values(), default=self.end) - self._dropped
        self._size -= sum(map(len, self._pieces[:heard]))
        del self._pieces[:heard]
        self._dropped += heard
        self._wake()

    async def _heard(self) -> None:
        """An answer that is not kept goes as fast as the slowest listener takes it."""
        while not self.kept and self._size > BACKLOG:
            await self.news()
