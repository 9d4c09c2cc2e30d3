"""The exact influence function: how a fine pixel answers to each pixel of the input.

For a linear model it is the same everywhere and is the model itself; for any other it is the
model's slope at this very image. Nothing is sampled or approximated.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from sr_engine.explain.case import differentiable
from sr_engine.model import PatchModel, Reflectance

Influence = NDArray[np.float32]  # (band made, phase_y, phase_x, band seen, tap_y, tap_x)
SAME = 1e-5  # of the largest weight: what two slopes may differ by in single precision


def influence_at(model: PatchModel, bands: tuple[str, ...], around: Reflectance) -> Influence:
    """Slopes of all fine pixels of one measured pixel by every pixel `around` it.

    `around` is (band, 2 halo + 1, 2 halo + 1). Raises InvalidInput for a model without gradients.
    """
    module = differentiable(model).module(bands)
    asked = torch.from_numpy(np.ascontiguousarray(around))[None].requires_grad_()
    fine = module(asked)[0]
    rows = []
    for value in fine.reshape(-1):
        (slope,) = torch.autograd.grad(value, asked, retain_graph=True)
        rows.append(slope[0].numpy())
    return np.stack(rows).reshape(*fine.shape, *around.shape)


def is_linear(model: PatchModel, bands: tuple[str, ...]) -> bool:
    """Whether the influence is the same on two images that have nothing in common."""
    side = 2 * model.card.halo_px + 1
    random = np.random.default_rng(0)
    one, other = (
        influence_at(model, bands, random.uniform(0, 0.6, (len(bands), side, side)).astype("f4"))
        for _ in range(2)
    )
    return bool(np.abs(one - other).max() <= SAME * np.abs(one).max())
