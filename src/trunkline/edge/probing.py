"""Active probes: targets are asked by the gateway itself, where their provider's `probe:` says so.

One task looks once a second for targets whose time it is; their probes run beside each other, each bounded in time and
all of a provider's in number. What came of them goes to the target's standing, as what comes of calls does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from trunkline.core.call import Call, Peek
from trunkline.core.errors import GatewayError, Kind, UpstreamError
from trunkline.core.events import Failed
from trunkline.core.request import Message, Request, Text
from trunkline.edge.sender import Sender, mapped
from trunkline.edge.transport.base import Origin, Transport, TransportError
from trunkline.policy.probing import Budget, ProbeSettings, due
from trunkline.policy.standing import Board
from trunkline.providers.target import Target

log = logging.getLogger("trunkline.health")

LOOK = 1.0
"""Seconds."""
MAX_AT_ONCE = 32

_PROMPT = Request("", [Message("user", [Text("Hi")])], max_tokens=16)
"""Some models refuse to answer with fewer tokens."""
_BUSY: frozenset[Kind] = frozenset({"rate_limit", "quota"})
"""Who says so is well, and has enough to do."""


class Probing:
    """`targets`: those of the configuration in force."""

    def __init__(
        self, sender: Sender, transport: Transport, board: Board, targets: Callable[[], Iterable[Target]]
    ) -> None:
        self._sender = sender
        self._transport = transport
        self._board = board
        self._targets = targets
        self._last: dict[str, float] = {}
        self._budgets: dict[str, Budget] = {}
        self._looking: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        self._looking = asyncio.ensure_future(self._look_again_and_again())

    async def aclose(self) -> None:
        tasks = [*self._running, *([self._looking] if self._looking is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_again_and_again(self) -> None:
        while True:
            self.look(asyncio.get_running_loop().time())
            await asyncio.sleep(LOOK)

    def look(self, now: float) -> None:
        """Begin the probes whose time it is."""
        known = {each.name: each for each in self._targets() if each.provider.probe is not None}
        self._last = {name: at for name, at in self._last.items() if name in known}
        for name, target in known.items():
            settings = target.provider.probe
            assert settings is not None
            last = self._last.setdefault(name, now)
            standing = self._board.of(name)
            if len(self._running) < MAX_AT_ONCE and due(standing, settings, last, now):
                self._last[name] = now
                if self._budget(target, settings).take(now):
                    task = asyncio.ensure_future(self._probe(target, settings))
                    self._running.add(task)
                    task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("an active probe met a mistake of the gateway's own", exc_info=error)

    def _budget(self, target: Target, settings: ProbeSettings) -> Budget:
        budget = self._budgets.get(target.provider.name)
        if budget is None or budget.settings != settings:
            budget = self._budgets[target.provider.name] = Budget(settings)
        return budget

    async def _probe(self, target: Target, settings: ProbeSettings) -> None:
        ask = self._reach if settings.how == "reach" else self._generate
        standing, clock = self._board.of(target.name), asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(settings.timeout):
                await ask(target)
        except TimeoutError:
            standing.told("probe", f"a probe got no answer within {settings.timeout:g} s", clock())
        except GatewayError as error:
            if error.kind not in _BUSY:
                standing.told("probe", f"a probe failed: {error.code}", clock())
        else:
            standing.proved(clock())

    async def _generate(self, target: Target) -> None:
        """A few tokens. Raises GatewayError."""
        api = next((each for each in target.apis if each.can("generate")), None)
        if api is None:  # it does not converse
            await self._reach(target)
            return
        call = Call("probe", None, [], time.time(), asyncio.get_running_loop().time())
        call.target, call.api, call.peek = target, api, Peek(target.model)
        path = api.path("generate", call.peek)
        assert path is not None
        body = api.dialect.write_request(_PROMPT, target.model, target.quirks, [])
        headers = api.api.translated(_PROMPT) if api.api.translated is not None else []
        response = await self._sender.send(call, path, headers, body)
        data = await self._sender.body(call, response)
        reader = api.dialect.reader(False)
        for event in [*reader.feed(data), *reader.eof()]:
            if isinstance(event, Failed):
                raise event.error

    async def _reach(self, target: Target) -> None:
        """Whether a server answers, without showing it a credential. Raises GatewayError."""
        provider = target.provider
        origin = Origin(provider.scheme, provider.host, provider.port)
        try:
            response = await self._transport.send(origin, b"HEAD", b"/", [], b"")
        except TransportError as error:
            raise mapped(error, None) from error
        response.close()
        if response.status >= 500:
            raise UpstreamError("The host answers with an error.", status=response.status, code="upstream_server")
