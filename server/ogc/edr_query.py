"""What an EDR query asks for, parsed and placed on the cube's grid; nothing is read here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from pyproj import Transformer

from datacube import Cube, Window
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput, NotFound
from datacube.sources.naming import parse_interval

MAX_VERTICES = 1_000
MAX_PLACES = 4_000  # along a path: 40 km at the spacing of measured pixels, 10 km at 2.5 m

Formats = Literal["CoverageJSON", "GeoJSON", "CSV"]
Crs = Literal["CRS84", "EPSG:4326", "http://www.opengis.net/def/crs/OGC/1.3/CRS84"]
Coords = Annotated[str, Field(max_length=40_000, description="WKT, longitude before latitude")]


class EdrQuery(BaseModel):
    """What every query may say; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    moment: Annotated[str | None, Field(alias="datetime", max_length=80)] = None
    parameter_name: Annotated[str | None, Field(alias="parameter-name", max_length=2_000)] = None
    crs: Annotated[Crs, Field(description="longitude before latitude, whichever name")] = "CRS84"
    f: Formats = "CoverageJSON"


class CoordsQuery(EdrQuery):
    """A query at a geometry."""

    coords: Coords


class CubeQuery(EdrQuery):
    """A query in a box."""

    bbox: Annotated[str, Field(max_length=200, description="west,south,east,north in degrees")]


@dataclass(frozen=True, eq=False)
class Places:
    """Places in degrees, and where they lie on the measured grid."""

    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    rows: NDArray[np.float64]
    cols: NDArray[np.float64]


def scenes_at(cube: Cube, text: str | None) -> tuple[CommittedScene, ...]:
    """The scenes of an instant or an interval, or all; raises NotFound where there is none."""
    interval = parse_interval(text) if text else None
    found = tuple(
        one for one in cube.scenes if interval is None or interval.holds(one.scene.datetime)
    )
    if not found:
        raise NotFound("no scene at the time asked for; the collection lists its scenes")
    return found


def geometry(text: str, kinds: Sequence[str]) -> shapely.Geometry:
    """A geometry of one of `kinds` from WKT in degrees; raises InvalidInput."""
    try:
        found = shapely.from_wkt(text)
    except shapely.errors.GEOSException as error:
        raise InvalidInput(f"need WKT such as {_example(kinds[0])}, got {text[:60]!r}") from error
    if found is None or found.geom_type not in kinds:
        got = found.geom_type if found is not None else "nothing"
        raise InvalidInput(f"need a {' or a '.join(kinds)}, got {got}")
    count = shapely.get_num_coordinates(found)
    if not 1 <= count <= MAX_VERTICES:
        raise InvalidInput(f"need 1 to {MAX_VERTICES} vertices, got {count}")
    corners = shapely.get_coordinates(found)
    if not np.isfinite(corners).all() or (np.abs(corners) > (180, 90)).any():
        raise InvalidInput("need longitudes within -180..180 and latitudes within -90..90")
    if not found.is_valid:
        raise InvalidInput(f"the geometry crosses itself: {shapely.is_valid_reason(found)[:80]}")
    return found


def places_of_points(cube: Cube, points: shapely.Geometry) -> Places:
    """The points of a (multi)point; raises NotFound for one that the cube does not cover."""
    return _placed(cube, shapely.get_coordinates(points))


def places_along(cube: Cube, line: shapely.Geometry, spacing_m: float) -> Places:
    """Places along a line, at most `spacing_m` apart, its vertices included."""
    projected = shapely.transform(line, lambda corners: _projected(cube, corners))
    count = math.ceil(projected.length / spacing_m) + 1
    if count > MAX_PLACES:
        raise InvalidInput(
            f"a path of {projected.length / 1000:.0f} km has {count} places, more than "
            f"{MAX_PLACES}; ask for it in parts"
        )
    corners = shapely.get_coordinates(shapely.segmentize(projected, spacing_m))
    to_lonlat = Transformer.from_crs(cube.grid.crs, "EPSG:4326", always_xy=True)
    lon, lat = to_lonlat.transform(corners[:, 0], corners[:, 1])
    return _placed(cube, np.stack([lon, lat], axis=1))


def window_of_polygon(cube: Cube, polygon: shapely.Geometry) -> tuple[Window, shapely.Geometry]:
    """The window that covers a polygon, and the polygon in the cube's CRS."""
    west, south, east, north = polygon.bounds
    window = cube.grid.window_of(lonlat_bbox=(west, south, east, north))
    return window, shapely.transform(polygon, lambda corners: _projected(cube, corners))


def window_of_box(cube: Cube, text: str) -> Window:
    """The window that covers a box in degrees; of six numbers the heights are left out."""
    edges = numbers(text)
    half = len(edges) // 2
    return cube.grid.window_of(lonlat_bbox=(edges[0], edges[1], edges[half], edges[half + 1]))


def numbers(text: str) -> list[float]:
    """The four or six numbers of a bbox; raises InvalidInput."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise InvalidInput(f"need bbox=west,south,east,north, got {text[:80]!r}") from error
    if len(found) not in {4, 6}:
        raise InvalidInput(f"need bbox=west,south,east,north, got {len(found)} numbers")
    return found


def _placed(cube: Cube, lonlat: NDArray[np.float64]) -> Places:
    projected = _projected(cube, lonlat)
    rows, cols = cube.grid.pixel_coordinates(x=projected[:, 0], y=projected[:, 1])
    height, width = cube.grid.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    if not inside.all():
        first = lonlat[int(np.argmin(inside))]
        raise NotFound(f"({first[0]:.5f}, {first[1]:.5f}) lies outside the collection")
    return Places(lonlat[:, 0], lonlat[:, 1], rows, cols)


def _projected(cube: Cube, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    to_grid = Transformer.from_crs("EPSG:4326", cube.grid.crs, always_xy=True)
    return np.stack(to_grid.transform(lonlat[:, 0], lonlat[:, 1]), axis=1)


def _example(kind: str) -> str:
    return {
        "Point": "POINT(11.3 46.5)",
        "LineString": "LINESTRING(11.3 46.5,11.4 46.6)",
    }.get(kind, "POLYGON((11.3 46.5,11.4 46.5,11.4 46.6,11.3 46.5))")
