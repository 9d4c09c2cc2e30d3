"""The sub-pixel shift of a new scene against one already known, as metadata of the scene.

Pixels are never moved by it: who fuses dates uses it, who looks at one date does not need it.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from datacube.grid import Grid
from datacube.local_registration import refine_shift
from datacube.masks import clear_mask
from datacube.registration import estimate_shifts
from datacube.scene import PixelSource, reflectance_from_dn
from datacube.window import Window

WINDOW_PX = 512  # what is compared; it costs the same for a small and a full scene
LEAST_CLEAR = 0.05  # of the window, in either scene
BANDS_COMPARED = ("B02", "B03", "B04", "B08")
MAX_SHIFT_PX = 10.0  # a datum mistaken for another is off by about a hundred metres
LEAST_CORRELATION = 0.7  # with less, another season or haze moves the answer by tenths of a pixel
SUSPECT_PX = 2.0  # Sentinel-2's own products were never off by more


class Readable(PixelSource, Protocol):
    """A scene on a cube's grid, with the names of its bands."""

    grid: Grid
    bands: tuple[str, ...]


@dataclass(frozen=True)
class Shift:
    """Where the scene's content lies: `dy`, `dx` px down and right of the `reference`'s.

    `reason` says why it could not be measured, and is empty if it could.
    """

    reference: str
    dy: float = 0.0
    dx: float = 0.0
    correlation: float = 1.0
    reason: str = ""

    def properties(self) -> dict[str, Any]:
        """What is recorded with the scene."""
        found: dict[str, Any] = {"srcube:shift_reference": self.reference}
        if self.reason:
            return {**found, "srcube:shift_unknown": self.reason}
        shift = {"y": round(self.dy, 4), "x": round(self.dx, 4)}
        return {
            **found,
            "srcube:shift_px": shift,
            "srcube:shift_correlation": round(self.correlation, 4),
        }


def measure_shift(reference: Readable, scene: Readable, *, reference_id: str) -> Shift:
    """Shift of `scene` against `reference`, on the same grid, over a window at its middle."""
    compared = [name for name in BANDS_COMPARED if name in scene.bands] or list(scene.bands[:1])
    window = _middle(scene.grid.shape)
    stack = np.stack([_clear_reflectance(one, compared, window) for one in (reference, scene)])
    for values, whose in zip(stack, ("the reference", "the scene"), strict=True):
        share = float(np.isfinite(values).all(axis=0).mean())
        if share < LEAST_CLEAR:
            return Shift(reference_id, reason=f"{whose} is clear in {100 * share:.0f} % only")
    coarse = estimate_shifts(stack, reference=0, max_shift_px=MAX_SHIFT_PX).shifts_px[1]
    found = refine_shift(stack[0], stack[1], [coarse, np.zeros(2)])
    dy, dx = (float(value) for value in found.shift)
    reason = ""
    if math.hypot(dy, dx) > MAX_SHIFT_PX:
        reason = f"shifted by {math.hypot(dy, dx):.1f} px, more than {MAX_SHIFT_PX:g}"
    elif found.correlation < LEAST_CORRELATION:
        reason = f"too unlike the reference: correlation {found.correlation:.2f}"
    return Shift(reference_id, dy, dx, found.correlation, reason)


def _clear_reflectance(scene: Readable, bands: list[str], window: Window) -> NDArray[np.float32]:
    """Reflectance (band, y, x), NaN where there is none or a cloud."""
    pixels = scene.read(window)
    reflectance = reflectance_from_dn(pixels.dn[[scene.bands.index(name) for name in bands]])
    if pixels.scl is not None:
        reflectance[:, ~clear_mask(pixels.scl)] = np.nan
    return reflectance


def _middle(shape: tuple[int, int]) -> Window:
    height, width = (min(side, WINDOW_PX) for side in shape)
    return Window((shape[0] - height) // 2, (shape[1] - width) // 2, height, width)
