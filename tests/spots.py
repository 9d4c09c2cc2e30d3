"""An asymmetric target at a known place, as any grid would show it."""

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from scipy import ndimage

from datacube import Grid

Image = NDArray[np.uint16]
SIGMA_M, GROUND = 60.0, 2000


def blob(at: Grid, lon: float, lat: float, *, crs: str = "EPSG:32632") -> Image:
    """A spot with a smaller one beside it, at a place in degrees, sampled at pixel centres.

    Its shape is defined in metres of `crs`, so that every grid shows the same.
    """
    x0, y0 = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    y, x = at.centres()
    xs, ys = np.meshgrid(x, y)
    x, y = Transformer.from_crs(at.crs, crs, always_xy=True).transform(xs, ys)
    x, y = x - x0, y - y0
    spot = 20_000 * np.exp(-(x**2 + (1.5 * y) ** 2) / (2 * SIGMA_M**2))
    side = 10_000 * np.exp(-((x - 100) ** 2 + (y + 70) ** 2) / (2 * SIGMA_M**2))
    return np.asarray(np.rint(GROUND + spot + side), np.uint16)


def centre_px(image: Image, at: Grid, lon: float, lat: float) -> tuple[float, float]:
    """Row and column by which the spot lies off its true place, in pixels."""
    height = np.clip(image.astype(float) - GROUND, 0, None)
    row, col = ndimage.center_of_mass(height)
    x, y = Transformer.from_crs("EPSG:4326", at.crs, always_xy=True).transform(lon, lat)
    rows, cols = at.pixel_coordinates(x=np.array([x]), y=np.array([y]))
    return float(row + 0.5 - rows[0]), float(col + 0.5 - cols[0])


def lonlat_of(at: Grid, row: float, col: float) -> tuple[float, float]:
    x, y = at.transform @ (col, row)
    lon, lat = Transformer.from_crs(at.crs, "EPSG:4326", always_xy=True).transform(x, y)
    return float(lon), float(lat)
