"""The grammar of misbehaviour: a *cue* is a word, or a word with a value, and cues combine.

    cues = [ "none" ] cue *( ("+" / "," / ";") cue )        sim-small+429+retry-after=2
    cue  = name [ "=" value ]                               x-sim-fault: slow, cut, after=5

Cues come from the settings, then the model's name, then the header `x-sim-fault`; where two set the same name the
later wins, and `none` forgets what came before. This table is the only list of names: the parser, the documentation
test and `GET /__sim/faults` all read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Kind = Literal["flag", "duration", "count", "number"]
Group = Literal["when", "pace", "error", "connection", "stream", "body", "answer"]

MAX_SECONDS = 600.0
MAX_COUNT = 100_000
MAX_CUES = 32


class Fault(Struct, frozen=True):
    """One cue: its group, what value it takes, that value when none is given, and what it does."""

    group: Group
    kind: Kind
    default: float
    text: str


FAULTS: Mapping[str, Fault] = {
    "fail-first": Fault("when", "count", 1, "the other cues apply to the first N calls of this model name only (503)"),
    "rate": Fault("when", "number", 0.1, "the other cues apply with this probability, by the seed (503 if alone)"),
    "latency": Fault("pace", "duration", 1, "wait before the response's head"),
    "ttft": Fault("pace", "duration", 1, "wait after the head, before the first token"),
    "tps": Fault("pace", "number", 10, "tokens a second"),
    "slow": Fault("pace", "flag", 1, "the same as ttft=1s+tps=5"),
    "stall": Fault("stream", "duration", 30, "fall silent inside the stream, after `after` events"),
    "hang": Fault("connection", "duration", MAX_SECONDS, "never answer (give up after the time)"),
    "400": Fault("error", "flag", 1, "invalid request"),
    "401": Fault("error", "flag", 1, "invalid API key"),
    "403": Fault("error", "flag", 1, "permission denied"),
    "404": Fault("error", "flag", 1, "model (Azure: deployment) not found"),
    "408": Fault("error", "flag", 1, "request timed out"),
    "409": Fault("error", "flag", 1, "conflict"),
    "413": Fault("error", "flag", 1, "request too large"),
    "429": Fault("error", "flag", 1, "rate limit, with the family's headers and retry-after (default 1 s)"),
    "500": Fault("error", "flag", 1, "server error"),
    "502": Fault("error", "flag", 1, "HTML of a proxy in between instead of the family's envelope"),
    "503": Fault("error", "flag", 1, "service unavailable"),
    "504": Fault("error", "flag", 1, "timeout inside the service"),
    "529": Fault("error", "flag", 1, "overloaded (Anthropic's own status)"),
    "quota": Fault("error", "flag", 1, "429 that no waiting cures: insufficient_quota"),
    "too-large": Fault("error", "flag", 1, "429 that no waiting cures: one request above the token limit"),
    "billing": Fault("error", "flag", 1, "the account must be paid first"),
    "context": Fault("error", "flag", 1, "400 context_length_exceeded"),
    "filter": Fault("error", "flag", 1, "400 content filter (Azure's shape with innererror)"),
    "retry-after": Fault("error", "duration", 1, "what retry-after says on an error"),
    "no-retry-after": Fault("error", "flag", 1, "no retry-after on an error"),
    "reset": Fault("connection", "flag", 1, "TCP reset before the head"),
    "close": Fault("connection", "flag", 1, "orderly close before the head, no byte sent"),
    "cut": Fault("connection", "flag", 1, "TCP reset inside the body, after `after` events (half of a whole body)"),
    "short": Fault("connection", "flag", 1, "orderly close inside the body, without its HTTP end"),
    "after": Fault("stream", "count", 3, "how many events cut, short, stall, end, error-mid, bad-sse … wait for"),
    "end": Fault("stream", "flag", 1, "the body ends properly after `after` events, the answer does not"),
    "no-done": Fault("stream", "flag", 1, "the whole answer, without its [DONE] or message_stop"),
    "error-first": Fault("stream", "flag", 1, "an error as the first event of a 200 stream"),
    "error-mid": Fault("stream", "flag", 1, "an error event after `after` events, then the end"),
    "bad-sse": Fault("stream", "flag", 1, "lines that are no server-sent event after `after` events"),
    "unknown-event": Fault("stream", "flag", 1, "an event nobody has documented after `after` events, then the rest"),
    "crlf": Fault("stream", "flag", 1, "lines end in CR LF"),
    "split": Fault("stream", "count", 7, "the body is written in pieces of N bytes"),
    "bad-json": Fault("body", "flag", 1, "JSON broken off: the body's, or one event's after `after` events"),
    "empty": Fault("body", "flag", 1, "200 with an empty body"),
    "wrong-type": Fault("body", "flag", 1, "content-type: text/html"),
    "huge-headers": Fault("body", "count", 32, "N further kilobytes of response headers"),
    "gzip": Fault("body", "flag", 1, "the body gzip-encoded, each event flushed"),
    "no-usage": Fault("body", "flag", 1, "no usage reported"),
    "usage-with-finish": Fault("body", "flag", 1, "OpenAI streams: usage on the chunk that carries finish_reason"),
    "refuse": Fault("answer", "flag", 1, "the model refuses"),
    "filtered": Fault("answer", "flag", 1, "the answer is cut by the content filter (finish_reason)"),
    "failed": Fault("answer", "flag", 1, "OpenAI Responses: the response ends with the status failed"),
    "redacted": Fault("answer", "flag", 1, "Anthropic thinking arrives redacted"),
    "length": Fault("answer", "count", 100, "the text is N tokens long"),
}

ERRORS = tuple(
    name for name, fault in FAULTS.items() if fault.group == "error" and name not in ("retry-after", "no-retry-after")
)
"""The cues that answer with an error; the first one given wins."""

Cues = dict[str, float]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, None: 1.0}
_SEPARATORS = re.compile(r"[+,;]")


class CueError(ValueError):
    """A cue that cannot be understood; the message names it and the remedy."""


def parse(*sources: str) -> Cues:
    """The cues of all sources, later ones winning.

    Raises:
        CueError: an unknown name, a value that does not fit it, or too many cues.
    """
    cues: Cues = {}
    for source in sources:
        words = [word.strip() for word in _SEPARATORS.split(source)]
        for word in words:
            if word == "none":
                cues.clear()
            elif word:
                name, equals, value = word.partition("=")
                cues[name.strip()] = _value(name.strip(), value.strip() if equals else None)
    if len(cues) > MAX_CUES:
        raise CueError(f"{len(cues)} cues; at most {MAX_CUES} can be combined")
    return cues


def _value(name: str, text: str | None) -> float:
    fault = FAULTS.get(name)
    if fault is None:
        raise CueError(f"unknown fault {name[:40]!r}; known: {', '.join(FAULTS)}")
    if text is None:
        return fault.default
    match fault.kind:
        case "flag":
            raise CueError(f"fault {name!r} takes no value; write just {name!r}")
        case "duration":
            return duration(text, f"fault {name!r}")
        case "count":
            if not (text.isascii() and text.isdigit() and int(text[:9]) <= MAX_COUNT):
                raise CueError(f"fault {name!r} wants a whole number up to {MAX_COUNT}, not {text[:40]!r}")
            return int(text[:9])
        case "number":
            matched = _DURATION.fullmatch(text)
            if matched is None or matched[2] or float(matched[1]) > MAX_COUNT:
                raise CueError(f"fault {name!r} wants a number such as 0.5, not {text[:40]!r}")
            return float(matched[1])


def duration(text: str, what: str) -> float:
    """Seconds of `2s`, `150ms`, `1m` or `1.5`. Raises CueError, naming `what`."""
    matched = _DURATION.fullmatch(text)
    if matched is None:
        raise CueError(f"{what} wants a time such as 2s or 150ms, not {text[:40]!r}")
    seconds = float(matched[1]) * _UNITS[matched[2]]
    if seconds > MAX_SECONDS:
        raise CueError(f"{what}: {text} is longer than the {MAX_SECONDS:.0f} s allowed")
    return seconds
