"""Where the ground changed between dates the answer is that of the date asked for."""

from functools import cache

import numpy as np

from datacube.bands import find_bands
from sr_engine.fusion import FusionResult, FusionSettings, fuse
from sr_engine.fusion.change import MOST, estimate_change
from sr_engine.fusion.season import Season, halved_seasons, simulate_season
from sr_engine.fusion.trial import TrialPlan, enlarged, simulate_trial
from sr_engine.metrics import psnr
from sr_engine.sharpen.network import GUIDES

BANDS = ("B02", "B03")


@cache
def season() -> Season:
    return simulate_season(7, (96, 112), most=6)


def fused(dates: int, *, allow_change: bool = True) -> FusionResult:
    settings = FusionSettings(reference=0, allow_change=allow_change)
    return fuse(season().dates[:dates], find_bands(GUIDES), 2, settings)


def test_a_changing_season_helps_instead_of_spoiling() -> None:
    values, truth = season().dates, season().truth
    alone = psnr(fused(1).reflectance, truth)
    assert psnr(fused(6).reflectance, truth) > alone + 0.7
    assert psnr(fused(6).reflectance, truth) > psnr(enlarged(values[0], 2), truth) + 2


def test_without_the_change_of_the_ground_a_season_is_smeared_together() -> None:
    truth = season().truth
    one_scene = fused(6, allow_change=False)
    assert psnr(fused(6).reflectance, truth) > psnr(one_scene.reflectance, truth) + 2


def test_nothing_changes_where_nothing_grows() -> None:
    trial = simulate_trial(TrialPlan(shape=(64, 80), bands=BANDS, dates=3, seed=2))
    seen = np.ones((3, 64, 80), dtype=bool)
    change = estimate_change(trial.observations, seen, trial.shifts_px, 0)
    np.testing.assert_array_equal(change, 0)


def test_a_date_of_other_ground_has_as_much_change_as_texture() -> None:
    trial = simulate_trial(TrialPlan(shape=(64, 80), bands=BANDS, dates=3, seed=2))
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


def test_each_real_date_is_the_truth_of_its_own_half() -> None:
    rng = np.random.default_rng(4)
    level = np.linspace(0.1, 0.3, 3).reshape(3, 1, 1, 1)
    composites = (level + rng.normal(0, 0.01, (3, 4, 28, 32))).astype(np.float32)
    halved = list(halved_seasons(composites))
    assert len(halved) == 3
    for wanted, one in enumerate(halved):
        np.testing.assert_array_equal(one.truth, composites[wanted, :, 4:-4, 4:-4])
        assert one.dates.shape == (3, 4, 10, 12)
        means = one.truth.reshape(4, 10, 2, 12, 2).mean(axis=(2, 4))
        assert np.abs(one.dates[0] - means).max() < 0.02  # the date asked for comes first
        assert np.corrcoef(one.dates[0].ravel(), means.ravel())[0, 1] > 0.7
