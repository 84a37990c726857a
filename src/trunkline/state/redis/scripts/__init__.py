"""The decisions that Redis makes: each a Lua script that nothing else comes between, on keys of one slot.

Counters of leases are found in the leases' own records, so scripts touch keys that the command does not name. Redis
asks for names to route by; one hash tag in all of our keys makes that superfluous.
"""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

from msgspec import Struct

_HERE = Path(__file__).parent


class Script(Struct, frozen=True):
    name: str
    text: bytes
    sha: bytes
    """By which EVALSHA calls it."""

    @classmethod
    def of(cls, name: str, text: bytes) -> Script:
        return cls(name, text, sha1(text).hexdigest().encode())  # noqa: S324 - that is how Redis names it


def read_scripts() -> dict[str, Script]:
    """By name: each file of this folder, after what they share."""
    shared = (_HERE / "shared.lua").read_bytes()
    scripts = {}
    for path in sorted(_HERE.glob("*.lua")):
        if path.stem != "shared":
            scripts[path.stem] = Script.of(path.stem, shared + path.read_bytes())
    return scripts
