"""Two gateways on one Redis: who is found out, or told to wait, at one is known at the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.edges.families import OPENAI
from tests.edges.upstreams import Upstream, whole
from tests.running import Running, running, until
from tests.state.redis_server import RedisServer
from tests.talking import ask

LOOPS = {"uvloop": uvloop.new_event_loop}
ERROR = {"error": {"message": "no", "type": "x", "code": None}}
FAILED, LIMITED = whole(ERROR, 500), whole(ERROR, 429, {"retry-after": "60"})
GOOD = whole(OPENAI.answer)


@pytest.fixture
async def upstreams() -> AsyncIterator[tuple[Upstream, Upstream]]:
    async with Upstream(GOOD) as one, Upstream(GOOD) as two:
        yield one, two


@pytest.fixture
async def pair(
    redis: RedisServer, upstreams: tuple[Upstream, Upstream], tmp_path: Path
) -> AsyncIterator[list[Running]]:
    one, two = upstreams
    sections: dict[str, Any] = {
        "providers": {"one": OPENAI.provider(one.url), "two": OPENAI.provider(two.url)},
        "models": {"smart": {"targets": [{"target": "one/a"}, {"target": "two/b"}]}},
    }
    async with AsyncExitStack() as stack:
        made = []
        for name in ("near", "far"):
            (tmp_path / name).mkdir()
            state = {"durable": None, "hot": redis.url, "directory": str(tmp_path / name), "redis": {"deadline": 0.5}}
            made.append(await stack.enter_async_context(running(tmp_path / name, sections | {"state": state})))
            await called(made[-1])  # both know the target: hints about strangers are not heard
        yield made


async def called(run: Running, times: int = 1) -> None:
    for _ in range(times):
        assert (await ask(run.port, OPENAI.path, OPENAI.ask("smart"))).status == 200


async def test_what_one_finds_out_the_other_believes_at_its_first_failure(
    pair: list[Running], upstreams: tuple[Upstream, Upstream]
) -> None:
    near, far = pair
    upstreams[0].answers = [FAILED]
    target = far.gateway.board.of("one/a")
    await called(near, 5)
    assert not near.gateway.board.of("one/a").well
    await until(lambda: target.breaker.suspected, "the other has heard of it")
    assert target.well
    await called(far)
    assert target.breaker.cause == "told"


async def test_a_rest_holds_for_both(pair: list[Running], upstreams: tuple[Upstream, Upstream]) -> None:
    near, far = pair
    upstreams[0].answers = [LIMITED]
    await called(near)
    target = far.gateway.board.of("one/a")
    await until(lambda: not target.well, "the other rests too")
    asked = len(upstreams[0].asked)
    await called(far, 3)
    assert len(upstreams[0].asked) == asked
