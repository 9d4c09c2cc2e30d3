"""Small helpers to judge one band: gain over bicubic, and pictures side by side."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sr_engine.bicubic import HALO_PX, bicubic
from sr_engine.metrics import psnr

Values = NDArray[np.float32]
RIM_PX = 4  # measured pixels at each edge that are not judged: padding, not ground
SIDE_PX = 192  # fine pixels of a picture's panels


def bicubic_of(lr: Values, factor: int) -> Values:
    """One band (y, x) enlarged by the baseline, its edges continued."""
    padded = np.pad(lr, HALO_PX, mode="edge")
    enlarged: Values = bicubic(factor).predict(padded[None], ("B04",)).reflectance[0]
    return enlarged


def gain_db(fine: Values, baseline: Values, truth: Values, factor: int) -> float:
    """PSNR of one band over the baseline's, without the rim."""
    rim = RIM_PX * factor
    inner = (slice(None), slice(rim, -rim), slice(rim, -rim))
    return psnr(fine[None][inner], truth[None][inner]) - psnr(
        baseline[None][inner], truth[None][inner]
    )


def picture(panels: Sequence[Values]) -> NDArray[np.uint8]:
    """Images of one band, (y, x) each, side by side, stretched as the last one, the truth."""
    low, high = np.quantile(panels[-1], [0.02, 0.98])
    shown = [np.clip((panel[:SIDE_PX, :SIDE_PX] - low) / (high - low), 0, 1) for panel in panels]
    grey = (255 * np.concatenate(shown, axis=1)).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
