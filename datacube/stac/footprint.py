"""The ground that a grid covers, in degrees, as STAC wants it; across the antimeridian too."""

from itertools import pairwise
from typing import Any

from pyproj import CRS, Transformer

from datacube.grid import Grid

STEPS = 4  # edges are curved in degrees: so many points on each
DIGITS = 7  # of a degree: one centimetre


def footprint_of(grid: Grid) -> tuple[list[float], dict[str, Any]]:
    """Box (west > east across the antimeridian, as GeoJSON has it) and geometry.

    The geometry follows the grid's edges, counter-clockwise; across the antimeridian it is the
    two boxes on either side of it.
    """
    box = [round(edge, DIGITS) for edge in grid.lonlat_bounds()]
    west, south, east, north = box
    if west > east:
        parts = [_ring(west, south, 180.0, north), _ring(-180.0, south, east, north)]
        return box, {"type": "MultiPolygon", "coordinates": [[ring] for ring in parts]}
    left, bottom, right, top = grid.bounds
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    places = [
        (x0 + (x1 - x0) * step / STEPS, y0 + (y1 - y0) * step / STEPS)
        for (x0, y0), (x1, y1) in pairwise(corners)
        for step in range(STEPS)
    ]
    transformer = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)
    found = [transformer.transform(x, y) for x, y in [*places, places[0]]]
    ring = [[round(lon, DIGITS), round(lat, DIGITS)] for lon, lat in found]
    return box, {"type": "Polygon", "coordinates": [ring]}


def reference_system_of(crs: str) -> int | str:
    """The CRS as the datacube extension names it: an EPSG number, or WKT 2."""
    parsed = CRS.from_user_input(crs)
    return parsed.to_epsg() or str(parsed.to_wkt())


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]
