"""YAML text to a tree that remembers its lines.

YAML guesses types from the look of a scalar: `no` becomes false, `2024-10-21` a date, `4000:30` a number in base
sixty. Here a scalar stays text; the field that it is meant for decides how to read it. Anchors and merge keys work, but
the tree that they unfold to is bounded, as are the file's size and depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from trunkline.config.expand import ExpansionError, expand
from trunkline.config.problems import ConfigError, Path, Problem, dotted

if TYPE_CHECKING:
    import yaml
    from yaml._yaml import Mark as CMark

MAX_SIZE = 1024 * 1024
"""Bytes of a file."""
MAX_DEPTH = 32
MAX_NODES = 20_000
"""Of the tree, with every alias unfolded."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE = "<<"


_HINTS: Mapping[str | None, str] = {
    "did not find expected ',' or '}'": '; between { and } a variable wants quotes: "${NAME}"',
    "found character that cannot start any token": "; indent by spaces, not tabs; quote what begins with @ or %",
}
"""What most often leads to what the parser says."""


class Scalar(Struct, frozen=True):
    text: str
    """With variables filled in."""
    raw: str
    """As written: what may be shown in a message."""
    line: int
    quoted: bool = False
    unset: bool = False
    """A variable in it is missing: reported already, so that nobody complains of its value again."""

    @property
    def expanded(self) -> bool:
        return self.text != self.raw

    @property
    def is_null(self) -> bool:
        return not self.quoted and self.raw in _NULLS


class Sequence(Struct, frozen=True):
    items: tuple[Tree, ...]
    line: int


class Mapped(Struct, frozen=True):
    line: int
    items: dict[str, Tree] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """Of the keys."""


Tree = Scalar | Sequence | Mapped


def read_tree(text: str, file: str, environ: Mapping[str, str], problems: list[Problem]) -> Mapped:
    """The file's top-level mapping. Appends what is wrong but bearable (duplicate keys, unset variables) to `problems`;
    raises ConfigError where there is no tree to speak of: not YAML, not a mapping, beyond a bound."""
    import yaml

    if len(text) > MAX_SIZE:
        raise ConfigError([Problem(file, 0, "", f"the file is larger than {MAX_SIZE} bytes")])
    try:
        _check_depth(text, file)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = _line(error.problem_mark)
        said = error.problem or error.context
        raise ConfigError([Problem(file, line, "", f"not valid YAML: {said}{_HINTS.get(said, '')}")]) from None
    except yaml.YAMLError:
        raise ConfigError([Problem(file, 0, "", "not valid YAML: a character that YAML does not allow")]) from None
    if node is None:
        return Mapped(line=0)
    tree = _Builder(file, environ, problems).build(node, (), 0)
    if isinstance(tree, Scalar) and tree.is_null:
        return Mapped(line=0)
    if not isinstance(tree, Mapped):
        message = "expected a mapping of settings, such as `listen: 127.0.0.1:4000`"
        raise ConfigError([Problem(file, tree.line, "", message)])
    return tree


def _check_depth(text: str, file: str) -> None:
    """Before composing, which recurses: a deep file must not be able to exhaust the stack."""
    import yaml

    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError([Problem(file, _line(event.start_mark), "", _TOO_DEEP)])
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _line(mark: yaml.Mark | CMark | None) -> int:
    return mark.line + 1 if mark else 0


_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"


class _Builder:
    """YAML's nodes to ours, unfolding aliases within the bounds."""

    def __init__(self, file: str, environ: Mapping[str, str], problems: list[Problem]) -> None:
        self._file = file
        self._environ = environ
        self._problems = problems
        self._nodes = 0

    def build(self, node: yaml.Node, path: Path, depth: int) -> Tree:
        import yaml

        line = _line(node.start_mark)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._give_up(line, f"more than {MAX_NODES} values, aliases unfolded")
        if depth > MAX_DEPTH:
            self._give_up(line, _TOO_DEEP)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            items = (self.build(item, (*path, index), depth + 1) for index, item in enumerate(node.value))
            return Sequence(items=tuple(items), line=line)
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> Mapped:
        tree = Mapped(line=_line(node.start_mark))
        merged: list[Mapped] = []
        for key, value in node.value:
            line = _line(key.start_mark)
            if not isinstance(key.value, str):
                self._problem(line, path, "a key must be text")
            elif key.value == _MERGE and not key.style:
                merged.extend(self._merged(self.build(value, path, depth + 1), path))
            elif key.value in tree.items:
                first = tree.lines[key.value]
                self._problem(line, (*path, key.value), f"given twice, first on line {first}; remove one")
            else:
                tree.items[key.value] = self.build(value, (*path, key.value), depth + 1)
                tree.lines[key.value] = line
        for base in merged:
            for name, item in base.items.items():
                if tree.items.setdefault(name, item) is item:
                    tree.lines.setdefault(name, base.lines[name])
        return tree

    def _merged(self, tree: Tree, path: Path) -> Iterator[Mapped]:
        """What a merge key brings in: a mapping, or several, the earlier one winning."""
        for base in tree.items if isinstance(tree, Sequence) else (tree,):
            if isinstance(base, Mapped):
                yield base
            else:
                self._problem(base.line, path, "a merge key (<<) takes an alias of a mapping, or a list of such")

    def _scalar(self, node: yaml.Node, path: Path) -> Scalar:
        raw, line, quoted = node.value, _line(node.start_mark), bool(getattr(node, "style", None))
        try:
            return Scalar(text=expand(raw, self._environ), raw=raw, line=line, quoted=quoted)
        except ExpansionError as error:
            self._problem(line, path, str(error))
            return Scalar(text="", raw=raw, line=line, quoted=quoted, unset=True)

    def _problem(self, line: int, path: Path, message: str) -> None:
        self._problems.append(Problem(self._file, line, dotted(path), message))

    def _give_up(self, line: int, message: str) -> None:
        raise ConfigError([*self._problems, Problem(self._file, line, "", message)])
