"""Would the sensor have measured this? The result seen through the band's PSF, minus the input.

The fine image is taken as constant within each of its pixels and weighed with the band's point
spread function (a Gaussian, then the pixel: `datacube.bands`), in closed form, out to `RIM_PX`
beyond the pixel. The difference is told in standard deviations of the sensor's noise: 30 % of
its variance constant and 70 % shot noise, at the mission's required SNR (`spectra.noise_sigma`).
Agreement is necessary, and says nothing about detail that the sensor cannot see.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr

from datacube.bands import Band
from datacube.simulation.spectra import SNR, noise_sigma
from sr_engine.fusion.prepared_scene import psf_on_grid

Image = NDArray[np.float32]
Float = NDArray[np.float64]
RIM_PX = 2  # beyond it lies less than 1e-4 of any 10 m band's PSF
LEAST_SEEN = 0.95  # of a pixel's footprint; with less, what it would measure is not known
NOISE_LIKE = "B12"  # bands without a noise figure of their own (B01, B09) get its SNR of 100


def consistency(fine: Image, lr: Image, bands: tuple[Band, ...], gsd_m: float) -> Image:
    """Difference (band, y, x) in standard deviations of the noise, positive where too bright.

    `fine` (band, factor (y + 2 RIM_PX), factor (x + 2 RIM_PX)) reaches `RIM_PX` measured pixels
    further than `lr` (band, y, x) on every side. NaN where the input has no data, and where the
    footprint lacks more than a twentieth.
    """
    back = degraded(fine, bands, lr.shape[1:], gsd_m)
    noise = np.stack([sensor_noise(plane, band) for plane, band in zip(lr, bands, strict=True)])
    return np.asarray((back - lr) / noise, np.float32)


def over_bands(differences: Image) -> Image:
    """Root mean square over bands (y, x); NaN where no band is known."""
    known = np.isfinite(differences)
    squares = np.where(known, differences, 0) ** 2
    count = known.sum(axis=0)
    mean = squares.sum(axis=0) / np.maximum(count, 1)
    return np.where(count > 0, np.sqrt(mean), np.nan).astype(np.float32)


def whole_image(sr: Image, lr: Image, bands: tuple[Band, ...], gsd_m: float) -> Image:
    """`consistency` of an image that ends where the input does; unknown along its edges."""
    rim = RIM_PX * (sr.shape[1] // lr.shape[1])
    around = np.pad(sr, ((0, 0), (rim, rim), (rim, rim)), constant_values=np.nan)
    return consistency(around, lr, bands, gsd_m)


def degraded(fine: Image, bands: tuple[Band, ...], shape: tuple[int, ...], gsd_m: float) -> Image:
    """What the sensor would measure of `fine` on its `shape` (y, x); no noise is added."""
    factor = fine.shape[1] // (shape[0] + 2 * RIM_PX)
    planes = []
    for plane, band in zip(fine, bands, strict=True):
        sigma_px = psf_on_grid(band, gsd_m)
        rows, cols = (footprints(size, factor, sigma_px) for size in shape)
        planes.append(_seen(plane, rows, cols))
    return np.stack(planes)


def sensor_noise(reflectance: Image, band: Band) -> Image:
    """Standard deviation of the noise of a measured pixel, in reflectance."""
    return noise_sigma(reflectance, band.name if band.name in SNR else NOISE_LIKE)


@lru_cache(maxsize=64)
def footprints(size_px: int, factor: int, sigma_px: float) -> csr_array:
    """Weights (size_px, factor (size_px + 2 RIM_PX)) along one axis; rows sum to one."""
    taps = (2 * RIM_PX + 1) * factor
    edges = np.arange(taps + 1) / factor - (RIM_PX + 0.5)
    weights = np.diff(_below(edges, sigma_px))
    weights = (weights / weights.sum()).astype(np.float32)
    first = np.arange(size_px) * factor
    columns = (first[:, None] + np.arange(taps)).ravel()
    rows = np.arange(size_px + 1) * taps
    shape = (size_px, factor * (size_px + 2 * RIM_PX))
    return csr_array((np.tile(weights, size_px), columns, rows), shape=shape)


def _below(at: Float, sigma_px: float) -> Float:
    """Integral, up to `at`, of a Gaussian of `sigma_px` convolved with a box of one pixel.

    The box turns the Gaussian into a difference of two distribution functions P, and the
    integral of P(u) is u P(u) + p(u), p being the density.
    """
    ends = (at[None] + np.array([[0.5], [-0.5]])) / sigma_px
    density = np.exp(-(ends**2) / 2) / np.sqrt(2 * np.pi)
    integral = sigma_px * (ends * ndtr(ends) + density)
    return np.asarray(integral[0] - integral[1])


def _seen(plane: Image, rows: csr_array, cols: csr_array) -> Image:
    known = np.isfinite(plane)
    if known.all():
        return _weighed(plane, rows, cols)
    seen = _weighed(known.astype(np.float32), rows, cols)
    values = _weighed(np.where(known, plane, np.float32(0)), rows, cols)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(seen >= LEAST_SEEN, values / seen, np.float32(np.nan))


def _weighed(plane: Image, rows: csr_array, cols: csr_array) -> Image:
    down = np.ascontiguousarray((rows @ plane).T)
    return np.asarray((cols @ down).T, np.float32)
