"""Rectangles of pixels; rows before columns, as numpy has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of pixels of some raster; it may reach beyond the raster's edge."""

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Index for the last two axes (y, x) of an array; the window must lie inside."""
        return (
            slice(self.row, self.row + self.height),
            slice(self.col, self.col + self.width),
        )

    def grown(self, rim_px: int) -> Self:
        """Widen by `rim_px` pixels on every side."""
        return type(self)(
            self.row - rim_px,
            self.col - rim_px,
            self.height + 2 * rim_px,
            self.width + 2 * rim_px,
        )

    def within(self, shape: tuple[int, int]) -> Self:
        """Clip to a raster of `shape`; the result may be empty (height or width 0)."""
        top, left = max(self.row, 0), max(self.col, 0)
        bottom = max(min(self.row + self.height, shape[0]), top)
        right = max(min(self.col + self.width, shape[1]), left)
        return type(self)(top, left, bottom - top, right - left)

    def shared(self, other: Self) -> tuple[Self, Self]:
        """What two windows that overlap share, as seen from each of them."""
        both = self.moved(-other.row, -other.col).within((other.height, other.width))
        return both.moved(other.row - self.row, other.col - self.col), both

    def moved(self, rows: int, cols: int) -> Self:
        """The same window, so many pixels further down and to the right."""
        return type(self)(self.row + rows, self.col + cols, self.height, self.width)

    def scaled(self, factor: int) -> Self:
        """The same ground on a grid that is `factor` times finer."""
        return type(self)(
            self.row * factor, self.col * factor, self.height * factor, self.width * factor
        )

    def cells(self, size_px: int) -> Iterator[tuple[int, int]]:
        """Row and column of each cell of a regular partition that the window touches."""
        for row in range(self.row // size_px, -(-(self.row + self.height) // size_px)):
            for col in range(self.col // size_px, -(-(self.col + self.width) // size_px)):
                yield row, col
