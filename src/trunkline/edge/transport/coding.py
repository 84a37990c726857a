"""Content codings of a response, undone piece by piece and never more than asked for at once.

A kilobyte of gzip can hold a megabyte, so the reader says how much it will take: the rest stays compressed until it
asks again. Format: RFC 1952 (gzip), RFC 1950 (what HTTP calls deflate), RFC 1951 (what some servers send as deflate).
"""

from __future__ import annotations

import zlib

from trunkline.core.call import Headers
from trunkline.edge.transport.base import BrokenOff

_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_RAW_DEFLATE = -15


class Decoder:
    """Undoes one content coding. Raises BrokenOff on what is not of that coding."""

    __slots__ = ("_bits", "_coding", "_fresh", "_inflate", "_rest", "_withheld")

    def __init__(self, coding: bytes) -> None:
        self._coding = coding.decode("latin-1")
        self._bits = _WINDOW_BITS[coding]
        self._inflate = zlib.decompressobj(self._bits)
        self._fresh = True
        self._rest = b""
        self._withheld = False
        """The limit cut the output: zlib may hold more of it although it has taken all of the input."""

    def decode(self, data: bytes, limit: int) -> bytes:
        """The next bytes, at most `limit`; what did not fit is kept and comes with the next call."""
        data = self._rest + data if self._rest else data
        out: list[bytes] = []
        try:
            while limit > 0 and (data or self._withheld):
                if self._inflate.eof:
                    self._inflate = zlib.decompressobj(self._bits)  # gzip allows one member after another
                elif self._fresh:
                    self._choose(data[0])
                self._fresh = False
                piece = self._inflate.decompress(data, limit)
                data = self._inflate.unconsumed_tail or self._inflate.unused_data
                self._withheld = len(piece) == limit and not self._inflate.eof
                limit -= len(piece)
                out.append(piece)
        except zlib.error as error:
            raise BrokenOff(f"the body is not valid {self._coding}: {error}", sent=True) from error
        self._rest = data
        return b"".join(out)

    def finish(self) -> None:
        """The body has ended. Raises BrokenOff if the coding has not."""
        if not self._fresh and not self._inflate.eof:
            raise BrokenOff(f"the {self._coding} body is cut short", sent=True)

    def _choose(self, first: int) -> None:
        # A zlib header's low four bits are 8. No raw deflate stream of a known encoder starts so: it would be a stored
        # block with a padding bit set.
        if self._bits == _WINDOW_BITS[b"deflate"] and first & 0x0F != 8:
            self._bits = _RAW_DEFLATE
            self._inflate = zlib.decompressobj(self._bits)


def decoder_for(headers: Headers) -> Decoder | None:
    """What undoes the coding that the head names, None where there is none. Raises BrokenOff on one we do not know."""
    named = [value for name, value in headers if name == b"content-encoding"]
    if not named:
        return None
    codings = b",".join(named).lower()
    known = [coding for coding in (part.strip() for part in codings.split(b",")) if coding not in (b"", b"identity")]
    if not known:
        return None
    if len(known) > 1 or known[0] not in _WINDOW_BITS:
        raise BrokenOff(
            f"content-encoding {codings.decode('latin-1')!r} is not supported: gzip and deflate are", sent=True
        )
    return Decoder(known[0])
