"""The log's two formats: what must not be forged in them, and how much of the same they write."""

from __future__ import annotations

import json
import logging

import pytest

from trunkline.config.logs import MOST_ALIKE, Flood, configure
from trunkline.config.schema import LogSettings

FORGED = "sim/a\n2026-01-01 ERROR forged\r\x1b[2J\x85\u2028"


@pytest.fixture
def restored() -> object:
    """The root logger as it was, afterwards."""
    root, uvicorn = logging.root, logging.getLogger("uvicorn.error")
    handlers, levels = root.handlers[:], (root.level, uvicorn.level)
    yield None
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    uvicorn.setLevel(levels[1])
    logging.captureWarnings(False)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("style", ["json", "pretty"])
def test_a_name_cannot_begin_a_line(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format=style))  # type: ignore[arg-type]
    logging.getLogger("trunkline.calls").warning("model %s", FORGED, extra={"request_id": "req_7"})
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 or style == "json"  # str.splitlines also breaks at U+2028, JSON does not
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert "req_7" in said
    if style == "json":
        assert json.loads(said)["request_id"] == "req_7"
        assert json.loads(said)["message"] == f"model {FORGED}"


@pytest.mark.usefixtures("restored")
def test_an_exception_cannot_begin_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(LogSettings(format="pretty"))
    try:
        raise ValueError("\n12:00:00 error forged")
    except ValueError:
        logging.getLogger("trunkline.calls").exception("oops")
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("12:00:00 error forged")] == []


def record(line: int, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error is not None else None
    return logging.LogRecord("trunkline.calls", logging.WARNING, __file__, line, "busy", (), info)


def test_a_storm_is_counted_instead_of_written() -> None:
    now = [100.0]
    flood = Flood(lambda: now[0])
    passed = [flood.filter(record(1)) for _ in range(500)]
    assert passed == [True] * MOST_ALIKE + [False] * (500 - MOST_ALIKE)
    assert flood.filter(record(2))
    assert flood.filter(record(1, ValueError("ours")))
    now[0] = 101.0
    later, after = record(1), record(1)
    assert flood.filter(later)
    assert flood.filter(after)
    assert vars(later)["left_out"] == 500 - MOST_ALIKE
    assert "left_out" not in vars(after)
