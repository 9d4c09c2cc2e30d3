"""A layer of a view as a GeoTIFF, on the grid that is asked for, so that two of them overlay.

Every layer of a cube has pixels that are whole parts of the measured ones. A coarser layer comes
to a finer grid by repeating its pixels, which is exact and adds nothing; the tags say so. What
would be too large is refused before anything is read.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from numpy.typing import NDArray
from pydantic import Field

from datacube import Cube, Window
from datacube.bands import CLASSES
from datacube.cog import RasterSpec, write_cog
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput, NotFound
from datacube.export import STAMP, plane_spec, tags_of
from datacube.layer import REFLECTANCE, provenance
from datacube.layer import Layer as FileLayer
from datacube.provenance import TAG
from server.box import BoxQuery
from server.clients import gone
from server.layers import View, find_layer, model_of
from server.problems import TooLarge
from server.services import Services, services_of
from sr_engine.planes import SCALE
from sr_engine.trust.calibration import calibration_of

MAX_NUMBERS = 32_000_000  # in one file: 64 MB before they are packed
FINEST = 8  # parts of a measured pixel along an edge
GEOTIFF = "image/tiff; application=geotiff"

router = APIRouter()
ReadWindow = Callable[[Window], NDArray[Any]]


class ExportQuery(BoxQuery):
    """What may be asked of a file."""

    grid: Annotated[
        int | None,
        Field(ge=1, le=FINEST, description="pixels of the file along the edge of a measured one"),
    ] = None


@dataclass(frozen=True)
class Wanted:
    """A file to make: `parts` pixels along the edge of a measured one."""

    view: View
    scene: CommittedScene
    layer: FileLayer
    parts: int

    @property
    def repeats(self) -> int:
        """How often each pixel of the layer stands along an edge."""
        return self.parts // self.layer.factor

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands of the file."""
        if self.view.layer.kind == "classes":
            return (CLASSES,)
        variable = self.view.layer.variable
        return self.layer.bands if variable in {"", REFLECTANCE} else (variable,)

    def require(self, bands: tuple[str, ...]) -> None:
        """Raise InvalidInput for a band that the layer does not have."""
        missing = set(bands) - set(self.bands)
        if missing:
            raise InvalidInput(
                f"layer {self.view.layer.id} has no {', '.join(sorted(missing))}; it has "
                f"{', '.join(self.bands)}"
            )

    @property
    def name(self) -> str:
        """A name for the file that says what is in it."""
        model = f"-{self.view.model.card.id}" if self.view.model else ""
        moment = self.scene.scene.datetime.strftime(STAMP)
        return f"{self.layer.cube_id}-{self.view.layer.id}{model}-{moment}.tif"


@router.get(
    "/collections/{cube_id}/layers/{layer_id}/export.tif",
    response_class=Response,
    responses={200: {"description": "a cloud-optimised GeoTIFF", "content": {GEOTIFF: {}}}},
)
async def export_tif(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    cube_id: str,
    layer_id: str,
    query: Annotated[ExportQuery, Query()],
) -> Response:
    """A layer of a view as a GeoTIFF with its provenance; one `grid` gives files that overlay.

    Without `grid` the pixels are the layer's own. Those of a coarser layer are repeated.
    """

    def make() -> tuple[bytes, str]:
        wanted = find_wanted(services.catalog.open(cube_id), (cube_id, layer_id), query)
        return encoded(wanted), wanted.name

    key = ("export", cube_id, layer_id, query.model_dump_json())
    (data, name), _ = await services.renders.run(key, make, gone(request))
    return sent(data, name)


def sent(data: bytes, name: str) -> Response:
    """A file as an answer, to be saved by its name."""
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "cache-control": "no-store",
    }
    return Response(data, media_type=GEOTIFF, headers=headers)


def find_wanted(cube: Cube, names: tuple[str, str], query: ExportQuery) -> Wanted:
    """What a request asks for; `names` are the cube's and the layer's.

    Raises TooLarge for more than `MAX_NUMBERS`, NotFound where nothing was computed, InvalidInput
    for a grid that does not hold the layer's pixels. No pixel has been read then.
    """
    layer, scene, window = find_layer(cube, names[1]), query.scene(cube), query.window(cube)
    view = View(cube, layer, scene.slot, model_of(layer, query.model))
    product = view.product
    if product is None and view.product_path is not None:
        raise _nothing(view)
    file = FileLayer(names[0], cube, product, window)
    parts = query.grid or file.factor
    if parts % file.factor:
        raise InvalidInput(
            f"need a grid of a multiple of {file.factor}, the layer's own, got {parts}; "
            "pixels are repeated, never averaged"
        )
    wanted = Wanted(view, scene, file, parts)
    _check_size(wanted)
    if not file.coverage(scene.slot)[0]:
        raise _nothing(view)
    return wanted


def _check_size(wanted: Wanted) -> None:
    height, width = (size * wanted.parts for size in _shape(wanted.layer.window))
    numbers = height * width * len(wanted.bands)
    if numbers > MAX_NUMBERS:
        raise TooLarge(
            f"{height} x {width} pixels of {len(wanted.bands)} bands are {numbers} numbers, more "
            f"than the {MAX_NUMBERS} of one file; zoom in, or use `srcube export`"
        )


def _nothing(view: View) -> NotFound:
    by = f" by {view.model.card.id}" if view.model else ""
    return NotFound(
        f"nothing of layer {view.layer.id}{by} was computed there and then; "
        "super-resolve the view first"
    )


def encoded(wanted: Wanted) -> bytes:
    """The file's bytes."""
    variable = wanted.view.layer.variable or REFLECTANCE
    read: ReadWindow = wanted.layer.reader(wanted.scene.slot, variable)
    if wanted.view.layer.kind == "classes":
        read = _classes_reader(wanted)
    with tempfile.TemporaryDirectory(prefix="srcube-export-") as folder:
        path = Path(folder) / "view.tif"
        write_cog(path, _spec(wanted), repeated(read, wanted.repeats))
        return path.read_bytes()


def repeated(read: ReadWindow, times: int) -> ReadWindow:
    """A reader of a grid `times` finer, on which every pixel stands `times` x `times` times."""

    def read_fine(window: Window) -> NDArray[Any]:
        row, col = window.row // times, window.col // times
        height = -(-(window.row + window.height) // times) - row
        width = -(-(window.col + window.width) // times) - col
        fine = read(Window(row, col, height, width)).repeat(times, -2).repeat(times, -1)
        inner = Window(
            window.row - row * times, window.col - col * times, window.height, window.width
        )
        return np.asarray(fine[:, *inner.slices])

    return read_fine if times > 1 else read


def _classes_reader(wanted: Wanted) -> ReadWindow:
    cube, around = wanted.view.cube, wanted.layer.window

    def read(window: Window) -> NDArray[np.uint8]:
        row, col = window.row + around.row, window.col + around.col
        place = Window(row, col, window.height, window.width)
        return cube.window_scl(wanted.scene.slot, place)[np.newaxis]

    return read


def _spec(wanted: Wanted) -> RasterSpec:
    layer, view = wanted.layer, wanted.view
    facts = provenance(layer, wanted.scene) | {"layer": view.layer.id, "resampling": _said(wanted)}
    tags = tags_of(layer, wanted.scene, facts) | {
        TAG: json.dumps(facts, sort_keys=True),
        "srcube_layer": view.layer.title,
        "srcube_resampling": _said(wanted),
    }
    grid = layer.grid.refined(wanted.repeats)
    if view.layer.kind == "classes":
        return RasterSpec(grid, wanted.bands, "uint8", physical=False, tags=tags)
    if view.layer.variable in {"", REFLECTANCE}:
        return RasterSpec(grid, wanted.bands, tags=tags)
    spec = replace(plane_spec(layer, view.layer.variable, tags), grid=grid)
    if view.layer.variable != SCALE.name or view.model is None:
        return spec
    # What is kept is the model's scale; the layer is half of the interval that follows from it.
    times = calibration_of(view.model.card).over_bands()
    told = {**spec.tags, "long_name": view.layer.title}
    return replace(spec, scale=spec.scale * times, offset=spec.offset * times, tags=told)


def _said(wanted: Wanted) -> str:
    """How the layer came to the file's grid, in words."""
    own_m = wanted.layer.grid.gsd_m
    if wanted.repeats == 1:
        return f"none: pixels of {own_m:g}, as they are in the cube"
    return (
        f"nearest: each pixel of {own_m:g} stands {wanted.repeats} x {wanted.repeats} times as "
        f"one of {own_m / wanted.repeats:g}; no detail was added"
    )


def _shape(window: Window) -> tuple[int, int]:
    return window.height, window.width
