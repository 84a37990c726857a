"""What a page claims to list, it lists whole: error codes, metrics, headers, endpoints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.core import errors
from trunkline.core.errors import Kind
from trunkline.edge.surfaces import SURFACES
from trunkline.state.exposition import GAUGES, exposition
from trunkline.state.meters import ProcessMeters

ROOT = Path(__file__).parents[2]
SOURCES = [path.read_text() for path in (ROOT / "src").rglob("*.py") if "sim" not in path.parts]


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def codes() -> set[str]:
    """Codes of the classes, codes given where an error is raised, and one a kind of upstream error."""
    classes = {value.code for value in vars(errors).values() if isinstance(value, type) and hasattr(value, "code")}
    raised = {code for text in SOURCES for code in re.findall(r'(?<![\w.])code="([a-z_]+)"', text)}
    return classes | raised | {f"upstream_{kind}" for kind in Kind.__args__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", sorted(codes()))
def test_every_error_code_is_documented(code: str) -> None:
    assert f"| `{code}` |" in page("errors.md")


def test_no_error_code_is_documented_that_does_not_exist() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", page("errors.md"), re.M)) == codes()


def test_the_metrics_page_lists_what_is_exposed() -> None:
    exposed = set(re.findall(r"^# TYPE (\w+)", exposition(ProcessMeters().snapshot())[0].decode(), re.M))
    assert set(re.findall(r"^\| `(trunkline_\w+)` \|", page("metrics.md"), re.M)) == exposed | set(GAUGES)


def test_every_header_of_ours_is_documented() -> None:
    used = {name for text in SOURCES for name in re.findall(r'b"(x-trunkline-[a-z-]+[a-z])"', text)}
    assert used
    documented = page("endpoints.md")
    assert [name for name in sorted(used) if f"`{name}" not in documented] == []


def documented_calls() -> set[str]:
    """`METHOD path` of every call on the endpoints' page, whose rows say below which of the named places a path is."""
    text = page("endpoints.md")
    places = {name: re.findall(r"`(/[^`]+)`", paths) for name, paths in re.findall(r"^- \*(.+?)\*: (.+)$", text, re.M)}
    rows = re.findall(r"^\| (`[A-Z]+ …/.*?) \| (.*?) \|", text, re.M)
    return {
        f"{method} {place}{path}"
        for calls, below in rows
        for method, path in re.findall(r"`([A-Z]+) …(/[^`]+)`", calls)
        for name in below.split(", ")
        for place in places[name]
    }


def test_every_surface_is_documented_and_no_other() -> None:
    assert documented_calls() == {f"{surface.method} {surface.path}" for surface in SURFACES}


def test_the_index_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\(([a-z]+\.md)", page("README.md")))
    assert linked == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    broken = [
        (path.name, link)
        for path in pages
        for link in re.findall(r"\]\(([^)#:]+)\)", path.read_text())
        if not (path.parent / link).exists()
    ]
    assert broken == []
