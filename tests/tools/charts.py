"""Line charts of the README as SVG: names at the ends of lines, text that stays text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from xml.sax.saxutils import escape

from sr_engine.fusion.chart import round_ticks

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 52, 130, 104, 52
INK, QUIET, GRID = "#1d2529", "#5c686e", "#e3e8ea"
HEAD = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
    f'height="{HEIGHT}" font-family="system-ui, sans-serif" font-size="14" role="img" '
    'aria-label="{}">'
)
TITLE = f'<text x="20" y="32" font-size="19" font-weight="600" fill="{INK}">{{}}</text>'
LINE_PX = 17  # from one name to the next, at least


@dataclass(frozen=True)
class Line:
    """One line: its name, its points, and between what they lay.

    The name stands behind the last point, or `before` it.
    """

    name: str
    colour: str
    x: Sequence[float]
    y: Sequence[float]
    between: Sequence[tuple[float, float]] = ()
    dashed: bool = False
    before: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over one axis; `note` says what is drawn, and of what."""

    title: str
    note: str
    axis: str
    lines: Sequence[Line]
    logarithmic: bool = False

    def svg(self) -> str:
        """The chart as a document."""
        parts = [
            HEAD.format(escape(self.title)),
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            TITLE.format(escape(self.title)),
        ]
        for number, words in enumerate(textwrap.wrap(self.note, 96)):
            parts.append(_text(20, 54 + 18 * number, words, QUIET))
        parts += [*self._axes(), *self._drawn(), *self._names(), "</svg>"]
        return "\n".join(parts) + "\n"

    def _axes(self) -> list[str]:
        parts = []
        right = WIDTH - RIGHT
        for value in self._ticks():
            y = self._down(value)
            strong = QUIET if value == 0 else GRID
            parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{strong}"/>')
            parts.append(_text(LEFT - 10, y + 5, f"{value:g}", QUIET, "end"))
        for value in sorted({one for line in self.lines for one in line.x}):
            x = self._across(value)
            parts.append(_text(x, HEIGHT - BOTTOM + 20, f"{value:g}", QUIET, "middle"))
        middle = (LEFT + right) / 2
        return [*parts, _text(middle, HEIGHT - 12, self.axis, INK, "middle")]

    def _drawn(self) -> list[str]:
        parts = []
        for line in self.lines:
            places = [(self._across(a), self._down(b)) for a, b in zip(line.x, line.y, strict=True)]
            for (x, _), (low, high) in zip(places, line.between, strict=False):
                ends = f"M{x:.1f} {self._down(low):.1f}V{self._down(high):.1f}"
                parts.append(
                    f'<path d="{ends}" stroke="{line.colour}" stroke-width="7" opacity=".25"/>'
                )
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            dash = ' stroke-dasharray="5 5"' if line.dashed else ""
            parts.append(
                f'<polyline points="{points}" fill="none" stroke="{line.colour}" '
                f'stroke-width="2.2"{dash}/>'
            )
            if not line.dashed:
                hollow = "white" if len(places) == 1 else line.colour
                parts += [
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{hollow}" '
                    f'stroke="{line.colour}" stroke-width="2"/>'
                    for x, y in places
                ]
        return parts

    def _names(self) -> list[str]:
        """Beside the last point of each line, pushed apart where they would touch."""
        parts: list[str] = []
        last: dict[tuple[float, bool], float] = {}
        for line in sorted(self.lines, key=lambda one: -one.y[-1]):
            place = (line.x[-1], line.before)
            y = last[place] = max(self._down(line.y[-1]), last.get(place, 0.0) + LINE_PX)
            x = self._across(line.x[-1]) + (-12 if line.before else 12)
            parts.append(_text(x, y + 5, line.name, line.colour, "end" if line.before else "start"))
        return parts

    def _ticks(self) -> list[float]:
        values = [value for line in self.lines for value in line.y]
        values += [value for line in self.lines for pair in line.between for value in pair]
        return round_ticks(values)

    def _across(self, value: float) -> float:
        scale = log if self.logarithmic else float
        every = [scale(one) for line in self.lines for one in line.x]
        share = (scale(value) - min(every)) / (max(every) - min(every))
        return LEFT + 14 + share * (WIDTH - RIGHT - LEFT - 28)

    def _down(self, value: float) -> float:
        ticks = self._ticks()
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _text(x: float, y: float, words: str, colour: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )
