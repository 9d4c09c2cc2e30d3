"""Bring a band from its own pixels to the cube's: copied where the grids match, warped elsewhere.

Which of the two, and how, is decided from the grids alone and recorded with the scene.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from datacube.grid import Grid
from datacube.scene import NO_DATA_DN
from datacube.sources.refusals import CrsMismatch
from datacube.window import Window

Method = Literal["none", "nearest", "cubic", "average"]
Read = Callable[[Window], NDArray[Any]]

ALIGNED_PX = 1e-3  # a product's corner is written in whole metres: what is nearer is the same
TOLERANCE_PX = 0.01  # of the approximated transformation; GDAL's own default is an eighth
RIM_PX = 4  # of source pixels around a window; a cubic kernel reaches two


def choose_method(source: Grid, target: Grid, *, classes: bool = False) -> Method:
    """`none` where the target's pixels are the source's; `nearest` for classes.

    Otherwise `cubic`, and `average` where the source's pixels are smaller by a third or more.
    """
    if alignment(source, target) is not None:
        return "none"
    if classes:
        return "nearest"
    return "average" if source_gsd(source, target) < 0.75 * target.gsd_m else "cubic"


def alignment(source: Grid, target: Grid) -> tuple[int, int] | None:
    """Row and column of the target's first pixel on the source, or None if they do not match."""
    if not same_crs(source.crs, target.crs):
        return None
    sizes = (source.transform.a / target.transform.a, source.transform.e / target.transform.e)
    longest = max(*source.shape, *target.shape)
    if max(abs(size - 1) for size in sizes) * longest > ALIGNED_PX:
        return None
    row = (target.transform.f - source.transform.f) / source.transform.e
    col = (target.transform.c - source.transform.c) / source.transform.a
    if max(abs(row - round(row)), abs(col - round(col))) > ALIGNED_PX:
        return None
    return round(row), round(col)


def warped(read: Read, source: Grid, target: Grid, method: Method) -> NDArray[Any]:
    """The pixels of `target` (y, x) from a source whose 0 means no data; 0 where it has none.

    `read` gives the numbers of a window that lies inside the source.
    """
    if method == "none":
        return _copied(read, source, target)
    window = source_window(source, target)
    if not (window.height and window.width):
        return np.zeros(target.shape, read(Window(0, 0, 1, 1)).dtype)
    numbers = np.ascontiguousarray(read(window))
    out = np.zeros(target.shape, numbers.dtype)
    reproject(
        numbers,
        out,
        src_transform=source.cropped(window).transform,
        src_crs=source.crs,
        src_nodata=NO_DATA_DN,
        dst_transform=target.transform,
        dst_crs=target.crs,
        dst_nodata=NO_DATA_DN,
        resampling=Resampling[method],
        tolerance=TOLERANCE_PX,
    )
    return out


def source_window(source: Grid, target: Grid) -> Window:
    """Source pixels that the target's could need, clipped to the source; may be empty."""
    left, bottom, right, top = bounds_in(target, source.crs)
    rows, cols = source.pixel_coordinates(x=np.array([left, right]), y=np.array([top, bottom]))
    first_row, first_col = (int(np.floor(axis[0])) for axis in (rows, cols))
    last_row, last_col = (int(np.ceil(axis[1])) for axis in (rows, cols))
    window = Window(first_row, first_col, last_row - first_row, last_col - first_col)
    rim = RIM_PX + round(target.gsd_m / source_gsd(source, target))
    return window.grown(rim).within(source.shape)


def source_gsd(source: Grid, target: Grid) -> float:
    """Size of the source's pixels in metres of the target, at the source's middle."""
    if same_crs(source.crs, target.crs):
        return source.gsd_m
    height, width = source.shape
    col, row = width / 2, height / 2
    cols, rows = np.array([col, col + 1, col]), np.array([row, row, row + 1])
    x = source.transform.c + cols * source.transform.a
    y = source.transform.f + rows * source.transform.e
    x, y = _transformer(source.crs, target.crs).transform(x, y)
    return float(np.sqrt(abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0]))))


def bounds_in(grid: Grid, crs: str) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of a grid in another CRS, edges densified.

    Raises CrsMismatch where the grid cannot be expressed in it.
    """
    if same_crs(grid.crs, crs):
        return grid.bounds
    found = _transformer(grid.crs, crs).transform_bounds(*grid.bounds, densify_pts=21)
    if not np.isfinite(found).all():
        raise CrsMismatch(f"a grid in {grid.crs[:60]} cannot be expressed in {crs[:60]}")
    left, bottom, right, top = (float(value) for value in found)
    return left, bottom, right, top


@lru_cache(maxsize=64)
def same_crs(one: str, other: str) -> bool:
    """Whether two texts mean the same CRS."""
    if one == other:
        return True
    first, second = CRS.from_user_input(one), CRS.from_user_input(other)
    return bool(first.equals(second, ignore_axis_order=True))


def _copied(read: Read, source: Grid, target: Grid) -> NDArray[Any]:
    place = alignment(source, target)
    if place is None:
        raise CrsMismatch(f"the pixels of {source.bounds} and {target.bounds} do not coincide")
    height, width = target.shape
    wanted = Window(*place, height, width)
    inside = wanted.within(source.shape)
    if not (inside.height and inside.width):
        return np.zeros(target.shape, read(Window(0, 0, 1, 1)).dtype)
    numbers = read(inside)
    if numbers.shape == target.shape:
        return numbers
    out = np.zeros(target.shape, numbers.dtype)
    row, col = inside.row - wanted.row, inside.col - wanted.col
    out[row : row + inside.height, col : col + inside.width] = numbers
    return out


def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)
