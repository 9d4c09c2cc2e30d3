"""Which blocks of a cube a view or a polygon touches."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from datacube import Grid, Window
from datacube.errors import InvalidInput
from datacube.product import Block
from datacube.store.layout import BLOCK_PX
from sr_engine.blocks import blocks_of

STEPS = 2048  # a polygon's outline is followed in, since its sides are not straight on the grid
MOST_TESTED = 1 << 17  # blocks that are held against a polygon; around a larger one all count


@dataclass(frozen=True)
class Area:
    """A part of the measured grid: a window, or what an outline in it surrounds.

    `outline` is in pixels of the grid, x to the right and y downwards from its outer corner.
    """

    window: Window
    outline: shapely.Geometry | None = None

    @classmethod
    def of_bbox(cls, grid: Grid, bbox: tuple[float, float, float, float]) -> Self:
        """A box in degrees; raises InvalidInput as `Grid.window_of` does."""
        return cls(grid.window_of(lonlat_bbox=bbox))

    @classmethod
    def of_polygon(cls, grid: Grid, polygon: shapely.Polygon) -> Self:
        """A polygon in degrees, which is valid; raises InvalidInput where it misses the grid."""
        nearby = polygon.intersection(_ground(grid))
        if nearby.area > 0:
            fine = shapely.segmentize(nearby, nearby.length / STEPS)
            outline = shapely.transform(fine, lambda lonlat: _pixels(grid, lonlat))
            left, top, right, bottom = outline.bounds
            row, col = int(np.floor(top)), int(np.floor(left))
            height, width = int(np.ceil(bottom)) - row, int(np.ceil(right)) - col
            window = Window(row, col, height, width).within(grid.shape)
            if window.height and window.width:
                return cls(window, shapely.make_valid(outline))
        raise InvalidInput(
            "the polygon does not touch the grid, which covers "
            f"{[round(edge, 5) for edge in grid.lonlat_bounds()]}"
        )

    def count(self) -> int:
        """How many blocks it touches; beyond `MOST_TESTED`, those of the window around it."""
        around = count_blocks(self.window)
        if self.outline is None or around > MOST_TESTED:
            return around
        return len(self.blocks())

    def blocks(self) -> tuple[Block, ...]:
        """The blocks it touches, from the middle of its window outwards."""
        around = blocks_of(self.window)
        if self.outline is None:
            return around
        rows, cols = BLOCK_PX * np.array(around).T
        boxes = shapely.box(cols, rows, cols + BLOCK_PX, rows + BLOCK_PX)
        shapely.prepare(self.outline)
        within = shapely.intersects(self.outline, boxes) & ~shapely.touches(self.outline, boxes)
        return tuple(block for block, is_in in zip(around, within, strict=True) if is_in)


def count_blocks(window: Window) -> int:
    """How many blocks a window touches."""
    down = -(-(window.row + window.height) // BLOCK_PX) - window.row // BLOCK_PX
    across = -(-(window.col + window.width) // BLOCK_PX) - window.col // BLOCK_PX
    return down * across


def _ground(grid: Grid) -> shapely.Geometry:
    """What the grid covers in degrees and a little more; two boxes across the antimeridian."""
    west, south, east, north = grid.lonlat_bounds()
    rim = 0.01 * (north - south)
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    boxes = [shapely.box(left - rim, south - rim, right + rim, north + rim)
             for left, right in parts]  # fmt: skip
    return shapely.union_all(boxes)


def _pixels(grid: Grid, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    transformer = Transformer.from_crs("EPSG:4326", grid.crs, always_xy=True)
    x, y = transformer.transform(lonlat[:, 0], lonlat[:, 1])
    rows, cols = grid.pixel_coordinates(x=np.asarray(x), y=np.asarray(y))
    return np.stack([cols, rows], axis=1)
