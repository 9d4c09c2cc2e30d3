"""Bicubic interpolation, the row that stands in every table.

Keys' cubic convolution with a = -1/2 (R. Keys, IEEE Trans. ASSP 29, 1981), as Pillow and
MATLAB have it.
"""

import numpy as np
from numpy.typing import NDArray

from sr_engine.card import ModelCard, settings_sha256
from sr_engine.polyphase import Kernel, PolyphaseModel

HALO_PX = 2
SHARPNESS = -0.5


def bicubic(factor: int) -> PolyphaseModel:
    """The baseline at a magnification of `factor`."""
    settings = {"method": "keys", "a": SHARPNESS, "factor": factor}
    card = ModelCard(
        id=f"bicubic-x{factor}",
        title=f"Bicubic x{factor} (baseline)",
        description="Cubic convolution interpolation. It adds no detail: the baseline that a "
        "super-resolution model has to beat.",
        factor=factor,
        halo_px=HALO_PX,
        limits="Finer grid spacing, but no finer resolution.",
        weights_sha256=settings_sha256(settings),
        settings=settings,
    )
    axis = _axis_weights(factor)
    kernel: Kernel = np.einsum("pk,ql->pqkl", axis, axis).astype(np.float32)
    return PolyphaseModel(card, lambda _band: kernel)


def _axis_weights(factor: int) -> NDArray[np.float64]:
    """Weights (phase, tap) along one axis."""
    phase = (np.arange(factor) + 0.5) / factor - 0.5
    distance = np.abs(np.arange(-HALO_PX, HALO_PX + 1)[None, :] - phase[:, None])
    near = (SHARPNESS + 2) * distance**3 - (SHARPNESS + 3) * distance**2 + 1
    far = SHARPNESS * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
