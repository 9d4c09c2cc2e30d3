"""How much detail there is, and how fine it is; a grid's spacing says neither.

Resolution is told as the shortest period that is carried, in metres on the ground: a grid of
pixels p can carry no period below 2 p, and most carry less than they could.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacube.bands import Band
from datacube.errors import InvalidInput
from sr_engine.fusion.prepared_scene import psf_on_grid
from sr_engine.wiener import PERIOD_PX, WienerSettings, axis_response, power_law

Image = NDArray[np.floating]
Float = NDArray[np.float64]

HALF = 0.5  # correlation with truth at which a frequency counts as carried
ENTROPY_PX = 16  # side of the windows in which entropy is taken, on the fine grid
ENTROPY_STEP = 0.002  # of reflectance, about the sensor's noise: finer steps would count noise
RINGS_FEWEST = 8


@dataclass(frozen=True)
class Resolution:
    """The shortest period carried, in metres, and the pixel that would just carry it.

    None where even the longest does not reach the threshold.
    """

    period_m: float | None

    @property
    def equivalent_pixel_m(self) -> float | None:
        """Half a period: the pixel of a perfect camera with the same limit."""
        return None if self.period_m is None else self.period_m / 2


def detail_added(sr: Image, bicubic: Image) -> Float:
    """Root mean square over bands (y, x) of what was changed against bicubic, reflectance."""
    difference = (sr - bicubic).astype(np.float64)
    known = np.isfinite(difference)
    squares = np.where(known, difference, 0) ** 2
    mean = squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), np.sqrt(mean), np.nan)


def entropy_gain(sr: Image, bicubic: Image) -> Float:
    """Entropy of local histograms over that of bicubic, in bits, per window of 16 fine pixels.

    Shannon's entropy of reflectance in steps of 0.002, mean over bands. It counts structure
    whether true or not: noise has most.
    """
    return np.asarray(_entropies(sr) - _entropies(bicubic))


def fourier_ring_correlation(image: Image, truth: Image) -> tuple[Float, Float]:
    """Frequencies (cycles per pixel, up to 0.5) and correlations, mean over bands.

    Of each ring: |sum F G*| / sqrt(sum |F|^2 sum |G|^2), real part, under a Hann window
    (Saxton and Baumeister 1982; Nieuwenhuizen et al. 2013). Gaps take the band's mean. Raises
    InvalidInput for images of different shape, or smaller than 16 px.
    """
    if image.shape != truth.shape or min(image.shape[-2:]) < 2 * RINGS_FEWEST:
        raise InvalidInput(
            f"need two images of one shape, 16 px a side or more, got {image.shape} and "
            f"{truth.shape}"
        )
    height, width = image.shape[1:]
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    rings = min(height, width) // 2
    ring = np.minimum((radius * 2 * rings).astype(int), rings)  # the last one lies beyond 0.5
    curves = [_ring_curve(a, b, window, ring) for a, b in zip(image, truth, strict=True)]
    frequency = (np.arange(rings) + 0.5) / (2 * rings)
    return frequency, np.mean(curves, axis=0)


def resolution_against(image: Image, truth: Image, gsd_m: float) -> Resolution:
    """Where the ring correlation with truth first falls below one half; `gsd_m` of the images."""
    frequency, curve = fourier_ring_correlation(image, truth)
    return Resolution(_period(frequency / gsd_m, curve))


def resolution_possible(band: Band, gsd_m: float, *, dates: int = 1) -> Resolution:
    """The band limit that PSF, sampling and noise allow, where there is no truth.

    The shortest period at which the best linear estimate would correlate with the truth by one
    half, as `resolution_against` measures it: the root of the share of power that it recovers.
    For ground of power |f|^-3 and a noise of 0.001 (`WienerSettings`), on a grid four times
    finer. With one date, aliases count as noise; with more, shifts are taken to tell them apart
    and noise to fall with their number. Sharper ground lets a little more be carried.
    """
    settings, factor = WienerSettings(), 4
    frequency = (np.arange(PERIOD_PX * factor) - PERIOD_PX * factor // 2) / PERIOD_PX
    blur_1d = axis_response(frequency, psf_on_grid(band, gsd_m), factor)
    seen = np.outer(blur_1d, blur_1d) ** 2 * power_law(frequency, settings)
    noise = settings.noise_std**2 / dates
    share = seen / ((_over_aliases(seen, factor) if dates == 1 else seen) + noise)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    edges = np.arange(0.5, PERIOD_PX * factor / 2) / PERIOD_PX
    ring = np.digitize(radius, edges)
    counted = np.bincount(ring.ravel(), minlength=edges.size + 1)
    curve = np.bincount(ring.ravel(), share.ravel(), edges.size + 1) / np.maximum(counted, 1)
    curve = np.sqrt(curve)
    centres = np.arange(1, edges.size) / PERIOD_PX
    return Resolution(_period(centres / gsd_m, curve[1 : edges.size]))


def _period(frequency: Float, curve: Float) -> float | None:
    """One over the frequency (cycles per metre) at which `curve` falls below one half."""
    below = np.flatnonzero(curve < HALF)
    if not below.size:
        return float(1 / frequency[-1])
    place = int(below[0])
    if place == 0:
        return None
    before, after = curve[place - 1], curve[place]
    share = (before - HALF) / (before - after)
    crossing = frequency[place - 1] + share * (frequency[place] - frequency[place - 1])
    return float(1 / crossing)


def _ring_curve(a: Image, b: Image, window: Float, ring: NDArray[np.intp]) -> Float:
    one, two = (np.fft.fft2(_centred(image) * window) for image in (a, b))
    places, count = ring.ravel(), int(ring.max()) + 1
    shared = np.bincount(places, (one * two.conj()).real.ravel(), count)
    sizes = np.bincount(places, (np.abs(one) ** 2).ravel(), count)
    sizes = sizes * np.bincount(places, (np.abs(two) ** 2).ravel(), count)
    return np.asarray((shared / np.sqrt(np.maximum(sizes, 1e-300)))[:-1])


def _centred(image: Image) -> Float:
    known = np.isfinite(image)
    mean = float(image[known].mean()) if known.any() else 0.0
    return np.where(known, image, mean) - mean


def _entropies(image: Image) -> Float:
    """Bits (row, col) of windows that lie wholly inside, mean over bands."""
    rows, cols = (size // ENTROPY_PX for size in image.shape[1:])
    cut = image[:, : rows * ENTROPY_PX, : cols * ENTROPY_PX]
    split = cut.reshape(len(image), rows, ENTROPY_PX, cols, ENTROPY_PX)
    windows = split.transpose(1, 3, 0, 2, 4).reshape(rows, cols, len(image), ENTROPY_PX**2)
    out = np.full((rows, cols), np.nan)
    for place in np.ndindex(rows, cols):
        bits = [_bits(band[np.isfinite(band)]) for band in windows[place]]
        out[place] = np.mean(bits)
    return out


def _bits(values: Image) -> float:
    if not values.size:
        return math.nan
    counts = np.unique(np.floor(values / ENTROPY_STEP), return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def _over_aliases(power: Float, factor: int) -> Float:
    """Sum over the frequencies that sampling cannot tell apart, put back at each of them."""
    size = power.shape[0] // factor
    folded = power.reshape(factor, size, factor, size).sum(axis=(0, 2))
    return np.tile(folded, (factor, factor))
