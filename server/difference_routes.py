"""The routes of differences, below `/collections/{cube_id}/layers/difference`.

They stand before those of any layer, whose paths would fit them too, and take the same words
beside the two operands.
"""

from typing import Annotated, Any

import morecantile
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from titiler.core.models.mapbox import TileJSON

from datacube import Cube
from server.clients import gone
from server.differences import (
    DifferenceQuery,
    Operands,
    drawing_of_difference,
    find_difference,
    title_of,
)
from server.layer_list import DIFFERENCE
from server.ogc.matrix_sets import matrix_set
from server.reader import Frame
from server.services import Services, services_of
from server.statistics import StatisticsQuery, figures_of, stamp_of
from server.tile_answers import MAX_ZOOM, MEDIA, Address, answer_tile
from server.tiles import tilejson_document

router = APIRouter()
Document = dict[str, Any]
BASE = f"/collections/{{cube_id}}/layers/{DIFFERENCE.id}"
TILE: Document = {
    "response_class": Response,
    "responses": {
        200: {"content": {media: {} for media in MEDIA.values()}},
        204: {"description": "inside the matrix, but one of the two has nothing to show"},
        304: {"description": "not modified"},
    },
}


class DifferenceStatisticsQuery(StatisticsQuery, Operands):
    """What may be asked of the statistics of a difference."""

    def difference_query(self) -> DifferenceQuery:
        """The same wish of a map tile, whose pixels are not interpolated."""
        asked = self.model_dump(exclude={"bbox"}, exclude_none=True)
        return DifferenceQuery(resampling="nearest", **asked)


async def address_of(
    cube_id: str,
    tms_id: str,
    z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
    x: Annotated[int, Path(ge=0)],
    y: Annotated[int, Path(ge=0)],
) -> Address:
    """The tile that a path names; a coroutine, which costs no change of threads."""
    return Address(cube_id, DIFFERENCE.id, tms_id, morecantile.Tile(x, y, z))


Services_ = Annotated[Services, Depends(services_of)]
Query_ = Annotated[DifferenceQuery, Query()]
Address_ = Annotated[Address, Depends(address_of)]


@router.get(BASE + "/tiles/{tms_id}/{z}/{x}/{y}@2x", **TILE)
async def difference_tile_2x(
    request: Request, services: Services_, query: Query_, address: Address_
) -> Response:
    """Draw a tile of the difference of two layers, 512 pixels wide."""
    return await answer_tile(
        request, services, (address, 512), lambda cube: drawing_of_difference(cube, query)
    )


@router.get(BASE + "/tiles/{tms_id}/{z}/{x}/{y}", **TILE)
async def difference_tile(
    request: Request, services: Services_, query: Query_, address: Address_
) -> Response:
    """Draw a tile of the difference of two layers, 256 pixels wide.

    `minuend` and `subtrahend` are layers with bands; `model` and `datetime` are of the first,
    `subtrahend_model` and `subtrahend_datetime` of the second. One of `index`, `expression` and
    `bands` says of what. Pixels where one of the two has no value are transparent.
    """
    return await answer_tile(
        request, services, (address, 256), lambda cube: drawing_of_difference(cube, query)
    )


@router.get(BASE + "/{tms_id}/tilejson.json", response_model_exclude_none=True)
def difference_tilejson(
    request: Request, services: Services_, query: Query_, cube_id: str, tms_id: str
) -> TileJSON:
    """TileJSON 3.0 of a difference, with a template that may be kept for ever."""
    found = find_difference(services.catalog.open(cube_id), query)
    place = (cube_id, DIFFERENCE, matrix_set(tms_id))
    return tilejson_document(str(request.base_url), place, found.finer, query, found.version)


@router.get(BASE + "/statistics")
async def difference_statistics(
    request: Request,
    services: Services_,
    cube_id: str,
    query: Annotated[DifferenceStatisticsQuery, Query()],
) -> Document:
    """Range, mean and percentiles of a difference in a box; null where there is none."""
    frame = query.frame()

    def count() -> Document:
        return statistics_document(services.catalog.open(cube_id), query, frame)

    key = ("difference", cube_id, query.model_dump_json())
    found, _ = await services.renders.run(key, count, gone(request))
    return found


def statistics_document(cube: Cube, query: DifferenceStatisticsQuery, frame: Frame) -> Document:
    """Figures of what `frame` shows; raises what a tile of it would."""
    found = find_difference(cube, query.difference_query())
    read = found.values(frame, "nearest")
    figures = figures_of(read[0] if read else None)
    return {
        "bbox": list(frame.bounds),
        "datetime": stamp_of(cube, found.minuend.slot),
        "subtrahend_datetime": stamp_of(cube, found.subtrahend.slot),
        "bands": [{"name": title_of(found), **figures}],
        **figures,
    }
