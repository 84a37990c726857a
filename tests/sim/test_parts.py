"""The pure parts: example values, the tokenizer, the prompt cache."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.sim.cache import PrefixCache, Reuse, Segment
from trunkline.sim.schema import DEEPEST, example
from trunkline.sim.tokens import count, pieces


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert count(text) == len(pieces(text))


TREE: dict[str, Any] = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}, "v": {"type": "integer"}},
            "required": ["next", "v"],
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "simulated value"),
        ({"type": "string", "maxLength": 3}, "sim"),
        ({"type": "string", "minLength": 17}, "simulated value.."),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": "string", "pattern": "^[A-Z]{3}$"}, "SIM"),
        ({"type": "string", "pattern": r"^\d{5}$"}, "12345"),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 10}, 10),
        ({"type": "integer", "exclusiveMinimum": 10}, 11),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "exclusiveMaximum": 1}, 0),
        ({"type": "integer", "minimum": 3, "multipleOf": 5}, 5),
        ({"type": "number", "minimum": 0.1, "maximum": 0.2}, pytest.approx(0.15)),
        ({"type": "number"}, 0.5),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": None}, None),
        ({"default": 4, "type": "integer"}, 4),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 0}, []),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "type": "array"}, [1, 2]),
        ({"oneOf": [{"type": "null"}, {"const": 3}]}, 3),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"required": ["b"]}], "type": "object"},
         {"a": 1, "b": "simulated b"}),
        ({"properties": {"home_town": {}}}, {"home_town": "simulated home town"}),
        ({"$ref": "#/nowhere"}, "simulated value"),
        (True, "simulated value"),
    ],
)  # fmt: skip
def test_examples(schema: Any, value: Any) -> None:
    assert example(schema) == value


def test_recursive_schemas_end() -> None:
    node, depth = example(TREE), 0
    while node["next"] is not None:
        assert node["v"] == 1
        node, depth = node["next"], depth + 1
    assert 0 < depth < 5
    endless = {"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}}}
    assert str(example({**endless, "$ref": "#/$defs/n"})).count("{") <= DEEPEST + 1
    assert example({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}) == "simulated value"


def segments(*tokens: int, marks: tuple[Any, ...] = ()) -> list[Segment]:
    return [Segment(str(i), n, marks[i] if i < len(marks) else None) for i, n in enumerate(tokens)]


def test_automatic_cache_reads_the_longest_known_prefix_in_steps() -> None:
    cache = PrefixCache(minimum=1024, entries=10)
    assert cache.automatic("m", segments(1000, 500)) == Reuse(total=1500)
    assert cache.automatic("m", segments(1000, 500, 90)) == Reuse(total=1590, read=1408)
    assert cache.automatic("other", segments(1000, 500)) == Reuse(total=1500)


def test_marked_cache_writes_then_reads_up_to_each_mark() -> None:
    cache = PrefixCache(minimum=100, entries=10)
    assert cache.marked("m", segments(90, 500)) == Reuse(total=590)
    marked = segments(200, 300, 7, marks=("1h", "5m"))
    assert cache.marked("m", marked) == Reuse(total=507, write_1h=200, write_5m=300)
    assert cache.marked("m", marked) == Reuse(total=507, read=500)
    longer = segments(200, 300, 7, 100, marks=("1h", "5m", None, "5m"))
    assert cache.marked("m", longer) == Reuse(total=607, read=500, write_5m=107)
    assert cache.marked("m", segments(50, 5, marks=("5m",))) == Reuse(total=55)


def test_the_cache_forgets_the_least_recently_used() -> None:
    cache = PrefixCache(minimum=1, entries=1)
    cache.automatic("a", segments(200))
    cache.automatic("b", segments(200))
    assert cache.automatic("a", segments(200)).read == 0
