"""Values that satisfy a JSON schema: the arguments of a simulated tool call, the object of a structured answer.

Deterministic and small: all properties are filled while shallow; further down only required ones, null where null is
allowed and arrays as short as may be, so that recursive schemas end. Covers what tool and structured-output schemas
use: types, enum, const, default, $ref to $defs, anyOf/oneOf/allOf, bounds, formats and simple patterns.
"""

from __future__ import annotations

import math
import re
from typing import Any

Schema = dict[str, Any]

SHALLOW = 4
"""From this depth on, as little as the schema allows."""
DEEPEST = 24
"""Below this depth the value is null: a schema that requires itself has no finite value."""

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

_PATTERN_CANDIDATES = (
    "simulated", "Simulated", "SIM", "a", "A", "aa", "AA", "abc", "ABC", "0", "1", "12", "123", "1234", "12345",
    "a1", "A1", "A-1", "abc-123", "ABC-123", "2026-01-01", "00:00", "#000000", "someone@example.com",
    "https://example.com/", "+10000000000", "a_b", "a.b", "1.0.0",
)  # fmt: skip


def example(schema: Schema | bool, name: str = "value", strings: str | None = None) -> Any:
    """A value that satisfies the schema. `strings`: what free-text strings say (default: "simulated NAME")."""
    return _Builder({} if isinstance(schema, bool) else schema, strings).build(schema, name, 0)


class _Builder:
    def __init__(self, root: Schema, strings: str | None) -> None:
        self.root = root
        self.strings = strings

    def build(self, schema: Schema | bool, name: str, depth: int) -> Any:
        if schema is False or depth > DEEPEST:
            return None
        schema = self.resolve({} if schema is True else schema)
        for keyword in ("const", "default"):
            if keyword in schema:
                return schema[keyword]
        for keyword in ("enum", "examples"):
            if schema.get(keyword):
                return schema[keyword][0]
        for keyword in ("anyOf", "oneOf"):
            if schema.get(keyword):
                return self.build(self.alternative(schema, keyword, depth), name, depth + 1)
        match self.type_of(schema, depth):
            case "object":
                return self.object(schema, depth)
            case "array":
                return self.array(schema, name, depth)
            case "string":
                return self.string(schema, name)
            case "integer":
                return self.number(schema, whole=True)
            case "number":
                return self.number(schema, whole=False)
            case "boolean":
                return True
            case _:
                return None

    def resolve(self, schema: Schema) -> Schema:
        """Follow `$ref` and fold `allOf` in; a reference that leads nowhere is an empty schema."""
        for _ in range(DEEPEST):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                break
            target: Any = self.root
            for step in reference.removeprefix("#").split("/")[1:]:
                name = step.replace("~1", "/").replace("~0", "~")
                target = target.get(name, {}) if isinstance(target, dict) else {}
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**(target if isinstance(target, dict) else {}), **rest}
        for part in schema.get("allOf") or ():
            schema = _merged(schema, self.resolve({key: value for key, value in part.items() if key != "allOf"}))
        return schema

    def alternative(self, schema: Schema, keyword: str, depth: int) -> Schema:
        """An alternative, with the keywords around it: while shallow the first that says something, then null."""
        options = [self.resolve(option) for option in schema[keyword] if isinstance(option, dict)]
        empty = depth >= SHALLOW
        chosen = next((one for one in options if (one.get("type") == "null") == empty), options[0] if options else {})
        return _merged({key: value for key, value in schema.items() if key != keyword}, chosen)

    @staticmethod
    def type_of(schema: Schema, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            empty = depth >= SHALLOW
            kind = next((one for one in kind if (one == "null") == empty), kind[0] if kind else "null")
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
        return str(kind)

    def object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        required = schema.get("required") or []
        names = list(properties) if depth < SHALLOW else [name for name in properties if name in required]
        names += [name for name in required if name not in properties]
        return {name: self.build(properties.get(name, {}), name, depth + 1) for name in names}

    def array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        leading = schema.get("prefixItems") or []
        low = schema.get("minItems", 0 if depth >= SHALLOW else 1)
        length = min(max(low, len(leading)), schema.get("maxItems", 64), 64)
        items = schema.get("items", {})
        return [self.build(leading[i] if i < len(leading) else items, name, depth + 1) for i in range(length)]

    def string(self, schema: Schema, name: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        text = self.strings or f"simulated {name.replace('_', ' ')}"
        pattern = schema.get("pattern")
        if isinstance(pattern, str):
            text = _matching(pattern, text)
        low, high = schema.get("minLength", 0), schema.get("maxLength", 4096)
        return text.ljust(min(low, 4096), ".")[:high]

    @staticmethod
    def number(schema: Schema, whole: bool) -> float | int:
        """The first of a few likely values that the bounds allow."""
        step: float = schema.get("multipleOf") or (1 if whole else 0.5)
        low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
        high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
        candidates: list[float] = [step, 0.0]
        if low > -math.inf:
            candidates += [(math.ceil(low / step) + i) * step for i in (0, 1)]
        if high < math.inf:
            candidates += [(math.floor(high / step) - i) * step for i in (0, 1)]
        if low > -math.inf and high < math.inf:
            candidates.append((low + high) / 2)
        barred = (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum"))
        value = next((one for one in candidates if low <= one <= high and one not in barred), step)
        return int(value) if whole else value


def _merged(one: Schema, two: Schema) -> Schema:
    both = {**one, **two}
    for keyword in ("properties", "$defs"):
        if keyword in one and keyword in two:
            both[keyword] = {**one[keyword], **two[keyword]}
    if "required" in one and "required" in two:
        both["required"] = [*one["required"], *(name for name in two["required"] if name not in one["required"])]
    return both


def _matching(pattern: str, text: str) -> str:
    """The first candidate that the pattern finds itself in, else the text: patterns are not solved, only tried."""
    try:
        compiled = re.compile(pattern[:200])
    except re.error:
        return text
    return next((candidate for candidate in (text, *_PATTERN_CANDIDATES) if compiled.search(candidate)), text)
