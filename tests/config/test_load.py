"""Reading a file: types, variables, lines, bounds; every problem named, no credential shown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

import pytest

from trunkline.config import Config, ConfigError, effective, load
from trunkline.providers.settings import Kind

Load = Callable[..., Config]
MINIMAL = "providers: {openai: {kind: openai, api_key: sk-abc}}\n"


@pytest.fixture
def read(tmp_path: Path) -> Load:
    """Load a configuration from its text."""
    numbers = itertools.count()

    def read(text: str, environ: Mapping[str, str] | None = None, insecure: bool = False) -> Config:
        path = tmp_path / f"{next(numbers)}.yaml"
        path.write_text(text, "utf-8")
        return load(path, environ or {}, insecure=insecure)

    return read


@pytest.fixture
def problems(read: Load) -> Callable[..., list[tuple[int, str, str]]]:
    """What is wrong with a text: (line, key, message)."""

    def problems(text: str, **options: object) -> list[tuple[int, str, str]]:
        with pytest.raises(ConfigError) as caught:
            read(text, **options)
        return [(one.line, one.key, one.message) for one in caught.value.problems]

    return problems


Problems = Callable[..., list[tuple[int, str, str]]]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null\n", "{}\n"])
def test_an_empty_file_is_all_defaults(read: Load, text: str) -> None:
    assert read(text) == Config()


def test_every_section_is_read(read: Load) -> None:
    config = read(
        """
listen: "[::1]:0"
auth: open
providers:
  a: {kind: azure, endpoint: https://x.example, api_key: k, api_version: 2024-10-21, headers: {x-a: b}, models: [m, n]}
models:
  one: {targets: [{target: a/m, base_model: gpt-4o}], strategy: priority, fallback: [two]}
  two: {targets: [{target: a/n}]}
state: {durable: null, directory: /var/lib/x}
transport: {client: general, connect_timeout: 1}
server: {workers: 3, max_body_size: 1_000}
ledger: {capture: full}
log: {format: json, level: warning}
sim: {enabled: true}
"""
    )
    assert config.address == ("::1", 0)
    assert config.providers["a"].api_version == "2024-10-21"
    assert config.providers["a"].headers["x-a"].reveal() == "b"
    assert config.providers["a"].models == ("m", "n")
    assert config.models["one"].targets[0].base_model == "gpt-4o"
    assert config.models["one"].fallback == ("two",)
    assert config.state.durable is None
    assert (config.transport.client, config.transport.connect_timeout) == ("general", 1.0)
    assert (config.server.workers, config.server.max_body_size) == (3, 1000)
    assert (config.ledger.capture, config.log.format, config.log.level) == ("full", "json", "warning")
    assert config.simulates


def test_text_stays_text_whatever_it_looks_like(read: Load) -> None:
    text = (
        "providers: {no: {kind: openai, api_key: 0123, organization: no, project: 1.0, models: [on, 1e3, 2024-01-01]}}"
    )
    provider = read(text).providers["no"]
    assert provider.api_key is not None
    assert provider.api_key.reveal() == "0123"
    assert (provider.organization, provider.project) == ("no", "1.0")
    assert provider.models == ("on", "1e3", "2024-01-01")


def test_all_problems_of_a_file_come_together_and_in_order(problems: Problems) -> None:
    text = """\
auth: reqired
providers:
  openai: {kind: opnai, api_kye: sk-abc, timeout: -3}
  azure: {kind: azure, api_key: "${NOPE}"}
  g: {kind: geminy, api_key: [x]}
models:
  smart:
    strategy: complexity
    targets: []
server: {workers: 1.5, max_json_depth: 9999, keep_alive: .inf, drain_timeout: "5"}
state: 3
"""
    kinds = " or ".join(sorted(get_args(Kind)))
    strategies = "cost or latency or least_busy or priority or quota or weighted"
    assert problems(text) == [
        (1, "auth", 'expected open or required, found "reqired"; did you mean "required"?'),
        (3, "providers.openai.api_kye", 'unknown setting; did you mean "api_key"?'),
        (3, "providers.openai.kind", f'expected {kinds}, found "opnai"; did you mean "openai"?'),
        (3, "providers.openai.timeout", 'expected a number greater than 0, found "-3"'),
        (
            4,
            "providers.azure.api_key",
            "the environment variable NOPE is not set; set it, or give a default: ${NOPE:-default}",
        ),
        (5, "providers.g.api_key", "expected text, found a list"),
        (5, "providers.g.kind", f'expected {kinds}, found "geminy"; did you mean "gemini"?'),
        (8, "models.smart.strategy", f'"complexity" is not available yet; available: {strategies}'),
        (9, "models.smart.targets", "expected 1 to 64 entries, found 0"),
        (10, "server.drain_timeout", 'expected a number, found the text "5"'),
        (10, "server.keep_alive", 'expected a number, found ".inf"'),
        (10, "server.max_json_depth", 'expected a number from 8 to 512, found "9999"'),
        (10, "server.workers", 'expected a whole number, found "1.5"'),
        (11, "state", 'expected a mapping of settings, found "3"'),
    ]


@pytest.mark.parametrize(
    ("text", "line", "key", "message"),
    [
        ("a: [", 2, "", "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "", "not valid YAML"),
        ("a:\n\tb: 2\n", 2, "", "indent by spaces, not tabs"),
        ("a: {b: ${C}}\n", 1, "", 'a variable wants quotes: "${NAME}"'),
        ("models: {a: openai/gpt-5}", 1, "models.a", "expected a mapping of settings, such as {targets: …}, found"),
        ("listen: \x07", 0, "", "not valid YAML: a character"),
        ("- a\n", 1, "", "expected a mapping of settings"),
        ("listen: a:1\nlisten: b:2\n", 2, "listen", "given twice, first on line 1"),
        ("? [a]\n: b\n", 1, "", "a key must be text"),
        ("providers: {a: {kind: openai}}\n", 1, "providers.a.api_key", "is required for kind openai"),
        ("models: {a: {}}\n", 1, "models.a.targets", "is required and missing"),
        ("listn: a:1", 1, "listn", 'unknown setting; did you mean "listen"?'),
        ("zzz: 1", 1, "zzz", "unknown setting; known here: listen, auth"),
        ("listen: ''", 1, "listen", "expected 1 to 8192 printable characters"),
        (f"listen: {'a' * 8193}", 1, "listen", "expected 1 to 8192 printable characters"),
        ("listen: ~", 1, "listen", "expected text, found nothing"),
        ("sim: {enabled: yes}", 1, "sim.enabled", 'expected true or false, found "yes"'),
        ("sim: {enabled: 'true'}", 1, "sim.enabled", 'found the text "true"'),
        ("log: {level: {a: b}}", 1, "log.level", "found a mapping"),
        ("providers: []", 1, "providers", "expected a mapping of names, found a list"),
        ("server: {max_body_size: 0}", 1, "server.max_body_size", "greater than 0"),
        (f"server: {{max_body_size: {10**17}}}", 1, "server.max_body_size", "expected a number"),
        ("a: ${}", 1, "a", "must be followed by a variable's name"),
        ("<<: 3\n", 1, "", "a merge key"),
    ],
)
def test_a_problem_names_its_line_and_key(problems: Problems, text: str, line: int, key: str, message: str) -> None:
    found = problems(text)
    assert any((line, key) == one[:2] and message in one[2] for one in found), found


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"listen: \xff")
    with pytest.raises(ConfigError, match="not UTF-8 text: byte 8"):
        load(tmp_path / "latin.yaml", {})


def test_variables_are_filled_in(read: Load) -> None:
    environ = {"HOST": "127.0.0.1", "EMPTY": "", "N": "4", "NESTED": "${HOST}"}
    text = """
listen: ${HOST}:${PORT:-4001}
server: {workers: "${N}", max_connections: "$${N}"}
"""
    with pytest.raises(ConfigError, match=r'max_connections: expected a whole number, found the text "\$\$\{N\}"'):
        read(text, environ)
    config = read(text.replace("$$", "$") + "state: {directory: 'a$$b${EMPTY:-c}${EMPTY}${NESTED}'}", environ)
    assert config.listen == "127.0.0.1:4001"
    assert (config.server.workers, config.server.max_connections) == (4, 4)
    assert config.state.directory == "a$bc${HOST}"


def test_anchors_and_merge_keys(read: Load) -> None:
    text = """
providers:
  a: &base {kind: openai, api_key: k, timeout: 5}
  b: {<<: *base, timeout: 9}
  c: {timeout: 1, <<: [*base, {kind: anthropic, organization: o}]}
  d: *base
"""
    providers = read(text).providers
    assert providers["d"] == providers["a"]
    assert (providers["b"].kind, providers["b"].timeout) == ("openai", 9.0)
    assert (providers["c"].kind, providers["c"].timeout, providers["c"].organization) == ("openai", 1.0, "o")


def test_a_file_is_bounded_in_size_depth_and_values(problems: Problems) -> None:
    assert "larger than" in problems("#" * (1024 * 1024 + 1))[0][2]
    assert "deeper than 32" in problems("[" * 50_000)[0][2]
    assert "deeper than 32" in problems("a: &a [*a]")[0][2]
    levels = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "more than 20000 values" in problems("\n".join(levels))[0][2]


SECRET = "sk-sesame-1234567890"


@pytest.mark.parametrize(
    "text",
    [
        "auth: ${KEY}",
        "auth: open\nlisten: ${KEY}",
        "providers: {a: {kind: '${KEY}'}}",
        "providers: {a: {kind: openai, api_key: [sk-sesame-1234567890]}}",
        "providers: {a: {kind: openai, api_key: {sk-sesame-1234567890: 1}}}",
        'providers: {a: {kind: openai, api_key: "sk-sesame-1234567890\\nx"}}',
        "providers: {a: {kind: openai, api_key: k, headers: {x: 'é${KEY}'}}}",
        "providers: {a: {kind: openai, api_key: k, timeout: '${KEY}'}}",
        "providers: {a: {kind: openai, api_key: k, base_url: 'https://u:sk-sesame-1234567890@x.example'}}",
        "providers: {a: {kind: openai, api_key: k, base_url: '${KEY}'}}",
        "providers: {a: {kind: openai, api_key: k, models: ['${KEY}', '${KEY}']}}",
        "models: {a: {targets: [{target: '${KEY}/b'}], fallback: ['${KEY}']}}",
        "admin_key: ${KEY}x\nauth_secret: ${KEY}",
        "state: {durable: 'mysql://u:sk-sesame-1234567890@h/d', hot: '${KEY}'}",
        "transport: {client: '${KEY}'}",
        "'a: ${KEY}': *${KEY}",
    ],
)
def test_no_message_shows_a_credential(read: Load, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, {"KEY": SECRET})
    assert "sesame" not in str(caught.value)
    assert "sesame" not in repr(caught.value.problems)


def test_neither_repr_nor_dump_shows_a_credential(read: Load) -> None:
    config = read(
        f"""
admin_key: {SECRET}
auth_secret: {SECRET}{SECRET}
providers: {{a: {{kind: openai, api_key: {SECRET}, headers: {{x-key: {SECRET}}}}}}}
state: {{durable: "postgresql://me:{SECRET}@db/x?password={SECRET}"}}
"""
    )
    assert str(config.state.durable) == f"postgresql://me:{SECRET}@db/x?password={SECRET}"
    for shown in (repr(config), str(config), effective(config)):
        assert "sesame" not in shown
        assert "********" in shown
    assert "postgresql://me:********@db/x?********" in effective(config)


def test_what_is_shown_can_be_read_again(read: Load) -> None:
    config = read(MINIMAL)
    again = read(effective(config).replace("'********'", "sk-abc"))
    assert again == config
