"""Where a secret text comes from: the configuration, a file, or a command's output.

A source gives its value on demand and keeps it as long as it is good. None shows it, and no message says more of a
failure than the file's or the program's name: what a command writes on its way may be the secret itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from trunkline.core.errors import CredentialUnavailable
from trunkline.core.secret import Credential, Secret, SecretCommand, SecretFile
from trunkline.edge.credentials.renewed import Held, Renewed

log = logging.getLogger("trunkline.credentials")

MAX_SIZE = 65_536
"""Bytes of a file or a command's output."""
LOOK_EVERY = 1.0
"""Seconds between two looks at a file."""
COMMAND_TIME = 30.0
"""Seconds that a command may take."""

T_co = TypeVar("T_co", covariant=True)
Clock = Callable[[], float]


class Source(Protocol[T_co]):
    async def get(self) -> T_co:
        """The value, fresh enough to use. Raises CredentialUnavailable."""
        ...

    async def renew(self, used: object) -> bool:
        """The provider refused `used`: whether there is something else to try now."""
        ...

    async def aclose(self) -> None: ...


class Fixed:
    """What the configuration says."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def get(self) -> str:
        return self._text

    async def renew(self, used: object) -> bool:
        return False

    async def aclose(self) -> None:
        pass


class FromFile:
    """The text of a file, read again when it changes. While it cannot be read the last text is used: files are often
    replaced in two steps."""

    def __init__(self, path: str, clock: Clock = time.monotonic) -> None:
        self._path = Path(path)
        self._clock = clock
        self._looked = float("-inf")
        self._mark: tuple[int, int, int] | None = None
        self._text: str | None = None

    async def get(self) -> str:
        if self._text is None or self._clock() - self._looked >= LOOK_EVERY:
            self._looked = self._clock()
            try:
                await self._look()
            except (OSError, ValueError) as error:
                self._failed(error.strerror if isinstance(error, OSError) else str(error))
        assert self._text is not None
        return self._text

    async def renew(self, used: object) -> bool:
        self._looked = float("-inf")
        return await self.get() != used

    async def aclose(self) -> None:
        pass

    async def _look(self) -> None:
        status = self._path.stat()
        mark = status.st_mtime_ns, status.st_size, status.st_ino
        if mark != self._mark:
            self._text = await asyncio.to_thread(self._read)
            self._mark = mark

    def _read(self) -> str:
        with self._path.open("rb") as file:
            return tidy(file.read(MAX_SIZE + 1))

    def _failed(self, why: str | None) -> None:
        detail = f"the file {self._path} cannot be read: {why}"
        if self._text is None:
            raise CredentialUnavailable(detail)
        log.warning("a credential's file cannot be read, its last text is used: %s", detail)


def from_command(command: SecretCommand, clock: Clock = time.time) -> Renewed[str]:
    """The output of a command, run again in the background before its time is up."""

    async def fetch() -> Held[str]:
        text = await output(command.command)
        return Held.lasting(text, clock(), command.ttl)

    return Renewed(fetch, clock)


async def output(command: tuple[str, ...]) -> str:
    """What a command writes to its standard output, run without a shell. Raises CredentialUnavailable."""
    name = Path(command[0]).name
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "has arguments that cannot be passed on"
        raise CredentialUnavailable(f"the command {name} cannot be run: {why}") from None
    try:
        async with asyncio.timeout(COMMAND_TIME):
            data = await _bounded(process)
            status = await process.wait()
    except TimeoutError:
        raise CredentialUnavailable(f"the command {name} did not end within {COMMAND_TIME:.0f} s") from None
    except ValueError as error:
        raise CredentialUnavailable(f"the command {name}: its output {error}") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if status != 0:
        raise CredentialUnavailable(f"the command {name} ended with status {status}")
    try:
        return tidy(data)
    except ValueError as error:
        raise CredentialUnavailable(f"the command {name}: its output {error}") from None


async def _bounded(process: asyncio.subprocess.Process) -> bytes:
    """Raises ValueError past the bound."""
    assert process.stdout is not None
    data = b""
    while piece := await process.stdout.read(MAX_SIZE):
        data += piece
        if len(data) > MAX_SIZE:
            raise ValueError(f"is larger than {MAX_SIZE} bytes")
    return data


def tidy(data: bytes) -> str:
    """A secret's text without the line break at its end. Raises ValueError, which never shows it."""
    if len(data) > MAX_SIZE:
        raise ValueError(f"is larger than {MAX_SIZE} bytes")
    try:
        text = data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not text:
        raise ValueError("is empty")
    return text


def text_source(credential: Credential) -> Source[str]:
    """A credential of the configuration as a source."""
    match credential:
        case Secret():
            return Fixed(credential.reveal())
        case SecretFile():
            return FromFile(credential.file)
        case SecretCommand():
            return from_command(credential)
        case _:
            raise TypeError(f"no way to read a {type(credential).__name__}")
