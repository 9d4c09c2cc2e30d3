"""Where pixels lie on the ground, as an immutable value.

Pixel coordinates are continuous with (0, 0) at the outer corner of the first pixel, so a
pixel's centre is at half integers; every half-pixel mistake of this field starts by leaving
that unsaid.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from datacube.errors import InvalidInput
from datacube.lonlat import check_bbox
from datacube.window import Window


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid: `crs` as an authority code or WKT, `transform`, (height, width)."""

    crs: str
    transform: Affine
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        if self.transform.b or self.transform.d or self.transform.a <= 0 or self.transform.e >= 0:
            raise InvalidInput(
                f"need a north-up grid (a > 0, e < 0, b = d = 0), got {tuple(self.transform)[:6]}; "
                "reproject the source first"
            )
        if min(self.shape) < 1:
            raise InvalidInput(f"need at least one pixel, got shape {self.shape}")

    @classmethod
    def from_origin(
        cls, crs: str, *, left: float, top: float, gsd_m: float, shape: tuple[int, int]
    ) -> Self:
        """A square-pixel grid from its upper left corner."""
        return cls(crs, Affine(gsd_m, 0.0, left, 0.0, -gsd_m, top), shape)

    @property
    def gsd_m(self) -> float:
        """Pixel width in units of the CRS (metres for a UTM grid)."""
        return float(self.transform.a)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the outer pixel edges, in the CRS."""
        height, width = self.shape
        left, top = self.transform.c, self.transform.f
        return (
            float(left),
            float(top + height * self.transform.e),
            float(left + width * self.transform.a),
            float(top),
        )

    def lonlat_bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees, edges densified; west > east across 180."""
        transformer = Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True)
        west, south, east, north = transformer.transform_bounds(*self.bounds, densify_pts=21)
        return float(west), float(south), float(east), float(north)

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """CRS coordinates of pixel centres: y (descending) and x."""
        height, width = self.shape
        x = np.float64(self.transform.c) + (np.arange(width) + 0.5) * np.float64(self.transform.a)
        y = np.float64(self.transform.f) + (np.arange(height) + 0.5) * np.float64(self.transform.e)
        return y, x

    def refined(self, factor: int) -> Self:
        """The same ground with pixels `factor` times smaller."""
        height, width = self.shape
        transform = self.transform @ Affine.scale(1 / factor)
        return type(self)(self.crs, transform, (height * factor, width * factor))

    def coarsened(self, factor: int) -> Self:
        """Pixels `factor` times larger; a ragged last row or column is covered, not cut."""
        height, width = self.shape
        transform = self.transform @ Affine.scale(factor)
        return type(self)(self.crs, transform, (-(-height // factor), -(-width // factor)))

    def cropped(self, window: Window) -> Self:
        """The grid of one window of this one, which may reach beyond it."""
        transform = self.transform @ Affine.translation(window.col, window.row)
        return type(self)(self.crs, transform, (window.height, window.width))

    def padded(self, rim_px: int) -> Self:
        """`rim_px` more pixels on every side."""
        return self.cropped(Window(0, 0, *self.shape).grown(rim_px))

    def is_snapped(self) -> bool:
        """Whether pixel edges fall on whole multiples of the pixel size, as Sentinel-2's do."""
        columns, rows = self.transform.c / self.transform.a, self.transform.f / self.transform.e
        return max(abs(columns - round(columns)), abs(rows - round(rows))) < 1e-6

    def snapped(self) -> Self:
        """The smallest grid on whole multiples of the pixel size that covers this one."""
        gsd = self.transform.a
        left, bottom, right, top = self.bounds
        col, row = math.floor(left / gsd + 1e-9), math.ceil(top / gsd - 1e-9)
        width = math.ceil(right / gsd - 1e-9) - col
        height = row - math.floor(bottom / gsd + 1e-9)
        return type(self)(self.crs, Affine(gsd, 0, col * gsd, 0, -gsd, row * gsd), (height, width))

    def pixel_coordinates(
        self, *, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Continuous (row, col) of points in the CRS; 0.5 is the centre of the first pixel."""
        rows = (y - self.transform.f) / self.transform.e
        cols = (x - self.transform.c) / self.transform.a
        return rows, cols

    def window_of(self, *, lonlat_bbox: tuple[float, float, float, float]) -> Window:
        """Smallest window that covers a (west, south, east, north) box, clipped to the grid.

        Raises InvalidInput for a box that `check_bbox` refuses, or that does not touch the grid.
        """
        check_bbox(lonlat_bbox)
        transformer = Transformer.from_crs("EPSG:4326", self.crs, always_xy=True)
        left, bottom, right, top = transformer.transform_bounds(*lonlat_bbox, densify_pts=21)
        rows, cols = self.pixel_coordinates(x=np.array([left, right]), y=np.array([top, bottom]))
        if not np.isfinite([*rows, *cols]).all():
            raise InvalidInput(f"bbox {list(lonlat_bbox)} cannot be expressed in {self.crs}")
        first_row, first_col = math.floor(rows[0] + 1e-6), math.floor(cols[0] + 1e-6)
        last_row, last_col = math.ceil(rows[1] - 1e-6), math.ceil(cols[1] - 1e-6)
        window = Window(first_row, first_col, last_row - first_row, last_col - first_col)
        inside = window.within(self.shape)
        if not inside.height or not inside.width:
            raise InvalidInput(
                f"bbox {list(lonlat_bbox)} does not touch the grid, which covers "
                f"{[round(edge, 5) for edge in self.lonlat_bounds()]}"
            )
        return inside


def projection_attributes(crs: str) -> dict[str, str]:
    """`proj:code` where the CRS has an authority code, `proj:wkt2` otherwise."""
    parsed = CRS.from_user_input(crs)
    authority = parsed.to_authority()
    if authority:
        return {"proj:code": ":".join(authority)}
    return {"proj:wkt2": parsed.to_wkt()}
