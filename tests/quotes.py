"""Figures that a text quotes, computed from the tables they stand for.

A text is held twice: every quote has to be in it, word by word, with the figures of today; and
what is left when the quotes are taken out may name no number but those that were chosen, not
measured (the width of a brook, a level of confidence).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sr_engine.usecases.figures_page import figures

ROOT = Path(__file__).resolve().parents[1]
LINEAR = ("bicubic-x2", "bicubic-x4", "wiener-x2", "wiener-x4")
DEFAULT = ("default-x2", "default-x4")
FUSION = ("fusion-x2", "fusion-x4")
MODELS = ("wiener-x2", "wiener-x4", *DEFAULT, *FUSION)
ENLARGED = ("bicubic-x2", "bicubic-x4", *MODELS)
TENTHS = (
    "none", "a tenth", "two tenths", "three tenths", "four tenths", "half", "six tenths",
    "seven tenths", "eight tenths", "nine tenths", "all",
)  # fmt: skip
ZEHNTEL = (
    "nichts", "ein Zehntel", "zwei Zehntel", "drei Zehntel", "vier Zehntel", "die Hälfte",
    "sechs Zehntel", "sieben Zehntel", "acht Zehntel", "neun Zehntel", "alles",
)  # fmt: skip
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ORDINALS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 6: "a sixth", 7: "a seventh"}
TEILE = {2: "die Hälfte", 3: "ein Drittel", 4: "ein Viertel", 5: "ein Fünftel", 6: "ein Sechstel"}
NAMES = re.compile(r"Sentinel-2|\bx[24]\b|# \d\d\b|\bB\d\d\b")
NUMBER = re.compile(r"[+-]?\d[\d.,]*")


@dataclass(frozen=True)
class Quoted:
    """A text, what it quotes, and numbers in it that nobody measured.

    Quotes are paragraphs, however they are broken into lines.
    """

    name: str
    text: str
    told: str
    chosen: tuple[str, ...] = ()

    @property
    def quotes(self) -> list[str]:
        """The quotes, each in one line."""
        return [plain(one) for one in self.told.split("\n\n") if one.strip()]

    @property
    def missing(self) -> list[str]:
        """Quotes that are not in the text: it says something else, or no longer says it."""
        return [one for one in self.quotes if one not in plain(self.text)]

    @property
    def unheld(self) -> list[str]:
        """Numbers that are neither quoted nor chosen."""
        left = plain(self.text)
        for one in sorted((*self.quotes, *self.chosen), key=len, reverse=True):
            left = left.replace(plain(one), " ")
        return NUMBER.findall(NAMES.sub(" ", left))


def plain(text: str) -> str:
    """A text in one line, without Markdown's stars."""
    return " ".join(text.replace("**", "").split())


def prose_of(notebook: Path) -> str:
    """The words of a notebook."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return "\n\n".join("".join(one["source"]) for one in cells if one["cell_type"] == "markdown")


def rows(case: str, title: str) -> Mapping[str, Mapping[str, float]]:
    """The table of a use case whose title begins so: row -> column -> figure."""
    (table,) = [one for one in figures()[case] if one.title.startswith(title)]
    return {
        str(row[0]): {
            name: float(cell)
            for name, cell in zip(table.columns[1:], row[1:], strict=True)
            if isinstance(cell, int | float)
        }
        for row in table.rows
    }


def column(case: str, title: str, name: str, of: Iterable[str] = ()) -> list[float]:
    """A column of such a table, for the named rows or all that have it."""
    table = rows(case, title)
    return [table[row][name] for row in (of or table) if name in table[row]]


def percent(share: float) -> str:
    return f"{100 * share:.0f}"


def span(values: Iterable[float], form: str = "{:.2f}", between: str = "to") -> str:
    """From the least to the largest."""
    found = list(values)
    return f"{form.format(min(found))} {between} {form.format(max(found))}"


def percents(values: Iterable[float]) -> str:
    """A range of shares, in percent."""
    return span([100 * one for one in values], "{:.0f}")


def tenths(share: float, words: tuple[str, ...] = TENTHS) -> str:
    return words[round(10 * share)]


def part(share: float, words: Mapping[int, str] = ORDINALS) -> str:
    """The fraction with a numerator of one that is nearest."""
    return words[min(words, key=lambda one: abs(1 / one - share))]


def times(ratio: float) -> str:
    return COUNTS[round(ratio)]
