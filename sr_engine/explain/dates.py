"""Which dates a fused window was made of: the fusion is linear in them, so the answer is a sum.

The part of a date is what the filters make of it with the other dates at their mean, gaps and
clouds staying as they are. Where there are gaps the fusion solves for them in a few rounds, and
the parts in many; by how much the sum then misses the answer is measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Window
from datacube.errors import InvalidInput
from datacube.registration import has_data
from datacube.store.layout import BLOCK_PX
from sr_engine.fusion.closed_form import fused_block
from sr_engine.fusion.model import FusionModel
from sr_engine.fusion.prepared_scene import PreparedScene

ROUNDS = 40  # of conjugate gradients in gaps: enough that their answer is linear
Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class DateParts:
    """The part (date, band, y, x) that each date has in a window, in reflectance.

    `stamps` are the dates' times. `answer` (band, y, x) is what the fusion gives, less the
    scene's mean of each band: what the parts should sum to. NaN where there is no data.
    """

    stamps: tuple[str, ...]
    parts: Image
    answer: Image

    @property
    def completeness_error(self) -> float:
        """By what part of the answer's spread the parts miss it, in the root mean square."""
        missed = np.nanmean((self.parts.sum(axis=0) - self.answer) ** 2)
        return float(np.sqrt(missed / max(float(np.nanvar(self.answer)), 1e-30)))

    def shares(self) -> Mapping[str, float]:
        """Part of the window's detail that each date brought; they sum to one.

        Detail is the fine image's gradient; a date's share is its projection on that of the
        whole, negative where a date was overruled by the others.
        """
        slopes = np.stack([_slopes(part) for part in self.parts])
        whole = slopes.sum(axis=0)
        energy = float((whole**2).sum())
        if not energy:
            raise InvalidInput(
                "the window is constant, or has no data: there is no detail whose date could be "
                "told; choose another place"
            )
        projected = (slopes * whole).sum(axis=tuple(range(1, slopes.ndim)))
        return {
            stamp: float(part / energy) for stamp, part in zip(self.stamps, projected, strict=True)
        }


def date_parts(model: FusionModel, cube: Cube, slot: int, window: Window) -> DateParts:
    """The part of every date in a window, of which what lies inside the scene is told."""
    scene, factor = model.prepared(cube, slot), model.card.factor
    window = window.within(cube.grid.shape)
    fine = window.scaled(factor)
    parts: Image = np.full(
        (len(scene.slots), len(cube.bands), fine.height, fine.width), np.nan, np.float32
    )
    for row, col in window.cells(BLOCK_PX):
        block = Window(row * BLOCK_PX, col * BLOCK_PX, BLOCK_PX, BLOCK_PX).within(cube.grid.shape)
        source, target = (one.scaled(factor) for one in block.shared(window))
        made = _block_parts(scene, cube, block)
        parts[:, :, *target.slices] = made[:, :, *source.slices]
    answer = model.predict_window(cube, slot, window).reflectance
    parts[:, np.isnan(answer)] = np.nan
    times = {one.slot: one.scene.stamp for one in cube.scenes}
    means = scene.settled.means[:, None, None]
    return DateParts(tuple(times[one] for one in scene.slots), parts, answer - means)


def _block_parts(scene: PreparedScene, cube: Cube, window: Window) -> Image:
    """What every date has in a block (date, band, y, x)."""
    layout, factor = scene.layout, scene.settled.factor
    rows, cols = layout.rows_and_cols(window)
    top, left = int(rows.min()), int(cols.min())
    there = Window(top, left, int(rows.max()) - top + 1, int(cols.max()) - left + 1)
    values = scene.matched(cube, there)
    seen = has_data(values)
    places = (rows[:, None] - top, cols - left)
    gaps = ~(seen[:, *places] & layout.inside(window))
    settled = replace(scene.settled, refills=ROUNDS if scene.settled.refills else 0)
    inner = Window(layout.halo_px, layout.halo_px, window.height, window.width).scaled(factor)
    made = []
    for date in range(len(values)):
        alone = np.where(seen[:, None], settled.means[:, None, None], np.float32(np.nan))
        alone[date] = values[date]
        mixed, _ = settled.mixed(alone)
        block = np.ascontiguousarray(mixed[:, :, *places].swapaxes(0, 1))
        made.append(settled.mixing.joined(fused_block(settled, block, gaps))[:, *inner.slices])
    return np.stack(made)


def _slopes(part: Image) -> NDArray[np.float64]:
    """Forward differences (2, band, y - 1, x - 1); 0 where there is no data."""
    known = part.astype(np.float64)
    corner = known[:, :-1, :-1]
    both = np.stack([known[:, 1:, :-1] - corner, known[:, :-1, 1:] - corner])
    return np.nan_to_num(both, nan=0.0)
