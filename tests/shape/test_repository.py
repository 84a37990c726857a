"""What is committed: fit for everyone's machine, and examples that work."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from trunkline.config import load
from trunkline.config.plane import plane_of

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))

MACHINE = re.compile(
    r"""(?<![\w.$}/-]) / (?: work | root | Users/\w+ | home/\w+ ) / \w  # a path of somebody's machine
      | files\.pythonhos[t]ed | py[p]i\.o[r]g/simple | --(?:extra-)?index-url | --find-links [ =] \S  # a registry
    """,
    re.VERBOSE,
)
ENVIRON = {
    "OPENAI_API_KEY": "sk-example",
    "ANTHROPIC_API_KEY": "sk-example",
    "GEMINI_API_KEY": "example",
    "AZURE_OPENAI_API_KEY": "example",
    "TRUNKLINE_ADMIN_KEY": "0123456789abcdef" * 2,
    "TRUNKLINE_AUTH_SECRET": "0123456789abcdef" * 2,
}


def committed() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, timeout=30).decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_nothing_committed_names_a_machine_or_a_registry() -> None:
    found = []
    for path in committed():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE.finditer(text)]
    assert found == []


def test_every_locked_package_has_hashes() -> None:
    for path in (ROOT / "requirements" / "core.txt", ROOT / "requirements" / "dev.txt"):
        entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^ *#.*\n", "", path.read_text("utf-8")))
        assert len(entries) > 20
        assert [entry for entry in entries if entry.strip() and "--hash=sha256:" not in entry] == []


def test_the_locks_hold_all_that_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    core = {*project["project"]["dependencies"], *project["dependency-groups"]["build"]}
    extras = project["project"]["optional-dependencies"].values()
    everything = core.union(project["dependency-groups"]["dev"], *extras)
    for wanted, lock in ((core, "core.txt"), (everything, "dev.txt")):
        locked = set(re.findall(r"(?m)^([a-z0-9-]+)==", (ROOT / "requirements" / lock).read_text("utf-8")))
        assert {_name(one) for one in wanted} - locked == set(), f"{lock} is stale: run `make lock`"


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_loads(path: Path) -> None:
    config = load(path, ENVIRON)
    directory = plane_of(config).directory
    assert config.providers
    assert all(directory.resolve(name) for name in config.models)


def test_every_configuration_on_a_page_loads(tmp_path: Path) -> None:
    environ = ENVIRON | dict.fromkeys(("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "KEY_ONE", "KEY_TWO"), "example")
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = [
        text for page in pages for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    ]
    assert len(shown) > 5
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, "utf-8")
        load(path, environ)


def test_every_example_is_named_where_they_are_listed() -> None:
    named = re.findall(r"\(\.\./examples/(\S+?\.yaml)\)", (ROOT / "docs" / "configuration.md").read_text("utf-8"))
    assert sorted(named) == [path.name for path in EXAMPLES]


def test_make_help_explains_every_target() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", text)
    assert set(re.findall(r"(?m)^([a-z-]+):.*## \S", text)) == set(phony.split())
