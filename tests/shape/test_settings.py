"""A setting that nothing reads is a promise that nothing keeps."""

from __future__ import annotations

import ast
from pathlib import Path

from trunkline.config.describe import SECTIONS, field_docs

SRC = Path(__file__).parents[2] / "src" / "trunkline"


def test_every_setting_is_read_somewhere() -> None:
    """By name, as an attribute of something; to be checked at loading is not to be read."""
    read = {
        node.attr
        for path in SRC.rglob("*.py")
        if path != SRC / "config" / "checks.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }
    settings = {name for _, struct in SECTIONS for name in field_docs(struct)}
    assert settings - read == set()
