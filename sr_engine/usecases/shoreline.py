"""Water: a lake, its brook and a river, by NDWI and Otsu's threshold."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datacube.window import Window
from sr_engine.usecases.decide import NDWI, Case, Task, decide, indexed
from sr_engine.usecases.objects import by_width
from sr_engine.usecases.rivals import Rival
from sr_engine.usecases.site import PIXEL_M, Site
from sr_engine.usecases.table import Table

WINDOW = Window(120, 480, 420, 140)
WATER = ("lake", "shallow", "river")
WIDTHS_M = (10.0, 60.0)  # the brook is 4 m wide, the river 30, the lake 900


def water_case(site: Site, rivals: tuple[Rival, ...]) -> Case:
    """Delineate water, scored by its local width, with the distance between shorelines."""
    objects = by_width(site.where(*WATER), WIDTHS_M, PIXEL_M)
    task = Task("Water", objects, np.ones(objects.ids.shape, np.bool_))
    case = decide(task, indexed(rivals, NDWI))
    wide = objects.ids > 1  # of the brook most draw nothing, and would be measured to the river
    away = [(one.rival.name, shore_distance_m(one.mask, wide)) for one in case.outcomes]
    title = "Water: distance of the shore of lake and river to the drawn one"
    shores = Table.of(title, ("median m", "90 % within m"), away)
    return replace(case, extra=(shores,))


def shore_distance_m(drawn: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float]:
    """Median and 90 % quantile of the distance from the true outline to the drawn one, m."""
    true_line, drawn_line = outline(truth), outline(drawn)
    if not true_line.any() or not drawn_line.any():
        return float("nan"), float("nan")
    away = ndimage.distance_transform_edt(~drawn_line)[true_line] * PIXEL_M
    return float(np.median(away)), float(np.quantile(away, 0.9))


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask that touch what is not in it, the image's edge aside."""
    return mask & ~ndimage.binary_erosion(mask, border_value=1)
