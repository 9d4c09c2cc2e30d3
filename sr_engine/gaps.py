"""Pixels without data: filled before a model sees them, and empty again behind it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sr_engine.model import Reflectance


def filled(patch: Reflectance, radius_px: int) -> Reflectance:
    """Replace NaN by the mean of the nearest valid pixels, at most `radius_px` away.

    The search widens step by step, so that a gap continues its rim. A pixel with nothing valid
    within the radius becomes 0; being further than that from any valid pixel, it does not matter
    to a model whose halo is `radius_px`. Every value depends on the patch within the radius only.
    """
    missing = np.isnan(patch)
    if not missing.any():
        return patch
    out = np.nan_to_num(patch, nan=0.0)
    return np.stack([_filled_plane(*pair, radius_px) for pair in zip(out, missing, strict=True)])


def emptied(fine: Reflectance, missing: NDArray[np.bool_], factor: int) -> Reflectance:
    """Put NaN where the measured pixel had no data; `missing` is (band, y, x), measured."""
    if missing.any():
        fine = fine.copy()
        fine[missing.repeat(factor, axis=1).repeat(factor, axis=2)] = np.nan
    return fine


def _filled_plane(values: Reflectance, missing: NDArray[np.bool_], radius_px: int) -> Reflectance:
    valid = (~missing).astype(np.float32)
    result, left = values.copy(), missing.copy()
    for radius in _radii(radius_px):
        size = (2 * radius + 1, 2 * radius + 1)
        count = _box_sum(valid, size)
        found = left & (count > 0.5)
        result[found] = (_box_sum(values, size)[found] / count[found]).astype(np.float32)
        left &= ~found
    return result


def _radii(largest_px: int) -> list[int]:
    return [radius for radius in (1, 2, 4, 8, 16) if radius < largest_px] + [largest_px]


def _box_sum(values: Reflectance, size: tuple[int, int]) -> NDArray[np.float64]:
    total = cv2.boxFilter(values, cv2.CV_64F, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total, np.float64)
