"""The process's own messages, on standard error: one JSON object a line, or lines for people.

What callers choose (a model's name, say) is in them, so a control character is shown, never written: it could begin a
line that the gateway never said. An outage makes the same warning thousands of times a second: see `Flood`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trunkline.config.schema import LogSettings

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


_SHOWN = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
MOST_ALIKE = 20
"""Records of one kind (one place in the code) that are written in a second; the rest are counted."""


def configure(settings: LogSettings) -> None:
    """Send all log records to standard error in the configured format. Replaces what was set up before."""
    handler = logging.StreamHandler()
    pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stderr.isatty())
    handler.setFormatter(_Pretty() if pretty else _Json())
    handler.addFilter(Flood(time.monotonic))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(settings.level.upper())
    logging.captureWarnings(True)
    # uvicorn tells at this level that a process started or waits for connections; the gateway says so itself.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


class Flood(logging.Filter):
    """Lets `MOST_ALIKE` records of one kind through a second; the first one of a later second says how many were left
    out. Errors of the gateway's own have a traceback, and are not counted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}
        """Place in the code to the second and the count in it: as many as there are calls of `log`."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            return True
        place, now = (record.pathname, record.lineno), int(self._clock())
        second, count = self._seen.get(place, (now, 0))
        if second != now:
            left_out = count - MOST_ALIKE
            if left_out > 0:
                record.left_out = left_out
            count = 0
        self._seen[place] = now, count + 1
        return count < MOST_ALIKE


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class _Pretty(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = f"{clock} {record.levelname.lower():7} {record.getMessage().translate(_SHOWN)}"
        fields = vars(record)
        if "request_id" in fields:
            text += f" [{fields['request_id']}]"
        if "left_out" in fields:
            text += f" ({fields['left_out']} more like this were left out)"
        if record.exc_info:  # indented: what an exception says may hold line breaks, too
            text += "\n" + self.formatException(record.exc_info)
        return text.replace("\n", "\n    ")


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
