"""The dates of a cube that one shown date is fused from, and their pixels without clouds."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Window
from datacube.cube import CommittedScene
from datacube.errors import NotFound
from datacube.masks import dilated
from datacube.scene import NO_DATA_DN, reflectance_from_dn

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
HIDDEN = (0, 1, 3, 8, 9, 10)  # no data, defective, shadow, cloud (medium, high), cirrus
DILATION_PX = 2  # of the mask; clouds fade over some pixels
LEAST_CLEAR = 0.3  # of the scene: less is not worth registering
SURVEY_PX = 512  # side of the level on which clear pixels are counted, at most


def choose_dates(
    cube: Cube, slot: int, count: int, clear_share: Callable[[Cube, int], float]
) -> tuple[CommittedScene, ...]:
    """The date in `slot` and the usable dates nearest in time, `count` in all, by time.

    `clear_share` gives the part of a date that shows the ground: that of `survey`. A date of
    which less than `LEAST_CLEAR` shows is not used; if the shown date itself is one, it stands
    alone. Raises NotFound for a slot without a scene.
    """
    shown = next((one for one in cube.scenes if one.slot == slot), None)
    if shown is None:
        raise NotFound(f"no scene in slot {slot}; it was superseded, or never committed")
    if clear_share(cube, slot) < LEAST_CLEAR:
        return (shown,)
    chosen = [shown]
    for one in _by_nearness(cube, shown):
        if len(chosen) == count:
            break
        if clear_share(cube, one.slot) >= LEAST_CLEAR:
            chosen.append(one)
    return tuple(sorted(chosen, key=lambda one: (one.scene.datetime, one.scene.scene_id)))


def _by_nearness(cube: Cube, shown: CommittedScene) -> Iterator[CommittedScene]:
    others = [one for one in cube.scenes if one.slot != shown.slot]
    yield from sorted(others, key=lambda one: abs(one.scene.datetime - shown.scene.datetime))


def survey(cube: Cube, slot: int) -> Mask:
    """Where (y, x) a date shows the ground, on a coarse level of the cube."""
    sizes = [max(grid.shape) for grid in cube.levels]
    level = next((i for i, size in enumerate(sizes) if size <= SURVEY_PX), len(sizes) - 1)
    whole = Window(0, 0, *cube.levels[level].shape)
    if cube.has_scl:
        return ~np.isin(cube.window_scl(slot, whole, level=level), HIDDEN)
    first = (cube.bands[0].name,)
    return np.asarray(cube.window_dn(slot, first, whole, level=level)[0] != NO_DATA_DN)


def read_date(
    cube: Cube, slot: int, bands: tuple[str, ...], window: Window, *, masked: bool
) -> Image:
    """Reflectance (band, y, x) of a window, which may reach beyond the scene.

    NaN where there is no data and, if `masked` and the cube has classes, at clouds and shadows.
    """
    rim = window.grown(DILATION_PX).within(cube.grid.shape)
    values = np.full((len(bands), window.height, window.width), np.nan, np.float32)
    there = window.within(cube.grid.shape)
    if not (there.height and there.width):
        return values
    known = reflectance_from_dn(cube.window_dn(slot, bands, there))
    if masked and cube.has_scl:
        hidden = dilated(np.isin(cube.window_scl(slot, rim), HIDDEN), DILATION_PX)
        known[:, hidden[_inside(there, rim).slices]] = np.nan
    values[:, *_inside(there, window).slices] = known
    return values


def _inside(window: Window, origin: Window) -> Window:
    return Window(window.row - origin.row, window.col - origin.col, window.height, window.width)
