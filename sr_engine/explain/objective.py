"""What a map attributes: the detail in a window, as one number.

The gradient detector of Gu and Dong (CVPR 2021): how steep the super-resolved image is. Not its
brightness, which any interpolation would get right.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_engine.explain.case import Case

SMOOTH = 1e-4  # reflectance: one digital number; rounds the corner of the magnitude at zero


@dataclass(frozen=True, eq=False)
class Detail:
    """Mean over `weight` (band, y - 1, x - 1) of the gradient's length, per fine pixel.

    Forward differences, so that nothing outside the window is needed. `weight` sums to one; it is
    zero where a pixel that the difference touches has no data.
    """

    weight: Tensor

    @classmethod
    def of(cls, shown: NDArray[np.bool_], factor: int) -> Self:
        """For the measured pixels (band, y, x) that have data."""
        fine = shown.repeat(factor, axis=1).repeat(factor, axis=2)
        whole = fine[:, :-1, :-1] & fine[:, 1:, :-1] & fine[:, :-1, 1:]
        weight = whole / max(int(whole.sum()), 1)
        return cls(torch.from_numpy(weight.astype(np.float32)))

    @classmethod
    def of_case(cls, case: Case) -> Self:
        """For the window of a case."""
        return cls.of(case.shown, case.factor)

    def __call__(self, fine: Tensor) -> Tensor:
        """(n, band, y, x) to (n,)."""
        return (steepness(fine) * self.weight).sum((1, 2, 3))


def steepness(fine: Tensor) -> Tensor:
    """Length of the gradient (..., y - 1, x - 1), rounded off at zero so that it has a slope."""
    corner = fine[..., :-1, :-1]
    down, across = fine[..., 1:, :-1] - corner, fine[..., :-1, 1:] - corner
    return torch.sqrt(down**2 + across**2 + SMOOTH**2) - SMOOTH
