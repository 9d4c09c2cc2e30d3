"""Numbers of what a view shows: the range of its values, to stretch a picture by.

The box is sampled as a map tile of it would be, so that an answer costs no more than a tile does,
however large the box is: what is counted are pixels of the level that suits it.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from datacube import Cube
from datacube.errors import InvalidInput
from datacube.lonlat import check_bbox
from server.clients import gone
from server.expressions import MAX_LENGTH, indices
from server.layers import View
from server.reader import Frame
from server.services import Services, services_of
from server.tile_data import values_of
from server.tiles import TileQuery, band_choice, find_view, formula_of

SAMPLES_PX = 256  # per side of the box
MOST_ASPECT = 8.0  # of the box: a longer one would have to be read much finer than it is sampled
PERCENTILES = (2.0, 98.0)

router = APIRouter()
Document = dict[str, Any]
Values = NDArray[np.float32]


class StatisticsQuery(BaseModel):
    """What may be asked for; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    bbox: Annotated[str, Field(max_length=120, description="west,south,east,north in degrees")]
    moment: Annotated[str | None, Field(alias="datetime", max_length=40)] = None
    model: Annotated[str | None, Field(max_length=80)] = None
    bands: Annotated[str | None, Field(max_length=40, description="one, or three")] = None
    index: Annotated[str | None, Field(max_length=20, description="NDVI, of spyndex")] = None
    expression: Annotated[
        str | None, Field(max_length=MAX_LENGTH, description="(B08-B04)/(B08+B04)")
    ] = None

    def tile_query(self) -> TileQuery:
        """The same wish of a map tile, whose pixels are not interpolated."""
        asked = self.model_dump(exclude={"bbox"}, exclude_none=True)
        return TileQuery(resampling="nearest", **asked)

    def frame(self) -> Frame:
        """Where to sample; raises InvalidInput for a box that is none, or far too long."""
        try:
            west, south, east, north = (float(part) for part in self.bbox.split(","))
        except ValueError as error:
            raise InvalidInput(f"need bbox=west,south,east,north, got {self.bbox!r}") from error
        check_bbox((west, south, east, north))
        height, width = north - south, (east - west) * np.cos(np.radians((north + south) / 2))
        if not 1 / MOST_ASPECT <= width / height <= MOST_ASPECT:
            raise InvalidInput(
                f"need a box at most {MOST_ASPECT:g} times longer than wide, got {self.bbox}"
            )
        return Frame("EPSG:4326", (west, south, east, north), SAMPLES_PX)


@router.get("/indices")
def index_list() -> Document:
    """Every spectral index that a tile may be asked for, and the bands that it needs."""
    listed = [{"name": one.name, "title": one.title, "bands": list(one.bands)} for one in indices()]
    return {"indices": listed}


@router.get("/collections/{cube_id}/layers/{layer_id}/statistics")
async def statistics(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    cube_id: str,
    layer_id: str,
    query: Annotated[StatisticsQuery, Query()],
) -> Document:
    """Range, mean and percentiles of a layer's values in a box, band by band and of all of them.

    Values are reflectance, or those of the index or expression asked for. `count` is how many
    places of the box have one; where that is none, the figures are null.
    """
    frame = query.frame()

    def count() -> Document:
        return statistics_document(services.catalog.open(cube_id), layer_id, query, frame)

    key = ("statistics", cube_id, layer_id, query.model_dump_json())
    found, _ = await services.renders.run(key, count, gone(request))
    return found


def statistics_document(
    cube: Cube, layer_id: str, query: StatisticsQuery, frame: Frame
) -> Document:
    """Figures of what `frame` shows; raises what a tile of it would."""
    asked = query.tile_query()
    view = find_view(cube, layer_id, asked)
    if not view.layer.banded:
        raise InvalidInput(f"layer {layer_id} has no bands to count; lr, sr and truth have")
    values = _values(view, asked, frame)
    everything = np.concatenate([np.zeros(0, np.float32), *values.values()])
    return {
        "bbox": list(frame.bounds),
        "datetime": stamp_of(cube, view.slot),
        "bands": [{"name": name, **figures_of(one)} for name, one in values.items()],
        **figures_of(everything),
    }


def _values(view: View, asked: TileQuery, frame: Frame) -> Mapping[str, Values]:
    """Finite values by name of the band, the index or the expression."""
    formula = formula_of(view, asked)
    bands = formula.bands if formula else band_choice(view, asked.bands)
    pixels = view.read(bands, frame, asked.resampling)
    if pixels is None:
        return {}
    values = dict(zip(bands, values_of(view, pixels), strict=True))
    if formula is not None:
        values = {asked.index or formula.text: formula.of(values)}
    return {name: one[np.isfinite(one)] for name, one in values.items()}


def stamp_of(cube: Cube, slot: int) -> str:
    """The date of a slot, as RFC 3339 has it."""
    return next(one.scene.stamp for one in cube.scenes if one.slot == slot)


def figures_of(values: Values | None) -> dict[str, float | int | None]:
    """Count, range, mean and percentiles of the finite ones, to five digits; null for none."""
    names = ("min", "max", "mean", *(f"percentile_{percent:g}" for percent in PERCENTILES))
    finite = np.zeros(0, np.float32) if values is None else values[np.isfinite(values)]
    if finite.size == 0:
        return {"count": 0, **dict.fromkeys(names)}
    found = (finite.min(), finite.max(), finite.mean(), *np.percentile(finite, PERCENTILES))
    figures = {name: float(f"{one:.5g}") for name, one in zip(names, found, strict=True)}
    return {"count": int(finite.size), **figures}
