"""The four iterative ways to fit a SplatField, for comparison with the closed form.

Coarse to fine in all: splats far apart settle the large features and the shifts cheaply,
and each finer grid starts from the last. `adam` and `lbfgs` do it by one optimiser;
`adam_lbfgs` polishes the finest grid by L-BFGS; `lbfgs_adam` lets the total variation fade
under Adam and ends without it.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from sr_engine.fusion.fitting import Fitting, Progress, silent
from sr_engine.fusion.settings import FusionSettings, Stack
from sr_engine.fusion.splat import SplatField, SplatGrid

Image = NDArray[np.float32]


def fuse_by_splats(
    stack: Stack, factor: int, settings: FusionSettings, progress: Progress = silent
) -> tuple[Image, tuple[float, ...], NDArray[np.float64]]:
    """The scene (band, y * factor, x * factor), the losses, and the shifts as refined."""
    means = np.asarray(np.nanmean(stack.values, axis=(0, 2, 3)), dtype=np.float32)
    spreads = np.asarray(np.nanstd(stack.values, axis=(0, 2, 3)), dtype=np.float32)
    spreads = np.maximum(spreads, 1e-6)[:, None, None]
    scaled = ((stack.values - means[:, None, None]) / spreads).astype(np.float32)
    fitting = Fitting.of(scaled, settings.held_out, settings.seed, progress)
    model = _coarsest(stack, factor, settings)
    while True:
        finest = model.grid.per_px >= factor
        _fit_level(fitting, model, settings, finest=finest)
        if finest:
            break
        model = model.finer(_next_density(model.grid.per_px, factor, settings))
    with torch.no_grad():
        scene = model.render(factor).numpy() * spreads + means[:, None, None]
        shifts = model.anchored_shifts().double().numpy()
    return scene.astype(np.float32), tuple(fitting.losses), shifts


def _coarsest(stack: Stack, factor: int, settings: FusionSettings) -> SplatField:
    count, height, width = stack.values.shape[1:]
    grid = SplatGrid((height, width), factor / max((1, *settings.c2f_levels)))
    return SplatField(
        grid,
        torch.zeros((count, *grid.counts)),
        torch.from_numpy(stack.shifts_px.astype(np.float32)),
        torch.tensor(stack.sigmas_px, dtype=torch.float32),
    )


def _next_density(per_px: float, factor: int, settings: FusionSettings) -> float:
    """The next finer grid of the ladder, the finest at last."""
    densities = sorted(factor / level for level in (1, *settings.c2f_levels))
    return next(density for density in densities if density > per_px)


def _fit_level(
    fitting: Fitting, model: SplatField, settings: FusionSettings, *, finest: bool
) -> None:
    iterations, tv = settings.iterations, settings.tv
    if settings.method in ("adam", "adam_lbfgs"):
        fitting.adam(model, iterations, tv)
    else:
        fitting.lbfgs(model, iterations, tv)
    if finest and settings.method == "adam_lbfgs":
        fitting.lbfgs(model, iterations, tv)
    if finest and settings.method == "lbfgs_adam":
        fitting.adam(model, iterations, tv, anneal=True)
        fitting.adam(model, iterations, 0.0)
