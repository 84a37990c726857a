"""docs/mapping.md, made from the tables of `dialects/mapping.py`: what the families call the same thing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from trunkline.dialects.effort import BUDGETS
from trunkline.dialects.mapping import CACHE_TTLS, EFFORTS, FAMILIES, FIELDS, SILENCE, STOPS, TIERS, Words

_TITLES = ("chat", "Responses", "Messages", "Gemini", "Bedrock Converse")

_HEAD = """\
# Mapping: what the families call the same thing

Made from `src/trunkline/dialects/mapping.py` by `make docs`. Where a family has no word, the cell is empty: the field
is reported as lost. *(left out)* says it by saying nothing, and nothing is lost. A client's own words go back to its
own family as they came.
"""

_EFFORT = """\
A level that the model itself does not take (the catalog knows) becomes the nearest that it takes. Beyond the end of its
row that keeps the meaning (`max` is the most that it has) and is not reported; any other step is. Between two equally
near levels the harder one is taken. Budgets of models that are told a number of tokens, and back: the level whose
budget is the first to reach the number.
"""


def mapping_page() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _HEAD
    yield "## Fields\n"
    rows = [[row.attribute, *(_code(row.names.get(family)) for family in FAMILIES), row.source] for row in FIELDS]
    yield from _table(["field", *_TITLES, "source or note"], rows)
    yield "## Service tiers\n"
    yield from _words(TIERS)
    yield "## Effort\n"
    yield from _words(EFFORTS)
    yield _EFFORT
    yield from _table(["level", "tokens"], [[f"`{level}`", f"{budget:,}"] for level, budget in BUDGETS.items()])
    yield "## Lifetimes of cache marks\n"
    yield from _words(CACHE_TTLS)
    yield "## Stop sequences\n"
    limits = [
        [title, "no limit published" if (stops := STOPS[family]).most is None else f"{stops.most:,}",
         "yes" if stops.blank else "no", stops.source]
        for family, title in zip(FAMILIES, _TITLES, strict=True)
    ]  # fmt: skip
    yield from _table(["family", "at most", "white space alone", "source"], limits)


def _words(tables: Mapping[str, Words]) -> Iterator[str]:
    asked = list(dict.fromkeys(word for family in FAMILIES for word in tables[family].said))
    rows = [[f"`{word}`", *(_code(tables[family].said.get(word)) for family in FAMILIES)] for word in asked]
    yield from _table(["asked for", *_TITLES], rows)
    yield (
        "Sources: "
        + "; ".join(f"{title}: {tables[family].source}" for family, title in zip(FAMILIES, _TITLES, strict=True))
        + ".\n"
    )


def _code(word: str | None) -> str:
    return "" if word is None else "*(left out)*" if word == SILENCE else f"`{word}`"


def _table(headings: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield "|" + "---|" * len(headings)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
