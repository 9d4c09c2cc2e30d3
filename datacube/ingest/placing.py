"""Where a new cube lies: on the product's own pixels, in its UTM zone."""

import math
from collections.abc import Sequence

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer

from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.sources.refusals import CrsMismatch
from datacube.sources.warping import bounds_in, source_gsd
from datacube.window import Window

GSDS_M = (10, 20, 60)
NEAR = 0.05  # a pixel of 19.992 m is a warped one of 20 m
MAX_SIDE_PX = 32_768
UTM_SOUTH, UTM_NORTH = -80.0, 84.0

Box = tuple[float, float, float, float]


def place_cube(
    reference: Grid, footprints: Sequence[Grid], *, gsd_m: float | None, bbox: Box | None
) -> Grid:
    """The grid of a new cube that holds all `footprints`, or what of them lies in `bbox`.

    The reference's own pixels where it is in UTM and has pixels of `gsd_m`; else whole multiples
    of `gsd_m` in its zone, or in the zone of its middle. Raises CrsMismatch beyond UTM's
    latitudes, InvalidInput for a box that is none, lies elsewhere, or makes a cube too large.
    """
    lattice = _lattice(reference, gsd_m)
    windows = [_window_on(lattice, grid) for grid in footprints]
    top, left = min(one.row for one in windows), min(one.col for one in windows)
    bottom = max(one.row + one.height for one in windows)
    right = max(one.col + one.width for one in windows)
    whole = lattice.cropped(Window(top, left, bottom - top, right - left))
    if bbox is not None:
        whole = whole.cropped(whole.window_of(lonlat_bbox=bbox))
    if max(whole.shape) > MAX_SIDE_PX:
        raise InvalidInput(
            f"the scenes span {whole.shape[1]} x {whole.shape[0]} pixels, more than {MAX_SIDE_PX} "
            "a side; choose an area with --bbox"
        )
    return whole


def touches(grid: Grid, footprint: Grid) -> bool:
    """Whether a source's pixels reach a grid; raises CrsMismatch if they cannot be compared."""
    left, bottom, right, top = bounds_in(footprint, grid.crs)
    west, south, east, north = grid.bounds
    return left < east and west < right and bottom < north and south < top


def is_utm(grid: Grid) -> bool:
    """Whether a grid is in a UTM zone."""
    return CRS.from_user_input(grid.crs).utm_zone is not None


def utm_crs_of(grid: Grid) -> str:
    """The UTM zone (WGS 84) of a grid's middle; raises CrsMismatch beyond its latitudes."""
    height, width = grid.shape
    x, y = grid.transform @ (width / 2, height / 2)
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(x, y)
    if not (np.isfinite([lon, lat]).all() and UTM_SOUTH <= lat <= UTM_NORTH):
        raise CrsMismatch(
            f"the scene lies at latitude {lat:.2f}; UTM, and this cube, end at {UTM_SOUTH:g} and "
            f"{UTM_NORTH:g}"
        )
    zone = math.floor((lon + 180) / 6) % 60 + 1
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


def _lattice(reference: Grid, gsd_m: float | None) -> Grid:
    crs = reference.crs if is_utm(reference) else utm_crs_of(reference)
    probe = Grid.from_origin(crs, left=0, top=0, gsd_m=1, shape=(1, 1))
    own = source_gsd(reference, probe)
    chosen = gsd_m or _standard_gsd(own)
    square = abs(reference.transform.a + reference.transform.e) < 1e-9
    if crs == reference.crs and square and abs(own - chosen) < 1e-9:
        return reference
    return Grid(crs, Affine(chosen, 0, 0, 0, -chosen, 0), (1, 1))


def _standard_gsd(own: float) -> float:
    for gsd in GSDS_M:
        if abs(own / gsd - 1) < NEAR:
            return float(gsd)
    raise InvalidInput(
        f"the source has pixels of {own:.3g} m, Sentinel-2 has {GSDS_M}; choose with --resolution"
    )


def _window_on(lattice: Grid, footprint: Grid) -> Window:
    left, bottom, right, top = bounds_in(footprint, lattice.crs)
    rows, cols = lattice.pixel_coordinates(x=np.array([left, right]), y=np.array([top, bottom]))
    first_row, first_col = math.floor(rows[0] + 1e-3), math.floor(cols[0] + 1e-3)
    last_row, last_col = math.ceil(rows[1] - 1e-3), math.ceil(cols[1] - 1e-3)
    return Window(first_row, first_col, last_row - first_row, last_col - first_col)
