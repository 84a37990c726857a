"""What an answer's head may be, whoever made its fields."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.edge.exchange import Exchange


class Wire:
    """The client's connection."""

    def __init__(self) -> None:
        self.transport = self
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data

    def on_response_complete(self) -> None: ...


class Flow:
    write_paused = False


def begun(version: str = "1.1") -> tuple[Exchange, Wire]:
    wire: Any = Wire()
    scope = {"method": "POST", "http_version": version, "headers": []}
    return Exchange(scope, wire, Flow(), True, False), wire  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "field",
    [
        (b"x-a", b"1\r\nx-evil: 2"),
        (b"x-a", b"1\nx-evil: 2"),
        (b"x-a", b"1\rx-evil: 2"),
        (b"x\r\n", b"1"),
        (b"x-a", b"\n"),
    ],
)
async def test_a_line_break_in_a_field_is_a_mistake_and_nothing_of_it_is_sent(field: tuple[bytes, bytes]) -> None:
    exchange, wire = begun()
    with pytest.raises(ValueError, match="line break"):
        await exchange.send({"type": "http.response.start", "status": 200, "headers": [(b"x-b", b"2"), field]})
    assert wire.sent == b""


async def test_head_and_body_leave_in_one_write() -> None:
    exchange, wire = begun()
    head = [(b"x-content-length", b"9"), (b"content-length", b"2")]
    await exchange.send({"type": "http.response.start", "status": 200, "headers": head})
    assert wire.sent == b""
    await exchange.send({"type": "http.response.body", "body": b"{}"})
    first, *lines = wire.sent.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert first == b"HTTP/1.1 200 OK"
    assert lines[0].startswith(b"date: ")
    assert lines[1:] == [b"x-content-length: 9", b"content-length: 2"]
    assert wire.sent.endswith(b"\r\n\r\n{}")
    assert exchange.response_complete
