"""Tilesets: which layers of a cube are drawn in which tile matrix sets, and where.

A tile matrix set is offered for a cube if its ground and the cube's meet.
"""

import math
from functools import lru_cache
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from morecantile import Tile, TileMatrixSet
from pydantic import Field
from pyproj import Transformer

from datacube import Cube, Grid
from server.layers import Layer, View, layers_of
from server.ogc.answers import HTML_TOO, JSON, Document, answer, base_url, link, templated
from server.ogc.matrix_sets import LISTED, TILING_SCHEME, crs_text, matrix_set
from server.services import Services, services_of
from server.tile_answers import MEDIA
from server.tiles import TileQuery, find_view, finest_zoom

router = APIRouter(tags=["tiles"])
Services_ = Annotated[Services, Depends(services_of)]

TILESETS_MAP = "http://www.opengis.net/def/rel/ogc/1.0/tilesets-map"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


class TilesetQuery(TileQuery):
    """A tileset is asked for as its tiles are: what is asked goes into the tiles' template."""

    f: Annotated[Literal["json", "html"] | None, Field(description="json or html")] = None

    def asked(self, view: View) -> dict[str, Any]:
        """Parameters of the tiles' template, with its version, so that it may be kept for ever."""
        given = self.model_dump(by_alias=True, exclude_unset=True, exclude={"f"})
        return {key: value for key, value in given.items() if value is not None} | {
            "v": view.version
        }


TilesetQuery_ = Annotated[TilesetQuery, Query()]


@router.get("/collections/{cube_id}/tiles", responses=HTML_TOO)
def tilesets_of_collection(
    request: Request, services: Services_, cube_id: str, query: TilesetQuery_
) -> Response:
    """The tilesets of every layer of a cube."""
    cube, base = services.catalog.open(cube_id), base_url(request)
    listed = [
        entry for layer in layers_of(cube) for entry in _entries(base, (cube_id, cube), layer)
    ]
    path = f"{base}/collections/{cube_id}/tiles"
    document = {"title": f"Tilesets of {cube_id}", "tilesets": listed}
    return answer(request, document | {"links": [link("self", path)]}, query.f)


@router.get("/collections/{cube_id}/layers/{layer_id}/tiles", responses=HTML_TOO)
def tilesets_of_layer(
    request: Request, services: Services_, cube_id: str, layer_id: str, query: TilesetQuery_
) -> Response:
    """The tilesets of one layer."""
    cube, base = services.catalog.open(cube_id), base_url(request)
    view = find_view(cube, layer_id, query)
    path = f"{base}/collections/{cube_id}/layers/{layer_id}/tiles"
    document = {
        "title": f"Tilesets of {view.layer.title}",
        "tilesets": _entries(base, (cube_id, cube), view.layer),
        "links": [link("self", path)],
    }
    return answer(request, document, query.f)


@router.get("/collections/{cube_id}/layers/{layer_id}/tiles/{tms_id}", responses=HTML_TOO)
def tileset(
    request: Request, services: Services_, cube_id: str, layer_id: str, tms_id: str,
    query: TilesetQuery_,
) -> Response:  # fmt: skip
    """One tileset: its matrix set, its limits, and the templates of its tiles."""
    cube, tms = services.catalog.open(cube_id), matrix_set(tms_id)
    view = find_view(cube, layer_id, query)
    document = tileset_document(base_url(request), cube_id, view, tms, query.asked(view))
    return answer(request, document, query.f)


def tileset_document(
    base: str, cube_id: str, view: View, tms: TileMatrixSet, asked: dict[str, Any]
) -> Document:
    """Tileset metadata as OGC 17-083r4 has it."""
    path = f"{base}/collections/{cube_id}/layers/{view.layer.id}"
    own = f"{path}/tiles/{tms.id}"
    template = own + "/{tileMatrix}/{tileCol}/{tileRow}"
    formats = [asked["format"]] if "format" in asked else MEDIA
    items = [
        templated("item", f"{template}?{urlencode({**asked, 'format': name})}", MEDIA[name])
        for name in formats
    ]
    west, south, east, north = view.cube.grid.lonlat_bounds()
    return {
        "title": f"{view.cube.attributes['title']}: {view.layer.title}",
        "dataType": "map",
        "crs": _crs_uri(tms),
        "tileMatrixSetURI": str(tms.uri),
        "tileMatrixSetLimits": limits(tms, view),
        "boundingBox": {
            "lowerLeft": [west, south], "upperRight": [east, north], "crs": CRS84,
        },
        "layers": [{"id": view.layer.id, "title": view.layer.title, "dataType": "map"}],
        "links": [
            link("self", f"{own}?{urlencode(asked)}"),
            link(TILING_SCHEME, f"{base}/tileMatrixSets/{tms.id}"),
            link("tilejson", f"{path}/{tms.id}/tilejson.json?{urlencode(asked)}"),
            *items,
        ],
    }  # fmt: skip


def limits(tms: TileMatrixSet, view: View) -> list[dict[str, int | str]]:
    """For each level the tiles that touch the cube."""
    (left, bottom, right, top), whole = _edges(str(tms.id), view.cube.grid), tms.tileMatrices[0]
    first = tms.xy_bounds(Tile(0, 0, 0))
    found: list[dict[str, int | str]] = []
    for zoom, matrix in enumerate(tms.tileMatrices[: finest_zoom(tms, view) + 1]):
        side = (first.right - first.left) * matrix.cellSize / whole.cellSize
        last_col, last_row = matrix.matrixWidth - 1, matrix.matrixHeight - 1
        cols = [math.floor((edge - first.left) / side) for edge in (left, right)]
        rows = [math.floor((first.top - edge) / side) for edge in (top, bottom)]
        if left > right:  # across the antimeridian
            cols = [0, last_col]
        found.append({
            "tileMatrix": str(zoom),
            "minTileRow": min(max(rows[0], 0), last_row),
            "maxTileRow": min(max(rows[1], 0), last_row),
            "minTileCol": min(max(cols[0], 0), last_col),
            "maxTileCol": min(max(cols[1], 0), last_col),
        })  # fmt: skip
    return found


@lru_cache(maxsize=256)
def _edges(tms_id: str, grid: Grid) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of a grid in the CRS of a matrix set."""
    to_matrix = Transformer.from_crs(grid.crs, crs_text(tms_id), always_xy=True)
    left, bottom, right, top = to_matrix.transform_bounds(*grid.bounds, densify_pts=21)
    return float(left), float(bottom), float(right), float(top)


def offered(cube: Cube) -> list[TileMatrixSet]:
    """The matrix sets whose ground the cube touches; one across the antimeridian counts as wide."""
    west, south, east, north = cube.grid.lonlat_bounds()
    if west > east:
        west, east = -180.0, 180.0
    found = []
    for name in LISTED:
        there = matrix_set(name).bbox
        if west < there.right and east > there.left and south < there.top and north > there.bottom:
            found.append(matrix_set(name))
    return found


def _entries(base: str, named: tuple[str, Cube], layer: Layer) -> list[Document]:
    cube_id, cube = named
    path = f"{base}/collections/{cube_id}/layers/{layer.id}/tiles"
    return [
        {
            "title": f"{layer.title}, {tms.id}",
            "dataType": "map",
            "crs": _crs_uri(tms),
            "tileMatrixSetURI": str(tms.uri),
            "links": [
                link("self", f"{path}/{tms.id}", JSON, f"{layer.title}, {tms.id}"),
                link(TILING_SCHEME, f"{base}/tileMatrixSets/{tms.id}"),
            ],
        }
        for tms in offered(cube)
    ]


def _crs_uri(tms: TileMatrixSet) -> str:
    uri: Any = tms.model_dump(mode="json", by_alias=True)["crs"]
    return uri if isinstance(uri, str) else str(uri.get("uri", ""))
