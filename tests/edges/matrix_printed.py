"""The fault matrix as it is printed: a row a fault, a column a way of asking."""

from __future__ import annotations

from tests.edges.fault_table import Cell

_SIGNS = {"answer": "answer", "refusal": "error", "broken": "broken"}


class Matrix:
    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], str] = {}

    def note(self, cell: Cell, said: str, client: str = "") -> None:
        moment = "" if cell.mode == "whole" else f" {cell.moment}"
        column = f"{cell.mode}{moment}, {cell.targets}"
        self.seen[f"{client} {cell.fault}".strip(), column] = _SIGNS.get(said, "WRONG")

    def lines(self) -> list[str]:
        columns = list(dict.fromkeys(column for _, column in self.seen))
        rows = list(dict.fromkeys(row for row, _ in self.seen))
        width = max(len(row) for row in rows)
        heads = [f"{number:>2}: {column}" for number, column in enumerate(columns, 1)]
        head = " " * width + "".join(f" {number:>6}" for number in range(1, len(columns) + 1))
        body = [
            f"{row:<{width}}" + "".join(f" {self.seen.get((row, column), '·'):>6}" for column in columns)
            for row in rows
        ]
        return [*heads, "", head, *body]


MATRIX = Matrix()
