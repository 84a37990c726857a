"""Where a running gateway reads its configuration again.

Workers of one gateway must agree although they start at different times: one that replaces another must not take up
what the others could not. So the supervisor keeps the text of the start in a directory that they share, each worker
leaves there what it took up last, and a new worker follows the same way: what the gateway was started with, then the
last that was taken up, then the file as it is now, if that is any good.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from trunkline.config.changes import change
from trunkline.config.load import load, parse, text_of
from trunkline.config.problems import ConfigError
from trunkline.config.schema import Config

_STARTED, _TAKEN = "started.yaml", "taken.yaml"


class Source(Protocol):
    def load(self) -> Config:
        """What is wanted now. Raises ConfigError."""
        ...

    def taken(self) -> None:
        """What was loaded last is in force."""
        ...


class Given:
    """A configuration that comes from nowhere, and does not change."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def load(self) -> Config:
        return self._config

    def taken(self) -> None:
        pass


class FileSource:
    """A file; without one, the environment. `override`: the command line over it; `shared`: the directory of a
    gateway's workers."""

    def __init__(
        self,
        path: Path | None,
        insecure: bool = False,
        override: Callable[[Config], Config] = lambda config: config,
        shared: Path | None = None,
    ) -> None:
        self.path = path
        self.shared = shared
        self.refused: ConfigError | None = None
        """What was wrong with the file when a worker started without it."""
        self._insecure = insecure
        self._override = override
        self._text: str | None = None

    def load(self) -> Config:
        if self.path is None:
            return self._override(load(None, insecure=self._insecure))
        return self._read(text_of(self.path))

    def taken(self) -> None:
        if self.shared is not None:
            self._leave(self.shared / _TAKEN)

    def share(self, directory: Path) -> None:
        """Leave what the gateway starts with to its workers."""
        self.shared = directory
        self._leave(directory / _STARTED)

    def joined(self) -> Config:
        """What a worker starts with. Raises ConfigError."""
        assert self.shared is not None
        if not (self.shared / _STARTED).exists():
            return self.load()  # there is no file
        config = self._read(text_of(self.shared / _STARTED))
        if (self.shared / _TAKEN).exists():
            config = change(config, self._read(text_of(self.shared / _TAKEN))).config
        try:
            assert self.path is not None
            text = text_of(self.path)
            return config if text == self._text else change(config, self._read(text)).config
        except ConfigError as error:
            self.refused = error
            return config

    def _read(self, text: str) -> Config:
        config = self._override(parse(text, str(self.path), insecure=self._insecure))
        self._text = text
        return config

    def _leave(self, path: Path) -> None:
        if self._text is None:
            return
        scratch = path.with_suffix(f".{os.getpid()}")
        with open(scratch, "w", encoding="utf-8", opener=_private) as file:
            file.write(self._text)
        scratch.replace(path)


def _private(path: str, flags: int) -> int:
    """The text may hold credentials."""
    return os.open(path, flags, 0o600)
