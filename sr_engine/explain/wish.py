"""From a wish to an explanation, and from an explanation to files."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pyproj import Transformer

from datacube import Grid
from datacube.errors import InvalidInput
from sr_engine.explain.case import window_around
from sr_engine.explain.pictures import sheet
from sr_engine.explain.report import METHODS, Explanation, explain_image, explain_scene
from sr_engine.model import Model, PatchModel
from sr_engine.scenes.source import CubeScene, SceneSource

CAPTIONS = {
    "input": "what the model saw (window outlined)",
    "sr": "super-resolved window",
    "attribution": "where the window's detail came from",
}


@dataclass(frozen=True)
class Wish:
    """What is to be explained: the middle of a window, its size, and by which method.

    `at` is x, y in the source's CRS, or longitude, latitude if `degrees`. The `pixel` in the
    middle costs as much again as the window.
    """

    at: tuple[float, float]
    degrees: bool
    size_px: int
    method: str = METHODS[0]
    pixel: bool = True


def explained(source: SceneSource, model: Model, wish: Wish) -> Explanation:
    """Carry out a wish; raises InvalidInput in one line for what cannot be explained."""
    if wish.degrees and not source.placed:
        raise InvalidInput(
            f"{source.name} has no place on Earth; say --at in its nominal metres, as "
            f"{source.grid.bounds[0]:g},{source.grid.bounds[3]:g} for its upper left corner"
        )
    window = window_around(
        source.grid, *place_on(source.grid, wish.at, degrees=wish.degrees), wish.size_px
    )
    if isinstance(source, CubeScene):
        return explain_scene(source, model, window, wish.method, pixel=wish.pixel)
    if not isinstance(model, PatchModel):
        raise InvalidInput(f"{model.card.id} takes several dates of a cube, not one image")
    return explain_image(source, model, window, wish.method, pixel=wish.pixel)


def place_on(grid: Grid, at: tuple[float, float], *, degrees: bool) -> tuple[float, float]:
    """Continuous row and column of a place: x, y in the grid's CRS, or longitude, latitude."""
    x, y = at
    if degrees:
        x, y = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True).transform(x, y)
    rows, cols = grid.pixel_coordinates(x=np.array([x]), y=np.array([y]))
    if not np.isfinite([rows[0], cols[0]]).all():
        raise InvalidInput(f"the place {at[0]:g},{at[1]:g} cannot be expressed in {grid.crs[:40]}")
    return float(rows[0]), float(cols[0])


def write(found: Explanation, folder: Path) -> list[Path]:
    """Write `explain_<model>_<method>_<row>_<col>.png` and `.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    place = found.document["window"]
    names = (found.document["model"], found.document["method"], place["row"], place["col"])
    stem = "_".join(["explain", *map(str, names)])
    picture, facts = folder / f"{stem}.png", folder / f"{stem}.json"
    sheet(found.pictures, CAPTIONS, found.inner, notes(found)).save(picture)
    facts.write_text(json.dumps(found.document, indent=2), "utf-8")
    return [picture, facts]


def notes(found: Explanation) -> list[str]:
    """The main numbers in words, for below the pictures."""
    facts = found.document
    lines = [f"{facts['model']}, {facts['window']['height']} x {facts['window']['width']} pixels"]
    if "diffusion_index" in facts:
        lines.append(
            f"diffusion index {facts['diffusion_index']:.1f} of 100, sums to the detail within "
            f"{100 * facts['completeness_error']:.2f} %"
        )
    for name, shares in facts["shares"].items():
        listed = ", ".join(f"{key}: {100 * part:.0f} %" for key, part in shares.items())
        lines.append(f"{name.replace('_px', ' (px)')}: {listed}")
    return lines
