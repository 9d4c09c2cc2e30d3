"""The audit's planes of one block, beside whatever model made it."""

import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Window
from datacube.bands import find_bands
from sr_engine.audit.consistency import RIM_PX, consistency, over_bands
from sr_engine.audit.quality import Input, half_width_90, measured_flags, near_px
from sr_engine.bicubic import HALO_PX, bicubic
from sr_engine.card import ModelCard
from sr_engine.gaps import filled
from sr_engine.model import Prediction, Reflectance
from sr_engine.planes import CONSISTENCY, QUALITY, Quality
from sr_engine.trust.domain import Acquisition, abstention, is_outside

Numbers = NDArray[np.uint16]


def audit_planes(
    cube: Cube,
    card: ModelCard,
    place: tuple[int, tuple[str, ...], Window],
    around: Prediction,
) -> dict[str, Numbers]:
    """Consistency and quality (factor y, factor x) of a block of a cube, as they are stored.

    `place` is slot, bands and window; `around` is as in `audited`. What is told depends on nothing
    beyond the model's own halo and that.
    """
    slot, bands, window = place
    measured = Input.of(cube, slot, bands, window, reach_px(card))
    taken = Acquisition.of_cube(cube, slot)
    differences, masks = audited_as(taken, measured, card, (bands, cube.grid.gsd_m), around)
    numbers = _enlarged(CONSISTENCY.encode(differences), card.factor)
    return {CONSISTENCY.name: numbers, QUALITY.name: masks}


def audited_as(
    taken: Acquisition,
    measured: Input,
    card: ModelCard,
    place: tuple[tuple[str, ...], float],
    around: Prediction,
) -> tuple[Reflectance, Numbers]:
    """See `audited`; of an acquisition that the calibration is not for, all is out of domain."""
    told = abstention(card, taken) is None
    differences, masks = audited(measured, card if told else None, place, around)
    if is_outside(card, taken):
        masks[masks > 0] |= int(Quality.OUT_OF_DOMAIN)
    return differences, masks


def reach_px(card: ModelCard) -> int:
    """How far around a block the input has to be known."""
    return max(near_px(card), HALO_PX)


def audited(
    measured: Input,
    card: ModelCard | None,
    place: tuple[tuple[str, ...], float],
    around: Prediction,
) -> tuple[Reflectance, Numbers]:
    """Consistency (y, x), rms over bands, and quality masks (factor y, factor x).

    `card` is the model's, None where that is not known or its intervals are not to be told;
    `place` the bands and the size of a measured pixel in m; `around` the result of the window
    and `RIM_PX` measured pixels around it, NaN beyond the scene.
    """
    bands, gsd_m = place
    lr = measured.within(0)
    found = consistency(around.reflectance, lr, find_bands(bands), gsd_m)
    differences = over_bands(found)
    factor = around.reflectance.shape[1] // (lr.shape[1] + 2 * RIM_PX)
    masks = _enlarged(measured_flags(measured, differences), factor)
    half_width = half_width_90(card, around.planes)
    if half_width is not None:
        rim = RIM_PX * factor
        inner = Window(rim, rim, *masks.shape).slices
        fine = around.reflectance[:, *inner]
        gain = np.abs(fine - _bicubic(measured, bands, factor)).mean(axis=0)
        wide = half_width[inner] > gain
        masks[wide & (masks > 0)] |= int(Quality.INTERVAL_WIDER_THAN_GAIN)
    return differences, masks


def _bicubic(measured: Input, bands: tuple[str, ...], factor: int) -> Reflectance:
    patch = filled(measured.within(HALO_PX), HALO_PX)
    return bicubic(factor).predict(patch, bands).reflectance


def _enlarged(numbers: Numbers, factor: int) -> Numbers:
    return numbers.repeat(factor, axis=0).repeat(factor, axis=1)
