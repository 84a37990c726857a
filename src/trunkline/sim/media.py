"""Small real files made by arithmetic: a PNG, a WAV, an MP3. Whoever receives them can open them."""

from __future__ import annotations

import math
import struct
import zlib

RATE = 24_000
"""Samples a second of a WAV."""

_PITCH = 440.0
_FRAME = b"\xff\xfb\x14\xc4" + bytes(100)
"""One MPEG-1 layer III frame, 32 kbit/s, 48 kHz, mono: without side information it is 24 ms of silence."""
_FRAME_SECONDS = 1152 / 48_000


def png(width: int, height: int, colour: bytes) -> bytes:
    """An image of one colour (three bytes), with a palette of one entry so that its size hardly matters."""
    row = bytes(1 + (width + 7) // 8)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0))
        + _chunk(b"PLTE", colour[:3].ljust(3, b"\0"))
        + _chunk(b"IDAT", zlib.compress(row * height))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pcm(seconds: float) -> bytes:
    """A quiet tone: 16-bit little-endian samples, mono."""
    period = [round(3000 * math.sin(2 * math.pi * _PITCH * i / RATE)) for i in range(RATE // 10)]
    tenth = struct.pack(f"<{len(period)}h", *period)
    return (tenth * math.ceil(seconds * 10))[: 2 * round(seconds * RATE)]


def wav(seconds: float) -> bytes:
    """The tone in a RIFF container."""
    data = pcm(seconds)
    layout = struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def mp3(seconds: float) -> bytes:
    """Silence of about that length."""
    return _FRAME * max(1, math.ceil(seconds / _FRAME_SECONDS))


def duration(data: bytes) -> float:
    """Seconds of a sound: a WAV's by its head, of anything else guessed at 16 kB a second."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE" and len(data) >= 44:
        rate: int = struct.unpack_from("<I", data, 28)[0]
        return max(0, len(data) - 44) / rate if rate else 0.0
    return len(data) / 16_000
