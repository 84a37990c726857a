"""JSON Schema and the subset of OpenAPI's that Google's older fields take.

`parametersJsonSchema` and `responseJsonSchema` take JSON Schema as it is; `parameters` and `responseSchema` take the
`Schema` message alone, and a field that it does not know is a 400. So `$ref` is resolved, `const` becomes an `enum`,
a list of types `nullable` or `anyOf`, and what cannot be said is left out: the schema then allows more than was meant,
never less. A schema that contains itself is cut where it would nest for ever: there any object will do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

MAX_DEPTH = 32
"""Levels of nesting: real schemas have a tenth of it."""
MAX_NODES = 5000
"""Schemas within one schema, `$ref` resolved: references to references grow without bound."""
MAX_UNROLLED = 2
"""How often a definition may contain itself before it is cut."""

_KEPT = frozenset(
    {
        "description", "title", "default", "maxItems", "minItems", "maxLength", "minLength", "maxProperties",
        "minProperties", "maximum", "minimum", "pattern", "propertyOrdering", "example",
    }
)  # fmt: skip
_FORMATS: Mapping[str, frozenset[str]] = {
    "STRING": frozenset({"date-time", "enum"}),
    "NUMBER": frozenset({"float", "double"}),
    "INTEGER": frozenset({"int32", "int64"}),
}
"""Formats that the service takes; another is a 400."""


class _Simplifier:
    def __init__(self, root: Schema) -> None:
        self._definitions = {
            f"#/{place}/{name}": value
            for place in ("$defs", "definitions")
            if isinstance(found := root.get(place), dict)
            for name, value in found.items()
        }
        self._definitions["#"] = root
        self._nodes = 0

    def simplify(self, schema: Any, within: tuple[str, ...] = (), depth: int = 0) -> Schema:
        """`within`: the references that led here."""
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES or not isinstance(schema, dict):
            return {} if isinstance(schema, bool) else {"type": "OBJECT"}
        if isinstance(reference := schema.get("$ref"), str):
            target = self._definitions.get(reference)
            if target is None or within.count(reference) >= MAX_UNROLLED:
                return {"type": "OBJECT"}
            return self.simplify(target, (*within, reference), depth + 1) | _said(schema, {"description", "title"})
        out = _said(schema, _KEPT)
        self._type(schema, out)
        self._enum(schema, out)
        self._combined(schema, out, within, depth)
        self._inside(schema, out, within, depth)
        return out

    def _type(self, schema: Schema, out: Schema) -> None:
        kind = schema.get("type")
        if isinstance(kind, list):
            kinds = [each.upper() for each in kind if isinstance(each, str) and each != "null"]
            if len(kinds) < len(kind):
                out["nullable"] = True
            if len(kinds) == 1:
                out["type"] = kinds[0]
            elif kinds:
                out["anyOf"] = [{"type": each} for each in kinds]
        elif isinstance(kind, str):
            out["type"] = kind.upper()
        elif "properties" in schema:
            out["type"] = "OBJECT"
        if schema.get("nullable") is True:
            out["nullable"] = True
        if isinstance(said := schema.get("format"), str) and said in _FORMATS.get(str(out.get("type")), frozenset()):
            out["format"] = said

    def _enum(self, schema: Schema, out: Schema) -> None:
        """Values are strings here; of other types only the type is left."""
        values = [schema["const"]] if "const" in schema else schema.get("enum")
        if not isinstance(values, list):
            return
        if None in values:
            out["nullable"] = True
        kept = [value for value in values if isinstance(value, str)]
        if kept and len(kept) == sum(value is not None for value in values):
            out["enum"] = kept
            out["type"] = "STRING"
        elif "type" not in out:
            kinds = {_KINDS.get(type(value)) for value in values if value is not None}
            if len(kinds) == 1 and (kind := kinds.pop()) is not None:
                out["type"] = kind

    def _combined(self, schema: Schema, out: Schema, within: tuple[str, ...], depth: int) -> None:
        for choices in (schema.get("anyOf"), schema.get("oneOf")):
            if not isinstance(choices, list):
                continue
            real = [each for each in choices if not _is_null(each)]
            if len(real) < len(choices):
                out["nullable"] = True
            simple = [self.simplify(each, within, depth + 1) for each in real]
            if len(simple) == 1:
                out |= {name: value for name, value in simple[0].items() if name not in out}
            elif simple:
                out["anyOf"] = simple
        if isinstance(parts := schema.get("allOf"), list):
            for part in parts:
                _merge(out, self.simplify(part, within, depth + 1))

    def _inside(self, schema: Schema, out: Schema, within: tuple[str, ...], depth: int) -> None:
        if isinstance(properties := schema.get("properties"), dict) and properties:
            made = {name: self.simplify(each, within, depth + 1) for name, each in properties.items()}
            out["properties"] = made | out.get("properties", {})
        if isinstance(required := schema.get("required"), list):
            names = [name for name in required if isinstance(name, str) and name in out.get("properties", {})]
            if names:
                out["required"] = names
        items = schema.get("items")
        if out.get("type") == "ARRAY":
            prefix = schema.get("prefixItems")
            if not isinstance(items, dict) and isinstance(prefix, list) and prefix:
                items = prefix[0]
            out["items"] = self.simplify(items, within, depth + 1) if isinstance(items, dict) else {"type": "STRING"}


_KINDS = {bool: "BOOLEAN", int: "INTEGER", float: "NUMBER", list: "ARRAY", dict: "OBJECT"}


def _said(schema: Schema, names: frozenset[str] | set[str]) -> Schema:
    return {name: value for name, value in schema.items() if name in names and value is not None}


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "null"


def _merge(out: Schema, more: Schema) -> None:
    """All of several schemas: their properties together."""
    for name, value in more.items():
        if name == "properties":
            out["properties"] = out.get("properties", {}) | value
        elif name == "required":
            out["required"] = list(dict.fromkeys([*out.get("required", []), *value]))
        else:
            out.setdefault(name, value)


def simplified(schema: Schema) -> Schema:
    """JSON Schema as the `Schema` message."""
    return _Simplifier(schema).simplify(schema)


# ── The way in ─────────────────────────────────────────────────────────────────────────────────────────────────────

_NUMBERED = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
"""Types by their numbers in the message, which JSON may say in place of the names."""
_NESTED = ("items", "additionalProperties")
_NESTED_LISTS = ("anyOf", "prefixItems")


def json_schema(schema: Any, depth: int = 0) -> Any:
    """A `Schema` message as JSON Schema: types in lower case, `nullable` as one type more."""
    if not isinstance(schema, dict) or depth > MAX_DEPTH:
        return schema
    out = dict(schema)
    for name in ("any_of", "min_items", "max_items", "min_length", "max_length", "min_properties", "max_properties"):
        if name in out:
            head, _, tail = name.partition("_")
            out[head + tail.capitalize()] = out.pop(name)
    for name in ("propertyOrdering", "property_ordering"):
        out.pop(name, None)
    kind = out.get("type")
    if type(kind) is int and 0 <= kind < len(_NUMBERED):
        kind = _NUMBERED[kind]
    if isinstance(kind, str):
        out["type"] = kind.lower()
        if kind.upper() == "TYPE_UNSPECIFIED":
            del out["type"]
    if out.pop("nullable", None) is True and isinstance(out.get("type"), str):
        out["type"] = [out["type"], "null"]
        if isinstance(values := out.get("enum"), list):
            out["enum"] = [*values, None]
    for name in ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"):
        if isinstance(value := out.get(name), str) and value.isdigit():
            out[name] = int(value)  # protocol buffers write 64-bit integers as strings
    if isinstance(properties := out.get("properties"), dict):
        out["properties"] = {name: json_schema(each, depth + 1) for name, each in properties.items()}
    for name in _NESTED:
        if name in out:
            out[name] = json_schema(out[name], depth + 1)
    for name in _NESTED_LISTS:
        if isinstance(several := out.get(name), list):
            out[name] = [json_schema(each, depth + 1) for each in several]
    return out
