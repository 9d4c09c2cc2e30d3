"""A storm over a simulated landscape: patches of wood that stand one day and are gone the next.

Patches of several sizes become cleared ground with litter; what is not wood stays as it was. It
falls at the same share of every ground, so that a smaller one has its storm, too.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.simulation.canvas import FINE_M, MARGIN_PX
from datacube.simulation.landscape import Landscape
from datacube.simulation.phenology import Parcels
from datacube.window import Window

STORM_DAY = 224  # of the year, 12 August: between the passes of 5 and 30 August
TREES = ("broadleaf", "conifer")
FELLED = "fallow"  # soil, hay and some grass
RADII_M = (5.0, 8.0, 12.0, 18.0, 27.0, 40.0, 60.0)
EACH = 14  # patches tried of every size
SEED = 31
PART = (0.45, 0.5875, 0.15, 0.2375)  # row, column, height, width: shares of the ground


@dataclass(frozen=True, eq=False)
class Storm:
    """Ground after a storm, and which labels (a mask over them) are felled ground."""

    ground: Landscape
    felled: NDArray[np.bool_]


def storm_window(shape: tuple[int, int]) -> Window:
    """Where the storm falls on ground of (height, width), in 10 m pixels."""
    return Window(*(round(share * shape[axis % 2]) for axis, share in enumerate(PART)))


def fell(ground: Landscape, window: Window, seed: int = SEED) -> Storm:
    """Fell patches of trees within a window of 10 m pixels; what is not wood stays."""
    rng = np.random.default_rng(seed)
    labels, parcels = ground.labels.copy(), ground.parcels
    number = len(parcels.kinds)
    patches = np.zeros(labels.shape, np.uint8)
    for radius in RADII_M:
        for _ in range(EACH):
            at_m = 10 * rng.uniform(
                (window.col, window.row),
                (window.col + window.width, window.row + window.height),
            )
            ring = _blob(rng, at_m + 10 * MARGIN_PX, radius)
            cv2.fillPoly(patches, [np.round(ring / FINE_M).astype(np.int32)], 1)
    wooded = np.isin(parcels.kinds, TREES)
    labels[(patches > 0) & wooded[labels]] = number
    grown = Parcels(
        (*parcels.kinds, FELLED), np.append(parcels.days, 0.0), np.append(parcels.gains, 0.8)
    )
    felled = np.arange(number + 1) == number
    return Storm(replace(ground, labels=labels, parcels=grown), felled)


def _blob(
    rng: np.random.Generator, at_m: NDArray[np.float64], radius_m: float
) -> NDArray[np.float64]:
    """A ragged ring of points (x, y) around a place."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    reach = radius_m * (1 + 0.25 * np.sin(2 * angle + rng.uniform(0, 6)))
    reach = reach * (1 + 0.2 * np.sin(3 * angle + rng.uniform(0, 6)) + rng.normal(0, 0.05, 40))
    return at_m + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
