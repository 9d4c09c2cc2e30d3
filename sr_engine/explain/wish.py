"""From a wish to an explanation, and from an explanation to files."""

import json
from dataclasses import dataclass
from pathlib import Path

from sr_engine.explain.case import Imagery, window_around
from sr_engine.explain.pictures import sheet
from sr_engine.explain.report import Explanation, explain_image, explain_scene
from sr_engine.explain.sources import SceneOfCube, place_on
from sr_engine.registry import DEFAULT_MODEL, find_model, find_patch_model

CAPTIONS = {
    "input": "what the model saw (window outlined)",
    "sr": "super-resolved window",
    "attribution": "where the window's detail came from",
}


@dataclass(frozen=True)
class Wish:
    """What is to be explained: the middle of a window, its size, by which model and method.

    `at` is x, y in the source's CRS, or longitude, latitude if `degrees`.
    """

    at: tuple[float, float]
    degrees: bool
    size_px: int
    model: str | None = None
    method: str = "attribution"


def explained(source: SceneOfCube | Imagery, wish: Wish) -> Explanation:
    """Carry out a wish; raises InvalidInput or NotFound in one line for what cannot be."""
    name = wish.model or DEFAULT_MODEL
    grid = source.grid if isinstance(source, Imagery) else source.cube.grid
    window = window_around(grid, *place_on(grid, wish.at, degrees=wish.degrees), wish.size_px)
    if isinstance(source, Imagery):
        return explain_image(source, find_patch_model(name), window, wish.method)
    return explain_scene(source.cube, source.slot, find_model(name), window, wish.method)


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
