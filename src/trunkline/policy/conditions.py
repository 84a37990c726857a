"""Conditions of a target's row, in CEL (the Common Expression Language, cel.dev): `"batch" in tags`.

CEL always ends and touches nothing. What an expression costs is bounded here all the same, since part of what it looks
at comes from callers: its length, how deep its loops nest, and the lists that it is given. Its regular expressions are
those of Rust, whose time is linear.

The package's own `__init__` imports a command line with a terminal library (half a second), so its one compiled module
is loaded alone, and only where there is a condition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

MAX_LENGTH = 1000
"""Characters of an expression."""
MAX_LOOPS = 2
"""Loops (`all`, `exists`, `filter`, …) in one expression."""

SAMPLE: Mapping[str, Any] = {
    "model": "smart",
    "path": "/v1/chat/completions",
    "stream": False,
    "priority": "default",
    "tags": ["sample"],
    "key": {"id": "key_1", "name": "sample", "owner": "", "team": "", "tags": ["sample"]},
    "headers": {"x-sample": "sample"},
    "params": {"max_tokens": 100, "temperature": 1.0},
    "tokens": 100,
}
"""What an expression can look at, and what such values look like."""

_FUNCTIONS = frozenset(
    {"bytes", "contains", "double", "duration", "endsWith", "int", "matches", "size", "startsWith", "string",
     "timestamp", "type", "uint"}
)  # fmt: skip
_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\(\s*(\w+)\s*,")
_KEY = re.compile(r"\bkey\s*\.\s*(\w+)")
_TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "string", "uint"})
_OPERATOR = re.compile(r"[!@_-].*")


_FAULTS = (IndexError, OverflowError, RuntimeError, TypeError, ValueError, ZeroDivisionError)
"""What running an expression raises, beside KeyError for a field that is not there."""


class Condition:
    """One expression. Raises ValueError, in words for whoever wrote it."""

    __slots__ = ("_looks_at", "_program", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._program = _compiled(text)
        self._looks_at = [name for name in self._program.variables() if name in SAMPLE]

    def judge(self, look: Callable[[str], Any]) -> str | None:
        """Why it is not met; None: it is. `look` gives what is behind a name of `SAMPLE`. A field that is not there,
        or of another type, makes it false."""
        try:
            result = self._program.execute({name: look(name) for name in self._looks_at})
        except KeyError as error:
            return f"`{self.text}` is false: there is no {error.args[0]}"
        except _FAULTS as error:
            return f"`{self.text}` is false: {str(error).partition('.')[0]}"
        return None if result is True else f"`{self.text}` is false"


def _compiled(text: str) -> Any:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"is longer than {MAX_LENGTH} characters")
    loops = _LOOP.findall(text)
    if len(loops) > MAX_LOOPS:
        raise ValueError(f"has more than {MAX_LOOPS} loops (all, exists, filter, map)")
    try:
        program = _cel().compile(text)
    except ValueError as error:
        raise ValueError(f"is no CEL expression: {_first_line(str(error))}") from None
    unknown = set(program.variables()) - SAMPLE.keys() - set(loops) - _TYPES
    if unknown:
        raise ValueError(f"there is no {min(unknown)!r} to look at; there are {', '.join(SAMPLE)}")
    unknown = {name for name in program.functions() if not _OPERATOR.fullmatch(name)} - _FUNCTIONS
    if unknown:
        raise ValueError(f"there is no function {min(unknown)!r}; there are {', '.join(sorted(_FUNCTIONS))}")
    unknown = set(_KEY.findall(text)) - SAMPLE["key"].keys()
    if unknown:
        raise ValueError(f"a key has no {min(unknown)!r}; it has {', '.join(SAMPLE['key'])}")
    _check_result(program)
    return program


def _check_result(program: Any) -> None:
    try:
        result = program.execute(SAMPLE)
    except (KeyError, *_FAULTS):
        return  # a sample lacks what requests have
    if not isinstance(result, bool):
        raise ValueError("is neither true nor false: compare something")


def _first_line(message: str) -> str:
    """What is wrong, without the drawing of where."""
    found = re.search(r"ERROR: <input>:1:(\d+): (.*)", message)
    return f"at character {found[1]}: {found[2].partition(' expecting ')[0]}" if found else message.partition("\n")[0]


@cache
def _cel() -> Any:
    """The package's compiled module."""
    package = find_spec("cel")
    where = list(package.submodule_search_locations or ()) if package is not None else []
    spec = PathFinder.find_spec("cel.cel", where)
    if spec is None or spec.loader is None:
        raise ValueError("needs CEL, which is not installed: `pip install 'trunkline[conditions]'`")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
