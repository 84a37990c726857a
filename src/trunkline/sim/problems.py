"""Why a request is refused. The check modules raise it; each family has its own envelope for it."""

from __future__ import annotations


class Problem(Exception):
    """A request that the real service refuses: with status 400 and `message`, or by `name`, a row of the family's
    table of errors, whose message is kept where this one is empty."""

    def __init__(self, message: str = "", *, param: str | None = None, code: str | None = None, name: str = "") -> None:
        super().__init__(message or name)
        self.message = message
        self.param = param
        self.code = code
        self.name = name
