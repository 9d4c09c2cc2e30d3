"""Change after an event: a storm fells woods between two dates, seen by a fall of NDVI.

The storm is that of the demo's season (`datacube.simulation.storm`). Only woods known before are
judged, because crops change of themselves.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datacube.simulation.storm import TREES, storm_window
from sr_engine.usecases.decide import NDVI, Case, Task, Values, decide
from sr_engine.usecases.objects import by_area
from sr_engine.usecases.rivals import Rival
from sr_engine.usecases.site import PIXEL_M, SHAPE, Site

WINDOW = storm_window(SHAPE)
BEFORE, AFTER = 7, 9  # passes of 16 July and 30 August
PATCH_M2 = (400.0, 1600.0, 6400.0)


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
