"""Villages: roofs by their red, roads by a lack of vegetation along their known course.

What a slate roof or a shaded street is to these methods, it stays with finer pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.window import Window
from sr_engine.usecases.decide import NDVI, RED, Case, Task, decide, indexed
from sr_engine.usecases.objects import by_area, by_width
from sr_engine.usecases.rivals import Rival
from sr_engine.usecases.site import PIXEL_M, Site

WINDOW = Window(310, 356, 100, 180)
BRIGHT_ROOFS = ("tile", "metal", "white_roof", "concrete")
BUILT = (*BRIGHT_ROOFS, "slate", "yard", "garden")
ROOF_M2 = (100.0, 200.0, 400.0)
ROAD = ("asphalt", "gravel")
ROAD_M = (5.0, 10.0)
PLACE_M, CORRIDOR_M = 20.0, 20.0  # how far the region goes beyond the plots, and the roads


def roof_case(site: Site, rivals: tuple[Rival, ...]) -> Case:
    """Roofs of bright material within settlements, by the red band; scored by area."""
    roofs = site.where(*BRIGHT_ROOFS)
    region = widened(site.where(*BUILT), PLACE_M)
    task = Task("Roofs", by_area(roofs, ROOF_M2, PIXEL_M), region)
    return decide(task, indexed(rivals, RED))


def road_case(site: Site, rivals: tuple[Rival, ...]) -> Case:
    """Roads in open country by low NDVI along their mapped course; scored by width."""
    built = widened(site.where(*BUILT), PLACE_M)
    roads = site.where(*ROAD) & ~built
    region = widened(roads, CORRIDOR_M) & ~built
    task = Task("Roads", by_width(roads, ROAD_M, PIXEL_M), region, above=False)
    return decide(task, indexed(rivals, NDVI))


def widened(mask: NDArray[np.bool_], by_m: float) -> NDArray[np.bool_]:
    """A mask and all that lies within so many metres of it."""
    side = 2 * round(by_m / PIXEL_M) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)
