"""Line charts as SVG: enough for an experiment's figures, without a plotting library."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 560, 360, 64, 48, 60, 90
TICKS = 5  # about so many, at round numbers
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#6d597a", "#b08900")


def save_chart(
    path: Path,
    title: str,
    axes: tuple[str, str],
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
) -> None:
    """Save `lines` over `x`; `axes` are the labels of x and y."""
    ticks = round_ticks([value for line in lines.values() for value in line])
    low, high = ticks[0], ticks[-1]
    span = (max(x) - min(x)) or 1.0

    def at(a: float, b: float) -> tuple[float, float]:
        across = LEFT + (a - min(x)) / span * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (b - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 20, title, "start"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, axes[0], "middle"),
        _text(LEFT, TOP - 14, axes[1], "start", "#666"),
    ]
    for value in ticks:
        (x0, y), (x1, _) = at(min(x), value), at(max(x), value)
        parts.append(f'<path d="M{x0:.1f} {y:.1f}H{x1:.1f}" stroke="{_grid_colour(value)}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", "end"))
    parts += [_text(at(a, low)[0], HEIGHT - BOTTOM + 18, f"{a:g}", "middle") for a in x]
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        places = [at(a, b) for a, b in zip(x, line, strict=True)]
        points = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in places]
        parts.append(_text(WIDTH - RIGHT + 10, TOP + 16 * (i + 1), name, "start", colour))
    path.write_text("\n".join([*parts, "</svg>"]), encoding="utf-8")


def round_ticks(values: Sequence[float]) -> list[float]:
    """Round numbers, evenly spaced, that enclose `values`; at least two."""
    low, high = min(values), max(values)
    rough = (high - low or abs(high) or 1.0) / TICKS
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * lead for lead in (1, 2, 5, 10) if unit * lead >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, max(last, first + 1) + 1)]


def _grid_colour(value: float) -> str:
    """Zero, where a gain ends, is drawn darker."""
    return "#888" if value == 0 else "#ddd"


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )
