"""Bring every date to the radiometry of one of them: a gain and an offset per date and band.

The reference is regressed on the date (not the other way round), smoothed and aligned: a
date that shows little of the reference's contrast is then drawn towards its mean instead of
having its noise blown up.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.registration import fill_gaps, has_data, move_content, move_mask

Float = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
SMOOTHING_PX = 2.0  # leaves neither aliasing nor a tenth of a pixel's misalignment
GAIN_RANGE = (0.2, 5.0)


@dataclass(frozen=True)
class Radiometry:
    """`gains` and `offsets` (date, band): matched = gain * value + offset."""

    gains: Float
    offsets: Float

    def applied(self, values: Image) -> Image:
        """`values` (date, band, y, x) in the radiometry of the reference."""
        matched = values * self.gains[:, :, None, None] + self.offsets[:, :, None, None]
        return np.asarray(matched, dtype=np.float32)


def estimate_radiometry(values: Image, shifts_px: Float, reference: int) -> Radiometry:
    """Fit `values` (date, band, y, x; NaN in gaps) to the date `reference`.

    Dates are aligned by `shifts_px` (date, 2) first. A date that shares no pixel with the
    reference keeps its own radiometry.
    """
    gains, offsets = np.ones(values.shape[:2]), np.zeros(values.shape[:2])
    smooth, trusted = _smoothed(values[reference])
    for i, date in enumerate(values):
        if i == reference:
            continue
        shift = shifts_px[reference] - shifts_px[i]
        aligned, seen = _smoothed(date)
        both = (move_mask(seen, shift) & trusted).astype(np.float32)
        moved = move_content(aligned, shift)
        for band in range(values.shape[1]):
            gains[i, band], offsets[i, band] = _regression(moved[band], smooth[band], both)
    return Radiometry(gains, offsets)


def _smoothed(date: Image) -> tuple[Image, Mask]:
    seen = has_data(date)
    filled = fill_gaps(date, seen)
    smooth = np.stack([cv2.GaussianBlur(band, (0, 0), SMOOTHING_PX) for band in filled])
    rim = np.ones((2 * round(2 * SMOOTHING_PX) + 1,) * 2, dtype=np.uint8)
    eroded = cv2.erode(seen.astype(np.uint8), rim).astype(bool)
    return smooth, eroded if eroded.any() else seen


def _regression(known: Image, wanted: Image, weight: Image) -> tuple[float, float]:
    """Least-squares gain and offset from `known` to `wanted` where `weight` is 1."""
    total = float(weight.sum())
    if not total:
        return 1.0, 0.0
    known_mean = float((known * weight).sum(dtype=np.float64)) / total
    wanted_mean = float((wanted * weight).sum(dtype=np.float64)) / total
    deviation = (known - np.float32(known_mean)) * weight
    spread = float((deviation * deviation).sum(dtype=np.float64))
    gain = 1.0
    if spread > 1e-10 * total:
        gain = (
            float((deviation * (wanted - np.float32(wanted_mean))).sum(dtype=np.float64)) / spread
        )
        gain = float(np.clip(gain, *GAIN_RANGE))
    return gain, wanted_mean - gain * known_mean
