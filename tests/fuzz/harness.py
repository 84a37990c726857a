"""What a fuzzer does to a dialect: everything that bytes from outside can reach, and what reads its result.

The first byte of an input chooses the action; the second the size of the pieces that a stream comes in, the model that
is asked and how the client's stream is framed; the rest is the body. Nothing but the declared errors may come out: a
client's mistake as `ClientError`, an upstream's as `UpstreamError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from trunkline.core.call import Addressed
from trunkline.core.errors import ClientError, UpstreamError
from trunkline.core.events import Event
from trunkline.core.request import Request
from trunkline.dialects.base import Dialect, Envelope, Quirks
from trunkline.dialects.bedrock import eventstream
from trunkline.edge.limits import check_text

MAX_BODY = 64 * 1024
"""Bytes of an input: what is larger takes long and finds no more."""
MODELS: tuple[tuple[str, Quirks], ...] = (
    ("m", Quirks()),
    ("anthropic.claude-opus-5", Quirks(adaptive_thinking=True, system_turns=True, prefill=False)),
    ("amazon.nova-pro-v1:0", Quirks(signed_calls=True, media_results=True, efforts=("low", "high"))),
    ("meta.llama4", Quirks(json_schema=False, thinking_budget=True, json_with_tools=False, counts_whole=False)),
    ("gpt-6", Quirks(encrypted_thoughts=True, drop=frozenset({"temperature", "stop", "output"}))),
)
"""Who is asked: together they take every way of writing a request."""
FRAMINGS = ("", "array", "nova")
"""How a client may want its answer; a dialect that has one way alone does not look."""
ADDRESSED = Addressed(MODELS[0][0])

Action = Callable[[Dialect, list[Dialect], bytes, int], None]


def pieces(data: bytes, size: int) -> Iterable[bytes]:
    """`size` 0: in one piece."""
    return [data[at : at + size] for at in range(0, len(data), size)] if size else [data]


def requests(dialect: Dialect, others: list[Dialect], body: bytes, size: int) -> None:
    check_text(body)  # as the edge does, before anybody reads
    peek = dialect.peek(body, ADDRESSED)
    dialect.patch(body, "another", peek, Quirks())  # all that the identity path does: nothing has read the body yet
    request = dialect.read_request(body, peek)
    for other in others:
        _write(other.write_request, request, size)


def count_requests(dialect: Dialect, others: list[Dialect], body: bytes, size: int) -> None:
    check_text(body)
    request = dialect.read_count_request(body, dialect.peek(body, ADDRESSED))
    for other in others:
        _write(other.write_count_request, request, size)


def _write(write: Callable[[Request, str, Quirks, list[str]], bytes], request: Request, size: int) -> None:
    model, quirks = MODELS[size % len(MODELS)]
    try:
        write(request, model, quirks, [])
    except (ClientError, NotImplementedError):  # a dialect without an endpoint that counts says so
        pass


def streams(dialect: Dialect, others: list[Dialect], data: bytes, size: int) -> None:
    reader = dialect.reader(True)
    events = [event for piece in pieces(data, size) for event in reader.feed(piece)] + list(reader.eof())
    _retell(events, others, True, size)


def answers(dialect: Dialect, others: list[Dialect], data: bytes, size: int) -> None:
    reader = dialect.reader(False)
    _retell([*reader.feed(data), *reader.eof()], others, False, size)


def _retell(events: list[Event], others: list[Dialect], stream: bool, size: int) -> None:
    for other in others:
        writer = other.writer(Envelope(stream, model="m", framing=FRAMINGS[size % len(FRAMINGS)]))
        for event in events:
            writer.feed(event)
        writer.eof()


def frames(dialect: Dialect, others: list[Dialect], data: bytes, size: int) -> None:
    """Lines of a name and a payload, as frames with the right checksums: no fuzzer guesses those."""
    if dialect.stream_type("") == eventstream.CONTENT_TYPE:
        framed = b"".join(map(_frame, data.split(b"\n")))
        streams(dialect, others, framed, size)
        stream_taps(dialect, others, framed, size)


def _frame(line: bytes) -> bytes:
    name, _, payload = line.partition(b" ")
    make = eventstream.exception if name.endswith(b"Exception") else eventstream.event
    return make(name[:99].decode(errors="replace"), payload)


def stream_taps(dialect: Dialect, _others: list[Dialect], data: bytes, size: int) -> None:
    addressed = Addressed("m", True, FRAMINGS[size % len(FRAMINGS)])
    tap = dialect.tap(dialect.peek(b'{"model":"m","messages":[],"stream":true}', addressed))
    for piece in pieces(data, size):
        tap.feed(piece)
    tap.eof()


def answer_taps(dialect: Dialect, _others: list[Dialect], data: bytes, _size: int) -> None:
    dialect.tap(dialect.peek(b'{"model":"m","messages":[]}', ADDRESSED)).feed(data)


def errors(dialect: Dialect, others: list[Dialect], body: bytes, size: int) -> None:
    error = dialect.read_error(400 + size, [(b"retry-after", body[:8]), (b"x-amzn-errortype", body[:16])], body)
    for other in others:
        other.write_error(error, "req_1")
        other.stream_error(error, "req_1")
        other.error_headers(error)


def counts(dialect: Dialect, _others: list[Dialect], body: bytes, _size: int) -> None:
    try:
        dialect.read_count(body)
    except NotImplementedError:
        pass


ACTIONS: dict[str, Action] = {
    "request": requests,
    "count request": count_requests,
    "stream": streams,
    "frames": frames,
    "answer": answers,
    "stream tap": stream_taps,
    "answer tap": answer_taps,
    "error": errors,
    "count": counts,
}
_LISTED = tuple(ACTIONS.values())


def one_input(dialect: Dialect, others: list[Dialect], data: bytes) -> bool:
    """Whether it was taken rather than refused. Raises whatever is not declared."""
    if len(data) < 2:
        return False
    try:
        _LISTED[data[0] % len(_LISTED)](dialect, others, data[2 : MAX_BODY + 2], data[1])
    except (ClientError, UpstreamError):
        return False
    return True


def seed(action: str, body: bytes, size: int = 0) -> bytes:
    """An input that starts with this action on this body."""
    return bytes([list(ACTIONS).index(action), size]) + body
