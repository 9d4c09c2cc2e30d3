"""How far bands lie from one another, measured in windows and without any network.

Phase correlation of gradients finds where to begin, Gauss-Newton with a gain and an offset
around each pixel the rest (`datacube.local_registration`): red and near infrared disagree on
what is bright, but not on where fields end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacube.errors import InvalidInput
from datacube.local_registration import refine_shift
from datacube.registration import estimate_shifts
from datacube.window import Window

Float = NDArray[np.float64]
Image = NDArray[np.float32]
WINDOW_PX = (44, 352)  # a shift changes from row to row, so windows are low and wide
LEAST_CORRELATION = 0.3  # windows less alike than this are not measured
FAR_PX = 8.0


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
    scale = float(np.nanmean(reference))
    own, other = reference[None] / scale, moving[None] / scale
    coarse = estimate_shifts(np.stack([own, other]), reference=0, max_shift_px=FAR_PX)
    steps = [np.array([y, x], float) for y in (-1.5, 0.0, 1.5) for x in (-1.5, 0.0, 1.5)]
    whole = refine_shift(own, other, [coarse.shifts_px[1], *steps]).shift
    found = []
    near = whole
    for window in windows(reference.shape, window_px):  # type: ignore[arg-type]
        # The platform sways slowly: a window lies near the one before it, or near the mean.
        parts = (image[:, *window.slices] for image in (own, other))
        local = refine_shift(*parts, [whole, near])
        alike = local.correlation >= LEAST_CORRELATION and np.abs(local.shift).max() <= FAR_PX
        near = local.shift if alike else whole
        found.append(local.shift if alike else np.full(2, np.nan))
    if np.isnan(found).all():
        raise InvalidInput(
            f"no window of {window_px} px looks alike in both bands; they show other ground"
        )
    return BandShifts(np.array(found))


def windows(shape: tuple[int, int], window_px: tuple[int, int]) -> Iterator[Window]:
    """Windows side by side from the first corner; a ragged rest is left out, but not all."""
    height, width = (min(pair) for pair in zip(window_px, shape, strict=True))
    for col in range(0, shape[1] - width + 1, width):
        for row in range(0, shape[0] - height + 1, height):
            yield Window(row, col, height, width)
