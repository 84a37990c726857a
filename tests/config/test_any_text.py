"""Whatever a file holds, loading it ends in a configuration or in a ConfigError: never in another exception."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from trunkline.config import Config, ConfigError, load
from trunkline.config.describe import SECTIONS, field_docs

NAMES = sorted({name for _, struct in SECTIONS for name in field_docs(struct)})
WORDS = st.one_of(
    st.sampled_from([*NAMES, "openai", "anthropic", "azure", "a", "a/b", "sim/x", "${A}", "${B:-c}", "$", "${", "~"]),
    st.sampled_from(
        ["http://[", "https://x:99999", "sqlite://", "postgresql://a@[/b", "[::1:1", "1.1.1.1:٣", "::", ":"]
    ),
    st.text(max_size=12),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
)
DOCUMENTS = st.recursive(
    WORDS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=5)),
    max_leaves=30,
)
PROVIDER = st.fixed_dictionaries(
    {"kind": st.sampled_from(["openai", "anthropic", "azure", "openai-compatible"])},
    optional=dict.fromkeys(["base_url", "endpoint", "api_key", "headers", "models", "timeout", "api_version"], WORDS),
)
NEAR = st.fixed_dictionaries(
    {"providers": st.dictionaries(st.text(string.ascii_letters + "/.", max_size=3), PROVIDER, max_size=3)},
    optional={"listen": WORDS, "state": st.fixed_dictionaries({"durable": WORDS, "hot": WORDS}), "models": DOCUMENTS},
)

bounded = settings(
    max_examples=200, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def attempt(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        config = load(path, {"A": "value"})
    except ConfigError as caught:
        error = caught
    else:
        assert isinstance(config, Config)
        return
    assert error.problems
    assert all(problem.message for problem in error.problems)


@bounded
@given(content=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode())))
@example(content=b"\xef\xbb\xbflisten: 127.0.0.1:1")
@example(content=b"--- a\n--- b\n")
@example(content=b"!!python/object:os.system [x]")
@example(content=b"? {a: b}\n: c")
@example(content=b"a: !!binary x")
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    attempt(tmp_path / "a.yaml", content)


@bounded
@given(document=st.one_of(DOCUMENTS, NEAR))
def test_any_document(tmp_path: Path, document: object) -> None:
    attempt(tmp_path / "a.yaml", yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "replace"))


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbflisten: 127.0.0.1:1")
    assert load(tmp_path / "a.yaml", {}).address == ("127.0.0.1", 1)
    (tmp_path / "b.yaml").write_bytes(b"--- {}\n--- {}\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load(tmp_path / "b.yaml", {})
