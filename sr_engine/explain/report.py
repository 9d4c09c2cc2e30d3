"""An explanation as a whole: numbers for a program, pictures for a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from datacube import Grid, Window
from datacube.errors import InvalidInput
from sr_engine.explain.attribution import local_attribution
from sr_engine.explain.bands import pixel_origin
from sr_engine.explain.case import Case, Imagery, open_case
from sr_engine.explain.dates import date_parts
from sr_engine.explain.diffusion import band_shares, diffusion_index, distance_shares
from sr_engine.explain.occlusion import band_occlusion, occlusion_map
from sr_engine.explain.pictures import Picture, panels, rgb
from sr_engine.fusion.model import FusionModel
from sr_engine.gaps import emptied
from sr_engine.model import Model, PatchModel, Reflectance
from sr_engine.scenes.source import CubeScene

METHODS = ("attribution", "occlusion")
Document = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Explanation:
    """What was found of a window: `document` as JSON holds it, and pictures by name.

    `inner` is the window as seen from the pictures of all that the model saw.
    """

    document: Document
    pictures: Mapping[str, Picture]
    inner: Window


def explain_image(
    imagery: Imagery,
    model: PatchModel,
    window: Window,
    method: str = METHODS[0],
    *,
    pixel: bool = True,
) -> Explanation:
    """Explain a window of one date, and if `pixel` the fine pixel in its middle.

    Raises InvalidInput where there is nothing to explain.
    """
    if method not in METHODS:
        raise InvalidInput(f"need a method of {' or '.join(METHODS)}, got {method[:40]!r}")
    case = open_case(imagery, model, window)
    facts, values = _attributed(case) if method == METHODS[0] else _occluded(case)
    if pixel and method == METHODS[0]:
        facts["middle_pixel"] = _middle(case)
    fine = model.predict(case.patch, case.bands).reflectance
    shown = panels(case, emptied(fine, ~case.shown, case.factor), values)
    document = _about(model, imagery.grid, window) | {"method": method} | facts
    document["seen"] = _place(imagery.grid, window.grown(case.halo_px))
    document["filled_share"] = float(case.missing.mean())
    return Explanation(document, shown, case.inner)


def explain_scene(
    scene: CubeScene,
    model: Model,
    window: Window,
    method: str = METHODS[0],
    *,
    pixel: bool = True,
) -> Explanation:
    """Explain a window of a cube's date by any model: of a fusion, which dates made it."""
    if isinstance(model, PatchModel):
        return explain_image(scene, model, window, method, pixel=pixel)
    if not isinstance(model, FusionModel):
        raise InvalidInput(f"{model.card.id} is of a kind that cannot be explained yet")
    cube, slot = scene.cube, scene.slot
    inside = window.within(cube.grid.shape)
    made = model.predict_window(cube, slot, inside).reflectance
    if not np.isfinite(made).any():
        raise InvalidInput(
            f"the window at row {window.row}, column {window.col} holds no data at all; choose "
            "another place or date"
        )
    found = date_parts(model, cube, slot, inside)
    read = scene.read(scene.bands, inside, 0)
    pictures = {"input": rgb(read, scene.bands, read), "sr": rgb(made, scene.bands, read)}
    facts = {
        "method": "dates",
        "completeness_error": found.completeness_error,
        "shares": {"dates": dict(found.shares())},
    }
    document = _about(model, cube.grid, inside) | facts
    return Explanation(document, pictures, Window(0, 0, inside.height, inside.width))


def _attributed(case: Case) -> tuple[Document, NDArray[np.float32]]:
    found = local_attribution(case)
    facts: Document = {
        "diffusion_index": diffusion_index(found.values),
        "completeness_error": found.completeness_error,
        "nodes": found.nodes,
        "detail": {"image": found.at_image, "blurred": found.at_baseline},
        "shares": {
            "bands": dict(band_shares(found.values, case.bands)),
            "distance_px": dict(distance_shares(found.values, case)),
        },
    }
    return facts, np.abs(found.values).sum(axis=0)


def _middle(case: Case) -> Document | None:
    """Which band made which in the fine pixel at the window's middle; None without data."""
    row, col = (side * case.factor // 2 for side in (case.window.height, case.window.width))
    if not case.shown[:, row // case.factor, col // case.factor].all():
        return None
    origin = pixel_origin(case, row, col)
    return {
        "change": dict(zip(case.bands, map(float, origin.rise), strict=True)),
        "completeness_error": origin.completeness_error,
        "band_shares": {made: dict(seen) for made, seen in origin.shares().items()},
    }


def _occluded(case: Case) -> tuple[Document, Reflectance]:
    losses = occlusion_map(case, side_px=max(1, case.window.height // 8))
    facts: Document = {
        "shares": {"distance_px": dict(distance_shares(losses[None], case))},
        "lost_without_band": dict(band_occlusion(case)),
    }
    return facts, losses


def _about(model: Model, grid: Grid, window: Window) -> Document:
    card = model.card
    return {
        "model": card.id,
        "weights_sha256": card.weights_sha256,
        "window": _place(grid, window),
    }


def _place(grid: Grid, window: Window) -> Document:
    """A window in pixels and on the ground, its corners also in degrees (ring, closed)."""
    part = grid.cropped(window)
    left, bottom, right, top = part.bounds
    x, y = [left, right, right, left, left], [top, top, bottom, bottom, top]
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return {
        "row": window.row,
        "col": window.col,
        "height": window.height,
        "width": window.width,
        "crs": grid.crs,
        "bounds": [left, bottom, right, top],
        "lonlat_ring": [[round(a, 7), round(b, 7)] for a, b in zip(lon, lat, strict=True)],
    }
