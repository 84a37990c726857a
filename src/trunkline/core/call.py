"""One journey through the gateway: what came in, who sent it, where it went, what it cost."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from copy import copy
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from msgspec import UNSET, Struct, UnsetType, field

from trunkline.core.choice import Choice
from trunkline.core.limit import Allowance
from trunkline.core.request import Request
from trunkline.core.usage import Usage

if TYPE_CHECKING:
    from trunkline.core.stores import Memory

Headers = list[tuple[bytes, bytes]]
"""Header fields in order, names in lower case, as ASGI has them."""

Capture = Literal["none", "metadata", "full"]

Priority = Literal["interactive", "default", "batch"]
"""Whose turn it is where not all can be served at once: people who wait, everybody, work that has time."""
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""The most urgent first."""

Operation = Literal[
    "generate", "count_tokens", "embed", "complete", "moderate", "image", "speech", "transcribe", "response",
]  # fmt: skip
"""What a call wants done. `complete`: the legacy text completion; `response`: the life of a stored answer."""


class Addressed(Struct, frozen=True):
    """What path and query say of a call, for the families that put it there and not into the body."""

    model: str = ""
    stream: bool = False
    framing: str = ""
    """How the stream is to be cut, where a family has several ways; "" is the usual one."""
    id: str = ""
    """Of the thing that the path names: a stored response."""


NOWHERE = Addressed()


class Peek(Struct):
    """The few request fields that every call needs: all that the identity path ever looks at."""

    model: str
    stream: bool = False
    include_usage: bool = False
    n: int = 1
    """How many alternatives were asked for."""
    framing: str = ""
    """As in `Addressed`."""
    addressed: bool = False
    """The path names the model: the body need not."""
    plain: bool = False
    """The conversation is known to hold nothing but text."""
    tools: bool = False
    """Chat: whether there are any, and how hard the model shall think about them. Some models answer that in another
    of OpenAI's dialects alone."""
    effort: str | None = None
    said: Any = None
    """What `dialects.asked` would read of this very body, where the look at it has read that too."""


class Key(Struct, frozen=True):
    """Who calls. The secret itself is never kept: `hash` is a keyed hash of it, hexadecimal."""

    id: str
    name: str
    hash: str = ""
    prefix: str = ""
    """The first characters of the secret, to recognise it by."""
    owner: str | None = None
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None
    """Names that may be asked for, `*` matching any run of characters; None: all."""
    created_at: float = 0.0
    expires_at: float | None = None
    """Seconds since the epoch."""
    disabled: bool = False
    capture: Capture | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    team: str | None = None
    """To which it belongs: it shares that one's limits."""
    limits: tuple[str, ...] = ()
    """Its own, as `policy.rules` reads them: `requests=600/minute`."""
    priority: Priority | None = None
    """The highest that its calls may ask for, and what they have if they ask for nothing."""

    def allows(self, model: str) -> bool:
        """Whether it may ask for a model of this name."""
        return self.models is None or any(fnmatchcase(model, pattern) for pattern in self.models)


class KeySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of a new key; the fields mean what they mean in `Key`."""

    name: str
    owner: str | None = None
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None
    expires_at: float | None = None
    capture: Capture | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    team: str | None = None
    limits: tuple[str, ...] = ()
    priority: Priority | None = None


class KeyChange(Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be different in a key; what is left out stays as it is."""

    disabled: bool | UnsetType = UNSET
    team: str | UnsetType | None = UNSET
    limits: tuple[str, ...] | UnsetType = UNSET
    """All of them: none that it had before stays."""
    priority: Priority | UnsetType | None = UNSET


AttemptKind = Literal["", "hedge", "continuation", "mirror"]
"""`hedge`: beside another one that was slow. `continuation`: after an answer that broke off, to go on with it.
`mirror`: a copy of a call, whose answer nobody waits for."""


class Attempt(Struct, omit_defaults=True):
    """One try at one target. Times in seconds, `start` from the beginning of the call."""

    target: str
    start: float
    duration: float = 0.0
    status: int = 0
    reason: str | None = None
    """Why it did not become the answer, or why that broke off: an error code; None for one that went well."""
    credential: str | None = None
    """Which of the provider's credentials answered, where it has several: `credential 2 of 3`."""
    kind: AttemptKind = ""
    choice: Choice | None = None
    """Why this target."""
    usage: Usage | None = None
    """What it is believed to have used, where it was paid for and did not become the answer, or not all of it."""
    price_model: str | None = None
    """As in `Entry`, for that usage."""
    cost: int | None = None
    """Nano-dollars of that usage, contained in the call's own cost."""


class Entry(Struct, omit_defaults=True):
    """One row of the ledger: one per call, whatever happened."""

    id: str
    at: float
    """When the call arrived, seconds since the epoch."""
    surface: str
    """The endpoint, such as `/v1/chat/completions`."""
    status: int
    key: str | None = None
    team: str | None = None
    """The key's, at that time."""
    tags: tuple[str, ...] = ()
    priority: Priority = "default"
    waited: float = 0.0
    """Seconds in the gateway's own queue."""
    model: str | None = None
    """As the caller named it."""
    target: str | None = None
    """`provider/model` that answered, or was tried last."""
    price_model: str | None = None
    """What the price list is asked for, `provider:model`; None where nothing is to be paid."""
    stream: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    first_byte: float | None = None
    """Seconds from arrival to the first byte sent."""
    duration: float = 0.0
    usage: Usage | None = None
    cost: int | None = None
    """Nano-dollars; None where no price is known."""
    price_date: str | None = None
    error: str | None = None
    """The error's code, None on success."""
    message: str | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    lost: tuple[str, ...] = ()
    """JSON paths of request fields that the translation could not carry."""
    request: str | None = None
    """The body, where the key or the config says to keep it."""
    response: str | None = None


class Surface(Protocol):
    """An endpoint: which dialect it speaks and which operation it is."""

    @property
    def path(self) -> str: ...
    @property
    def operation(self) -> Operation: ...


class Follows(Protocol):
    """The conversation that a call goes on with, where the gateway remembers what was said in it. The call's own body
    holds all of it then."""

    @property
    def target(self) -> str:
        """Who remembers it too, `provider/model`, and is asked first; "" nobody."""
        ...

    @property
    def hidden(self) -> int:
        """Tokens that `target` may remember beside what the call's body holds, at most: its thoughts."""
        ...

    def body(self, target: str) -> bytes:
        """The request for this target, where it speaks the client's dialect."""
        ...


_RETRIES = {
    b"x-stainless-retry-count": (re.compile(rb"^(\d{1,4})$"), 0),
    b"amz-sdk-request": (re.compile(rb"\battempt=(\d{1,4})\b"), 1),
}
"""Where the SDKs of OpenAI and Anthropic count their retries, and Amazon's its attempts: how, and from what on."""


async def _nothing(call: Call) -> None:
    """The body of a call that was made with one."""


class Call:
    """The state of one call. Made by the server edge; each stage fills in its part."""

    __slots__ = (
        "addressed", "api", "arrived", "attempt", "attempts", "body", "bytes_out", "capture", "choice", "client",
        "cost", "deadline", "first_byte", "follows", "grant", "headers", "id", "key", "load", "lost", "lot",
        "memory", "parsed", "peek", "priority", "query", "recovery", "started", "strict", "surface", "tags", "target",
        "usage", "waited",
    )  # fmt: skip

    def __init__(self, id: str, surface: Any, headers: Headers, arrived: float, started: float) -> None:
        self.id = id
        self.surface = surface
        self.headers = headers
        self.query = b""
        self.client = ""
        """The address of the connection's other end; "" where nobody knows."""
        self.addressed = NOWHERE
        self.body = b""
        self.arrived = arrived
        """Wall clock, seconds since the epoch."""
        self.started = started
        """Monotonic clock, seconds."""
        self.deadline: float | None = None
        """Monotonic clock, seconds."""
        self.load: Callable[[Call], Awaitable[None]] = _nothing
        """Reads the body into `body` and `peek`: the edge's, called once it is known who calls. Raises ClientError."""
        self.peek: Peek | None = None
        self.parsed: Request | None = None
        self.follows: Follows | None = None
        self.memory: Memory | None = None
        """What the client's connection remembers, where it is one that does."""
        self.key: Key | None = None
        self.tags: tuple[str, ...] = ()
        self.strict = False
        self.priority: Priority = "default"
        self.waited = 0.0
        """Seconds in the queue."""
        self.capture: Capture = "none"
        self.target: Any = None
        self.api: Any = None
        """Which of the target's wire formats is spoken in this attempt: `providers.target.BoundApi`."""
        self.attempts: list[Attempt] = []
        self.attempt: Attempt | None = None
        """The one that is being made, or became the answer."""
        self.choice: Choice | None = None
        """Why the target of the next attempt was chosen."""
        self.lot: float | None = None
        """From 0 to 1, the same for all calls of a conversation that is to stay with one credential; None: none is."""
        self.recovery: Any = None
        """What makes an answer that breaks off go on: `policy.continuation.Recovery`; None: nothing does."""
        self.lost: list[str] = []
        self.grant: Allowance | None = None
        """What it may use; None where no limit applies."""
        self.usage: Usage | None = None
        self.cost: int | None = None
        """Nano-dollars, once known."""
        self.first_byte: float | None = None
        self.bytes_out = 0

    def fork(self) -> Call:
        """The same call for an attempt beside another one: each has its own target and what it could not be told."""
        twin = copy(self)
        twin.lost = []
        return twin

    def adopt(self, twin: Call) -> None:
        """The twin's attempt became the answer."""
        self.target, self.api, self.attempt = twin.target, twin.api, twin.attempt
        self.lost, self.parsed, self.recovery = twin.lost, twin.parsed, twin.recovery

    @property
    def lossy(self) -> bool:
        """The caller has said that losses are fine, rather than nothing."""
        return not self.strict and self.header(b"x-trunkline-strict") is not None

    @property
    def retries(self) -> int:
        """How often the client has sent this call before, by its own account. Google's SDKs give none."""
        for name, value in self.headers:
            if name in _RETRIES:
                counts, first = _RETRIES[name]
                said = counts.search(value)
                return max(0, int(said[1]) - first) if said is not None else 0
        return 0

    def header(self, name: bytes) -> bytes | None:
        """The first field of that name (lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
