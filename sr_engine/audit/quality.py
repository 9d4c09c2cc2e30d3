"""Flags of every super-resolved pixel that a program can test: `sr_engine.planes.Quality`.

A flag is a reason for doubt that can be told from the input, the result and the model; that none
is set does not make a pixel right. Which flags could not be tested is told beside them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Window
from datacube.masks import CLOUD_CLASSES, SHADOW
from datacube.scene import reflectance_from_dn
from sr_engine.card import ModelCard
from sr_engine.planes import SCALE, SIGMA, Quality
from sr_engine.trust.calibration import REFLECTANCE, calibration_or_none
from sr_engine.trust.domain import Acquisition, abstention

Mask = NDArray[np.bool_]
Masks = NDArray[np.uint16]

DEFECTIVE = 1  # of the scene classification: saturated or defective
SATURATED = 6.45  # reflectance: where Sentinel-2's mark for saturation, 65535, ends up
LARGEST_NEAR_PX = 8  # beyond it a gap changes a pixel by less than the noise, for any model here
INCONSISTENT = 3.0  # standard deviations of the sensor's noise, rms over bands
INTERVAL_90 = 1.645  # half-width of a 90 % interval, in standard deviations of a Gaussian


@dataclass(frozen=True, eq=False)
class Input:
    """What was measured in a window, with `near_px` pixels more on every side.

    `reflectance` (band, y, x), NaN where there is none or beyond the scene; `scl` (y, x), or None.
    """

    reflectance: NDArray[np.float32]
    scl: NDArray[np.uint8] | None
    near_px: int

    @classmethod
    def of(
        cls, cube: Cube, slot: int, bands: tuple[str, ...], window: Window, near_px: int
    ) -> "Input":
        """Read it from a cube."""
        wanted = window.grown(near_px)
        there = wanted.within(cube.grid.shape)
        inner = Window(there.row - wanted.row, there.col - wanted.col, there.height, there.width)
        shape = (wanted.height, wanted.width)
        reflectance = np.full((len(bands), *shape), np.nan, np.float32)
        reflectance[:, *inner.slices] = reflectance_from_dn(cube.window_dn(slot, bands, there))
        if not cube.has_scl:
            return cls(reflectance, None, near_px)
        scl = np.zeros(shape, np.uint8)
        scl[inner.slices] = cube.window_scl(slot, there)
        return cls(reflectance, scl, near_px)

    @property
    def inner(self) -> tuple[slice, slice]:
        """The window itself, without what is around it."""
        height, width = self.reflectance.shape[1:]
        rim = self.near_px
        return slice(rim, height - rim), slice(rim, width - rim)

    def within(self, rim_px: int) -> NDArray[np.float32]:
        """Reflectance (band, y, x) of the window and `rim_px` around it."""
        cut = self.near_px - rim_px
        height, width = self.reflectance.shape[1:]
        return self.reflectance[:, cut : height - cut, cut : width - cut]


def near_px(card: ModelCard) -> int:
    """How far around a pixel a gap or a saturated neighbour counts."""
    return min(card.halo_px, LARGEST_NEAR_PX)


def measured_flags(measured: Input, differences: NDArray[np.float32]) -> Masks:
    """Masks (y, x) on the measured grid, all but the interval's.

    `differences` is the consistency (y, x), rms over bands, NaN where it is not known; where
    every band lacks data the mask is 0.
    """
    empty: Mask = np.isnan(measured.reflectance)
    saturated: Mask = np.any(measured.reflectance >= SATURATED, axis=0)
    inner = measured.inner
    gone = np.asarray(empty.all(axis=0))[inner]
    masks = np.full(gone.shape, int(Quality.COMPUTED), np.uint16)
    if measured.scl is not None:
        cloudy = np.isin(measured.scl[inner], (SHADOW, *CLOUD_CLASSES))
        masks[cloudy] |= int(Quality.INPUT_CLOUDY)
        saturated |= measured.scl == DEFECTIVE
    masks[_spread(saturated, measured.near_px)[inner]] |= int(Quality.SATURATED)
    masks[_spread(np.asarray(empty.any(axis=0)), measured.near_px)[inner]] |= int(
        Quality.NO_DATA_NEAR
    )
    masks[_outside(measured.within(0))] |= int(Quality.OUT_OF_DOMAIN)
    masks[np.nan_to_num(differences) > INCONSISTENT] |= int(Quality.INCONSISTENT)
    masks[gone] = 0
    return masks


def half_width_90(
    card: ModelCard | None, planes: Mapping[str, NDArray[np.float32]]
) -> NDArray[np.float32] | None:
    """Half of the 90 % interval (y, x), over bands, None for a model that tells none.

    By the model's calibration, or of a Gaussian for a posterior, which is not calibrated.
    """
    calibration = calibration_or_none(card) if card else None
    if SCALE.name in planes and calibration is not None:
        return np.asarray(planes[SCALE.name] * np.float32(calibration.over_bands()), np.float32)
    if SIGMA.name in planes:
        return np.asarray(planes[SIGMA.name] * np.float32(INTERVAL_90), np.float32)
    return None


def not_tested(cube: Cube, card: ModelCard, planes: tuple[str, ...]) -> list[str]:
    """Flags that say nothing for a product: no classes to tell clouds, no interval to compare."""
    missing = []
    if not cube.has_scl:
        missing.append(Quality.INPUT_CLOUDY)
    nothing = np.zeros((0, 0), np.float32)
    told = card if abstention(card, Acquisition.of_cube(cube)) is None else None
    if half_width_90(told, dict.fromkeys(planes, nothing)) is None:
        missing.append(Quality.INTERVAL_WIDER_THAN_GAIN)
    return [str(flag.name).lower() for flag in missing]


def shares(masks: Masks) -> dict[str, Any]:
    """Part of the computed pixels that has each flag, and `clean`: none."""
    there = masks[masks & int(Quality.COMPUTED) > 0]
    total = max(there.size, 1)
    found = {
        str(flag.name).lower(): float((there & int(flag) > 0).sum() / total)
        for flag in Quality
        if flag is not Quality.COMPUTED
    }
    return {"clean": float((there == int(Quality.COMPUTED)).sum() / total), **found}


def _outside(values: NDArray[np.float32]) -> Mask:
    low, high = REFLECTANCE
    with np.errstate(invalid="ignore"):
        return np.asarray(((values < low) | (values > high)).any(axis=0))


def _spread(mask: Mask, radius_px: int) -> Mask:
    if not mask.any():
        return mask
    square = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), square), np.bool_)
