"""Would anything have warned? Errors of a decision against what was told beside the image.

A hint is worth something if errors are more frequent where it is large; whether that is more than
the free controls tell is the question.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]

WIDEST = 0.2  # the share of pixels that counts as where a hint is large
THIN = 3  # every third pixel each way: ranks of a million pixels change nothing but the time


@dataclass(frozen=True)
class Warned:
    """How many pixels are doubted, how often those and the others are wrong.

    `caught` is the share of all wrong pixels that are among the doubted.
    """

    share: float
    error_there: float
    error_elsewhere: float
    caught: float


@dataclass(frozen=True)
class Foretold:
    """Error rate where a hint is among its largest fifth, elsewhere, and the area under the ROC.

    0.5 is a coin.
    """

    error_where_large: float
    error_elsewhere: float
    auroc: float


def judged_doubt(doubtful: Mask, wrong: Mask) -> Warned:
    """Judge a mask of doubtful pixels; both of one shape."""
    return Warned(
        float(doubtful.mean()),
        _mean(wrong[doubtful]),
        _mean(wrong[~doubtful]),
        _mean(doubtful[wrong]),
    )


def foretold(hint: Plane, wrong: Mask, region: Mask) -> Foretold:
    """Judge a hint (y, x) within a region."""
    thin = (slice(None, None, THIN),) * 2
    inside = region[thin] & np.isfinite(hint[thin])
    values, bad = hint[thin][inside], wrong[thin][inside]
    large = values > np.quantile(values, 1 - WIDEST)
    return Foretold(_mean(bad[large]), _mean(bad[~large]), auroc(values, bad))


def auroc(values: Plane, bad: Mask) -> float:
    """Probability that a value is larger at a bad pixel than at another; ties count half."""
    count = int(bad.sum())
    if count in {0, bad.size}:
        return float("nan")
    above = rankdata(values)[bad].sum() - count * (count + 1) / 2
    return float(above / (count * (bad.size - count)))


def _mean(values: Mask) -> float:
    return float(values.mean()) if values.size else float("nan")
