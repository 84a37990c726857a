"""A tree to structs, by the types of their fields: the schema is the only place that says what a setting looks like.

Everything wrong is noted and reading goes on, so that one run shows all of it. A message shows what stands in the file,
never what a variable held, and of a secret not even that. A number without bounds of its own must be greater than zero:
no setting of ours, time, size or count, means anything below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import inspect

from trunkline.config.problems import Path, Problem, did_you_mean, dotted
from trunkline.config.schema import LATER, Config
from trunkline.config.tree import Mapped, Scalar, Sequence, Tree
from trunkline.core.secret import Credential, Secret, SecretCommand, SecretFile

MAX_TEXT = 8192
"""Characters of one value."""
_SHOWN = 60

_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

_SOURCES = {"command": SecretCommand, "file": SecretFile}
"""Where a credential is to be had, by the setting that says so."""

Read = Callable[[Tree, Any, Path], Any]


class _Invalid:
    """What a reader returns for a value that it has complained of."""


INVALID: Final = _Invalid()


class Reading:
    """One file being read: its problems, and the line of every value for the checks that come after."""

    def __init__(self, file: str, problems: list[Problem]) -> None:
        self.file = file
        self.problems = problems
        self.lines: dict[Path, int] = {}
        self.raw: dict[Path, str] = {}
        """What the file says at a path: what a message may show."""
        self._readers: dict[type, Read] = {
            inspect.StructType: self._struct,
            inspect.UnionType: self._union,
            inspect.DictType: self._dict,
            inspect.VarTupleType: self._tuple,
            inspect.LiteralType: self._literal,
            inspect.CustomType: self._custom,
            inspect.StrType: self._str,
            inspect.BoolType: self._bool,
            inspect.IntType: self._int,
            inspect.FloatType: self._float,
        }

    def config(self, tree: Tree) -> Config | None:
        """The configuration, or None where `problems` says why there is none."""
        before = len(self.problems)
        config = self._value(tree, _type_of(Config), ())
        return config if isinstance(config, Config) and len(self.problems) == before else None

    def problem(self, path: Path, message: str, *, line: int | None = None) -> None:
        """Note a problem with the value at a path; with its nearest container where the file does not have it."""
        near = path
        while near and near not in self.lines:
            near = near[:-1]
        at = self.lines.get(near, 0) if line is None else line
        self.problems.append(Problem(self.file, at, dotted(path), message))

    def shown(self, path: Path, text: str) -> str:
        """Text of the value at a path, for a message: what the file says instead, where a variable went into it."""
        raw = self.raw.get(path, text)
        return raw if "$" in raw else text

    def _value(self, tree: Tree, kind: Any, path: Path) -> Any:
        self.lines.setdefault(path, tree.line)
        if isinstance(tree, Scalar):
            if tree.unset:
                return INVALID
            self.raw[path] = tree.raw
        return self._readers[type(kind)](tree, kind, path)

    def _expected(self, tree: Tree, path: Path, what: str, *, secret: bool = False) -> _Invalid:
        self.problem(path, f"expected {what}, found {_shown(tree, secret)}", line=tree.line)
        return INVALID

    def _struct(self, tree: Tree, kind: Any, path: Path) -> Any:
        if not isinstance(tree, Mapped):
            needed = next((f", such as {{{item.encode_name}: …}}" for item in kind.fields if item.required), "")
            return self._expected(tree, path, f"a mapping of settings{needed}")
        fields = {item.encode_name: item for item in kind.fields}
        self._unknown(tree, fields, path)
        values: dict[str, Any] = {}
        for name, item in fields.items():
            if name in tree.items:
                at = (*path, name)
                self.lines[at] = tree.lines[name]
                values[name] = self._value(tree.items[name], item.type, at)
            elif item.required:
                self.problem((*path, name), "is required and missing", line=tree.line)
                values[name] = INVALID
        return INVALID if INVALID in values.values() else kind.cls(**values)

    def _unknown(self, tree: Mapped, fields: Iterable[str], path: Path) -> None:
        for name in tree.items:
            if name not in fields:
                hint = did_you_mean(name, fields) or f"; known here: {', '.join(fields)}"
                self.problem((*path, name), f"unknown setting{hint}", line=tree.lines[name])

    def _union(self, tree: Tree, kind: Any, path: Path) -> Any:
        """Only `X | None` occurs."""
        if isinstance(tree, Scalar) and tree.is_null:
            return None
        (other,) = (one for one in kind.types if not isinstance(one, inspect.NoneType))
        return self._value(tree, other, path)

    def _dict(self, tree: Tree, kind: Any, path: Path) -> Any:
        if isinstance(tree, Scalar) and tree.is_null:
            return {}
        if not isinstance(tree, Mapped):
            return self._expected(tree, path, "a mapping of names")
        values = {}
        for name, item in tree.items.items():
            at = (*path, name)
            self.lines[at] = tree.lines[name]
            values[name] = self._value(item, kind.value_type, at)
        return INVALID if INVALID in values.values() else values

    def _tuple(self, tree: Tree, kind: Any, path: Path) -> Any:
        """Of a list of choices, one alone may stand without the list."""
        if isinstance(tree, Scalar) and isinstance(kind.item_type, inspect.LiteralType):
            value = self._literal(tree, kind.item_type, path)
            return value if value is INVALID else (value,)
        if not isinstance(tree, Sequence):
            return self._expected(tree, path, "a list")
        values = tuple(self._value(item, kind.item_type, (*path, index)) for index, item in enumerate(tree.items))
        if not (kind.min_length or 0) <= len(values) <= (kind.max_length or math.inf):
            found = f"found {len(values)}"
            self.problem(path, f"expected {kind.min_length or 0} to {kind.max_length} entries, {found}", line=tree.line)
            return INVALID
        return INVALID if INVALID in values else values

    def _literal(self, tree: Tree, kind: Any, path: Path) -> Any:
        if isinstance(tree, Scalar) and tree.text in kind.values:
            return tree.text
        known = " or ".join(kind.values)
        if not isinstance(tree, Scalar):
            return self._expected(tree, path, known)
        if tree.text in LATER.get(str(path[-1]), ()):
            self.problem(path, f'"{tree.text}" is not available yet; available: {known}', line=tree.line)
            return INVALID
        hint = did_you_mean(tree.raw, kind.values)
        self.problem(path, f"expected {known}, found {_shown(tree, False)}{hint}", line=tree.line)
        return INVALID

    def _text(self, tree: Tree, path: Path, *, secret: bool = False) -> str | _Invalid:
        if not isinstance(tree, Scalar) or tree.is_null:
            return self._expected(tree, path, "text", secret=secret)
        if not tree.text or len(tree.text) > MAX_TEXT or not tree.text.isprintable():
            self.problem(path, f"expected 1 to {MAX_TEXT} printable characters on one line", line=tree.line)
            return INVALID
        return tree.text

    def _str(self, tree: Tree, _: Any, path: Path) -> Any:
        return self._text(tree, path)

    def _custom(self, tree: Tree, kind: Any, path: Path) -> Any:
        """`Secret` and `Dsn`, which are made from text, and `Credential`, which may also say where to look."""
        if kind.cls is Credential and isinstance(tree, Mapped) and (source := _SOURCES.keys() & tree.items.keys()):
            return self._struct(tree, _type_of(_SOURCES[min(source)]), path)
        text = self._text(tree, path, secret=True)
        cls = Secret if kind.cls is Credential else kind.cls
        return cls(text) if isinstance(text, str) else INVALID

    def _bool(self, tree: Tree, _: Any, path: Path) -> Any:
        text = _plain(tree)
        return _TRUTHS[text] if text in _TRUTHS else self._expected(tree, path, "true or false")

    def _int(self, tree: Tree, kind: Any, path: Path) -> Any:
        try:
            number = int(_plain(tree) or "")
        except ValueError:
            return self._expected(tree, path, "a whole number")
        return self._bounded(tree, number, kind, path)

    def _float(self, tree: Tree, kind: Any, path: Path) -> Any:
        try:
            number = float(_plain(tree) or "")
        except ValueError:
            return self._expected(tree, path, "a number")
        return self._bounded(tree, number, kind, path)

    def _bounded(self, tree: Tree, number: float, kind: Any, path: Path) -> Any:
        low = kind.ge if kind.ge is not None else 0
        high = kind.le if kind.le is not None else 2**53
        if low <= number <= high and (number > 0 or kind.ge is not None):
            return number
        bounds = f"from {kind.ge}" if kind.ge is not None else "greater than 0"
        upper = "" if kind.le is None else f" to {kind.le}"
        return self._expected(tree, path, f"a number {bounds}{upper}")


@cache
def _type_of(struct: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(struct)


def _plain(tree: Tree) -> str | None:
    """The text of a scalar that may be a number or a truth: not one in quotes, unless for a variable's sake."""
    return tree.text if isinstance(tree, Scalar) and (tree.expanded or not tree.quoted) else None


def _shown(tree: Tree, secret: bool) -> str:
    """What stands in the file, for a message."""
    if isinstance(tree, Sequence):
        return "a list"
    if isinstance(tree, Mapped):
        return "a mapping"
    if tree.is_null:
        return "nothing"
    if secret:
        return "text"
    raw = tree.raw if len(tree.raw) <= _SHOWN else f"{tree.raw[:_SHOWN]}…"
    return f'the text "{raw}"' if tree.quoted else f'"{raw}"'
