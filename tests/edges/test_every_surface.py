"""No endpoint goes around a stage: each is called without a key, with one that is disabled, with one that may not have
the model, with too much, too deep, and rightly. Then the ledger, the price and the metrics must know of it.

The walk is over `SURFACES` itself: an endpoint that is not in it cannot be called, and one that is new is called here
as soon as it is there. What fails then is `surface_calls`, which has to know a body for it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.edges.surface_calls import BOUNDARY, PRICED, body, kind, loses, refusal
from tests.running import Running, journalled, running, until
from tests.talking import Answer, ask
from trunkline.core.call import Entry, KeySpec
from trunkline.edge.surfaces import SURFACES, Surface
from trunkline.sim.server import start
from trunkline.sim.settings import Settings
from trunkline.state.database import Database
from trunkline.state.ledger import Ledger
from trunkline.state.location import locate

ADMIN = "an-admin-key-of-some-length"
MAX_BODY, MAX_DEPTH = 20_000, 40
SERVED = {
    "generate": PRICED["generate"],
    "count_tokens": PRICED["generate"],
    "complete": PRICED["complete"],
    "embed": PRICED["embed"],
    "moderate": "omni-moderation-latest",
    "image": "gpt-image-1",
    "speech": "tts-1",
    "transcribe": "gpt-4o-transcribe",
    "response": PRICED["generate"],
}
"""What is behind the public model `served-<operation>`; `else-<operation>` is a model of another family."""
IDS = [f"{surface.method} {surface.path}" for surface in SURFACES]
_CLAUDES = "invalid_request_error"
_GOOGLES = "INVALID_ARGUMENT"
_AMAZONS = "ValidationException"
WORDS: dict[str, dict[str, str]] = {
    "openai": {
        "missing": "missing_api_key", "disabled": "disabled_api_key", "model": "model_not_allowed",
        "large": "request_too_large", "deep": "json_too_deep", "text": "invalid_json", "strict": "lossy_translation",
    },
    "anthropic": {
        "missing": "authentication_error", "disabled": "authentication_error", "model": "permission_error",
        "large": "request_too_large", "deep": _CLAUDES, "text": _CLAUDES, "strict": _CLAUDES,
    },
    "gemini": {
        "missing": "UNAUTHENTICATED", "disabled": "UNAUTHENTICATED", "model": "PERMISSION_DENIED",
        "large": _GOOGLES, "deep": _GOOGLES, "text": _GOOGLES, "strict": _GOOGLES,
    },
    "bedrock": {
        "missing": "UnrecognizedClientException", "disabled": "UnrecognizedClientException",
        "model": "AccessDeniedException", "large": _AMAZONS, "deep": _AMAZONS, "text": _AMAZONS, "strict": _AMAZONS,
    },
}  # fmt: skip
"""What each family calls what is wrong: OpenAI's clients look at the code, the others at a type."""
STATUS = {"missing": 401, "disabled": 401, "model": 403, "large": 413, "deep": 400, "text": 400, "strict": 400}


NOT_SIMULATED = {"image:variations": (404, "upstream_not_found")}
"""The simulator has no such endpoint: what it says of that goes through all stages too."""


class Place:
    """A gateway that demands keys, the simulator behind it, and three keys."""

    def __init__(self, run: Running, good: str, disabled: str, narrow: str) -> None:
        self.run = run
        self.good, self.disabled, self.narrow = good, disabled, narrow
        self.database = Database(locate(f"sqlite:///{run.directory}/trunkline.db"))
        self.ledger = Ledger(self.database)

    async def entry(self, answer: Answer) -> Entry:
        """The ledger entry of the call that this answers: in the journal, or in the database since a moment ago."""
        wanted = answer.headers["x-request-id"]
        found: list[Entry] = []

        def there() -> bool:
            with suppress(FileNotFoundError):  # shipped, and gone, while it was looked at
                found.extend(entry for entry in journalled(self.run.directory) if entry.id == wanted)
            shipped = self.ledger.find(wanted)
            found.extend([shipped] if shipped is not None else [])
            return bool(found)

        await until(there, f"the ledger entry of {wanted}")
        return found[0]

    async def counted(self, surface: Surface) -> int:
        """Calls of this endpoint that the metrics know."""
        text = (await ask(self.run.port, "/metrics", headers=_bearer(ADMIN))).body.decode()
        found = re.findall(r'trunkline_requests_total\{[^}]*surface="([^"]*)"[^}]*\} ([0-9.]+)', text)
        return int(sum(float(count) for path, count in found if path == surface.path))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    directory: Path = tmp_path_factory.mktemp("surfaces")
    simulator = await start(settings=Settings())
    providers = {
        "up": {"kind": "openai", "base_url": f"{simulator.url}/v1", "api_key": "sim"},
        "claude": {"kind": "anthropic", "base_url": simulator.url, "api_key": "sim"},
        "google": {"kind": "gemini", "base_url": simulator.url, "api_key": "sim"},
    }
    elsewhere = dict.fromkeys(SERVED, "claude/claude-sonnet-4-5") | {"embed": "google/gemini-embedding-001"}
    models = {f"served-{what}": {"targets": [{"target": f"up/{name}"}]} for what, name in SERVED.items()}
    models |= {f"else-{what}": {"targets": [{"target": name}]} for what, name in elsewhere.items()}
    sections = {
        "auth": "required",
        "admin_key": ADMIN,
        "providers": providers,
        "models": models,
        "server": {"max_body_size": MAX_BODY, "max_json_depth": MAX_DEPTH},
    }
    async with running(directory, sections, begin=True) as run:
        await until(
            lambda: run.gateway.status()["ready"] and run.gateway.stores.prices._library, "keys and prices are loaded"
        )
        secrets = await asyncio.to_thread(_keys, run)
        await until(lambda: run.gateway.stores.ring.find(secrets[-1].encode()), "the keys are known")
        place = Place(run, *secrets)
        yield place
        place.database.close()
    await simulator.aclose()


def _keys(run: Running) -> list[str]:
    assert run.gateway.stores.shipper is not None
    store = run.gateway.stores.shipper.keys
    assert store is not None
    good = store.create(KeySpec("good"))[1]
    off, disabled = store.create(KeySpec("off"))
    store.set_disabled(off.id, True)
    return [good, disabled, store.create(KeySpec("narrow", models=("nothing-*",)))[1]]


def _bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


class Caller:
    """Of one endpoint."""

    def __init__(self, place: Place, surface: Surface, id: str = "") -> None:
        self.place, self.surface, self.id = place, surface, id
        self.calls = 0
        self.form = not _is_json(surface)

    def path(self, model: str) -> str:
        blanks = {"model": model, "id": self.id or "resp_none", "publisher": "google"}
        return re.sub(r"\{(\w+)\}", lambda found: blanks.get(found[1], "anything"), self.surface.path)

    async def __call__(self, secret: str | None, *, model: str = "", headers: Any = None, **more: Any) -> Answer:
        self.calls += 1
        model = model or f"served-{self.surface.operation}"
        raw = more.pop("raw", None)
        sent = None if self.surface.operation == "response" else raw or body(self.surface, model, **more)
        fields = {"content-type": f"multipart/form-data; boundary={BOUNDARY}" if self.form else "application/json"}
        fields |= (_bearer(secret) if secret else {}) | (headers or {})
        return await ask(self.place.run.port, self.path(model), sent, fields, self.surface.method)

    def refused(self, answer: Answer, why: str) -> None:
        """Asserts that it is, in the family's own way."""
        dialect = self.surface.dialect.name
        family = "openai" if dialect.startswith("openai") else dialect.removesuffix("_invoke")
        told = refusal(dialect, answer.headers, json.loads(answer.body))
        assert (answer.status, told) == (STATUS[why], WORDS[family][why])


def _is_json(surface: Surface) -> bool:
    return body(surface, "m").startswith(b"{") if surface.operation != "response" else True


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("surface", SURFACES, ids=IDS)
async def test_no_stage_is_bypassed(place: Place, surface: Surface) -> None:
    before = await place.counted(surface)
    call = Caller(place, surface, await _stored(place, surface))
    before_response = await place.counted(surface) - before
    call.refused(await call(None), "missing")
    call.refused(await call(place.disabled), "disabled")
    if surface.operation != "response":
        await _refused_by_limits(call, place)
    if loses(surface):
        strict = {"x-trunkline-strict": "1"}
        call.refused(await call(place.good, model=_other(surface), more=True, headers=strict), "strict")
    answer = await call(place.good)
    status, error = NOT_SIMULATED.get(kind(surface), (200, None))
    assert answer.status == status, answer.body
    entry = await place.entry(answer)
    assert (entry.surface, entry.status, entry.error) == (surface.path, status, error)
    assert entry.key is not None
    if surface.operation in PRICED:
        _assert_paid(entry)
    assert await place.counted(surface) - before == call.calls + before_response


def _assert_paid(entry: Entry) -> None:
    assert entry.usage is not None
    assert entry.usage.input > 0
    assert not entry.usage.estimated
    assert entry.cost is not None
    assert entry.cost > 0


BY_BODY = [
    surface
    for surface in SURFACES
    if surface.operation in {"generate", "complete"}
    and surface.dialect.name in {"openai_chat", "openai_responses", "openai_completions", "anthropic"}
    and not surface.stream
    and "{publisher}" not in surface.path
    and ":rawPredict" not in surface.path
]
"""Endpoints whose body says that the answer shall be a stream."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("surface", BY_BODY, ids=[surface.path for surface in BY_BODY])
@pytest.mark.parametrize("where", ["served", "else"])
async def test_a_stream_is_paid_too(place: Place, surface: Surface, where: str) -> None:
    sent = json.loads(body(surface, f"{where}-{surface.operation}")) | {"stream": True}
    answer = await ask(
        place.run.port, Caller(place, surface).path(f"{where}-{surface.operation}"), sent, _bearer(place.good)
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    entry = await place.entry(answer)
    assert (entry.surface, entry.status, entry.error, entry.stream) == (surface.path, 200, None, True)
    _assert_paid(entry)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_invoked_embedding_is_paid_too(place: Place) -> None:
    answer = await ask(place.run.port, "/model/served-embed/invoke", {"inputText": "hello"}, _bearer(place.good))
    assert answer.json["embedding"]
    _assert_paid(await place.entry(answer))


async def _refused_by_limits(call: Caller, place: Place) -> None:
    call.refused(await call(place.narrow), "model")
    large = {"content-length": str(MAX_BODY + 1)}
    call.refused(await call(place.good, headers=large), "large")
    if not call.form:
        nested: Any = []
        for _ in range(MAX_DEPTH):
            nested = [nested]
        call.refused(await call(place.good, padding=nested), "deep")
        call.refused(await call(place.good, raw=b'{"model":"m","\xce":1}'), "text")


def _other(surface: Surface) -> str:
    """A model of a family that this endpoint's requests have to be translated to."""
    home = surface.dialect.name.startswith("openai")
    if surface.operation == "embed":
        return "else-embed" if home else "served-embed"
    return f"{'else' if home else 'served'}-{surface.operation}"


async def _stored(place: Place, surface: Surface) -> str:
    """The id of an answer that is remembered, for endpoints that are about one."""
    if surface.operation != "response":
        return ""
    wish = {"model": "served-response", "input": "hello", "background": surface.form == "cancel"}
    answer = await ask(place.run.port, surface.path.partition("/{id}")[0], wish, _bearer(place.good))
    assert answer.status == 200, answer.body
    return str(answer.json["id"])


async def test_every_path_is_that_of_a_surface(tmp_path: Path) -> None:
    """What is no surface and no page is not there: nothing can be asked around the walk above."""
    async with running(tmp_path, {"providers": {}}) as run:
        for path in ("/v1/chat", "/v1/complete", "/v1/messages/batches", "/model/m/anything", "/v1beta/files"):
            assert (await ask(run.port, path, {"model": "m"})).status == 404
