"""Shift between two images by phase correlation on a refined peak.

After Guizar-Sicairos et al. 2008, "Efficient subpixel image registration algorithms", Optics
Letters 33(2): the peak of the phase correlation to a pixel, then a small window around it from
a matrix Fourier transform on a grid `UPSAMPLING` times finer. It is opensr-test's way to shifts;
`datacube.registration` is exacter and is what the cube is registered with.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
UPSAMPLING = 50


@dataclass(frozen=True)
class Shift:
    """By how much the content has to be moved, in pixels."""

    down_px: float
    across_px: float

    @property
    def length_px(self) -> float:
        """Its length."""
        return float(np.hypot(self.down_px, self.across_px))


def phase_shift(moving: Float, reference: Float) -> Shift:
    """The shift that lays `moving` (y, x) on `reference`, to 1/50 px; gaps take the mean."""
    spectra = [np.fft.fft2(_without_gaps(one)) for one in (reference, moving)]
    product = spectra[0] * spectra[1].conj()
    # The bound is that of single precision, below which a phase is rounding.
    product /= np.maximum(np.abs(product), 100 * np.finfo(np.float32).eps)
    surface = np.abs(np.fft.ifft2(product))
    peak = np.array(np.unravel_index(int(surface.argmax()), surface.shape), np.float64)
    size = np.array(surface.shape)
    peak[peak > size // 2] -= size[peak > size // 2]
    reach = int(1.5 * UPSAMPLING)
    steps = np.arange(reach) - reach // 2
    at = [position + steps / UPSAMPLING for position in peak]
    fine = np.abs(_waves(at[0], size[0]) @ product @ _waves(at[1], size[1]).T)
    row, col = np.unravel_index(int(fine.argmax()), fine.shape)
    return Shift(float(at[0][row]), float(at[1][col]))


def moved(image: Float, shift: Shift) -> Float:
    """`image` (band, y, x) with its content moved, bilinear; edges repeat."""
    matrix = np.array([[1, 0, shift.across_px], [0, 1, shift.down_px]], np.float32)
    size = (image.shape[2], image.shape[1])
    border = cv2.BORDER_REPLICATE
    return np.stack(
        [
            np.asarray(cv2.warpAffine(band.astype(np.float32), matrix, size, borderMode=border))
            for band in image
        ]
    )


def _waves(positions: Float, size: int) -> NDArray[np.complex128]:
    """Matrix (position, frequency) of the inverse transform at any positions."""
    turns = np.exp(2j * np.pi * np.outer(positions, np.fft.fftfreq(size)))
    return np.asarray(turns, np.complex128)


def _without_gaps(image: Float) -> Float:
    known = np.isfinite(image)
    if known.all() or not known.any():
        return np.nan_to_num(image)
    return np.where(known, image, image[known].mean())
