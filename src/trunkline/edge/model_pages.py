"""The lists of models: `GET /v1/models` and its like, in the place and the shape that each family's SDK expects."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec

from trunkline.core.errors import ModelNotFound, NotFound
from trunkline.dialects import anthropic, gemini, openai_chat
from trunkline.dialects.base import Dialect
from trunkline.edge.pages import Identify, only_get, peer, respond
from trunkline.edge.refusal import family
from trunkline.edge.surfaces import GOOGLE

_encode = msgspec.json.Encoder().encode

_PLACES: Mapping[str, Dialect | None] = {
    "/v1/models": None,
    "/openai/v1/models": openai_chat.DIALECT,
    "/openai/models": openai_chat.DIALECT,
    "/anthropic/v1/models": anthropic.DIALECT,
    "/v1beta/models": gemini.DIALECT,
}
"""Where models are listed, and for whose SDK; None: that of whoever asks."""
_VERTEX = re.compile(r"/v1(?:beta1)?/publishers/(?P<publisher>[^/]+)/models(?:/(?P<model>.+))?")

_NOTHING = "There is nothing at {}. See docs/endpoints.md for what there is."

PAGES = (*_PLACES, f"/v1/publishers/{GOOGLE}/models", f"/v1beta1/publishers/{GOOGLE}/models")
BELOW = (*(f"{place}/" for place in _PLACES), "/v1/publishers/", "/v1beta1/publishers/")
"""What their paths begin with where one model is asked for."""

Show = Callable[[str], dict[str, Any]]

_LIMITS = {
    anthropic.DIALECT.name: ("max_input_tokens", "max_tokens"),
    gemini.DIALECT.name: ("inputTokenLimit", "outputTokenLimit"),
}
"""What the families' lists call these limits."""


class Listed(Protocol):
    def names(self) -> list[str]: ...
    def room(self, name: str) -> tuple[int | None, int | None]:
        """Tokens that a model's prompt and answer may have, None where unknown."""
        ...


class Models:
    """A list of models, or one of them. A key sees what it may use. `listed` gives the models of the moment."""

    def __init__(self, listed: Callable[[], Listed], identify: Identify) -> None:
        self._listed = listed
        self._identify = identify
        self._since = int(time.time())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        vertex, dialect, wanted = _place(unquote(scope["path"]))
        if ":" in wanted and scope["method"] == "POST":
            raise NotFound(_NOTHING.format(scope["path"]))  # an operation of Google's that is not served
        only_get(scope)
        dialect = dialect or family(scope["headers"])
        key = await self._identify(scope["headers"], scope["query_string"], peer(scope))
        names = [name for name in self._listed().names() if key.allows(name)]
        show = self._shown(dialect, vertex)
        if not vertex:
            show = self._with_limits(show, dialect)
        if not wanted:
            await respond(send, 200, _encode(_listing(dialect, [show(name) for name in names], vertex)))
        elif wanted in names:
            await respond(send, 200, _encode(show(wanted)))
        else:
            raise ModelNotFound(f"The model {wanted!r} is not listed here.", param="model")

    def _shown(self, dialect: Dialect, vertex: bool) -> Show:
        if dialect is gemini.DIALECT:
            return _vertex if vertex else _gemini
        return self._anthropic if dialect is anthropic.DIALECT else self._openai

    def _with_limits(self, show: Show, dialect: Dialect) -> Show:
        """With what is known of the size of prompts and answers, where the family's list has it."""
        room, fields = self._listed().room, _LIMITS.get(dialect.name)
        if fields is None:
            return show
        return lambda name: (
            show(name) | {field: tokens for field, tokens in zip(fields, room(name), strict=True) if tokens is not None}
        )

    def _openai(self, name: str) -> dict[str, Any]:
        owner = name.partition("/")[0] if "/" in name else "trunkline"
        return {"id": name, "object": "model", "created": self._since, "owned_by": owner}

    def _anthropic(self, name: str) -> dict[str, Any]:
        created = datetime.fromtimestamp(self._since, UTC).isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _place(path: str) -> tuple[bool, Dialect | None, str]:
    """(Vertex AI's, whose, the model that is asked for or ""). Raises NotFound."""
    vertex = _VERTEX.fullmatch(path.rstrip("/"))
    if vertex is not None:
        publisher, model = vertex["publisher"], vertex["model"] or ""
        return True, gemini.DIALECT, model if publisher == GOOGLE else f"{publisher}/{model}"
    for place, dialect in _PLACES.items():
        if path == place or path.startswith(f"{place}/"):
            return False, dialect, path[len(place) :].strip("/")
    raise NotFound(_NOTHING.format(path))


def _gemini(name: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


def _vertex(name: str) -> dict[str, Any]:
    return {"name": f"publishers/google/models/{name}", "launchStage": "GA"}


def _listing(dialect: Dialect, shown: list[dict[str, Any]], vertex: bool = False) -> dict[str, Any]:
    if dialect is gemini.DIALECT:
        return {"publisherModels" if vertex else "models": shown}
    if dialect is not anthropic.DIALECT:
        return {"object": "list", "data": shown}
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
    return {"data": shown, "has_more": False, **ends}
