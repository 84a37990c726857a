"""Which fields a request may have, as tables: the walk that finds a field nobody knows.

A shape is a row of fields, each with the shape of its value: the name of another, `NAME*` for a list of it, `NAME+`
for a list or a single one, `NAME%` for an object whose values have it under any key, or nothing where any value is
fine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Shapes = Mapping[str, Mapping[str, str]]
Refuse = Callable[[str, str], Exception]
"""The error for an unknown field: the path of the object that has it, and the field's name."""

MAX_DEPTH = 64


def fields(**kinds: str) -> Mapping[str, str]:
    """A shape of plain fields and others: `fields(plain="name title", parts="Part*")`."""
    return dict.fromkeys(kinds.pop("plain", "").split(), "") | kinds


def walk(
    value: Any, shape: str, shapes: Shapes, refuse: Refuse, spell: Callable[[str], str] = str, path: str = ""
) -> Any:  # fmt: skip
    """The value with every known field under its own name (`spell` knows others for it). Raises what `refuse` gives."""
    if path.count(".") > MAX_DEPTH:
        raise refuse(path, "too deep")
    if shape.endswith("+"):
        value, shape = [value] if isinstance(value, dict) else value, f"{shape[:-1]}*"
    if shape.endswith("*"):
        items = value if isinstance(value, list) else []
        done = [walk(one, shape[:-1], shapes, refuse, spell, f"{path}[{i}]") for i, one in enumerate(items)]
        return done if isinstance(value, list) else value
    if not isinstance(value, dict) or not shape:
        return value
    if shape.endswith("%"):
        return {key: walk(one, shape[:-1], shapes, refuse, spell, f"{path}.{key}") for key, one in value.items()}
    known, result = shapes[shape], {}
    for key, one in value.items():
        name = key if key in known else spell(key)
        if name not in known:
            raise refuse(path, key)
        result[name] = walk(one, known[name], shapes, refuse, spell, f"{path}.{name}" if path else name)
    return result
