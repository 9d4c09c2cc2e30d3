"""Input, result and truth of one audit, brought to one window of one place.

Nothing is resampled: a result lies on the input's pixels divided by a whole number, a truth on
the result's pixels, or they are refused.
"""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datacube import Grid, Window
from datacube.errors import InvalidInput
from datacube.sources.plan import Given
from sr_engine.scenes.source import RasterScene, open_file

Image = NDArray[np.float32]

MOST_PX = 2048  # fine pixels a side; of larger images the middle is audited
FACTORS = (2, 3, 4, 8)


@dataclass(frozen=True, eq=False)
class Triple:
    """`lr` (band, y, x), `sr` and `hr` (band, factor y, factor x), reflectance, NaN for none.

    `gsd_m` is of the input; `whole` is False where only the middle of a large image is taken.
    """

    name: str
    bands: tuple[str, ...]
    factor: int
    gsd_m: float
    lr: Image
    sr: Image
    hr: Image | None = None
    whole: bool = True


def read_triple(sr: Path, lr: Path, hr: Path | None, given: Given) -> Triple:
    """Read what three files share; `given` says of the input what it does not say itself.

    Raises InvalidInput for files of different places, grids that do not fit, or no common band.
    """
    with ExitStack() as files:
        fine = files.enter_context(open_file(sr, Given()))
        coarse = files.enter_context(open_file(lr, given))
        truth = files.enter_context(open_file(hr, Given())) if hr else None
        factor = _factor(fine, coarse)
        bands = _common(fine, coarse, truth)
        window = _shared(fine, coarse, factor)
        cut = _middle(window, MOST_PX // factor)
        place = _on(fine, coarse, cut, factor)
        known = None if truth is None else truth.read(bands, _of_truth(truth, fine, place), 0)
        return Triple(
            sr.name,
            bands,
            factor,
            coarse.grid.gsd_m,
            coarse.read(bands, cut, 0),
            fine.read(bands, place, 0),
            known,
            whole=cut == window,
        )


def _factor(fine: RasterScene, coarse: RasterScene) -> int:
    ratio = coarse.grid.gsd_m / fine.grid.gsd_m
    if not (fine.placed and coarse.placed):
        ratio = fine.grid.shape[1] / coarse.grid.shape[1]
    factor = round(ratio)
    if factor not in FACTORS or abs(ratio - factor) > 1e-6 * factor:
        raise InvalidInput(
            f"{fine.name} has pixels {ratio:g} times finer than {coarse.name}; need a whole "
            f"factor of {', '.join(map(str, FACTORS))}"
        )
    return factor


def _common(fine: RasterScene, coarse: RasterScene, truth: RasterScene | None) -> tuple[str, ...]:
    others = [coarse, *([truth] if truth else [])]
    bands = tuple(name for name in fine.bands if all(name in one.bands for one in others))
    if not bands:
        listed = "; ".join(f"{one.name} has {', '.join(one.bands)}" for one in (fine, *others))
        raise InvalidInput(f"need a band that all files have; {listed}")
    return bands


def _shared(fine: RasterScene, coarse: RasterScene, factor: int) -> Window:
    """The window of the input that the result covers."""
    row, col = _offset(coarse.grid.refined(factor), fine, coarse)
    if row % factor or col % factor:
        raise InvalidInput(
            f"{fine.name} begins {row}, {col} of its pixels from {coarse.name}, not on whole "
            "input pixels; the two lie on different grids"
        )
    height, width = (size // factor for size in fine.grid.shape)
    window = Window(row // factor, col // factor, height, width).within(coarse.grid.shape)
    if not (window.height and window.width):
        raise InvalidInput(f"{fine.name} and {coarse.name} show different places")
    return window


def _offset(grid: Grid, inner: RasterScene, outer: RasterScene) -> tuple[int, int]:
    """Where `inner` begins on `grid`, in whole pixels of it."""
    if not (inner.placed and outer.placed):
        return 0, 0
    if inner.grid.crs != outer.grid.crs:
        raise InvalidInput(
            f"{inner.name} is in {inner.grid.crs}, {outer.name} in {outer.grid.crs}; bring both "
            "to one grid first"
        )
    across = (inner.grid.transform.c - grid.transform.c) / grid.transform.a
    down = (inner.grid.transform.f - grid.transform.f) / grid.transform.e
    if max(abs(across - round(across)), abs(down - round(down))) > 1e-3:
        raise InvalidInput(
            f"{inner.name} lies {down - round(down):+.3f}, {across - round(across):+.3f} px off "
            f"the grid of {outer.name}; bring both to one grid first"
        )
    return round(down), round(across)


def _middle(window: Window, most_px: int) -> Window:
    height, width = min(window.height, most_px), min(window.width, most_px)
    row = window.row + (window.height - height) // 2
    return replace(
        window, row=row, col=window.col + (window.width - width) // 2, height=height, width=width
    )


def _on(fine: RasterScene, coarse: RasterScene, window: Window, factor: int) -> Window:
    """A window of the input, on the result's own pixels."""
    row, col = _offset(coarse.grid.refined(factor), fine, coarse)
    wanted = window.scaled(factor)
    return replace(wanted, row=wanted.row - row, col=wanted.col - col)


def _of_truth(truth: RasterScene, fine: RasterScene, place: Window) -> Window:
    """The same ground on the truth's pixels, which have to be the result's."""
    if abs(truth.grid.gsd_m - fine.grid.gsd_m) > 1e-6 * fine.grid.gsd_m:
        raise InvalidInput(
            f"{truth.name} is on another grid: pixels of {truth.grid.gsd_m:g}, and those of "
            f"{fine.name} are {fine.grid.gsd_m:g}; bring the truth to the result's grid first"
        )
    row, col = _offset(fine.grid, truth, fine)
    found = replace(place, row=place.row - row, col=place.col - col)
    if found != found.within(truth.grid.shape):
        raise InvalidInput(
            f"{truth.name} is on another grid: it does not cover {fine.name}; cut both to one area"
        )
    return found
