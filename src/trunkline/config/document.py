"""The generated documents: the reference in docs/configuration.md, docs/config.schema.json and docs/mapping.md.

`python -m trunkline.config.document` rewrites them; a test fails where they are stale.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trunkline.config.describe import SECTIONS, json_schema
from trunkline.config.mapping_page import mapping_page

BEGIN = "<!-- reference: begin (made by `make docs`; edit the structs instead) -->"
END = "<!-- reference: end -->"


def reference() -> str:
    """A table of settings for every section, as Markdown."""
    definitions = json_schema()["$defs"]
    return "\n".join(line for title, struct in SECTIONS for line in _section(title, definitions[struct.__name__]))


def _section(title: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    yield "| setting | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, item in schema["properties"].items():
        default = "required" if name in schema.get("required", ()) else _default(item)
        meaning = item.get("description", "").replace("|", "\\|")
        yield f"| `{name}` | {_kind(item)} | {default} | {meaning} |"
    yield ""


def _default(schema: dict[str, Any]) -> str:
    value = schema.get("default")
    if value is None or value in ({}, []):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    match schema:
        case {"anyOf": options}:
            return " or ".join(_kind(option) for option in options if option != {"type": "null"})
        case {"enum": values}:
            return " \\| ".join(f"`{value}`" for value in values)
        case {"$ref": _}:
            return "section"
        case {"type": "array", "items": items}:
            return f"list of {_kind(items)}"
        case {"type": "object", "additionalProperties": items}:
            return f"mapping of name to {_kind(items)}"
        case {"type": str() as kind}:
            return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)
        case _:
            return "value"


def documents(docs: Path) -> dict[Path, str]:
    """The generated files of a docs folder, and what should be in them."""
    page = docs / "configuration.md"
    head, _, rest = page.read_text("utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    return {
        docs / "config.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        docs / "mapping.md": mapping_page(),
        page: f"{head}{BEGIN}\n\n{reference()}\n{END}{tail}",
    }


def main(docs: Path) -> None:
    for path, text in documents(docs).items():
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main(Path("docs"))
