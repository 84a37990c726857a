"""What no single field can know."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config import Config, ConfigError, load
from trunkline.config.checks import SIMULATORS
from trunkline.config.plane import UNOPENED, plane_of

KEY = "kind: openai, api_key: k"
MODEL = "targets: [{target: o/m}]"
PROVIDERS = f"providers: {{o: {{{KEY}}}}}\n"


def read(tmp_path: Path, text: str, insecure: bool = False) -> Config:
    path = tmp_path / "trunkline.yaml"
    path.write_text(text, "utf-8")
    return load(path, {}, insecure)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("listen: '4000'", "listen", 'expected "host:port"'),
        ("listen: a:99999", "listen", 'expected "host:port"'),
        ("listen: ::1:4000", "listen", "an IPv6 address goes in brackets"),
        ("auth: open\nlisten: 0.0.0.0:4000", "auth", "lets everyone who reaches 0.0.0.0 spend your money"),
        ("auth: open\nlisten: '[::]:4000'", "auth", "lets everyone who reaches ::"),
        ("auth: open\nlisten: gateway:4000", "auth", "lets everyone who reaches gateway"),
        ("auth_secret: short", "auth_secret", "shorter than 32 characters"),
        ("admin_key: short", "admin_key", "shorter than 16 characters"),
        ("state: {durable: null}", "state.durable", "`auth: required` needs a database"),
        ("state: {durable: 'mysql://h/d'}", "state.durable", "begins with sqlite:/// or postgresql://"),
        ("state: {hot: 'reddis://h'}", "state.hot", '"memory://" or a Redis is expected'),
        ("state: {hot: disk}", "state.hot", '"memory://" or a Redis is expected'),
        ("state: {hot: 'redis://u@h'}", "state.hot", "a user and no password"),
        (
            "server: {workers: 2}\nlimits: [{allow: [requests=9/day]}]",
            "state.hot",
            "2 workers that count each for itself cannot keep limits",
        ),
        ("state: {redis: {deadline: 5}}", "state.redis.deadline", "1.0"),
        ("limits: [{allow: ['requests=5']}]", "limits[0].allow[0]", "requests: needs a window, one of minute"),
        ("limits: [{allow: ['requests=1/minute', 'cats=5/day']}]", "limits[0].allow[1]", "'cats' cannot be limited"),
        ("limits: [{names: [a], allow: ['cost=5/day']}]", "limits[0].names", "set `scope` to say of whom"),
        ("limits: [{scope: user, allow: ['cost=5/day']}]", "limits[0].scope", "expected"),
        ("teams: {a: {limits: ['cost=x/day']}}", "teams.a.limits[0]", "write DIMENSION=AMOUNT/WINDOW"),
        ("transport: {client: leen}", "transport.client", 'did you mean "lean"?'),
        (
            PROVIDERS + "models: {m: {targets: [{target: o/m}, {target: o/n, when: 'tag == 1'}]}}",
            "models.m.targets[1].when",
            "there is no 'tag' to look at",
        ),
        (
            PROVIDERS + "models: {m: {targets: [{target: o/m}, {target: o/m, tier: 1}]}}",
            "models.m.targets[1]",
            '"o/m" is listed twice; make one row of both',
        ),
        (
            PROVIDERS + "models: {m: {targets: [{target: o/m, canary: 0.7}, {target: o/n, canary: 0.4}]}}",
            "models.m.targets",
            "add up to more than 1",
        ),
        (
            PROVIDERS + "models: {m: {targets: [{target: o/m}], affinity: {by: cookie}}}",
            "models.m.affinity.by",
            "expected session, prefix, key or header:NAME",
        ),
        (
            PROVIDERS + "models: {m: {targets: [{target: o/m}], strategy: [cost, quick]}}",
            "models.m.strategy[1]",
            "expected cost or latency",
        ),
        (f"providers: {{'a b': {{{KEY}}}}}", "providers.a b", "a provider's name has"),
        (f"providers: {{sim: {{{KEY}}}}}\nsim: {{enabled: true}}", "providers.sim", "is the built-in simulator"),
        ("providers: {a: {kind: azure, api_key: k}}", "providers.a.endpoint", "is required for kind azure"),
        ("providers: {a: {kind: openai-compatible}}", "providers.a.base_url", "is required for kind openai-compatible"),
        (f"providers: {{a: {{{KEY}, endpoint: 'https://x'}}}}", "providers.a.endpoint", "means nothing to kind openai"),
        (f"providers: {{a: {{{KEY}, base_url: ftp://x}}}}", "providers.a.base_url", "expected an http:// or https://"),
        (f"providers: {{a: {{{KEY}, base_url: 'https://'}}}}", "providers.a.base_url", "expected an http:// or"),
        (f"providers: {{a: {{{KEY}, base_url: 'http://[x'}}}}", "providers.a.base_url", "is not a URL"),
        (f"providers: {{a: {{{KEY}, base_url: 'http://a:b@x'}}}}", "providers.a.base_url", "must not hold credentials"),
        (f"providers: {{a: {{{KEY}, base_url: 'http://x/?a=b'}}}}", "providers.a.base_url", "must end with its path"),
        (
            f"providers: {{a: {{{KEY}, base_url: 'http://localhost:4000'}}}}",
            "providers.a.base_url",
            "this gateway itself",
        ),
        (f"providers: {{a: {{{KEY}, headers: {{'a b': c}}}}}}", "providers.a.headers.a b", "not a header field's name"),
        (f"providers: {{a: {{{KEY}, headers: {{Host: c}}}}}}", "providers.a.headers.Host", "set by the gateway itself"),
        (f"providers: {{a: {{{KEY}, headers: {{x: é}}}}}}", "providers.a.headers.x", "must be ASCII"),
        (
            f"providers: {{a: {{{KEY}, headers: {{Api-Key: c}}}}}}",
            "providers.a.headers.Api-Key",
            "would be there twice",
        ),
        (f"providers: {{a: {{{KEY}, project: é}}}}", "providers.a.project", "must be ASCII"),
        ("providers: {a: {kind: openai, api_key: é}}", "providers.a.api_key", "must be ASCII"),
        (f"providers: {{a: {{{KEY}, base_url: 'https://é.example'}}}}", "providers.a.base_url", "xn-- form"),
        (f"providers: {{a: {{{KEY}, models: [m, n, m]}}}}", "providers.a.models[2]", '"m" is listed twice'),
        (
            "providers: {a: {kind: azure, api_key: k, endpoint: 'https://x', api_version: v1}}",
            "providers.a.api_version",
            "expected a date",
        ),
        (f"{PROVIDERS}models: {{a/b: {{{MODEL}}}}}", "models.a/b", "has no /"),
        (f"{PROVIDERS}models: {{'a b': {{{MODEL}}}}}", "models.a b", "none of them blank"),
        (f"{PROVIDERS}models: {{a: {{targets: [{{target: m}}]}}}}", "models.a.targets[0].target", "provider/model"),
        (f"{PROVIDERS}models: {{a: {{targets: [{{target: p/m}}]}}}}", "models.a.targets[0].target", "known: o"),
        (
            f"{PROVIDERS}models: {{a: {{targets: [{{target: o/m, weight: 0}}]}}}}",
            "models.a.targets[0].weight",
            "greater than 0",
        ),
        (f"{PROVIDERS}models: {{a: {{{MODEL}, fallback: [b]}}}}", "models.a.fallback[0]", 'no public model "b"'),
        (f"{PROVIDERS}models: {{a: {{{MODEL}, fallback: [a]}}}}", "models.a.fallback[0]", "goes round in circles"),
        (
            f"{PROVIDERS}models: {{a: {{{MODEL}, fallback: [b]}}, b: {{{MODEL}, fallback: [a]}}}}",
            "models.b.fallback[0]",
            '"a" falls back to "b"',
        ),
    ],
)
def test_a_contradiction_is_refused(tmp_path: Path, text: str, key: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    found = [(one.key, one.message) for one in caught.value.problems]
    assert any(one[0] == key and message in one[1] for one in found), found
    assert all(one.line > 0 for one in caught.value.problems)


@pytest.mark.parametrize("listen", ["127.0.0.1:1", "127.9.9.9:1", "localhost:1", "'[::1]:1'"])
def test_open_on_loopback_is_fine(tmp_path: Path, listen: str) -> None:
    assert read(tmp_path, f"auth: open\nlisten: {listen}").auth == "open"


def test_open_to_all_has_to_be_asked_for(tmp_path: Path) -> None:
    assert read(tmp_path, "auth: open\nlisten: 0.0.0.0:4000", insecure=True).address == ("0.0.0.0", 4000)


def test_no_database_is_fine_without_keys(tmp_path: Path) -> None:
    assert read(tmp_path, "auth: open\nstate: {durable: null}").state.durable is None


def test_models_may_stand_on_the_simulator(tmp_path: Path) -> None:
    assert "a" in read(tmp_path, "models: {a: {targets: [{target: sim/sim-small}]}}").models
    with pytest.raises(ConfigError, match='there is no provider "sim"; known: o'):
        read(tmp_path, f"{PROVIDERS}models: {{a: {{targets: [{{target: sim/sim-small}}]}}}}")


def test_every_provider_of_the_simulator_may_be_a_target(tmp_path: Path) -> None:
    rows = [f"  {name}: {{targets: [{{target: {name}/sim-small}}]}}" for name in SIMULATORS]
    config = read(tmp_path, "\n".join(["models:", *rows]))
    assert set(plane_of(config, UNOPENED).providers) == set(SIMULATORS)
