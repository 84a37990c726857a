"""A request's head as bytes, and the checks that keep one request from becoming two.

A line break inside a path or a value would end the line early, and what follows would be read as another header or
another request (request smuggling, RFC 9112 section 11.2). So whatever could break the framing is a `ValueError` here,
before a byte is sent, and the fields that frame a message are written by us alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NoReturn

from trunkline.core.call import Headers
from trunkline.edge.transport.base import Origin

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[!-~]+")
_BREAKS = b"\r\n\0"
_ACCEPT_ENCODING = b"\r\naccept-encoding: "
_OURS = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})
_DEFAULT_PORTS = {"http": 80, "https": 443}
_WITHOUT_CONTENT = frozenset({b"GET", b"HEAD", b"DELETE", b"OPTIONS"})
"""Methods for which an absent `content-length` says that there is no content (RFC 9110 section 8.6)."""


def request_head(origin: Origin, method: bytes, path: bytes, headers: Headers, length: int) -> bytes:
    """The request line and the header block, up to and with the empty line.

    Raises ValueError on whatever could break the framing. Asks for an unencoded answer unless the caller named what it
    accepts: decompression costs more CPU here than the bytes cost on the wire.
    """
    parts = [_start(origin, method, path)]
    for name, value in headers:
        parts.append(_label(name))
        parts.append(value)
    if _ACCEPT_ENCODING not in parts:
        parts.append(_ACCEPT_ENCODING + b"identity")
    if length or method not in _WITHOUT_CONTENT:
        parts.append(b"\r\ncontent-length: %d" % length)
    parts.append(b"\r\n\r\n")
    head = b"".join(parts)
    # Each part but the values has one CR and one LF, the last has two of each: more of them, or a NUL, came in a value.
    ours = 2 * (len(parts) - len(headers) + 1)
    if len(head) - len(head.translate(None, _BREAKS)) != ours:
        _refuse_break(headers)
    return head


def authority(origin: Origin) -> str:
    """Host and port as a URL has them: brackets around an IPv6 address, no default port."""
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    return host if origin.port == _DEFAULT_PORTS.get(origin.scheme) else f"{host}:{origin.port}"


@lru_cache(maxsize=2048)
def _start(origin: Origin, method: bytes, path: bytes) -> bytes:
    host = authority(origin).encode("idna" if not origin.host.isascii() else "ascii")
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"method {method!r}: not an HTTP method")
    if not _TARGET.fullmatch(path):
        raise ValueError("path: percent-encode spaces, control characters and non-ASCII bytes")
    if not _TARGET.fullmatch(host):
        raise ValueError(f"host {origin.host!r}: not a host name")
    return b"%b %b HTTP/1.1\r\nhost: %b" % (method, path, host)


@lru_cache(maxsize=2048)
def _label(name: bytes) -> bytes:
    """What separates a value from the one before it: a line break, the name and a colon."""
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"header name {name!r}: not an HTTP token")
    if name.lower() in _OURS:
        raise ValueError(f"header {name.decode()}: set by the transport, leave it out")
    return b"\r\n%b: " % name.lower()


def _refuse_break(headers: Headers) -> NoReturn:
    culprit = next((name for name, value in headers if value != value.translate(None, _BREAKS)), b"?")
    raise ValueError(f"header {culprit.decode()}: a value may not contain CR, LF or NUL")
