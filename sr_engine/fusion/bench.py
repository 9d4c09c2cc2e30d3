"""The figures of fusion: simulated ground, one machine, one run.

Gains are in dB of PSNR over bicubic of the masked temporal mean, medians over three landscapes,
of some the least and the most as well; where the ground changes, see `season`. Times are
core-seconds of the whole process on one torch thread, medians of repeats. Everything simulated is
integrated numerically at 1.25 m.
"""

import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from datacube.benchmark import core_seconds
from datacube.simulation.landscape import Landscape, build_landscape
from sr_engine.fusion.fuse import fuse
from sr_engine.fusion.season import season_figures
from sr_engine.fusion.settings import FusionResult, FusionSettings
from sr_engine.fusion.trial import Trial, TrialPlan, bicubic_mean, simulate_trial
from sr_engine.metrics import psnr

SEEDS = (1, 2, 3)  # landscapes
REPEATS = 3  # of each time, but one of the slow method's
VIEW_PX = (400, 600)
SPREAD = ("fusion_x2_8_gain_db", "fusion_x2_30_gain_db", "fusion_x4_8_gain_db", "single_x2_gain_db")


def fusion_figures(data: Path | None = None) -> dict[str, float]:
    """Every figure of fusion as {name: number}; takes about three and a half core-minutes.

    `data` is the folder of real data sets; what needs it is left out without it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for one another count as work done
    try:
        per_seed = [_quality(seed) for seed in SEEDS]
        medians = {name: statistics.median(one[name] for one in per_seed) for name in per_seed[0]}
        spreads = {
            f"{name.removesuffix('_db')}_{word}_db": pick(one[name] for one in per_seed)
            for name in SPREAD
            for word, pick in (("least", min), ("most", max))
        }
        return medians | spreads | season_figures(data) | _times()
    finally:
        torch.set_num_threads(threads)


def gain_db(trial: Trial, result: FusionResult) -> float:
    """PSNR of `result` over that of the enlarged mean, against the trial's truth."""
    truth = trial.truth(result.factor)
    baseline = bicubic_mean(trial.observations, result.factor)
    return psnr(result.reflectance, truth) - psnr(baseline, truth)


def _quality(seed: int) -> dict[str, float]:
    plan = TrialPlan(seed=seed)
    landscape = build_landscape(seed, plan.shape)

    def tried(factor: int = 2, **changes: float) -> tuple[Trial, FusionResult]:
        trial = simulate_trial(replace(plan, **changes), landscape)  # type: ignore[arg-type]
        return trial, fuse(trial.observations, trial.bands, factor)

    eight, fused = tried()
    truth = eight.truth(2)
    reached = psnr(fused.reflectance, truth)
    four = fuse(eight.observations, eight.bands, 4)
    inside = np.abs(fused.reflectance - truth) < 1.645 * fused.sigma
    optics = simulate_trial(replace(plan, psf="optics"), landscape)
    return {
        "fusion_x2_8_gain_db": gain_db(eight, fused),
        "fusion_x4_8_gain_db": gain_db(eight, four),
        "fusion_x2_30_gain_db": gain_db(*tried(dates=30)),
        "single_x2_gain_db": gain_db(*tried(dates=1)),
        # The truth's PSF is wider, and narrower, than the solver's by a fifth: the worse one.
        "fusion_x2_8_wrong_psf_gain_db": min(
            gain_db(*tried(psf_scale=1.2)), gain_db(*tried(psf_scale=1 / 1.2))
        ),
        "fusion_x2_8_optics_psf_gain_db": gain_db(
            optics, fuse(optics.observations, optics.bands, 2)
        ),
        "shift_rms_px": float(np.sqrt(np.mean((fused.shifts_px - eight.shifts_px)[1:] ** 2))),
        "cloud_20_loss_db": reached - psnr(tried(cloud=0.2)[1].reflectance, truth),
        "gain_drift_loss_db": reached - psnr(tried(gain_drift=0.05)[1].reflectance, truth),
        "interval_90_coverage": float(inside.mean()),
    }


def _times() -> dict[str, float]:
    plan = TrialPlan(seed=SEEDS[0])
    trial = simulate_trial(plan)
    closed = core_seconds(
        lambda: fuse(trial.observations, trial.bands, 2), repeat=REPEATS, warm_up=False
    )
    iterative = FusionSettings(method="lbfgs_adam")
    results: list[FusionResult] = []
    slow = core_seconds(
        lambda: results.append(fuse(trial.observations, trial.bands, 2, iterative)),
        repeat=1,
        warm_up=False,
    )
    large = replace(plan, shape=VIEW_PX)
    view = simulate_trial(large, _landscape(large))
    return {
        "closed_form_core_s": closed,
        "speedup_vs_lbfgs_adam": slow / closed,
        "lbfgs_adam_x2_8_gain_db": gain_db(trial, results[0]),
        "view_x4_core_s": core_seconds(
            lambda: fuse(view.observations, view.bands, 4), repeat=REPEATS, warm_up=False
        ),
    }


def _landscape(plan: TrialPlan) -> Landscape:
    return build_landscape(plan.seed, plan.shape)
