"""Draw the README's two diagrams as SVG: `make diagrams`.

How data flow through the packages, and how a request does. Places are written by hand; arrows
find the edges of their boxes. A test compares what this draws with what is committed.
"""

# ruff: noqa: E501 - a box reads best in one line
from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parents[2] / "notebooks/images"
INK, FAINT, LINE, ACCENT = "#1d2429", "#4c5860", "#8a979f", "#00629b"
FILLS = {
    "outside": "#f1f3f4", "datacube": "#e2eef6", "sr_engine": "#fbeedd", "server": "#e7f3e6",
    "webapp": "#f3e8f4",
}  # fmt: skip
EDGES = ("left", "right", "top", "bottom")
TITLE_PX, TEXT_PX, ROW_PX, PAD_PX = 15, 12.5, 17, 12
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
    f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{FAINT}"/></marker></defs>'
)


@dataclass(frozen=True)
class Box:
    """A step: where it is, whose it is, its name and what happens there."""

    x: float
    y: float
    width: float
    package: str
    title: str
    lines: tuple[str, ...] = ()

    @property
    def height(self) -> float:
        """Room for the name and the lines."""
        return 2 * PAD_PX + TITLE_PX + ROW_PX * len(self.lines)

    def anchor(self, side: str, at: float = 0.5) -> tuple[float, float]:
        """A point on an edge, `at` so far along it."""
        across, down = self.x + at * self.width, self.y + at * self.height
        return {
            "left": (self.x, down), "right": (self.x + self.width, down),
            "top": (across, self.y), "bottom": (across, self.y + self.height),
        }[side]  # fmt: skip


@dataclass(frozen=True)
class Arrow:
    """From one point to another, by right angles if `via` names the turn, with words beside."""

    start: tuple[float, float]
    end: tuple[float, float]
    words: str = ""
    via: tuple[tuple[float, float], ...] = ()
    dashed: bool = False


@dataclass(frozen=True)
class Diagram:
    """Boxes and arrows on a page; `label` says in words what is drawn."""

    name: str
    label: str
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]

    def svg(self) -> str:
        """The whole drawing."""
        width, height = self.size
        used = [package for package in FILLS if any(b.package == package for b in self.boxes)]
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{escape(self.label)}" font-family="system-ui, sans-serif">'
        )
        parts = [
            head,
            TIP,
            f'<rect width="{width}" height="{height}" fill="white"/>',
            *(_box(box) for box in self.boxes),
            *(_arrow(arrow) for arrow in self.arrows),
            *_legend(used, height - 18),
        ]
        return "\n".join([*parts, "</svg>", ""])


def data_flow() -> Diagram:
    """Scenes to cube to blocks to map."""
    outside = ("SAFE folder or zip", "GeoTIFF, NetCDF", "STAC API, level 1B")
    intake = ("plan, shown by --dry-run", "reflectance, masks, shifts", "10 m pixels as they are")
    stored = (
        "measurement/: scenes by date",
        "one write of the root commits",
        "chunks have checksums",
    )
    boxes = {
        "scenes": Box(20, 30, 190, "outside", "Scenes", outside),
        "ingest": Box(270, 30, 210, "datacube", "Ingest", intake),
        "cube": Box(540, 30, 250, "datacube", "Cube, plain Zarr v3", stored),
        "model": Box(540, 180, 250, "sr_engine", "Model", ("network, deconvolution, fusion", "on a block with its halo")),
        "blocks": Box(540, 316, 250, "datacube", "A group per model", ("sr/<model>/: inferred pixels", "interval, consistency, flags")),
        "trust": Box(270, 180, 210, "sr_engine", "Calibration, audit", ("places held out", "bicubic always beside")),
        "files": Box(20, 180, 190, "outside", "Files", ("COG, NetCDF, STAC item", "with their own record")),
        "server": Box(850, 180, 200, "server", "Server", ("tiles, WMTS, STAC, EDR", "jobs, events, keys")),
        "page": Box(850, 30, 200, "webapp", "Explorer", ("swipe, why, trust",)),
        "others": Box(850, 316, 200, "outside", "Others", ("QGIS, notebooks", "pystac-client, xarray")),
    }  # fmt: skip
    side = {name: {edge: box.anchor(edge) for edge in EDGES} for name, box in boxes.items()}
    measured, asked = boxes["cube"].anchor("right", 0.82), boxes["server"].anchor("left", 0.25)
    inferred, told = boxes["blocks"].anchor("right", 0.4), boxes["server"].anchor("left", 0.75)
    arrows = (
        Arrow(side["scenes"]["right"], side["ingest"]["left"]),
        Arrow(side["ingest"]["right"], side["cube"]["left"]),
        Arrow(side["cube"]["bottom"], side["model"]["top"], "one date or several"),
        Arrow(side["model"]["bottom"], side["blocks"]["top"], "written once"),
        Arrow(side["trust"]["right"], side["model"]["left"]),
        Arrow(measured, asked, via=((820, measured[1]), (820, asked[1]))),
        Arrow(inferred, told, via=((820, inferred[1]), (820, told[1]))),
        Arrow(side["server"]["top"], side["page"]["bottom"], "HTTP only"),
        Arrow(side["server"]["bottom"], side["others"]["top"]),
        Arrow(side["blocks"]["left"], side["files"]["bottom"], "export",
              via=((side["files"]["bottom"][0], side["blocks"]["left"][1]),)),
    )  # fmt: skip
    label = (
        "Scenes are ingested into a cube; models make blocks of a finer group beside the measured "
        "pixels; the server draws both for the explorer, QGIS and notebooks; both are exported."
    )
    return Diagram("data_flow", label, (1070, 440), tuple(boxes.values()), arrows)


def request_flow() -> Diagram:
    """A tile, and a view that is super-resolved."""
    boxes = {
        "look": Box(20, 60, 170, "webapp", "Look", ("GET .../tiles/z/x/y", "of one layer")),
        "route": Box(240, 60, 190, "server", "Route", ("layer, date, model", "ETag: generation, hash")),
        "reader": Box(480, 60, 210, "server", "Reader", ("level and window", "cache of decoded chunks")),
        "render": Box(740, 60, 210, "server", "Render", ("one remap, look-up table", "WebP")),
        "ask": Box(20, 200, 170, "webapp", "Super-resolve", ("POST the view's box", "and a model")),
        "plan": Box(240, 200, 190, "server", "Plan", ("blocks that are missing", "from the centre outwards")),
        "job": Box(480, 200, 210, "server", "Job", ("in a database: survives", "a killed server")),
        "worker": Box(740, 200, 210, "sr_engine", "Worker", ("read with halo, predict", "audit, flags")),
        "block": Box(740, 336, 210, "datacube", "Block", ("chunks first, record last", "next visitor: nothing to do")),
        "event": Box(240, 336, 190, "server", "Event", ("a block is there", "by server-sent events")),
    }  # fmt: skip
    side = {name: {edge: box.anchor(edge) for edge in EDGES} for name, box in boxes.items()}
    (back, _), (home, _) = side["render"]["top"], side["look"]["top"]
    rows = (("look", "route", "reader", "render"), ("ask", "plan", "job", "worker"))
    arrows = (
        *(Arrow(side[a]["right"], side[b]["left"]) for row in rows for a, b in pairwise(row)),
        Arrow(side["render"]["top"], side["look"]["top"], "tile", via=((back, 34), (home, 34))),
        Arrow(side["worker"]["bottom"], side["block"]["top"]),
        Arrow(side["block"]["left"], side["event"]["right"]),
        Arrow(side["event"]["left"], side["ask"]["bottom"],
              via=((side["ask"]["bottom"][0], side["event"]["left"][1]),)),
        Arrow(side["ask"]["top"], side["look"]["bottom"], "its tiles", dashed=True),
    )  # fmt: skip
    label = (
        "A tile goes through route, reader and render. A view to super-resolve is planned in "
        "blocks, worked through as a job, and each block is written once and told by an event."
    )
    return Diagram("request_flow", label, (970, 460), tuple(boxes.values()), arrows)


def draw(folder: Path = FOLDER) -> list[Path]:
    """Write both diagrams; the files."""
    paths = []
    for diagram in (data_flow(), request_flow()):
        path = folder / f"{diagram.name}.svg"
        path.write_text(diagram.svg(), "utf-8")
        paths.append(path)
    return paths


def _box(box: Box) -> str:
    rows = [
        _text(box.x + PAD_PX, box.y + PAD_PX + TITLE_PX + ROW_PX * number + 15, line, FAINT)
        for number, line in enumerate(box.lines)
    ]
    frame = (
        f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="8" '
        f'fill="{FILLS[box.package]}" stroke="{LINE}"/>'
    )
    name = _text(box.x + PAD_PX, box.y + PAD_PX + 11, box.title, INK, TITLE_PX, "600")
    return "\n".join([frame, name, *rows])


def _arrow(arrow: Arrow) -> str:
    points = (arrow.start, *arrow.via, arrow.end)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashes = ' stroke-dasharray="4 4"' if arrow.dashed else ""
    drawn = (
        f'<path d="{path}" fill="none" stroke="{FAINT}" stroke-width="1.5"{dashes} '
        'marker-end="url(#tip)"/>'
    )
    (x0, y0), (x1, y1) = points[len(points) // 2 - 1], points[len(points) // 2]
    beside = (x0 + x1) / 2 + (8 if x0 == x1 else 0), (y0 + y1) / 2 + (4 if x0 == x1 else -6)
    return drawn + ("\n" + _text(*beside, arrow.words, ACCENT) if arrow.words else "")


def _legend(packages: Iterable[str], y: float) -> list[str]:
    parts = []
    for number, package in enumerate(packages):
        x = 20 + 130 * number
        parts.append(
            f'<rect x="{x}" y="{y - 11}" width="14" height="14" rx="3" fill="{FILLS[package]}" '
            f'stroke="{LINE}"/>'
        )
        parts.append(_text(x + 20, y + 1, package, FAINT))
    return parts


def _text(
    x: float, y: float, words: str, colour: str, size: float = TEXT_PX, weight: str = "400"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}" '
        f'fill="{colour}">{escape(words)}</text>'
    )


if __name__ == "__main__":
    for written in draw():
        print(f"diagrams: {written.name}")
