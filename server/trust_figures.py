"""Figures of trust over the computed pixels of a view, from histograms of the stored numbers.

One block is in memory at a time; shares and medians are exact. A plane that was not kept has no
figure.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube import Product, Window
from datacube.layer import product_window
from datacube.product import Block
from datacube.store.layout import BLOCK_PX
from sr_engine.audit.quality import INCONSISTENT
from sr_engine.planes import BAND_SCALES, CONSISTENCY, QUALITY, SIGMA, Quality
from sr_engine.trust.calibration import Calibration

LEVEL = "0.90"
# Outside the domain of a calibration, or not of the ground: no interval is told there.
UNTOLD = int(Quality.INPUT_CLOUDY | Quality.SATURATED | Quality.OUT_OF_DOMAIN)

Document = dict[str, Any]
Numbers = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Tally:
    """How often each stored number occurs, by plane; 0 is no data."""

    counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def add(self, plane: str, numbers: Numbers) -> None:
        """Count the numbers of some pixels."""
        found = np.bincount(numbers.ravel(), minlength=2**16)
        self.counts[plane] = self.counts.get(plane, np.zeros(2**16, np.int64)) + found

    def pixels(self, plane: str) -> int:
        """Pixels that have data."""
        return int(self.counts[plane][1:].sum()) if plane in self.counts else 0

    def median(self, plane: str, scale_factor: float) -> float | None:
        """Median of a plane in its units, as numpy has it; None where there is no data."""
        if not self.pixels(plane):
            return None
        reached = np.cumsum(self.counts[plane])
        empty = int(reached[0])
        count = int(reached[-1]) - empty
        places = empty + np.array([(count - 1) // 2, count // 2]) + 1
        return float(np.searchsorted(reached, places).mean() - 1) * scale_factor

    def share_up_to(self, plane: str, value: float, scale_factor: float) -> float:
        """Part of the pixels with data whose value is `value` or less."""
        numbers = round(value / scale_factor) + 1  # 0 is no data, so that a value of 0 is 1
        return float(self.counts[plane][1 : numbers + 1].sum() / self.pixels(plane))

    def share_with(self, flag: Quality) -> float:
        """Part of the computed pixels that has a flag."""
        masks = np.arange(2**16)
        return float(
            self.counts[QUALITY.name][(masks & int(flag)) > 0].sum() / self.pixels(QUALITY.name)
        )


def tally_of(product: Product, slot: int, window: Window, blocks: Iterable[Block]) -> Tally:
    """Count the pixels of a window (on the measured grid) in blocks that are computed."""
    tally = Tally()
    kept = set(product.variables)
    for block in blocks:
        part = _shared(window, block).scaled(product.factor)
        told: NDArray[np.bool_] | None = None
        if QUALITY.name in kept:
            masks = product_window(product, slot, part, variable=QUALITY.name)
            told = (masks > 0) & (masks & UNTOLD == 0)
            tally.add(QUALITY.name, masks)
        for plane in (CONSISTENCY, SIGMA, *BAND_SCALES.values()):
            if plane.name not in kept:
                continue
            numbers = product_window(product, slot, part, variable=plane.name)
            if plane != CONSISTENCY and told is not None:
                numbers = np.where(told, numbers, 0).astype(np.uint16)
            tally.add(plane.name, numbers)
    return tally


def figures_of(tally: Tally, calibration: Calibration | None) -> Document:
    """Consistency, interval, posterior and flags; each None where it is not known."""
    return {
        "pixels": tally.pixels(QUALITY.name),
        "consistency": _consistency(tally),
        "interval": _interval(tally, calibration),
        "posterior_sigma": tally.median(SIGMA.name, SIGMA.scale_factor),
        "flags": _flags(tally),
    }


def _consistency(tally: Tally) -> Document | None:
    if not tally.pixels(CONSISTENCY.name):
        return None
    scale = CONSISTENCY.scale_factor
    return {
        "median": tally.median(CONSISTENCY.name, scale),
        "within_noise": tally.share_up_to(CONSISTENCY.name, INCONSISTENT, scale),
        "threshold": INCONSISTENT,
        "pixels": tally.pixels(CONSISTENCY.name),
    }


def _interval(tally: Tally, calibration: Calibration | None) -> Document | None:
    """Median half-width by band, over the pixels for which an interval is told."""
    if calibration is None:
        return None
    times = calibration.multipliers[LEVEL]
    told = {
        band: tally.median(plane.name, plane.scale_factor)
        for band, plane in BAND_SCALES.items()
        if band in times
    }
    widths = {band: times[band] * scale for band, scale in told.items() if scale is not None}
    if not widths:
        return None
    some = BAND_SCALES[next(iter(widths))].name
    computed = tally.pixels(QUALITY.name)
    return {
        "level": float(LEVEL),
        "half_width": widths,
        "told": tally.pixels(some) / computed if computed else None,
    }


def _flags(tally: Tally) -> Document | None:
    if not tally.pixels(QUALITY.name):
        return None
    found = {
        str(flag.name).lower(): tally.share_with(flag)
        for flag in Quality
        if flag is not Quality.COMPUTED
    }
    alone = tally.counts[QUALITY.name][int(Quality.COMPUTED)] / tally.pixels(QUALITY.name)
    return {"clean": float(alone), **found}


def _shared(window: Window, block: Block) -> Window:
    """The part of a window that lies in a block."""
    row, col = (index * BLOCK_PX for index in block)
    top, left = max(row, window.row), max(col, window.col)
    bottom = min(row + BLOCK_PX, window.row + window.height)
    right = min(col + BLOCK_PX, window.col + window.width)
    return Window(top, left, bottom - top, right - left)
