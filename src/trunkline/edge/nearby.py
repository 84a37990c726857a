"""Which endpoint a mistaken path may have meant.

Most such paths come from a base URL: OpenAI's SDK wants its version in it, the others add their own, so `/v1` is
missing or there twice. An SDK shows nothing but the answer's message, so that is where the right path must stand.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from trunkline.edge.surfaces import FIXED, find

MAX_LENGTH = 256
"""Characters of a path that is looked at: anybody may send one."""
_VERSIONS = ("", "/v1", "/v1beta")


def nearest(path: str, pages: Collection[str]) -> str | None:
    """The path that was probably meant, None where nothing is near. `pages`: those that are no surfaces."""
    if len(path) > MAX_LENGTH:
        return None
    found = (each for each in _mended(path) if each in FIXED or each in pages or find(each, "POST", b""))
    return next(found, None) or next(iter(difflib.get_close_matches(path, [*FIXED, *pages], n=1, cutoff=0.8)), None)


def _mended(path: str) -> Iterator[str]:
    """The path, and what is left of it without its first segments, each with and without a version before it."""
    segments = path.strip("/").split("/")
    for start in range(len(segments)):
        rest = "/" + "/".join(segments[start:])
        yield from (version + rest for version in _VERSIONS)
