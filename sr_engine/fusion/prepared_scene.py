"""One scene of a cube, ready to be fused block by block."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datacube import Cube, Window
from datacube.bands import Band
from datacube.cube import CommittedScene
from datacube.registration import has_data
from datacube.store.layout import BLOCK_PX
from sr_engine.fusion.blocks import Layout, plan_blocks
from sr_engine.fusion.closed_form import (
    Settled,
    answer,
    fused_block,
    fused_parts,
    settle,
    texture_of,
)
from sr_engine.fusion.fuse import prepare
from sr_engine.fusion.radiometry import Radiometry
from sr_engine.fusion.series import LEAST_CLEAR, read_date, survey
from sr_engine.fusion.settings import FusionSettings

Float = NDArray[np.float64]
Image = NDArray[np.float32]
SAMPLE_PX = 384  # side of what registration, radiometry and strengths are found on
TEXTURE_PX = 128  # side of the part of it that is fused to learn how strong texture is
# The filters reach 16 px; the standard deviation averages the answer over 12 px around.
BLOCK_HALO_PX = 32


@dataclass(frozen=True, eq=False)
class PreparedScene:
    """What is settled for a scene: the dates used, how to match them, and the filters.

    `whole_px` (date, 2) are whole pixels by which a date is read elsewhere; `texture` is the
    scene's mean slope energy per mixture; `masked` says whether clouds are left out.
    """

    slots: tuple[int, ...]
    whole_px: NDArray[np.intp]
    radiometry: Radiometry
    settled: Settled
    texture: Float
    layout: Layout
    masked: bool

    def block(self, cube: Cube, window: Window) -> tuple[Image, Image]:
        """Reflectance and standard deviation (band, y * factor, x * factor) of one block."""
        layout, factor = self.layout, self.settled.factor
        rows, cols = layout.rows_and_cols(window)
        top, left = int(rows.min()), int(cols.min())
        there = Window(top, left, int(rows.max()) - top + 1, int(cols.max()) - left + 1)
        values = self.matched(cube, there)
        unseen: NDArray[np.bool_] = np.logical_not(has_data(values).any(axis=0))
        if unseen.all():
            size = (len(cube.bands), window.height * factor, window.width * factor)
            return np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
        mixed, seen = self.settled.mixed(values)
        places = (rows[:, None] - top, cols - left)
        block = np.ascontiguousarray(mixed[:, :, *places].swapaxes(0, 1))
        gaps = ~(seen[:, *places] & layout.inside(window))
        parts = fused_block(self.settled, block, gaps)
        fine, sigma = answer(self.settled, parts, seen[:, *places], self.texture)
        hidden = unseen[places].repeat(factor, axis=0).repeat(factor, axis=1)
        fine[:, hidden] = np.nan
        sigma[:, hidden] = np.nan
        inner = Window(layout.halo_px, layout.halo_px, window.height, window.width).scaled(factor)
        return fine[:, *inner.slices], sigma[:, *inner.slices]

    def measured(self, cube: Cube, slot: int, window: Window) -> Image:
        """The date shown, clouds and all: what has no data there has none in the answer."""
        return read_date(cube, slot, _names(cube), window, masked=False)

    def matched(self, cube: Cube, window: Window) -> Image:
        """(date, band, y, x) aligned to whole pixels, in one radiometry, NaN in shared gaps."""
        dates = [
            read_date(
                cube,
                slot,
                _names(cube),
                Window(window.row + int(dy), window.col + int(dx), window.height, window.width),
                masked=self.masked,
            )
            for slot, (dy, dx) in zip(self.slots, self.whole_px, strict=True)
        ]
        values = self.radiometry.applied(np.stack(dates))
        return np.where(has_data(values)[:, None], values, np.float32(np.nan))


def prepare_scene(
    cube: Cube,
    chosen: Sequence[CommittedScene],
    slot: int,
    factor: int,
    settings: FusionSettings,
) -> PreparedScene:
    """Register, match and design on a sample of the scene.

    `chosen` holds the date in `slot`, which gives grid and radiometry. One date that is mostly
    cloud stands alone and unmasked: clouds are sharpened, as by any other model.
    """
    slots = [one.slot for one in chosen]
    masked = bool(survey(cube, slot).mean() >= LEAST_CLEAR)
    window = sample_window(cube, slots)
    dates = [read_date(cube, each, _names(cube), window, masked=masked) for each in slots]
    found = prepare(np.stack(dates), cube.bands, replace(settings, reference=slots.index(slot)))
    sigmas = tuple(psf_on_grid(band, cube.grid.gsd_m) for band in cube.bands)
    stack = replace(found.stack, sigmas_px=sigmas)
    layout = _layout(cube.grid.shape)
    settled = settle(stack, factor, settings, layout.size)
    return PreparedScene(
        tuple(slots[i] for i in np.flatnonzero(found.registration.usable)),
        found.whole_px,
        found.radiometry,
        settled,
        _texture(settled, stack.values),
        layout,
        masked,
    )


def sample_window(cube: Cube, slots: Sequence[int]) -> Window:
    """The clearest of a few windows of at most `SAMPLE_PX`, the middle one among equals."""
    shape = cube.grid.shape
    size = [min(side, SAMPLE_PX) for side in shape]
    clear = np.mean([survey(cube, slot) for slot in slots], axis=0)
    step = [side / coarse for side, coarse in zip(shape, clear.shape, strict=True)]

    def score(window: Window) -> float:
        rows = slice(round(window.row / step[0]), -(-(window.row + window.height) // int(step[0])))
        cols = slice(round(window.col / step[1]), -(-(window.col + window.width) // int(step[1])))
        part = clear[rows, cols]
        return float(part.mean()) if part.size else 0.0

    candidates = [
        Window(round(down * (shape[0] - size[0])), round(across * (shape[1] - size[1])), *size)
        for down in (0.5, 0.0, 0.25, 0.75, 1.0)
        for across in (0.5, 0.0, 0.25, 0.75, 1.0)
    ]
    return max(candidates, key=score)


def psf_on_grid(band: Band, gsd_m: float) -> float:
    """Gaussian width in pixels of a grid finer than the band's own.

    The wider box of a 20 m pixel on a 10 m grid is stood for by a Gaussian of the variance
    that it has beyond the grid's own box.
    """
    ratio = max(band.gsd_m / gsd_m, 1.0)
    return float(np.sqrt((band.psf_sigma_px * ratio) ** 2 + (ratio**2 - 1) / 12))


def _layout(shape: tuple[int, int]) -> Layout:
    core = (min(shape[0], BLOCK_PX), min(shape[1], BLOCK_PX))
    height, width = (int(fft.next_fast_len(side + 2 * BLOCK_HALO_PX, real=True)) for side in core)
    return Layout(shape, core, (height, width), BLOCK_HALO_PX)


def _texture(settled: Settled, values: Image) -> Float:
    """From the clearest corner, or the middle, of the sample `values` (date, band, y, x)."""
    mixed, seen = settled.mixed(values)
    shape = values.shape[2:]
    height, width = (min(side, TEXTURE_PX) for side in shape)
    windows = [
        Window(int(down * (shape[0] - height)), int(across * (shape[1] - width)), height, width)
        for down, across in ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1))
    ]
    clearest = max(windows, key=lambda one: float(seen[:, *one.slices].mean()))
    layout = replace(plan_blocks((height, width)), size=settled.banks[0].shape)
    parts = fused_parts(settled, mixed[:, :, *clearest.slices], seen[:, *clearest.slices], layout)
    return texture_of(parts)


def _names(cube: Cube) -> tuple[str, ...]:
    return tuple(band.name for band in cube.bands)
