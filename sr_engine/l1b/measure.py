"""How far bands lie from one another, measured in windows and without any network.

Phase correlation (Kuglin and Hines 1975) of gradient magnitudes: red and near infrared disagree
on what is bright, but not on where fields end. Nothing of how flows are found is used here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from datacube.errors import InvalidInput
from datacube.window import Window

Float = NDArray[np.float64]
Image = NDArray[np.float32]
WINDOW_PX = (88, 352)  # a shift changes from row to row, so windows are low and wide
FAR_PX = 6
FINENESS = 50  # steps per pixel of the peak's place
BANDWIDTH = 0.18  # of a Gaussian over frequencies, cycles per pixel: beyond it is aliasing
LEAST_PEAK = 0.03  # of one for identical windows; noise alone gives about 0.01


@dataclass(frozen=True)
class BandShifts:
    """(window, 2) shifts (dy, dx) of one band against the reference, NaN where not measured."""

    shifts_px: Float

    @property
    def rms_px(self) -> float:
        """Root mean square length."""
        return float(np.sqrt(np.nanmean((self.shifts_px**2).sum(axis=1))))

    @property
    def untranslated_rms_px(self) -> float:
        """What the best single translation of the whole band would leave of it."""
        rest = self.shifts_px - np.nanmean(self.shifts_px, axis=0)
        return BandShifts(rest).rms_px


def band_shifts(
    reference: Image, moving: Image, window_px: tuple[int, int] = WINDOW_PX
) -> BandShifts:
    """Measure one band (y, x), in any unit, against the reference.

    Raises InvalidInput where not a single window of the band is alike enough.
    """
    found = [
        phase_shift(reference[window.slices], moving[window.slices])
        for window in windows((reference.shape[0], reference.shape[1]), window_px)
    ]
    if np.isnan(found).all():
        raise InvalidInput(
            f"no window of {window_px} px looks alike in both bands; they show other ground"
        )
    return BandShifts(np.array(found))


def phase_shift(reference: Image, moving: Image) -> Float:
    """(dy, dx): what the reference shows at p, `moving` shows at p + shift; NaN where unlike."""
    spectra = [fft.fft2(_edges(image)) for image in (reference, moving)]
    cross = spectra[1] * np.conj(spectra[0])
    fy, fx = (fft.fftfreq(side) for side in reference.shape)
    weight = np.exp(-0.5 * (fy[:, None] ** 2 + fx**2) / BANDWIDTH**2)
    phases = weight * cross / np.maximum(np.abs(cross), 1e-12)

    def peak(dy: Float, dx: Float) -> tuple[float, Float]:
        """The highest value of the correlation among places, and where."""
        down = np.exp(2j * np.pi * dy[:, None] * fy)
        across = np.exp(2j * np.pi * fx[:, None] * dx)
        surface = (down @ phases @ across).real / weight.sum()
        row, col = np.unravel_index(int(surface.argmax()), surface.shape)
        return float(surface[row, col]), np.array([dy[row], dx[col]])

    coarse = np.arange(-FAR_PX, FAR_PX + 0.25, 0.5)
    _, near = peak(coarse, coarse)
    fine = np.arange(-FINENESS // 2, FINENESS // 2 + 1) / FINENESS
    height, place = peak(near[0] + fine, near[1] + fine)
    return place if height >= LEAST_PEAK else np.full(2, np.nan)


def windows(shape: tuple[int, int], window_px: tuple[int, int]) -> Iterator[Window]:
    """Windows side by side from the first corner; a ragged rest is left out, but not all."""
    height, width = (min(pair) for pair in zip(window_px, shape, strict=True))
    for row in range(0, shape[0] - height + 1, height):
        for col in range(0, shape[1] - width + 1, width):
            yield Window(row, col, height, width)


def _edges(image: Image) -> Float:
    """Length of the gradient of the smoothed image, without its mean, fading at the edges."""
    smooth = ndimage.gaussian_filter(image.astype(np.float64), 0.8)
    down, across = np.gradient(smooth)
    length = np.hypot(down, across)
    length = np.sqrt(length)  # so that a few roofs do not outweigh all fields
    taper = np.outer(*(np.hanning(side + 2)[1:-1] for side in image.shape))
    return np.asarray((length - length.mean()) * taper)
