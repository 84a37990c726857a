"""Every setting is documented, and the generated documents are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config import json_schema
from trunkline.config.describe import SECTIONS, field_docs
from trunkline.config.document import documents

ROOT = Path(__file__).parents[2]


def test_the_generated_documents_are_fresh() -> None:
    for path, text in documents(ROOT / "docs").items():
        assert path.read_text("utf-8") == text, f"{path.name} is stale: run `make docs`"


@pytest.mark.parametrize("struct", [struct for _, struct in SECTIONS], ids=lambda struct: struct.__name__)
def test_every_setting_is_documented(struct: type) -> None:
    assert [name for name, text in field_docs(struct).items() if not text] == []


def test_the_schema_describes_every_struct_and_refuses_unknown_keys() -> None:
    schema = json_schema()
    assert set(schema["$defs"]) == {struct.__name__ for _, struct in SECTIONS}
    assert all(one["additionalProperties"] is False for one in schema["$defs"].values())
    assert schema["$defs"]["ServerSettings"]["properties"]["header_timeout"]["exclusiveMinimum"] == 0
    assert schema["$defs"]["StateSettings"]["properties"]["durable"]["default"] == "sqlite:///trunkline.db"
