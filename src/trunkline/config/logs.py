"""The process's own messages, on standard error: one JSON object a line, or lines for people."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trunkline.config.schema import LogSettings

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(settings: LogSettings) -> None:
    """Send all log records to standard error in the configured format. Replaces what was set up before."""
    handler = logging.StreamHandler()
    pretty = settings.format == "pretty" or (settings.format == "auto" and sys.stderr.isatty())
    handler.setFormatter(_Pretty() if pretty else _Json())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(settings.level.upper())
    logging.captureWarnings(True)
    # uvicorn tells at this level that a process started or waits for connections; the gateway says so itself.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


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
        text = f"{clock} {record.levelname.lower():7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
