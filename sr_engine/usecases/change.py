"""Change after an event: a storm fells woods between two dates, seen by a fall of NDVI.

The storm is drawn into the simulated ground: patches of trees of several sizes become cleared
ground with litter. Only woods known before are judged, because crops change of themselves.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.simulation import Landscape
from datacube.simulation.canvas import FINE_M, MARGIN_PX
from datacube.simulation.phenology import Parcels
from datacube.window import Window
from sr_engine.usecases.decide import NDVI, Case, Task, Values, decide
from sr_engine.usecases.objects import by_area
from sr_engine.usecases.rivals import Rival
from sr_engine.usecases.site import PIXEL_M, Site

WINDOW = Window(360, 470, 120, 190)
BEFORE, AFTER = 7, 9  # passes of 16 July and 30 August
TREES = ("broadleaf", "conifer")
FELLED = "fallow"  # soil, hay and some grass
PATCH_M2 = (400.0, 1600.0, 6400.0)
RADII_M = (5.0, 8.0, 12.0, 18.0, 27.0, 40.0, 60.0)
EACH = 14  # patches tried of every size
SEED = 31


@dataclass(frozen=True, eq=False)
class Storm:
    """Ground after a storm, and which labels (a mask over them) are felled ground."""

    ground: Landscape
    felled: NDArray[np.bool_]


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


def storm_case(
    before: tuple[Site, tuple[Rival, ...]],
    after: tuple[Site, tuple[Rival, ...]],
    felled: NDArray[np.bool_],
) -> Case:
    """Felled woods by the fall of NDVI between two dates; scored by area."""
    gone = np.asarray(after[0].share_of(felled) >= 0.5)
    task = Task("Felled woods", by_area(gone, PATCH_M2, PIXEL_M), before[0].where(*TREES))
    pairs = zip(before[1], after[1], strict=True)
    return decide(task, [fall(early, late) for early, late in pairs])


def fall(early: Rival, late: Rival) -> Values:
    """Fall of NDVI from one image to another, its range where both tell one.

    Hints are the larger of the two dates' own.
    """
    index = NDVI.of(early.image) - NDVI.of(late.image)
    hints = {name: np.maximum(early.hints[name], late.hints[name]) for name in late.hints}
    first, second = NDVI.between(early), NDVI.between(late)
    between = None
    if first is not None and second is not None:
        between = first[0] - second[1], first[1] - second[0]
    return Values(replace(late, hints=hints), index, between)


def _blob(
    rng: np.random.Generator, at_m: NDArray[np.float64], radius_m: float
) -> NDArray[np.float64]:
    """A ragged ring of points (x, y) around a place."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    reach = radius_m * (1 + 0.25 * np.sin(2 * angle + rng.uniform(0, 6)))
    reach = reach * (1 + 0.2 * np.sin(3 * angle + rng.uniform(0, 6)) + rng.normal(0, 0.05, 40))
    return at_m + np.stack([np.cos(angle), np.sin(angle)], axis=1) * reach[:, None]
