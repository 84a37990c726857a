"""Where Redis is: one URL, checked before anything is opened.

Four schemes, each with an `s` after `redis` for TLS: `redis://host:6379/0`, `redis+sentinel://host:26379,host/service`
and `redis+cluster://host:6379,host`. Several hosts are ways to the same data, tried in turn. Like a database's URL it
may hold passwords, so nothing but `shown` may reach a log or an error.
"""

from __future__ import annotations

from typing import Literal
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from msgspec import Struct

from trunkline.core.secret import MASK

EXAMPLES = (
    "use redis://user:password@host:6379/0, redis+sentinel://host:26379,host:26379/service or "
    "redis+cluster://host:6379,host:6379; rediss… for TLS"
)

Mode = Literal["single", "sentinel", "cluster"]
Address = tuple[str, int]

MODES: dict[str, Mode] = {"": "single", "sentinel": "sentinel", "cluster": "cluster"}
PORTS: dict[Mode, int] = {"single": 6379, "sentinel": 26379, "cluster": 6379}
OPTIONS = ("ca", "cert", "key", "sentinel_user", "sentinel_password")
"""What may follow the question mark: PEM files for TLS, and who we are to the sentinels."""
MAX_HOSTS = 32


class Login(Struct, frozen=True):
    """Who we are. `user` is "" for a server without access lists; no password, no login."""

    user: str = ""
    password: str = ""


class RedisLocation(Struct, frozen=True, kw_only=True):
    mode: Mode
    hosts: tuple[Address, ...]
    tls: bool = False
    login: Login = Login()
    sentinel_login: Login = Login()
    database: int = 0
    service: str = ""
    """What the sentinels call the group of servers."""
    ca: str | None = None
    """PEM file of the authorities to trust instead of the system's."""
    cert: str | None = None
    """PEM file of our own certificate, where the server asks for one; `key` its private key."""
    key: str | None = None
    shown: str
    """The URL with passwords hidden."""


def locate_redis(url: str) -> RedisLocation:
    """Read a Redis URL. Raises ValueError, which shows no password and says how to write it."""
    parts = urlsplit(url)
    base, _, suffix = parts.scheme.partition("+")
    if base not in ("redis", "rediss") or suffix not in MODES:
        raise ValueError(f'"memory://" or a Redis is expected; {EXAMPLES}')
    mode = MODES[suffix]
    options = _options(parts.query)
    user, hosts = _authority(parts, mode)
    service, database = _path(parts.path, mode)
    return RedisLocation(
        mode=mode,
        hosts=hosts,
        tls=base == "rediss",
        login=user,
        sentinel_login=Login(options.get("sentinel_user", ""), options.get("sentinel_password", "")),
        database=database,
        service=service,
        ca=options.get("ca"),
        cert=options.get("cert"),
        key=options.get("key"),
        shown=_shown(parts),
    )


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query))
    for name in options:
        if name not in OPTIONS:
            raise ValueError(f"there is no option {name!r}; known: {', '.join(OPTIONS)}")
    if ("cert" in options) != ("key" in options):
        raise ValueError("cert and key belong together; give both or none")
    return options


def _authority(parts: SplitResult, mode: Mode) -> tuple[Login, tuple[Address, ...]]:
    credentials, at, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    if at and not password:
        raise ValueError(f"there is a user and no password; {EXAMPLES}")
    found = tuple(_address(each, PORTS[mode]) for each in hosts.split(","))
    if len(found) > MAX_HOSTS:
        raise ValueError(f"at most {MAX_HOSTS} hosts")
    return Login(unquote(user), unquote(password)), found


def _address(text: str, default: int) -> Address:
    """`host`, `host:port` or `[IPv6]:port`."""
    bare = text.endswith("]") or ":" not in text
    host, _, port = (text, "", str(default)) if bare else text.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or "[" in host or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= 65_535:
        raise ValueError(f"each host is a name or an address, with a port from 1 to 65535; {EXAMPLES}")
    return host, int(port)


def _path(path: str, mode: Mode) -> tuple[str, int]:
    """(service of the sentinels, number of the database)."""
    steps = [unquote(step) for step in path.split("/") if step]
    service = ""
    if mode == "sentinel":
        if not steps:
            raise ValueError(f"the path names what the sentinels watch; {EXAMPLES}")
        service = steps.pop(0)
    if mode == "cluster" and steps not in ([], ["0"]):
        raise ValueError("a cluster has no database but 0; end the URL with the hosts")
    if len(steps) > 1 or any(not (step.isascii() and step.isdigit() and len(step) < 5) for step in steps):
        raise ValueError(f"the path ends with the number of a database, such as /0; {EXAMPLES}")
    return service, int(steps[0]) if steps else 0


def _shown(parts: SplitResult) -> str:
    credentials, at, hosts = parts.netloc.rpartition("@")
    user = f"{credentials.partition(':')[0]}:{MASK}@" if at else ""
    return f"{parts.scheme}://{user}{hosts}{parts.path}" + (f"?{MASK}" if parts.query else "")
