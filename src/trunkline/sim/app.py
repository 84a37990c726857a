"""The simulator as an ASGI application: find the family, plan the exchange, let the cues spoil it, play it.

It asks one thing that ASGI does not have, the connection's `Wire`, and so runs behind `sim.wire.WireProtocol`;
`sim.server` puts the two together.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from trunkline.sim.asked import Asked
from trunkline.sim.cache import PrefixCache
from trunkline.sim.calls import Call, CallLog
from trunkline.sim.exchange import Exchange
from trunkline.sim.faults import FAULTS, CueError, Cues, parse
from trunkline.sim.form import form, urlencoded
from trunkline.sim.memory import Memory
from trunkline.sim.misbehave import failure, misbehave
from trunkline.sim.persona import DEFAULT, FAULT_PREFIX, MODELS, PREFIX
from trunkline.sim.play import Receive, Send, play, receive_body
from trunkline.sim.problems import Problem
from trunkline.sim.route import Route
from trunkline.sim.routes import ROUTES, find
from trunkline.sim.settings import Settings
from trunkline.sim.turn import Turn
from trunkline.sim.wire import EXTENSION, Wire

MAX_COUNTED = 10_000
"""Model names for which `fail-first` counts calls; with more, counting begins anew."""

MAX_QUERY = 100
"""Fields of a query string."""

MISSHAPEN = (TypeError, AttributeError, KeyError, IndexError, ValueError)
"""What reading a field of the wrong type raises: the checks name the mistakes that people make, not every shape."""

WELCOME = b"This is Trunkline's simulator: no real model answers here.\n"


class SimulatorApp:
    """One simulator: its settings, and what it remembers from call to call.

    Raises:
        CueError: the settings hold a cue that cannot be understood.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        parse(self.settings.faults)
        self.calls = CallLog(self.settings.keep_calls, self.settings.keep_body)
        self._number = 0
        self.forget()

    def forget(self) -> None:
        """As on the first day: calls, counters, cache and dice; only the numbering goes on."""
        self.calls.clear()
        self._counted: Counter[str] = Counter()
        self._dice = random.Random(self.settings.seed)  # noqa: S311 - decides faults, not secrets
        self._cache = PrefixCache(self.settings.cache_minimum, self.settings.cache_entries)
        self._memory = Memory()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        wire: Wire = scope["extensions"][EXTENSION]
        call = Call(
            number=self._number + 1,
            at=time.time(),
            started=time.monotonic(),
            method=scope["method"],
            path=scope["path"],
            target=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=list(scope["headers"]),
        )
        exchange = self._own_page(call.method, call.path)
        if exchange is None:
            self._number += 1
            self.calls.add(call)
            wire.on_lost = call.left
            body = await receive_body(receive, self.settings.max_body)
            if wire.lost:
                return
            exchange = self._answer(call, body)
        await play(exchange, wire, send, call)

    def _own_page(self, method: str, path: str) -> Exchange | None:
        """The simulator's own pages, of no family and not among the calls."""
        if not path.startswith("/__sim/"):
            return Exchange(200, [(b"content-type", b"text/plain")], [WELCOME]) if path == "/" else None
        match method, path:
            case "GET", "/__sim/faults":
                return _json(200, msgspec.json.encode(FAULTS))
            case "GET", "/__sim/calls":
                return _json(200, self.calls.shown())
            case "DELETE", "/__sim/calls":
                self.forget()
                return Exchange(204, [], [])
            case _:
                return _refused(404, "the simulator's own pages are GET and DELETE /__sim/calls, GET /__sim/faults")

    def _answer(self, call: Call, body: bytes | None) -> Exchange:
        """The exchange for a call. `body`: None where it was too long."""
        headers = dict(call.headers)
        route = find(call.path.replace("//", "/"), headers, call.method, call.query)
        if route is None:
            return _refused(404, f"unknown path {call.path[:200]}; the simulator serves {', '.join(ROUTES)}")
        if call.method != route.method:
            return _refused(405, f"{call.path} wants {route.method}, not {call.method}")
        request_id = f"req_sim{call.number:08x}"
        try:
            exchange = self._planned(call, route, headers, body, request_id)
        except Problem as problem:
            exchange = route.family.errors.exchange(problem, call.model or "", request_id)
        if route.family.id_header:
            exchange.headers.append((route.family.id_header, request_id.encode()))
        return exchange

    def _planned(
        self, call: Call, route: Route, headers: Mapping[bytes, bytes], body: bytes | None, request_id: str
    ) -> Exchange:
        """The family's answer, spoiled by the cues. Raises Problem where the service refuses."""
        if body is None:
            raise Problem(name="413")
        # The form that asks for a token is made of credentials.
        self.calls.received(call, b"" if route.reads == "urlencoded" else body)
        route.family.authenticate(Asked(call.method, call.target, call.query, headers, body, call.at))
        content = _read(body, route, headers)
        turn = self._turn(call, route, content.get("model"), headers)
        call.cues = turn.cues
        if not turn.cues:
            exchange = _shaped(route, content, turn)
        else:
            failed = failure(turn.cues, route.family, turn.name, request_id)
            exchange = failed or _shaped(route, content, turn)
            misbehave(exchange, turn.cues, route.family)
        if exchange.status == 200:
            exchange.headers += route.family.rates(True)
        return exchange

    def _turn(self, call: Call, route: Route, asked: object, headers: Mapping[bytes, bytes]) -> Turn:
        """The model and the cues of a call. Raises Problem where either is unknown."""
        asked = route.model or (asked if isinstance(asked, str) else "")
        full = f"{DEFAULT}+{asked.removeprefix(FAULT_PREFIX)}" if asked.startswith(FAULT_PREFIX) else asked
        name, _, cued = full.partition("+")
        call.model = name
        if name.startswith(PREFIX) and name not in MODELS:
            raise Problem(name=route.family.errors.unknown_model)
        try:
            cues = parse(self.settings.faults, cued, headers.get(b"x-sim-fault", b"").decode("latin-1"))
        except CueError as error:
            raise Problem(str(error), param="model" if cued else None, code="unknown_fault") from None
        return Turn(
            name=name,
            model=MODELS.get(name, MODELS[DEFAULT]),
            cues=cues if not cues or self._strikes(full, cues) else {},
            number=call.number,
            now=call.at,
            headers=headers,
            settings=self.settings,
            cache=self._cache,
            family=route.family.name,
            query=dict(parse_qsl(call.query, keep_blank_values=True, max_num_fields=MAX_QUERY)),
            params=route.params,
            memory=self._memory,
        )

    def _strikes(self, model: str, cues: Cues) -> bool:
        """Whether the conditions among the cues hold for this call."""
        if "fail-first" in cues:
            if len(self._counted) >= MAX_COUNTED:
                self._counted.clear()
            self._counted[model] += 1
            if self._counted[model] > cues["fail-first"]:
                return False
        return "rate" not in cues or self._dice.random() < cues["rate"]


def _read(body: bytes, route: Route, headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The request's body by its fields; a form's files are `form.File`."""
    kind = headers.get(b"content-type", b"")
    if route.reads == "form" and not kind.startswith(b"application/json"):
        return form(body, kind)
    if route.reads == "urlencoded":
        return urlencoded(body)
    return _decoded(body) if route.method == "POST" and (body or not route.params) else {}


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(f"We could not parse the JSON body of your request: {error}", code="invalid_json") from None
    if not isinstance(content, dict):
        raise Problem("The JSON body of your request must be an object.", code="invalid_json")
    return content


def _shaped(route: Route, content: dict[str, Any], turn: Turn) -> Exchange:
    try:
        return route.plan(content, turn)
    except MISSHAPEN as error:
        raise Problem(f"A field of the request has the wrong shape: {type(error).__name__}: {error}") from None


def _json(status: int, body: bytes) -> Exchange:
    return Exchange(status, [(b"content-type", b"application/json")], [body])


def _refused(status: int, message: str) -> Exchange:
    return _json(status, msgspec.json.encode({"error": {"message": message, "type": "simulator_error"}}))
