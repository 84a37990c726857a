"""The composition root: what a configuration comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.app import Gateway
from trunkline.config import load

CONFIG = """
auth: open
providers:
  one: {kind: openai, api_key: k, base_url: "http://127.0.0.1:1/v1"}
models:
  a: {targets: [{target: one/a}], fallback: [b]}
  b: {targets: [{target: one/b}, {target: one/a}], fallback: [c]}
  c: {targets: [{target: one/c}]}
state: {durable: null}
"""


@pytest.mark.parametrize(("model", "targets"), [("a", ["a", "b", "c"]), ("b", ["b", "a", "c"]), ("c", ["c"])])
async def test_fallbacks_have_fallbacks_and_no_target_is_tried_twice(
    tmp_path: Path, model: str, targets: list[str]
) -> None:
    file = tmp_path / "trunkline.yaml"
    file.write_text(CONFIG)
    gateway = await Gateway.start(load(file))
    try:
        assert [target.model for target in gateway.directory.resolve(model)] == targets
    finally:
        await gateway.aclose()
