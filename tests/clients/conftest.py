"""A simulator and a gateway before it, as processes, for all tests here; the clients, and the table of what they could
do. Asynchronous tests share one event loop, because clients are made once, as in an application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import pytest_asyncio
from pytest_asyncio import is_async_test

from . import matrix
from .drivers import KEY, TARGETS, Chat, Driver, Messages
from .families import Speaker
from .processes import Servers, servers
from .speakers import SPEAKERS

CLIENTS = {
    "openai": {"sync": openai.OpenAI, "async": openai.AsyncOpenAI},
    "anthropic": {"sync": anthropic.Anthropic, "async": anthropic.AsyncAnthropic},
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "loses(*paths, to): what translation to those providers reports as lost")
    config.addinivalue_line("markers", "only_at(*providers): the matrix of families has the others")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of a driver runs with each client of its SDK, on each provider."""
    for fixture, sdk in (("chat", "openai"), ("messages", "anthropic")):
        if fixture in metafunc.fixturenames:
            clients = [(sdk, name) for name in CLIENTS[sdk]]
            own = metafunc.definition.get_closest_marker("only_at")
            metafunc.parametrize("target", own.args if own else TARGETS)
            metafunc.parametrize("client", clients, ids=list(CLIENTS[sdk]))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    driver = next((one for one in getattr(item, "funcargs", {}).values() if isinstance(one, Driver)), None)
    if driver is not None and (report.when == "call" or report.failed):
        matrix.record(item, driver, report.passed)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if matrix.cells or matrix.families:
        terminalreporter.section("clients and providers")
        for line in matrix.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("clients")) as both:
        yield both


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sdks(running: Servers) -> AsyncIterator[dict[tuple[str, str], Any]]:
    """Each SDK's two clients, made for the gateway."""
    addresses = {"openai": f"{running.gateway}/v1", "anthropic": running.gateway}
    made = {
        (sdk, name): client(base_url=addresses[sdk], api_key=KEY, max_retries=0, timeout=20)
        for sdk, clients in CLIENTS.items()
        for name, client in clients.items()
    }
    yield made
    for (_, name), client in made.items():
        await client.close() if name == "async" else client.close()


@pytest.fixture
def chat(sdks: dict[tuple[str, str], Any], client: tuple[str, str], target: str, request: Any) -> Iterator[Chat]:
    driver = Chat(sdks[client], target)
    yield driver
    assert driver.lost == matrix.expected_losses(request, target)


@pytest.fixture
def messages(
    sdks: dict[tuple[str, str], Any], client: tuple[str, str], target: str, request: Any
) -> Iterator[Messages]:
    driver = Messages(sdks[client], target)
    yield driver
    assert driver.lost == matrix.expected_losses(request, target)


@pytest.fixture(scope="session")
def speakers(running: Servers) -> Iterator[dict[str, Speaker]]:
    made = {name: make(running.gateway) for name, make in SPEAKERS.items()}
    yield made
    for speaker in made.values():
        speaker.close()


@pytest.fixture
def speaker(speakers: dict[str, Speaker], request: Any) -> Speaker:
    return speakers[request.param]
