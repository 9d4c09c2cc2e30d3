"""A shift refined where every neighbourhood may have changed its brightness in its own way.

Between two dates a field is mown and its neighbour is not: one gain and offset for a whole band
then mistakes the change for a shift, by up to 0.36 px over a simulated season. Here gain and
offset are those of a Gaussian window of a few pixels, which tells an edge's place from its
contrast: the same season is registered to 0.02 px. Windows are solved by Gauss-Newton together;
per window and band, gain and offset are eliminated from the normal equations (Schur complement).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.registration import Float, Image, Mask, fill_gaps, has_data, move_content, move_mask

SMOOTHING_PX = 1.0  # leaves 0.7 % at Nyquist: what is left hardly aliases
WINDOW_PX = 3.0  # standard deviation; 3, 5 and 8 px leave at most 0.014, 0.026 and 0.030 px
RIM_PX = 3  # of what is not trusted around a gap, for the smoothing
STEPS = 8
CLOSE_ENOUGH_PX = 5e-4
LONGEST_STEP_PX = 0.5
LEAST_VARIANCE = 1e-7  # of reflectance that cannot be explained: a noise of 0.0003


@dataclass(frozen=True)
class LocalShift:
    """`shift` (dy, dx) as `registration` has it, and the correlation within windows."""

    shift: Float
    correlation: float


@dataclass(frozen=True)
class _Smooth:
    """Smoothed values (band, y, x) without gaps, and where they are to be trusted."""

    values: Image
    trusted: Mask


def refine_shift(
    reference: NDArray[np.floating], date: NDArray[np.floating], starts: list[Float]
) -> LocalShift:
    """The shift of `date` against `reference` (band, y, x; NaN: no data), from the best start.

    Each start must be within about a pixel of the truth to lead there; what correlates best
    wins. A start whose neighbourhood holds no texture stays where it is.
    """
    one, other = _smooth(reference), _smooth(date)
    found = [_refined(one, other, start) for start in starts]
    return max(found, key=lambda local: local.correlation)


def _smooth(image: NDArray[np.floating]) -> _Smooth:
    seen = has_data(image)
    filled = fill_gaps(image.astype(np.float32), seen)
    values = np.stack([cv2.GaussianBlur(band, (0, 0), SMOOTHING_PX) for band in filled])
    rim = np.ones((2 * RIM_PX + 1,) * 2, np.uint8)
    return _Smooth(values, cv2.erode(seen.astype(np.uint8), rim).astype(bool))


def _refined(reference: _Smooth, date: _Smooth, start: Float) -> LocalShift:
    shift = start
    correlation = 0.0
    for _ in range(STEPS):
        normal, right, correlation = _normal_equations(reference, date, shift)
        if np.linalg.det(normal) <= 1e-10 * np.trace(normal) ** 2:
            return LocalShift(start, correlation)
        step = np.clip(np.linalg.solve(normal, right), -LONGEST_STEP_PX, LONGEST_STEP_PX)
        shift = shift + step
        if np.abs(step).max() < CLOSE_ENOUGH_PX:
            break
    return LocalShift(shift, correlation)


def _normal_equations(
    reference: _Smooth, date: _Smooth, shift: Float
) -> tuple[Float, Float, float]:
    """2x2 normal matrix and right side for the step, and the correlation within windows."""
    both = (move_mask(reference.trusted, shift) & date.trusted).astype(np.float32)
    share = np.maximum(_window(both), 1e-3)
    normal, right = np.zeros((2, 2)), np.zeros(2)
    explained = total = 0.0
    for band, model in zip(date.values, move_content(reference.values, shift), strict=True):
        cov = _covariances(model, band, both, share)
        variance, alike, own = cov[0, 0] + 1e-9, cov[0, 1], cov[1, 1]
        gain = alike / variance
        # The square root lies between weighing by inverse variance and not at all: windows that
        # changed count less, and the few that hardly did do not decide alone.
        weight = both / np.sqrt(np.maximum(own - gain * alike, LEAST_VARIANCE))
        for i in (2, 3):
            right[i - 2] += float((weight * gain * (cov[1, i] - cov[0, i] * gain)).sum())
            for j in (2, 3):
                part = cov[min(i, j), max(i, j)] - cov[0, i] * cov[0, j] / variance
                normal[i - 2, j - 2] += float((weight * gain**2 * part).sum())
        explained += float((weight * gain * alike).sum())
        total += float((weight * own).sum())
    return normal, right, float(np.sqrt(explained / total)) if total > 0 else 0.0


def _covariances(
    model: Image, band: Image, both: Image, share: Image
) -> dict[tuple[int, int], Image]:
    """Within windows, of 0 the model, 1 the date, 2 and 3 what a step down and across adds."""
    rows = (model, band, -_slope(model, 0), -_slope(model, 1))
    centred = [row - _window(row * both) / share for row in rows]
    return {
        (i, j): _window(centred[i] * centred[j] * both) / share
        for i in range(4)
        for j in range(i, 4)
    }


def _window(values: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), WINDOW_PX), np.float32)


def _slope(image: Image, axis: int) -> Image:
    """Central differences down (0) or across (1)."""
    step, one = np.array([-0.5, 0.0, 0.5], np.float32), np.ones(1, np.float32)
    across, down = (one, step) if axis == 0 else (step, one)
    return np.asarray(cv2.sepFilter2D(image, -1, across, down), np.float32)
