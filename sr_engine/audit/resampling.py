"""Bilinear enlarging and reducing, and histogram matching: the tools of opensr-test.

Linear interpolation on pixel centres; reducing stretches the triangle over `factor` pixels, so
that it averages (antialiasing). Weights that would reach over an edge are shared out.
"""

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def enlarged(image: Float, factor: int) -> Float:
    """`image` (band, y, x) on a grid `factor` times finer; NaN where a neighbour has no data."""
    rows, cols = (_enlarging(size, factor) for size in image.shape[1:])
    return _with_gaps(image, rows, cols)


def reduced(image: Float, factor: int) -> Float:
    """`image` (band, y, x) on a grid `factor` times coarser; NaN where it has gaps."""
    rows, cols = (_reducing(size // factor, factor) for size in image.shape[1:])
    return _with_gaps(image, rows, cols)


def matched_histogram(values: Float, wanted: Float) -> Float:
    """`values` (y, x) mapped, without changing their order, to the distribution of `wanted`.

    Each value takes the quantile that it has among the finite ones (Gonzalez & Woods, Digital
    Image Processing); NaN stays.
    """
    known = np.isfinite(values)
    levels, places, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    target, target_counts = np.unique(wanted[np.isfinite(wanted)], return_counts=True)
    out = np.full_like(values, np.nan)
    if not levels.size or not target.size:
        return out
    own = np.cumsum(counts) / counts.sum()
    theirs = np.cumsum(target_counts) / target_counts.sum()
    out[known] = np.interp(own, theirs, target)[places]
    return out


def _with_gaps(image: Float, rows: Float, cols: Float) -> Float:
    known = np.isfinite(image)
    values = np.asarray(rows @ np.where(known, image, 0) @ cols.T)
    if known.all():
        return values
    touched = rows @ (~known).astype(np.float64) @ cols.T
    values[touched > 1e-9] = np.nan
    return values


def _enlarging(size: int, factor: int) -> Float:
    """Weights (factor size, size)."""
    at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
    return np.asarray(np.maximum(1 - np.abs(at[:, None] - np.arange(size)), 0))


def _reducing(size: int, factor: int) -> Float:
    """Weights (size, factor size)."""
    at = (np.arange(size) + 0.5) * factor - 0.5
    weights = np.maximum(1 - np.abs(at[:, None] - np.arange(size * factor)) / factor, 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
