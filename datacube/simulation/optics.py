"""How the instrument averages the ground: per-axis weights from a finely sampled profile.

A profile is sampled 256 times per pixel, convolved with the pixel by summing, and its running
integral, read at the edges of the fine pixels, gives each weight. No closed form of the blurred
pixel is used, so a solver that has one is not judged by itself.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array

from datacube.bands import Band
from datacube.errors import InvalidInput

Psf = Literal["gaussian", "optics", "none"]
Axis = Literal["y", "x"]

SAMPLES_PER_PX = 256
RADIUS_PX = 6  # optics: what the tails hold beyond is below 1e-3, and weights sum to one anyway
APERTURE_M = 0.15  # entrance pupil of MSI
ORBIT_M = 786_000.0
TAIL_SHARE, TAIL_PX = 0.04, 1.5  # stray light: 4 % in a two-sided exponential of 1.5 px
SMEAR_PX = 0.8  # along track (y): how far the ground moves during one integration


def line_spread(band: Band, psf: Psf, axis: Axis) -> NDArray[np.float64]:
    """Sampled line spread along one axis, pixel box included, sum 1, centred.

    "gaussian": the band's Gaussian before the pixel. "optics": diffraction of a square
    aperture (the triangle of its MTF is a squared sinc), motion smear along y, an exponential
    core for diffusion in the detector, and long exponential tails; the core's width is solved
    for so that the MTF at Nyquist is the band's on both axes. "none": the pixel alone.
    """
    if psf == "none":
        return _boxed(_impulse())
    if psf == "gaussian":
        return _boxed(_unit(np.exp(-0.5 * (_positions() / band.psf_sigma_px) ** 2)))
    if psf == "optics":
        width = brentq(
            lambda scale: _nyquist(_optics(band, axis, scale)) - band.mtf_at_nyquist, 0.01, 1.5
        )
        return _optics(band, axis, float(width))
    raise InvalidInput(f"need psf gaussian, optics or none, got {psf}")


def axis_weights(
    profile: NDArray[np.float64],
    *,
    out_px: int,
    fine_per_px: float,
    fine_px: int,
    margin_fine: int,
    shift_px: float | NDArray[np.float64],
) -> csr_array:
    """Matrix (out_px, fine) that integrates piecewise constant fine pixels with the profile.

    Output `i` is centred at `i + 0.5 + shift_px` pixels from the edge of the area of interest,
    which begins `margin_fine` fine pixels into the `fine_px` of the fine axis. Rows sum to one.
    `shift_px` may be one for each output. Raises InvalidInput if the profile does not lie within
    the margin.
    """
    reach = len(profile) / 2 / SAMPLES_PER_PX
    least, most = float(np.min(shift_px)), float(np.max(shift_px))
    first_edge = 0.5 + least - reach + margin_fine / fine_per_px
    last_edge = out_px - 0.5 + most + reach + margin_fine / fine_per_px
    if first_edge < 0 or last_edge > fine_px / fine_per_px:
        raise InvalidInput(
            f"a profile reaching {reach:.2f} px with shift {most:.2f} px does not fit in a "
            f"margin of {margin_fine} fine pixels; widen the margin"
        )
    taps = math.ceil(2 * reach * fine_per_px) + 2
    centres = (np.arange(out_px) + 0.5 + shift_px) * fine_per_px + margin_fine
    starts = np.clip(np.floor(centres - reach * fine_per_px).astype(int), 0, fine_px - taps)
    edges = starts[:, None] + np.arange(taps + 1)
    cumulative = np.concatenate([[0.0], np.cumsum(profile)])
    at = (edges - centres[:, None]) / fine_per_px * SAMPLES_PER_PX + len(profile) / 2
    weights = np.diff(np.interp(at, np.arange(len(cumulative)), cumulative), axis=1)
    rows = np.arange(out_px + 1) * taps
    columns = (starts[:, None] + np.arange(taps)).ravel()
    return csr_array((weights.ravel().astype(np.float32), columns, rows), shape=(out_px, fine_px))


def _positions() -> NDArray[np.float64]:
    """Sample positions in pixels; the middle one is zero."""
    half = RADIUS_PX * SAMPLES_PER_PX
    return np.arange(-half, half + 1) / SAMPLES_PER_PX


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    keep = np.flatnonzero(values > values.max() * 1e-9)
    half = max(len(values) // 2 - int(keep[0]), 1)
    middle = len(values) // 2
    kept = values[middle - half : middle + half + 1]
    return np.asarray(kept / kept.sum())


def _impulse() -> NDArray[np.float64]:
    return np.array([1.0])


def _box(width_px: float) -> NDArray[np.float64]:
    """A box of that width, its two end samples weighted by the part that is inside."""
    half = width_px * SAMPLES_PER_PX / 2
    whole = math.floor(half - 0.5)
    box = np.ones(2 * whole + 3)
    box[[0, -1]] = half - 0.5 - whole
    return np.asarray(box / box.sum())


def _boxed(profile: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.convolve(profile, np.full(SAMPLES_PER_PX, 1 / SAMPLES_PER_PX)))


def _optics(band: Band, axis: Axis, core_px: float) -> NDArray[np.float64]:
    at = _positions()
    diffraction_px = band.wavelength_nm * 1e-9 / APERTURE_M * ORBIT_M / band.gsd_m
    profile = _convolved(np.sinc(at / diffraction_px) ** 2, np.exp(-np.abs(at) / core_px))
    tail = np.exp(-np.abs(at) / TAIL_PX)
    profile = (1 - TAIL_SHARE) * profile + TAIL_SHARE * tail / tail.sum()
    if axis == "y":
        profile = np.convolve(profile, _box(SMEAR_PX))
    return _boxed(profile)


def _convolved(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Both normalised, convolved by FFT (3073 samples each), cut back to the first's extent."""
    length = 2 * len(first)
    spectrum = np.fft.rfft(first, length) * np.fft.rfft(second, length)
    middle = len(first) // 2
    both = np.fft.irfft(spectrum, length)[middle : middle + len(first)]
    return np.asarray(np.maximum(both, 0) / np.maximum(both, 0).sum())


def _nyquist(profile: NDArray[np.float64]) -> float:
    at = (np.arange(len(profile)) - (len(profile) - 1) / 2) / SAMPLES_PER_PX
    return float(np.sum(profile * np.cos(np.pi * at)))
