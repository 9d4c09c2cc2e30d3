"""Which band and which neighbour made a pixel: integrated gradients of one fine pixel.

The beginning is a patch in which every neighbour equals the measured pixel itself; what the model
makes of it is that value. Credited is therefore just what the neighbours changed. For a linear
model it is weight times difference, exactly.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datacube.errors import InvalidInput
from sr_engine.explain.attribution import Quadrature, attribute
from sr_engine.explain.case import Case, differentiable
from sr_engine.explain.paths import StraightPath


@dataclass(frozen=True, eq=False)
class PixelOrigin:
    """What made one fine pixel.

    `values` (band made, band seen, y, x) in reflectance, the measured pixel in the middle of y
    and x; `rise` (band made,) is what they should add up to.
    """

    bands: tuple[str, ...]
    values: NDArray[np.float32]
    rise: NDArray[np.float64]

    @property
    def completeness_error(self) -> float:
        """The largest miss of a band, by the largest rise."""
        missed = np.abs(self.values.sum(axis=(1, 2, 3), dtype=np.float64) - self.rise)
        return float(missed.max() / max(np.abs(self.rise).max(), 1e-30))

    def shares(self) -> Mapping[str, Mapping[str, float]]:
        """For each band made, the part of the magnitude that each band seen has."""
        sums = np.abs(self.values).sum(axis=(2, 3), dtype=np.float64)
        parts = sums / np.maximum(sums.sum(axis=1, keepdims=True), 1e-30)
        return {
            made: {seen: float(parts[i, j]) for j, seen in enumerate(self.bands)}
            for i, made in enumerate(self.bands)
        }


def pixel_origin(
    case: Case, fine_row: int, fine_col: int, quadrature: Quadrature | None = None
) -> PixelOrigin:
    """Explain the fine pixel at a place of the window, counted from its upper left corner.

    Raises InvalidInput for a place outside the window, or a pixel without data.
    """
    factor, halo = case.factor, case.halo_px
    row, col = fine_row // factor, fine_col // factor
    if not (0 <= row < case.window.height and 0 <= col < case.window.width):
        raise InvalidInput(
            f"need a fine pixel within {case.window.height * factor} x "
            f"{case.window.width * factor}, got row {fine_row}, column {fine_col}"
        )
    if not case.shown[:, row, col].all():
        raise InvalidInput(f"the pixel at row {fine_row}, column {fine_col} has no data")
    module = differentiable(case.model).module(case.bands)
    around = case.patch[:, row : row + 2 * halo + 1, col : col + 2 * halo + 1]
    own = around[:, halo : halo + 1, halo : halo + 1]
    path = StraightPath(around, np.ascontiguousarray(np.broadcast_to(own, around.shape)))
    chosen = quadrature or Quadrature()
    found = [
        attribute(module, _Value(band, fine_row % factor, fine_col % factor), path, chosen)
        for band in range(len(case.bands))
    ]
    return PixelOrigin(
        case.bands,
        np.stack([one.values for one in found]),
        np.array([one.rise for one in found]),
    )


@dataclass(frozen=True)
class _Value:
    """The objective: one pixel of one band."""

    band: int
    row: int
    col: int

    def __call__(self, fine: Tensor) -> Tensor:
        return torch.as_tensor(fine[:, self.band, self.row, self.col])
