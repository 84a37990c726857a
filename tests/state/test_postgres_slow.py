"""PostgreSQL that answers late: no call notices, and the ledger is whole afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.running import until
from tests.state.conftest import PostgresServer
from tests.state.redis_server import SlowWay
from tests.state.test_postgres_faults import SLOWEST, calls, counted, gateway


async def test_slow_by_200_ms_touches_no_call(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database()
    way = SlowWay(postgres.directory / ".s.PGSQL.5432")
    await way.open()
    async with gateway(f"postgresql://postgres@127.0.0.1:{way.port}/postgres", tmp_path) as (run, secret):
        way.delay = 0.2
        await asyncio.sleep(0.3)  # the shipper meets it
        found = await calls(run, secret, 40)
        way.delay = 0.0
        found += await calls(run, secret, 20)
        await until(lambda: run.gateway.status()["state"]["journal"]["entries"] == 0, "all is shipped")
    await way.cut()
    assert {status for status, _ in found} == {200}
    assert max(seconds for _, seconds in found) < SLOWEST
    assert counted(url) == 60
