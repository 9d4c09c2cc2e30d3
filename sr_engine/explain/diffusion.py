"""How far and how evenly an explanation spreads, in a few numbers.

The diffusion index is 100 (1 - Gini) of the contributions' magnitudes (Gu and Dong 2021): 0 if
one pixel made it all, 100 if every pixel that the model can see had the same part.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sr_engine.explain.case import Case
from sr_engine.model import Reflectance

RINGS_PX = (0, 1, 2, 4, 8, 16)  # distances from the window at which shares are counted


def gini(values: NDArray[np.floating]) -> float:
    """Gini coefficient of magnitudes: 0 where all are equal, towards 1 where one has all.

    Half the mean absolute difference of pairs over the mean; 0 where all are zero.
    """
    ordered = np.sort(np.abs(values).ravel().astype(np.float64))
    total, count = ordered.sum(), ordered.size
    if not total:
        return 0.0
    ranks = 2 * np.arange(1, count + 1) - count - 1
    return float((ranks * ordered).sum() / (count * total))


def diffusion_index(values: Reflectance) -> float:
    """Of contributions (band, y, x): bands of a pixel count together."""
    return 100 * (1 - gini(np.abs(values).sum(axis=0)))


def band_shares(values: Reflectance, bands: tuple[str, ...]) -> Mapping[str, float]:
    """Part of the contributions' magnitude that each band has; they sum to one."""
    sums = np.abs(values).sum(axis=(1, 2), dtype=np.float64)
    total = sums.sum() or 1.0
    return {name: float(part / total) for name, part in zip(bands, sums, strict=True)}


def distance_shares(values: Reflectance, case: Case) -> Mapping[str, float]:
    """Part of the magnitude by distance from the window: inside it, next to it, further off.

    Keys are "0" for the window itself, then "1", "2", "3-4" and so on, in measured pixels.
    """
    magnitude = np.abs(values).sum(axis=0, dtype=np.float64)
    away = _distance(case)
    total = magnitude.sum() or 1.0
    shares = {}
    edges = [edge for edge in RINGS_PX if edge < case.halo_px] + [case.halo_px]
    for low, high in zip([-1, *edges], edges, strict=False):
        ring = (away > low) & (away <= high)
        name = str(high) if high - low <= 1 else f"{low + 1}-{high}"
        shares[name] = float(magnitude[ring].sum() / total)
    return shares


def _distance(case: Case) -> NDArray[np.intp]:
    """Rows or columns, whichever are more, between each pixel of the patch and the window."""
    axes = []
    for side, first in zip(case.patch.shape[1:], (case.inner.row, case.inner.col), strict=True):
        place = np.arange(side)
        axes.append(np.maximum(np.maximum(first - place, place - (side - 1 - first)), 0))
    return np.asarray(np.maximum(axes[0][:, None], axes[1][None, :]))
