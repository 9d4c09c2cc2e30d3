"""A table that a notebook shows, a page includes and a person reads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Rows of cells under `columns`; numbers get two or three digits, None a dash."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @classmethod
    def of(
        cls, title: str, columns: Sequence[str], cells: Iterable[tuple[str, Sequence[Cell]]]
    ) -> "Table":
        """A table whose rows have a name each; `columns` are those of the other cells."""
        rows: list[tuple[Cell, ...]] = [(name, *row) for name, row in cells]
        return cls(title, ("", *columns), tuple(rows))

    def markdown(self) -> str:
        """As Markdown, its title in bold above."""
        lines = [f"| {' | '.join(self.columns)} |", "|" + " --- |" * len(self.columns)]
        lines += [f"| {' | '.join(shown(cell) for cell in row)} |" for row in self.rows]
        return f"**{self.title}**\n\n" + "\n".join(lines) + "\n"

    def row(self, name: str) -> dict[str, Cell]:
        """The row that begins with a name, by column; raises KeyError where there is none."""
        return next_or_raise([dict(zip(self.columns, r, strict=True)) for r in self.rows], name)

    def _repr_markdown_(self) -> str:
        """What Jupyter shows."""
        return self.markdown()

    def __str__(self) -> str:
        widths = [max(len(shown(cell)) for cell in column) for column in self._columns()]
        cells = [self.columns, *self.rows]
        lines = [
            "  ".join(shown(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in cells
        ]
        return "\n".join([self.title, *lines])

    def _columns(self) -> Sequence[Sequence[Cell]]:
        return list(zip(self.columns, *self.rows, strict=True))


def next_or_raise(rows: Sequence[dict[str, Cell]], name: str) -> dict[str, Cell]:
    """The row whose first cell is `name`; raises KeyError where there is none."""
    for row in rows:
        if next(iter(row.values())) == name:
            return row
    raise KeyError(name)


def shown(cell: Cell) -> str:
    """How a cell is written."""
    if cell is None or cell != cell:  # noqa: PLR0124 - NaN is what differs from itself
        return "-"
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.3f}" if 0 < abs(cell) < 0.0995 else f"{cell:.2f}"


def page(title: str, parts: Sequence[str | Table]) -> str:
    """A Markdown page of paragraphs and tables."""
    told = [part.markdown() if isinstance(part, Table) else f"{part}\n" for part in parts]
    return "\n".join([f"# {title}\n", *told])


def write_page(path: Path, title: str, parts: Sequence[str | Table]) -> None:
    """Write a page, its folder with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(title, parts), "utf-8")
