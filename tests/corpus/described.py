"""Bodies held to Google's published description: the discovery document of Vertex AI, read by rules of our own.

A field that the description does not have, a value of another type, and a word that is none of an enumeration's are
problems. Source of the rules: Google API discovery service, "Type and format summary".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.corpus.exchanges import library

_REQUEST = "GoogleCloudAiplatformV1beta1GenerateContentRequest"
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,), "boolean": (bool,), "number": (int, float), "integer": (int, str), "array": (list,),
    "object": (dict,), "any": (object,),
}  # fmt: skip


@cache
def _schemas() -> dict[str, Any]:
    document = json.loads((library().schemas() / "google" / "aiplatform.v1beta1.json").read_text())
    found: dict[str, Any] = document["schemas"]
    return found


def problems(body: Any) -> Iterator[str]:
    """What a generateContent body has that the description does not allow."""
    yield from _problems(body, _schemas()[_REQUEST], "")


def _problems(value: Any, schema: dict[str, Any], at: str) -> Iterator[str]:
    schema = _schemas()[schema["$ref"]] if "$ref" in schema else schema
    kind = schema.get("type", "any")
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind in {"number", "integer"}):
        yield f"{at} is no {kind}: {value!r:.60}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{at} is {value!r}, which is no value of its enumeration"
    elif isinstance(value, dict) and kind == "object":
        for name, inner in value.items():
            described = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if described is None:
                yield f"{at}.{name} is not described"
            else:
                yield from _problems(inner, described, f"{at}.{name}")
    elif isinstance(value, list) and kind == "array":
        for number, inner in enumerate(value):
            yield from _problems(inner, schema.get("items", {}), f"{at}[{number}]")
