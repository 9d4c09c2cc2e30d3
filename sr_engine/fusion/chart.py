"""Line charts as SVG: enough for an experiment's figures, without a plotting library."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 560, 360, 64, 48, 36, 150
COLOURS = ("#1b6ca8", "#c8553d", "#588157", "#6d597a", "#b08900")


def save_chart(
    path: Path,
    title: str,
    axes: tuple[str, str],
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
) -> None:
    """Save `lines` over `x`; `axes` are the labels of x and y."""
    values = [value for line in lines.values() for value in line]
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 1.0
    low, high = low - pad, high + pad
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
        _text(WIDTH / 2, 20, title, "middle"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, axes[0], "middle"),
        _text(LEFT, TOP - 6, axes[1], "start"),
    ]
    for step in range(5):
        value = low + step / 4 * (high - low)
        (x0, y), (x1, _) = at(min(x), value), at(max(x), value)
        parts.append(f'<path d="M{x0:.1f} {y:.1f}H{x1:.1f}" stroke="#ddd"/>')
        parts.append(_text(LEFT - 6, y + 4, f"{value:.3g}", "end"))
    parts += [_text(at(a, low)[0], HEIGHT - BOTTOM + 18, f"{a:g}", "middle") for a in x]
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = " ".join("{:.1f},{:.1f}".format(*at(a, b)) for a, b in zip(x, line, strict=True))
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(_text(WIDTH - RIGHT + 10, TOP + 16 * (i + 1), name, "start", colour))
    path.write_text("\n".join([*parts, "</svg>"]), encoding="utf-8")


def _text(x: float, y: float, words: str, anchor: str, colour: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">'
        f"{escape(words)}</text>"
    )
