"""The root of the command line, and `trunkline check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from trunkline import __version__
from trunkline.cli.main import COMMANDS, root

FAULTY = "auth: reqired\nproviders: {a: {kind: openai, api_kye: sk-abc}}\n"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return CliRunner()


def test_the_version(runner: CliRunner) -> None:
    assert runner.invoke(root, ["--version"]).output == f"trunkline, version {__version__}\n"


def test_help_lists_every_command(runner: CliRunner) -> None:
    output = runner.invoke(root, ["--help"]).output
    for name, (_, text) in COMMANDS.items():
        assert f"{name} " in output
        assert text in " ".join(output.split())


def test_an_unknown_command_is_told_so(runner: CliRunner) -> None:
    result = runner.invoke(root, ["chek"])
    assert result.exit_code == 2
    assert "chek" in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(runner: CliRunner, name: str) -> None:
    result = runner.invoke(root, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"trunkline {name}" in result.output.partition("Usage:")[2].partition("\n")[2], "no example in the help"


def test_check_lists_problems_like_a_compiler(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(FAULTY)
    result = runner.invoke(root, ["check", "a.yaml"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        'a.yaml:1: auth: expected open or required, found "reqired"; did you mean "required"?',
        'a.yaml:2: providers.a.api_kye: unknown setting; did you mean "api_key"?',
        "2 problems",
    ]


def test_check_prints_the_effective_configuration_masked(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("providers: {a: {kind: openai, api_key: sk-abc}}\n")
    result = runner.invoke(root, ["check", "a.yaml"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert "api_key: '********'" in result.stdout
    assert "max_body_size: 33554432" in result.stdout
    assert "providers:\n  a:\n    kind: openai\n    api_key: '********'\nmodels: {}\n" in result.stdout
    assert runner.invoke(root, ["check", "-q", "a.yaml"]).output == ""


def test_check_without_a_file_is_the_environment_s(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sesame")
    result = runner.invoke(root, ["check"])
    assert result.exit_code == 0
    assert "kind: anthropic" in result.stdout
    assert "sesame" not in result.stdout


def test_insecure_has_to_be_said(runner: CliRunner, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("auth: open\nlisten: 0.0.0.0:4000\n")
    assert runner.invoke(root, ["check", "a.yaml"]).exit_code == 1
    assert runner.invoke(root, ["check", "--insecure", "a.yaml"]).exit_code == 0
