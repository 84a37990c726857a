"""What a stage stands between in these tests: a call without a socket, and an inner handler that does as it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from trunkline.core.call import Call, Entry, Key, Peek
from trunkline.core.errors import GatewayError
from trunkline.core.reply import Reply
from trunkline.core.usage import Usage
from trunkline.dialects import openai_chat
from trunkline.policy.needs import ANY, Ability


@dataclass(frozen=True)
class Place:
    """A surface."""

    path: str = "/v1/chat/completions"
    operation: str = "generate"
    dialect: Any = openai_chat.DIALECT


@dataclass
class Named:
    """A target."""

    name: str
    price_model: str | None = None
    ability: Ability = ANY


@dataclass
class Said:
    """A flow whose story is over."""

    usage: Usage | None = None
    complete: bool = True
    error: GatewayError | None = None
    produced: int = 0
    out: bytes = b""

    def feed(self, data: bytes) -> bytes:
        return data

    def eof(self) -> bytes:
        return self.out

    def fail(self, error: GatewayError) -> bytes:
        self.error = error
        return self.out


def a_call(model: str = "smart", headers: list[tuple[bytes, bytes]] | None = None, body: bytes = b"{}") -> Call:
    """A call whose `load` gives it this body and model, as the edge's does."""
    made = Call("req_1", Place(), headers or [], arrived=1000.0, started=50.0)

    async def load(call: Call) -> None:
        call.body, call.peek = body, Peek(model)

    made.load = load
    return made


@dataclass
class Inner:
    """The way onward: each step is a reply to give or an error to raise; the calls that came are kept."""

    steps: list[Any]
    targets: list[Any] = field(default_factory=list)

    async def __call__(self, call: Call) -> Reply:
        self.targets.append(call.target)
        step = self.steps.pop(0)
        if isinstance(step, BaseException):
            raise step
        assert isinstance(step, Reply)
        return step


class Clock:
    """Advances by one second a look."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@dataclass
class Ring:
    """Keys by secret; `find` is the only thing that auth may trust."""

    keys: dict[bytes, Key]
    waited: int = 0
    loaded: bool = False

    def find(self, secret: bytes) -> Key | None:
        return self.keys.get(secret)

    async def ready(self) -> None:
        self.waited += 1
        self.loaded = True


@dataclass
class Kept:
    """Journal, meters and price list at once: entries as they come."""

    appended: list[Entry] = field(default_factory=list)
    recorded: list[Entry] = field(default_factory=list)
    price: tuple[int, str] | None = None

    def append(self, entry: Entry) -> None:
        self.appended.append(entry)

    def record(self, entry: Entry) -> None:
        self.recorded.append(entry)

    def cost(self, entry: Entry) -> tuple[int, str] | None:
        return self.price if entry.usage is not None else None
