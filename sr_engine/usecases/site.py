"""A piece of the demo's simulated ground, seen over its season, with its truth.

The ground is that of the demo's collection `simulated`: seed 7, which no model was trained,
calibrated or tested with, but drawn by the same program as some ground they were trained on. It
knows the demo's storm only where one asks for it, as the use case of change does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from datacube.demo import BANDS, SEED
from datacube.errors import InvalidInput
from datacube.masks import CLOUD_CLASSES, DILATION_PX, SHADOW, dilated
from datacube.scene import reflectance_from_dn
from datacube.simulation import Landscape, Pass, acquire, build_landscape, plan_season
from datacube.simulation.canvas import FINE_PER_PX, MARGIN_PX
from datacube.simulation.season import SEASON
from datacube.window import Window

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

SHAPE = (800, 800)
RIM_PX = 24  # measured pixels around a window: what models see beyond it is ground, not padding
SUMMER = 5  # of the season's passes: 21 June
DATES = 8
SHARE = 4  # pixels of the truth per measured pixel, each way
PIXEL_M = 10 / SHARE
USABLE = ("clear", "fair", "scattered")


@dataclass(frozen=True, eq=False)
class Site:
    """A window of ground: dates (date, band, y, x) with `RIM_PX` around, NaN in cloud.

    `shown` is the date that counts, whose own geolocation error is taken out; the others keep
    theirs. `truth` (band, 4 y, 4 x) is of that date, reflectance at 2.5 m; `labels` (4 y, 4 x)
    tells parcels of `landscape`, both without the rim.
    """

    window: Window
    landscape: Landscape
    observations: Image
    shown: int
    truth: Image

    @property
    def lr(self) -> Image:
        """The date that counts, with its rim."""
        return np.asarray(self.observations[self.shown])

    @property
    def labels(self) -> NDArray[np.uint16]:
        """The parcel in the upper left quarter of each 2.5 m pixel."""
        step = FINE_PER_PX // SHARE
        return np.asarray(self._inner(self.landscape.labels)[::step, ::step])

    def share_of(self, parcels: Mask) -> Image:
        """How much of each 2.5 m pixel belongs to parcels, given as a mask over labels."""
        inner, step = self._inner(self.landscape.labels), FINE_PER_PX // SHARE
        there = parcels[inner].astype(np.float32)
        height, width = (side // step for side in there.shape)
        share: Image = there.reshape(height, step, width, step).mean(axis=(1, 3))
        return share

    def where(self, *kinds: str) -> Mask:
        """2.5 m pixels of which at least half is of these kinds of ground."""
        return np.asarray(self.share_of(np.isin(self.landscape.parcels.kinds, kinds)) >= 0.5)

    def _inner(self, fine: NDArray[np.uint16]) -> NDArray[np.uint16]:
        first = (MARGIN_PX + RIM_PX) * FINE_PER_PX
        rows, cols = self.window.height * FINE_PER_PX, self.window.width * FINE_PER_PX
        return fine[first : first + rows, first : first + cols]


@cache
def demo_ground() -> Landscape:
    """The landscape of the demo, 8 x 8 km; some five core-seconds, once."""
    return build_landscape(SEED, SHAPE)


def acquire_site(
    window: Window,
    shown: int = SUMMER,
    *,
    ground: Landscape | None = None,
    event: tuple[int, Landscape] | None = None,
    dates: int = DATES,
    passes: Sequence[Pass] | None = None,
) -> Site:
    """Acquire a window of ground (the demo's) on a pass of its season and those nearest to it.

    `window` is in 10 m pixels of the demo. From the pass that `event` names on the ground is
    another; what is shown before it knows of no later pass. Raises InvalidInput for a window
    whose rim leaves the ground. Other `passes` of the season bring other noise, jitter and clouds,
    or a blur that the models do not assume.
    """
    first, later = event or (len(SEASON), None)
    wide = window.grown(RIM_PX)
    before = cropped(ground or demo_ground(), wide)
    after = before if later is None else cropped(later, wide)
    passes = list(passes or plan_season(SEED))
    passes[shown] = replace(passes[shown], shift_px=(0.0, 0.0), truth=True)
    known = passes[:first] if shown < first else passes
    chosen = nearest_passes(known, passes[shown], dates)
    cut = after if shown >= first else before
    shots = [acquire(after if passes.index(one) >= first else before, one, BANDS) for one in chosen]
    place = chosen.index(passes[shown])
    seen = [_masked(reflectance_from_dn(one.dn), one.scl) for one in shots]
    truth_dn = shots[place].truth_dn
    if truth_dn is None:
        raise RuntimeError("the pass was planned with truth")
    rim = RIM_PX * SHARE
    truth = reflectance_from_dn(truth_dn)[:, rim:-rim, rim:-rim]
    return Site(window, cut, np.stack(seen), place, truth)


def cropped(ground: Landscape, window: Window) -> Landscape:
    """The same ground, but for what lies outside a window and its margin."""
    if window.within(ground.shape) != window or not window.height or not window.width:
        raise InvalidInput(
            f"need a window that lies at least {RIM_PX} px inside {ground.shape}, got {window} "
            "with its rim"
        )
    wide = Window(window.row, window.col, window.height + 2 * MARGIN_PX, 0)
    wide = replace(wide, width=window.width + 2 * MARGIN_PX)
    part = wide.scaled(FINE_PER_PX).slices
    return replace(
        ground,
        shape=(window.height, window.width),
        labels=ground.labels[part],
        vigour=ground.vigour[part],
        shade=ground.shade[part],
    )


def nearest_passes(passes: list[Pass], shown: Pass, count: int) -> list[Pass]:
    """The pass itself and those nearest in time with a usable sky, in order of time."""
    others = [one for one in passes if one.sky in USABLE and one is not shown]
    near = sorted(others, key=lambda one: abs(one.datetime - shown.datetime))[: count - 1]
    return sorted([shown, *near], key=lambda one: one.datetime)


def _masked(seen: Image, scl: NDArray[np.uint8]) -> Image:
    hidden = dilated(np.isin(scl, (SHADOW, *CLOUD_CLASSES)), DILATION_PX)
    return np.where(hidden, np.float32(np.nan), seen)
