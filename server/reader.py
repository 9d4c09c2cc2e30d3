"""From a map tile's frame to pixels of a cube: where to look, what to read, one remap.

The coordinate transform is evaluated on a coarse control grid and interpolated; the finest
level that the frame needs is read through the chunk cache; OpenCV does the resampling.
"""

import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from datacube import Cube, Grid, Product, Window
from datacube.store.layout import BLOCK_PX

CONTROL_POINTS = 17  # per side: the interpolated place is off by less than 0.02 px at any zoom
MARGIN_PX = 2  # around the window, so that interpolation at its rim has neighbours
MAX_BLOCK_STEP = 4.0  # a frame pixel may span this many measured pixels of a sparse product

LOOKS = 96  # kept: 0.8 MB each for tiles of 256 pixels
_NEIGHBOURS = np.ones((3, 3), np.uint8)

Resampling = Literal["nearest", "bilinear"]
_local = threading.local()


@dataclass(frozen=True)
class Frame:
    """A map tile: its outer edges in the CRS of its matrix set, and its size in pixels."""

    crs: str
    bounds: tuple[float, float, float, float]
    size_px: int


@dataclass(frozen=True, eq=False)
class Pixels:
    """What a frame shows: digital numbers (y, x, band) uint16, and where there are any.

    `complete` is False if a block of a sparse layer that the frame touches is not computed yet.
    """

    dn: NDArray[np.uint16]
    valid: NDArray[np.bool_]
    complete: bool = True


@dataclass(frozen=True, eq=False)
class _Places:
    """Where each frame pixel's centre lies on a grid, in continuous pixel coordinates."""

    rows: NDArray[np.float32]
    cols: NDArray[np.float32]

    @property
    def step(self) -> float:
        """Grid pixels per frame pixel, the finer of the two directions."""
        size = max(self.rows.shape[0] - 1, 1)
        down = math.hypot(*(float(axis[-1, 0] - axis[0, 0]) for axis in (self.rows, self.cols)))
        across = math.hypot(*(float(axis[0, -1] - axis[0, 0]) for axis in (self.rows, self.cols)))
        return max(min(down, across) / float(size), 1e-9)

    def on_level(self, level: int) -> "_Places":
        """The same places on a level 2**level times coarser."""
        return _Places(self.rows / np.float32(2**level), self.cols / np.float32(2**level))

    def window(self, shape: tuple[int, int]) -> Window:
        """Pixels needed to resample, clipped to the raster; may be empty."""
        top, left = (math.floor(float(axis.min())) - MARGIN_PX for axis in (self.rows, self.cols))
        bottom, right = (
            math.ceil(float(axis.max())) + MARGIN_PX for axis in (self.rows, self.cols)
        )
        return Window(top, left, bottom - top, right - left).within(shape)

    def inside(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Frame pixels whose centre lies on the raster."""
        inside: NDArray[np.bool_] = (self.rows >= 0) & (self.rows < shape[0])
        inside &= (self.cols >= 0) & (self.cols < shape[1])
        return inside


@dataclass(frozen=True, eq=False)
class _Look:
    """Where a frame's pixels lie on the level that suits it, and the window to read there.

    `smooth` and `nearest` are OpenCV's fixed-point maps into the window; `inside` says which
    frame pixels lie on the raster, None if all do.
    """

    level: int
    window: Window
    smooth: tuple[NDArray[Any], NDArray[Any]]
    nearest: tuple[NDArray[Any], NDArray[Any]]
    inside: NDArray[np.bool_] | None


def read_scene(
    cube: Cube, slot: int, bands: tuple[str, ...], frame: Frame, resampling: Resampling
) -> Pixels | None:
    """The measurement in a frame, or None where the frame lies outside the cube."""
    look = _look(frame, cube.levels)
    if look is None:
        return None
    dn = cube.window_dn(slot, bands, look.window, level=look.level)
    return _resampled(dn, look, resampling)


def read_classes(cube: Cube, slot: int, frame: Frame) -> Pixels | None:
    """The scene classification in a frame (codes, one band), never interpolated."""
    look = _look(frame, cube.levels)
    if look is None:
        return None
    codes = cube.window_scl(slot, look.window, level=look.level).astype(np.uint16)
    return _resampled(codes[np.newaxis], look, "nearest")


@dataclass(frozen=True)
class ProductLayer:
    """One variable of a product, and the bands wanted of it (none for a plane)."""

    product: Product
    variable: str
    bands: tuple[int, ...]


def read_product(
    layer: ProductLayer, slot: int, frame: Frame, resampling: Resampling
) -> Pixels | None:
    """A sparse layer in a frame: computed blocks are valid, others are not.

    None where the frame lies outside the cube, or is so far out that it would take more than a
    few dozen blocks to draw it.
    """
    look = _look(frame, layer.product.levels, furthest=MAX_BLOCK_STEP * layer.product.factor)
    if look is None:
        return None
    dn, complete = assembled(layer, slot, look.window, look.level)
    pixels = _resampled(dn, look, resampling)
    return Pixels(pixels.dn, pixels.valid, complete)


def assembled(
    layer: ProductLayer, slot: int, window: Window, level: int
) -> tuple[NDArray[np.uint16], bool]:
    """The window of one level from the blocks there are, and whether none was missing."""
    product, side = layer.product, BLOCK_PX * layer.product.factor >> level
    bands = layer.bands or (0,)
    dn = np.zeros((len(bands), window.height, window.width), np.uint16)
    complete = True
    for block in window.cells(side):
        if not product.has_block(slot, block, variable=layer.variable):
            complete = False
            continue
        origin = Window(block[0] * side, block[1] * side, side, side)
        top, left = max(origin.row, window.row), max(origin.col, window.col)
        height = min(origin.row + side, window.row + window.height) - top
        width = min(origin.col + side, window.col + window.width) - left
        source = Window(top - origin.row, left - origin.col, height, width)
        target = Window(top - window.row, left - window.col, height, width)
        for place, band in enumerate(bands):
            chunk = product.chunk(slot, block, variable=layer.variable, band=band, level=level)
            dn[place, *target.slices] = chunk[source.slices]
    return dn, complete


@lru_cache(maxsize=LOOKS)
def _look(frame: Frame, levels: tuple[Grid, ...], *, furthest: float = math.inf) -> _Look | None:
    """Where to look for a frame: None if it lies outside, or is further out than `furthest`.

    Kept, because it is the same for every date, layer and style of a map tile.
    """
    places = _places(frame, levels[0])
    if places.step > furthest:
        return None
    level = _level(places.step, len(levels))
    places, shape = places.on_level(level), levels[level].shape
    window, inside = places.window(shape), places.inside(shape)
    if not (window.height and window.width) or not inside.any():
        return None
    cols = places.cols - np.float32(window.col + 0.5)
    rows = places.rows - np.float32(window.row + 0.5)
    smooth = cv2.convertMaps(cols, rows, cv2.CV_16SC2)
    nearest = cv2.convertMaps(cols, rows, cv2.CV_16SC2, nninterpolation=True)
    return _Look(level, window, smooth, nearest, None if inside.all() else inside)


def _level(step: float, count: int) -> int:
    """The coarsest level whose pixels are no larger than the frame's."""
    return min(max(math.floor(math.log2(step) + 1e-6), 0), count - 1)


def _places(frame: Frame, grid: Grid) -> _Places:
    left, bottom, right, top = frame.bounds
    offsets, weights = control_grid(frame.size_px)
    x = left + (right - left) * offsets
    y = top - (top - bottom) * offsets
    xs, ys = np.meshgrid(x, y)
    grid_x, grid_y = transformer_of(frame.crs, grid.crs).transform(xs, ys)
    rows, cols = grid.pixel_coordinates(x=np.asarray(grid_x), y=np.asarray(grid_y))
    rows, cols = (np.clip(np.nan_to_num(axis, nan=1e9, posinf=1e9, neginf=-1e9), -1e9, 1e9)
                  for axis in (rows, cols))  # fmt: skip
    return _Places(
        (weights @ rows @ weights.T).astype(np.float32),
        (weights @ cols @ weights.T).astype(np.float32),
    )


@lru_cache(maxsize=8)
def control_grid(size_px: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of control points as fractions of the frame, and weights (pixel, point)."""
    centres = np.arange(size_px) + 0.5
    points = np.linspace(centres[0], centres[-1], CONTROL_POINTS)
    weights = np.stack([np.interp(centres, points, row) for row in np.eye(CONTROL_POINTS)], axis=1)
    return points / size_px, weights


def transformer_of(source: str, target: str) -> Transformer:
    """A transformer of this thread's own: PROJ contexts are not shared between threads."""
    held: dict[tuple[str, str], Transformer] = _local.__dict__.setdefault("transformers", {})
    if (source, target) not in held:
        held[source, target] = Transformer.from_crs(source, target, always_xy=True)
    return held[source, target]


def _resampled(dn: NDArray[np.uint16], look: _Look, resampling: Resampling) -> Pixels:
    """Numbers at the frame's pixel centres; no data never mixes into its neighbours."""
    shape = look.smooth[0].shape[:2]
    valid = np.ones(shape, np.bool_) if look.inside is None else look.inside
    if not dn.all():
        here = np.asarray(dn.any(axis=0), np.uint8)
        kept = cv2.remap(here, *look.nearest, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        valid = valid & kept.astype(np.bool_)
        dn = np.stack([np.where(one == 0, cv2.dilate(one, _NEIGHBOURS), one) for one in dn])
    image = dn[0] if len(dn) == 1 else cv2.merge(list(dn))
    if resampling == "nearest":
        drawn = cv2.remap(image, *look.nearest, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    else:  # OpenCV has vector code for floats and none for uint16: half the time, to and fro
        values = image.astype(np.float32)
        drawn = cv2.remap(values, *look.smooth, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        drawn = drawn + np.float32(0.5)
    return Pixels(drawn.astype(np.uint16, copy=False).reshape(*shape, len(dn)), valid)
