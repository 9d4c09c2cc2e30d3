"""Environmental Data Retrieval: values at a position, in an area or a box, or along a path."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import numpy as np
import shapely
from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response

from datacube import Cube, Window
from datacube.cube import CommittedScene
from server.ogc.answers import Document, link
from server.ogc.coverage import Coverage, coverage_json, csv_text, geojson, parameter_document
from server.ogc.edr_query import (
    CoordsQuery,
    CubeQuery,
    EdrQuery,
    Places,
    geometry,
    places_along,
    places_of_points,
    scenes_at,
    window_of_box,
    window_of_polygon,
)
from server.ogc.sampling import (
    Parameter,
    by_grid,
    cells_of,
    check_cost,
    chosen,
    parameters_of,
    places_values,
    windows_values,
)
from server.services import Services, services_of

router = APIRouter(tags=["environmental data retrieval"])
Services_ = Annotated[Services, Depends(services_of)]

CRS84_WKT = (
    'GEOGCRS["WGS 84 (CRS84)",DATUM["World Geodetic System 1984",ELLIPSOID["WGS 84",6378137,'
    '298.257223563]],CS[ellipsoidal,2],AXIS["longitude",east],AXIS["latitude",north],'
    'ANGLEUNIT["degree",0.0174532925199433]]'
)
MEDIA: dict[str, str] = {
    "CoverageJSON": "application/prs.coverage+json",
    "GeoJSON": "application/geo+json",
    "CSV": "text/csv",
}
FOUND: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            media: {"schema": {"type": "string" if media == "text/csv" else "object"}}
            for media in MEDIA.values()
        }
    }
}
_PATH = "/collections/{cube_id}"


@router.get(_PATH + "/position", response_class=Response, responses=FOUND)
def position(services: Services_, cube_id: str, query: Annotated[CoordsQuery, Query()]) -> Response:
    """A series over time at a POINT, or at each point of a MULTIPOINT."""
    cube = services.catalog.open(cube_id)
    places = places_of_points(cube, geometry(query.coords, ["Point", "MultiPoint"]))
    scenes, asked = scenes_at(cube, query.moment), chosen(cube, query.parameter_name)
    values = _at_places(cube, scenes, asked, places)
    return _answer(query, [
        Coverage(
            "PointSeries", "OGC:CRS84", places.lon[[n]], places.lat[[n]], _stamps(scenes),
            {one: found[:, [n]] for one, found in values.items()},
        )
        for n in range(places.lon.size)
    ])  # fmt: skip


@router.get(_PATH + "/trajectory", response_class=Response, responses=FOUND)
def trajectory(
    services: Services_, cube_id: str, query: Annotated[CoordsQuery, Query()]
) -> Response:
    """Values along a LINESTRING, at the width of the finest pixels asked for, for each date."""
    cube = services.catalog.open(cube_id)
    line = geometry(query.coords, ["LineString", "MultiLineString"])
    scenes, asked = scenes_at(cube, query.moment), chosen(cube, query.parameter_name)
    places = places_along(cube, line, cube.grid.gsd_m / max(one.factor for one in asked))
    values = _at_places(cube, scenes, asked, places)
    found = Coverage("Trajectory", "OGC:CRS84", places.lon, places.lat, _stamps(scenes), values)
    return _answer(query, [found])


@router.get(_PATH + "/area", response_class=Response, responses=FOUND)
def area(services: Services_, cube_id: str, query: Annotated[CoordsQuery, Query()]) -> Response:
    """The pixels whose centres lie in a POLYGON; nothing for those around it."""
    cube = services.catalog.open(cube_id)
    asked_for = geometry(query.coords, ["Polygon", "MultiPolygon"])
    window, polygon = window_of_polygon(cube, asked_for)

    def inside(x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(shapely.contains_xy(polygon, *np.meshgrid(x, y)))

    return _answer(query, _in_window(cube, query, window, inside))


@router.get(_PATH + "/cube", response_class=Response, responses=FOUND)
def cube_(services: Services_, cube_id: str, query: Annotated[CubeQuery, Query()]) -> Response:
    """Every pixel that a box touches."""
    cube = services.catalog.open(cube_id)
    return _answer(query, _in_window(cube, query, window_of_box(cube, query.bbox)))


def edr_part(path: str, cube: Cube) -> Document:
    """What a collection says of its parameters and of the queries it answers."""
    return {
        "parameter_names": {
            name: parameter_document(one) for name, one in parameters_of(cube).items()
        },
        "output_formats": list(MEDIA),
        "data_queries": {
            kind: {"link": _query_link(path, kind)}
            for kind in ("position", "area", "trajectory", "cube")
        },
    }


def _query_link(path: str, kind: str) -> Document:
    template = f"{path}/{kind}?{'bbox={bbox}' if kind == 'cube' else 'coords={coords}'}"
    return link("data", template, MEDIA["CoverageJSON"]) | {
        "templated": True,
        "variables": {
            "title": kind,
            "query_type": kind,
            "output_formats": list(MEDIA),
            "default_output_format": "CoverageJSON",
            "crs_details": [{"crs": "CRS84", "wkt": CRS84_WKT}],
        },
    }


def _at_places(
    cube: Cube, scenes: Sequence[CommittedScene], asked: Sequence[Parameter], places: Places
) -> dict[Parameter, Any]:
    at = (places.rows, places.cols)
    cells = {
        factor: len(cells_of(*(np.floor(axis * factor).astype(int) for axis in at)))
        for factor in by_grid(asked)
    }
    dates = len(scenes)
    check_cost(
        values=dates * len(asked) * places.rows.size,
        reads=dates * sum(cells[one.factor] * one.reads for one in asked),
    )
    return {one: places_values(cube, scenes, one, at) for one in asked}


def _in_window(
    cube: Cube,
    query: EdrQuery,
    window: Window,
    inside: Callable[..., np.ndarray[Any, Any]] | None = None,
) -> list[Coverage]:
    """A grid for each spacing that the parameters have."""
    scenes, asked = scenes_at(cube, query.moment), chosen(cube, query.parameter_name)
    pixels = sum(window.height * window.width * one.factor**2 for one in asked)
    check_cost(values=len(scenes) * pixels, reads=len(scenes) * sum(one.reads for one in asked))
    found = []
    for factor, parameters in by_grid(asked).items():
        grid = cube.grid.refined(factor).cropped(window.scaled(factor))
        y, x = grid.centres()
        values = {one: windows_values(cube, scenes, one, window) for one in parameters}
        if inside is not None:
            outside = ~inside(x, y)
            for one in values.values():
                one[:, outside] = np.nan
        found.append(Coverage("Grid", cube.grid.crs, x, y, _stamps(scenes), values))
    return found


def _stamps(scenes: Sequence[CommittedScene]) -> tuple[str, ...]:
    return tuple(one.scene.stamp for one in scenes)


def _answer(query: EdrQuery, coverages: list[Coverage]) -> Response:
    media, headers = MEDIA[query.f], {"cache-control": "no-cache"}
    if query.f == "CSV":
        return Response(csv_text(coverages), media_type=media, headers=headers)
    document = (coverage_json if query.f == "CoverageJSON" else geojson)(coverages)
    return JSONResponse(document, media_type=media, headers=headers)
