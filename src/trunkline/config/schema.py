"""The configuration's shape: one frozen struct a section, defaults and all. The string under a field is its
documentation: docs/configuration.md and docs/config.schema.json are made from it.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from trunkline.core.call import Capture
from trunkline.core.secret import Dsn, Secret
from trunkline.edge.settings import ServerSettings
from trunkline.edge.transport.base import TransportSettings
from trunkline.policy.abuse import AbuseSettings
from trunkline.policy.outage import RedisSettings
from trunkline.policy.queue import QueueSettings
from trunkline.policy.shedding import SheddingSettings
from trunkline.providers.catalog_facts import Facts
from trunkline.providers.settings import ProviderSettings
from trunkline.stages.admission.settings import AdmissionSettings, LimitSettings, TeamSettings
from trunkline.stages.conversation.settings import ResponsesSettings
from trunkline.stages.idempotency.settings import IdempotencySettings
from trunkline.stages.routing.settings import ModelSettings, RoutingSettings

LATER = {
    "strategy": ("complexity",),
}
"""Values of these fields that are planned: refused as not available yet, rather than as unknown."""


def default_database() -> Dsn:
    return Dsn("sqlite:///trunkline.db")


def in_memory() -> Dsn:
    """Of each process its own."""
    return Dsn("memory://")


class StateSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `state:` section: what outlives a call, and where it is kept."""

    hot: Dsn = field(default_factory=in_memory)
    """Where is kept what every call touches: limits, and what processes tell each other. `memory://`: in each process,
    for one worker. `redis://user:password@host:6379/0`, `redis+sentinel://host:26379,host:26379/service` or
    `redis+cluster://host:6379,host:6379`: shared by all workers and machines; `rediss` for TLS, with `?ca=file`,
    `&cert=file&key=file` where they are needed. See docs/state.md."""
    redis: RedisSettings = field(default_factory=RedisSettings)
    """What a Redis in `hot` may cost, and what happens without it."""
    durable: Dsn | None = field(default_factory=default_database)
    """The database of keys and ledger: `sqlite:///relative.db`, `sqlite:////absolute.db` or
    `postgresql://user:password@host/name`. `null`: none, which needs `auth: open`."""
    directory: str = ".trunkline"
    """Where each process keeps its journal."""
    journal_bytes: Annotated[int, Meta(ge=64 * 1024 * 1024)] = 4 * 1024 * 1024 * 1024
    """The most that the journals in `directory` may hold together, while the database cannot be used. What comes then
    waits in memory, bounded, as when the disk is full."""


class LedgerSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `ledger:` section."""

    capture: Capture = "metadata"
    """What is kept of a call beside its counts and costs: `none`, nothing; `metadata`, tags, attempts and error
    messages; `full`, the bodies of request and answer too. A key can say otherwise for its own calls."""


class LogSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `log:` section."""

    format: Literal["auto", "json", "pretty"] = "auto"
    """`json`, one object a line; `pretty`, for people; `auto`, pretty on a terminal and JSON elsewhere."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious message that is written."""


class SimSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The `sim:` section: the built-in simulator, whose models are `sim/…`."""

    enabled: bool | None = None
    """Whether its models are served. Where left out: only while no provider is configured."""


class Config(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The whole file. Every key is optional."""

    listen: str = "127.0.0.1:4000"
    """`host:port` to serve on; an IPv6 host in brackets; port 0 for any free one."""
    auth: Literal["required", "open"] = "required"
    """`required`: every call needs a key made by `trunkline keys create`. `open`: no keys; anyone who reaches the port
    spends your money, so it is refused on any but a loopback address."""
    admin_key: Secret | None = None
    """The credential of `/admin/v1`; those endpoints are off where left out. At least 16 characters."""
    auth_secret: Secret | None = None
    """Keys are stored as a hash keyed with this. Where left out, one is made and kept beside the database. Changing it
    makes every key unknown. At least 32 characters."""
    providers: dict[str, ProviderSettings] = field(default_factory=dict)
    """Whom to call, by a name of your choosing."""
    models: dict[str, ModelSettings] = field(default_factory=dict)
    """Public models, by name. Without any, `provider/model` still addresses every provider."""
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    """How targets are chosen and tried, for all models."""
    limits: Annotated[tuple[LimitSettings, ...], Meta(max_length=256)] = ()
    """What callers may use, and how much of it: docs/limits.md. Keys can have limits of their own besides."""
    teams: dict[str, TeamSettings] = field(default_factory=dict)
    """Teams, by name: keys belong to them (`trunkline keys create --team`)."""
    admission: AdmissionSettings = field(default_factory=AdmissionSettings)
    """What holds for all limits."""
    catalog: dict[str, Facts] = field(default_factory=dict)
    """What is known better of models than the shipped table knows, by a model's id or by `provider/model`."""
    state: StateSettings = field(default_factory=StateSettings)
    """Where keys, ledger and counters are kept."""
    transport: TransportSettings = field(default_factory=TransportSettings)
    """The HTTP client that calls the providers."""
    server: ServerSettings = field(default_factory=ServerSettings)
    """The HTTP server that the clients call."""
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    """What is written down of every call."""
    responses: ResponsesSettings = field(default_factory=ResponsesSettings)
    """What is remembered of the answers of `/v1/responses`."""
    queue: QueueSettings = field(default_factory=QueueSettings)
    """Calls that wait for a place at a provider."""
    shedding: SheddingSettings = field(default_factory=SheddingSettings)
    """When the gateway itself has too much to do."""
    abuse: AbuseSettings = field(default_factory=AbuseSettings)
    """Keys that are guessed, shared or stolen."""
    idempotency: IdempotencySettings = field(default_factory=IdempotencySettings)
    """Calls that are made once, however often they come."""
    reload: Literal["asked", "watch"] = "asked"
    """When this file is read again: `asked`, on SIGHUP and over the admin API; `watch`, also when it changes."""
    log: LogSettings = field(default_factory=LogSettings)
    """The process's own messages, on standard error."""
    sim: SimSettings = field(default_factory=SimSettings)
    """The built-in simulator."""

    @property
    def address(self) -> tuple[str, int]:
        """Host (without brackets) and port of `listen`."""
        return split_address(self.listen)

    @property
    def simulates(self) -> bool:
        """Whether the simulator's models are served."""
        return not self.providers if self.sim.enabled is None else self.sim.enabled


def split_address(text: str) -> tuple[str, int]:
    """`host:port`, the host of IPv6 in brackets. Raises ValueError, with a message that says how to write it."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError('expected "host:port", such as "127.0.0.1:4000"')
    if host.startswith("[") and host.endswith("]"):
        return str(ipaddress.IPv6Address(host[1:-1])), int(port)
    if ":" in host or "[" in host or "/" in host:
        raise ValueError('expected "host:port"; an IPv6 address goes in brackets, such as "[::1]:4000"')
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`. Names other than localhost may resolve to
    anything, so they count as reachable."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
