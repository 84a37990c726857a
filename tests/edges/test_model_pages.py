"""The lists of models, where each family's SDK looks and in the shape that it reads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.running import Running, running
from tests.talking import ask

PLACES = {
    "/v1/models": ("data", "id", ""),
    "/openai/v1/models": ("data", "id", ""),
    "/openai/models": ("data", "id", ""),
    "/anthropic/v1/models": ("data", "id", ""),
    "/v1beta/models": ("models", "name", "models/"),
    "/v1/publishers/google/models": ("publisherModels", "name", "publishers/google/models/"),
    "/v1beta1/publishers/google/models": ("publisherModels", "name", "publishers/google/models/"),
}
"""The list's name, and the field and the beginning of a model's."""


@pytest_asyncio.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, {}) as run:
        yield run


@pytest.mark.parametrize("place", PLACES)
async def test_models_are_listed_and_shown(gateway: Running, place: str) -> None:
    listed, field, start = PLACES[place]
    found = (await ask(gateway.port, place)).json[listed]
    assert f"{start}sim/sim-small" in [each[field] for each in found]
    for name in ("sim/sim-small", quote("sim/sim-small", safe="")):
        assert (await ask(gateway.port, f"{place}/{name}")).json == next(
            each for each in found if each[field] == f"{start}sim/sim-small"
        )


async def test_vertex_asks_for_a_name_with_a_slash_as_publisher_and_model(gateway: Running) -> None:
    shown = await ask(gateway.port, "/v1beta1/publishers/sim/models/sim-small")
    assert shown.json["name"] == "publishers/google/models/sim/sim-small"


async def test_anthropic_s_place_has_anthropic_s_shape_whoever_asks(gateway: Running) -> None:
    answer = (await ask(gateway.port, "/anthropic/v1/models")).json
    assert answer["has_more"] is False
    assert answer["data"][0]["type"] == "model"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1beta/models/imagen-4:predictLongRunning", 404),
        ("POST", "/v1/publishers/google/models/veo-3:predictLongRunning", 404),
        ("GET", "/v1/publishers/google", 404),
        ("GET", "/v1beta1/publishers/google/endpoints/x", 404),
        ("GET", "/v1beta/models/none", 404),
        ("POST", "/v1beta/models/none", 405),
    ],
)
async def test_what_is_no_list_and_no_model(gateway: Running, method: str, path: str, status: int) -> None:
    answer = await ask(gateway.port, path, body=b"{}" if method == "POST" else None, method=method)
    assert answer.status == status
