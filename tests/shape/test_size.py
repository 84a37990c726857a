"""A file is one idea, a function does one thing: the measures, over all of src/ by its syntax tree.

The exceptions may only shrink: an entry that is no longer needed fails the test as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_PARAMETERS = 6

LONG_FILES: frozenset[str] = frozenset()
LONG_FUNCTIONS: frozenset[str] = frozenset()
MANY_PARAMETERS = frozenset(
    {
        # An upstream's error is a record: every field is optional and given by name.
        "src/trunkline/core/errors.py:UpstreamError.__init__",
        # So is an answer that has begun.
        "src/trunkline/core/reply.py:Reply.__init__",
    }
)

CATCH_ALL = frozenset(
    {
        "src/trunkline/cli/serve.py",
        "src/trunkline/edge/admin/threads.py",
        "src/trunkline/edge/exchange.py",
        "src/trunkline/edge/server.py",
        "src/trunkline/state/redis/client.py",
        "src/trunkline/state/shipper.py",
    }
)
"""Files at the boundary of a process or thread: only these may swallow everything, so that a bug
ends one call, not all. To catch, clean up and raise again is anyone's right."""

PASS_BY_NOT_RAISING = frozenset(
    {
        "tests/sim/test_refusals.py:test_a_thinking_model_takes_what_a_plain_one_takes",
    }
)
"""Tests whose whole point is that nothing is raised."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[tuple[str, Function, bool]]:
    """Every function of a file: `file:Class.name`, its node, and whether it is a method."""

    def walk(node: ast.AST, prefix: str, in_class: bool) -> Iterator[tuple[str, Function, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{prefix}{child.name}", child, in_class
                yield from walk(child, f"{prefix}{child.name}.", False)
            elif isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.", True)
            else:
                yield from walk(child, prefix, False)

    return walk(ast.parse(path.read_text("utf-8")), f"{path.relative_to(ROOT).as_posix()}:", False)


def parameters(node: Function, method: bool) -> int:
    """Without `self`. A command's parameters are its options, which people give by name: those do not count."""
    if any("click" in ast.unparse(decorator) for decorator in node.decorator_list):
        return 0
    arguments = node.args
    count = len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
    return count - (method and not static)


def test_no_file_is_longer_than_one_idea() -> None:
    long = {path.relative_to(ROOT).as_posix() for path in SOURCES if _lines(path) > MAX_FILE_LINES}
    assert long == LONG_FILES


def test_no_function_does_more_than_one_thing() -> None:
    long = {
        name
        for path in SOURCES
        for name, node, _ in functions(path)
        if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == LONG_FUNCTIONS


def test_no_function_asks_for_too_much() -> None:
    many = {
        name for path in SOURCES for name, node, method in functions(path) if parameters(node, method) > MAX_PARAMETERS
    }
    assert many == MANY_PARAMETERS


def test_only_a_boundary_catches_everything() -> None:
    catching = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ExceptHandler) and _swallows_everything(node)
    }
    assert catching <= CATCH_ALL


def test_every_module_says_why_it_is_there() -> None:
    silent = [path.relative_to(ROOT).as_posix() for path in SOURCES if not ast.get_docstring(_tree(path))]
    assert silent == []


def test_every_test_asserts_something() -> None:
    """An `assert` or a `pytest.raises`, in the test or in a helper of its file that it uses."""
    idle = {
        f"{path.relative_to(ROOT).as_posix()}:{node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(_tree(path))
        if isinstance(node, Function) and node.name.startswith("test_") and not _asserts(node, _asserting(path))
    }
    assert idle == PASS_BY_NOT_RAISING


def _asserting(path: Path) -> frozenset[str]:
    """Names of a file's helpers that assert, one through another included."""
    helpers = [node for node in ast.walk(_tree(path)) if isinstance(node, Function)]
    known: frozenset[str] = frozenset()
    while (more := known | {node.name for node in helpers if _asserts(node, known)}) != known:
        known = more
    return known


def _asserts(function: Function, helpers: frozenset[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Name | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.attr
            if name in helpers or name == "raises" or name.startswith("assert"):
                return True
    return False


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def _swallows_everything(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    return handler.type is None or any(
        isinstance(node, ast.Name) and node.id in ("Exception", "BaseException") for node in ast.walk(handler.type)
    )
