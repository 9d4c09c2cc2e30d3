"""What is lost when a part of the input is blurred away: asks a model for answers alone.

Slower and coarser than gradients and true to any model, one that runs from ONNX too. What is
taken away is detail, as for a local attribution map, so that both speak of the same thing.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from datacube import Window
from datacube.errors import InvalidInput
from sr_engine.explain.attribution import Quadrature
from sr_engine.explain.case import Case
from sr_engine.explain.objective import Detail
from sr_engine.explain.paths import BlurPath
from sr_engine.model import Reflectance


def occlusion_map(case: Case, side_px: int = 4) -> Reflectance:
    """Loss of detail (y, x) over the patch when squares of `side_px` are blurred, all bands.

    Each pixel has its square's loss divided by the square's pixels, in units of the objective.
    """
    if side_px < 1:
        raise InvalidInput(f"need squares of at least 1 pixel, got {side_px}")
    detail, blurred = _Told(case), _blurred(case)
    whole = detail(case.patch)
    shape = case.patch.shape[1:]
    losses = np.zeros(shape, np.float32)
    for row, col in Window(0, 0, *shape).cells(side_px):
        square = Window(row * side_px, col * side_px, side_px, side_px).within(shape)
        hidden = case.patch.copy()
        hidden[:, *square.slices] = blurred[:, *square.slices]
        losses[square.slices] = (whole - detail(hidden)) / (square.height * square.width)
    return losses


def band_occlusion(case: Case) -> Mapping[str, float]:
    """Part of the detail that is lost when one band is blurred as a whole; need not sum to one."""
    detail, blurred = _Told(case), _blurred(case)
    whole = detail(case.patch)
    lost = {}
    for band, name in enumerate(case.bands):
        hidden = case.patch.copy()
        hidden[band] = blurred[band]
        lost[name] = float((whole - detail(hidden)) / max(whole, 1e-30))
    return lost


class _Told:
    """The objective of what the model answers."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._detail = Detail.of_case(case)

    def __call__(self, patch: Reflectance) -> float:
        fine = self._case.model.predict(patch, self._case.bands).reflectance
        return float(self._detail(torch.from_numpy(np.ascontiguousarray(fine))[None])[0])


def _blurred(case: Case) -> NDArray[np.float32]:
    return BlurPath(case.patch, Quadrature().sigma_px).baseline
