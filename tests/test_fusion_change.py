"""Where the ground changed between dates the answer is that of the date asked for."""

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.masks import clear_mask
from datacube.scene import reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from sr_engine.fusion import FusionResult, FusionSettings, fuse
from sr_engine.fusion.change import MOST, estimate_change
from sr_engine.fusion.trial import TrialPlan, bicubic_mean, simulate_trial
from sr_engine.metrics import psnr

BANDS = ("B02", "B03", "B04", "B08")
SHAPE = (96, 112)
SUMMER = 5  # of twelve dates, two of them overcast


@cache
def season() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Usable dates (date, band, y, x), midsummer first, and midsummer's truth at x2."""
    landscape, passes = build_landscape(7, SHAPE), plan_season(7, dates=12, truth_dates=1)
    still = replace(passes[SUMMER], shift_px=(0.0, 0.0))  # the truth's own grid
    shots = [acquire(landscape, still if i == SUMMER else p, BANDS) for i, p in enumerate(passes)]
    order = sorted(range(12), key=lambda i: abs(i - SUMMER))
    dates = []
    for i in order:
        values = reflectance_from_dn(shots[i].dn)
        values[:, ~clear_mask(shots[i].scl, dilation_px=2)] = np.nan
        if np.isfinite(values).mean() > 0.3:
            dates.append(values)
    truth_dn = shots[SUMMER].truth_dn
    assert truth_dn is not None
    count, height, width = truth_dn.shape
    parts = reflectance_from_dn(truth_dn).reshape(count, height // 2, 2, width // 2, 2)
    return np.stack(dates[:6]), np.asarray(parts.mean(axis=(2, 4)), dtype=np.float32)


def fused(dates: int, *, allow_change: bool = True) -> FusionResult:
    settings = FusionSettings(reference=0, allow_change=allow_change)
    return fuse(season()[0][:dates], find_bands(BANDS), 2, settings)


def test_a_changing_season_helps_instead_of_spoiling() -> None:
    values, truth = season()
    alone = psnr(fused(1).reflectance, truth)
    assert psnr(fused(6).reflectance, truth) > alone + 0.7
    assert psnr(fused(6).reflectance, truth) > psnr(bicubic_mean(values[:1], 2), truth) + 2


def test_without_the_change_of_the_ground_a_season_is_smeared_together() -> None:
    truth = season()[1]
    one_scene = fused(6, allow_change=False)
    assert psnr(fused(6).reflectance, truth) > psnr(one_scene.reflectance, truth) + 2


def test_nothing_changes_where_nothing_grows() -> None:
    trial = simulate_trial(TrialPlan(shape=(64, 80), bands=BANDS[:2], dates=3, seed=2))
    seen = np.ones((3, 64, 80), dtype=bool)
    change = estimate_change(trial.observations, seen, trial.shifts_px, 0)
    np.testing.assert_array_equal(change, 0)


def test_a_date_of_other_ground_has_as_much_change_as_texture() -> None:
    trial = simulate_trial(TrialPlan(shape=(64, 80), bands=BANDS[:2], dates=3, seed=2))
    values = trial.observations.copy()
    values[1] = values[0] + (values[0, :, ::-1, ::-1] - values[0].mean(axis=(1, 2), keepdims=True))
    seen = np.ones((3, 64, 80), dtype=bool)
    change = estimate_change(values, seen, np.zeros((3, 2)), 0)
    assert ((change[1] > 0.7) & (change[1] < 1.5)).all()
    seen[1] = False  # it shares no pixel
    np.testing.assert_array_equal(estimate_change(values, seen, np.zeros((3, 2)), 0)[1], MOST)


def test_dates_of_other_ground_are_left_out_and_said_so() -> None:
    answer = fused(6)
    assert answer.used[0]
    assert 2 <= answer.used.sum() < 6
    left_out = [reason for reason in answer.reasons if reason]
    assert all("other ground" in reason for reason in left_out)
    assert np.isfinite(answer.reflectance).all()
