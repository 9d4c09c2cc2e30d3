"""The figures of explanation: simulated ground, the default model, one core.

Times are core-seconds of the whole process on one torch thread, medians of repeats; what is
timed ends with the map itself, not with its pictures.
"""

from dataclasses import dataclass

import numpy as np
import torch

from datacube import Grid, Window
from datacube.benchmark import core_seconds
from datacube.scene import reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from sr_engine.explain.attribution import local_attribution
from sr_engine.explain.case import Case, differentiable, open_case
from sr_engine.explain.saliency import View, diffusion_layer
from sr_engine.model import PatchModel, Reflectance
from sr_engine.registry import DEFAULT, find_patch_model

SEED = 11
VIEW_PX = (400, 600)
WINDOW_PX = 64
REPEATS = 3
BANDS = ("B02", "B03", "B04", "B08")


def explain_figures(model: PatchModel | None = None) -> dict[str, float]:
    """Every figure of explanation as {name: number}; takes about a core-minute.

    `lam_completeness_error` is the largest of windows all over the view.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for one another count as work done
    try:
        chosen = model or find_patch_model(DEFAULT)
        scene = _simulated()
        middle = Window(168, 268, WINDOW_PX, WINDOW_PX)
        errors = [local_attribution(case).completeness_error for case in _windows(scene, chosen)]
        return {
            "lam_core_s": core_seconds(
                lambda: local_attribution(open_case(scene, chosen, middle)),
                repeat=REPEATS,
                warm_up=False,
            ),
            "lam_completeness_error": max(errors),
            "saliency_view_core_s": core_seconds(
                lambda: _layer(scene, chosen), repeat=1, warm_up=False
            ),
        }
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, eq=False)
class _Simulated:
    """One date of simulated ground, a rim of no data around it."""

    grid: Grid
    bands: tuple[str, ...]
    image: Reflectance

    def read(self, bands: tuple[str, ...], window: Window, rim_px: int) -> Reflectance:
        """See `Imagery.read`."""
        wide = window.grown(rim_px)
        there = wide.within(self.grid.shape)
        before = (there.row - wide.row, there.col - wide.col)
        after = (wide.height - there.height - before[0], wide.width - there.width - before[1])
        places = [self.bands.index(band) for band in bands]
        rims = ((0, 0), (before[0], after[0]), (before[1], after[1]))
        return np.pad(self.image[places][:, *there.slices], rims, constant_values=np.nan)


def _simulated() -> _Simulated:
    (summer,) = plan_season(SEED, dates=1, truth_dates=1)
    image = reflectance_from_dn(acquire(build_landscape(SEED, VIEW_PX), summer, BANDS).dn)
    grid = Grid.from_origin("EPSG:32632", left=600_000, top=5_000_000, gsd_m=10, shape=VIEW_PX)
    return _Simulated(grid, BANDS, image)


def _windows(scene: _Simulated, model: PatchModel) -> list[Case]:
    """Windows of several sizes, some across the edge."""
    return [
        open_case(scene, model, Window(row, col, size, size))
        for size in (8, 16, 32)
        for row in (-4, 130, 270)
        for col in (-4, 200, 410)
    ]


def _layer(scene: _Simulated, model: PatchModel) -> Reflectance:
    view = View.of(open_case(scene, model, Window(0, 0, *VIEW_PX)))
    return diffusion_layer(differentiable(model).module(BANDS), view)
