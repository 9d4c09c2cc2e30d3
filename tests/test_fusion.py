"""Fusion recovers a simulated scene, says how sure it is, and refuses what it cannot do."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.errors import InvalidInput
from datacube.simulation.landscape import Landscape, build_landscape
from sr_engine.fusion import FusionSettings, fuse
from sr_engine.fusion.blocks import plan_blocks
from sr_engine.fusion.closed_form import fuse_closed_form
from sr_engine.fusion.fuse import prepare
from sr_engine.fusion.mixing import alike, find_mixing
from sr_engine.fusion.radiometry import estimate_radiometry
from sr_engine.fusion.trial import Trial, TrialPlan, bicubic_mean, simulate_trial
from sr_engine.metrics import psnr

PLAN = TrialPlan(shape=(72, 96), bands=("B02", "B04", "B08"), dates=6, seed=2)


@cache
def ground() -> Landscape:
    return build_landscape(PLAN.seed, PLAN.shape)


@cache
def trial(**changes: float) -> Trial:
    return simulate_trial(replace(PLAN, **changes), ground())  # type: ignore[arg-type]


def gain_db(one: Trial, factor: int = 2, settings: FusionSettings | None = None) -> float:
    answer = fuse(one.observations, one.bands, factor, settings or FusionSettings())
    baseline = bicubic_mean(one.observations, factor)
    return psnr(answer.reflectance, one.truth(factor)) - psnr(baseline, one.truth(factor))


@pytest.mark.parametrize(("factor", "least_db"), [(2, 3.5), (4, 2.0)])
def test_fusing_six_dates_beats_the_enlarged_mean(factor: int, least_db: float) -> None:
    assert gain_db(trial(), factor) > least_db


def test_a_single_date_is_sharpened_towards_the_truth() -> None:
    one = trial()
    alone = Trial(one.observations[:1], one.shifts_px[:1], one.truth_4, one.bands)
    assert gain_db(alone) > 0.8


def test_shifts_are_found_to_a_fiftieth_of_a_pixel() -> None:
    one = trial()
    found = fuse(one.observations, one.bands, 2).shifts_px
    assert np.sqrt(np.mean((found - one.shifts_px) ** 2)) < 0.02


def test_the_answer_of_factor_8_averages_to_that_of_factor_4() -> None:
    one = trial()
    four = fuse(one.observations, one.bands, 4).reflectance
    eight = fuse(one.observations, one.bands, 8).reflectance
    count, height, width = four.shape
    means = eight.reshape(count, height, 2, width, 2).mean(axis=(2, 4))
    error = float(np.sqrt(np.mean((four - one.truth(4)) ** 2)))
    assert np.sqrt(np.mean((means - four) ** 2)) < 0.2 * error


def test_nine_tenths_of_errors_lie_within_the_ninety_percent_interval() -> None:
    one = trial()
    answer = fuse(one.observations, one.bands, 2)
    error = np.abs(answer.reflectance - one.truth(2))
    assert 0.82 < np.mean(error < 1.645 * answer.sigma) < 0.97


def test_cloud_costs_little_and_raises_the_standard_deviation_where_it_was() -> None:
    clear, cloudy = trial(), trial(cloud=0.2)
    answer = fuse(cloudy.observations, cloudy.bands, 2)
    reference = fuse(clear.observations, clear.bands, 2)
    truth = clear.truth(2)
    assert psnr(answer.reflectance, truth) > psnr(reference.reflectance, truth) - 0.5
    seen = np.isfinite(cloudy.observations[:, 0]).sum(axis=0).repeat(2, 0).repeat(2, 1)
    assert answer.sigma[:, seen <= 3].mean() > answer.sigma[:, seen == 6].mean()


def test_gain_drift_is_matched_away() -> None:
    still, drifting = trial(), trial(gain_drift=0.05)
    truth = still.truth(2)
    reference = psnr(fuse(still.observations, still.bands, 2).reflectance, truth)
    settings = FusionSettings(match_radiometry=False)
    matched = psnr(fuse(drifting.observations, drifting.bands, 2).reflectance, truth)
    left = psnr(fuse(drifting.observations, drifting.bands, 2, settings).reflectance, truth)
    assert matched > reference - 0.1
    assert left < matched


def test_gains_and_offsets_of_dates_are_recovered() -> None:
    one = trial()
    values = one.observations.copy()
    values[2] = (values[2] - 0.01) / 1.25
    found = estimate_radiometry(values, one.shifts_px, 0)
    np.testing.assert_allclose(found.gains[2], 1.25, rtol=0.01)
    np.testing.assert_allclose(found.offsets[2], 0.01, atol=0.002)


def test_whole_pixels_of_shift_are_undone() -> None:
    one = trial()
    moved = one.observations.copy()
    moved[3] = np.roll(one.observations[3], (1, -2), axis=(1, 2))
    moved[3, :, 0] = np.nan
    moved[3, :, :, -2:] = np.nan
    answer = fuse(moved, one.bands, 2)
    np.testing.assert_allclose(answer.shifts_px[3], one.shifts_px[3] + [1, -2], atol=0.02)
    truth = one.truth(2)
    whole = psnr(fuse(one.observations, one.bands, 2).reflectance, truth)
    assert psnr(answer.reflectance, truth) > whole - 0.3


def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trial()
    settings = FusionSettings(prior_exponent=3.0)
    stack = prepare(one.observations, one.bands, settings).stack
    whole, _ = fuse_closed_form(stack, 2, settings)
    monkeypatch.setattr(
        "sr_engine.fusion.closed_form.plan_blocks", lambda scene: plan_blocks(scene, core_px=40)
    )
    cut, _ = fuse_closed_form(stack, 2, settings)
    # Noise is 0.3 to 2.5 thousandths. Within 16 px of the scene's own edge, what is mirrored
    # there depends on the block, and counts less than the edge's own error.
    inner = (cut - whole)[:, 32:-32, 32:-32]
    assert np.abs(inner).max() < 1e-4
    assert np.sqrt(np.mean(inner**2)) < 1e-5
    assert np.sqrt(np.mean((cut - whole) ** 2)) < 0.1 * np.sqrt(
        np.mean((whole - one.truth(2)) ** 2)
    )


def test_the_answer_turns_with_the_scene() -> None:
    one = trial()
    answer = fuse(one.observations, one.bands, 2).reflectance
    turned = fuse(one.observations.swapaxes(2, 3).copy(), one.bands, 2).reflectance
    assert turned.shape == (3, 192, 144)
    # The strengths are read from sampled frequencies, which are not the same turned.
    assert np.abs(turned.swapaxes(1, 2) - answer).max() < 2e-3


def test_a_constant_image_comes_back_constant() -> None:
    flat = np.full((3, 2, 40, 33), 0.25, dtype=np.float32)
    answer = fuse(flat, find_bands(["B03", "B08"]), 4)
    np.testing.assert_allclose(answer.reflectance, 0.25, atol=1e-6)
    assert answer.shifts_px.tolist() == [[0, 0]] * 3


def test_a_date_that_is_all_cloud_is_left_out_and_said_so() -> None:
    observations = trial().observations.copy()
    observations[0] = np.nan
    answer = fuse(observations, trial().bands, 2)
    assert answer.used.tolist() == [False, True, True, True, True, True]
    assert answer.reasons[0] == "no data"


def test_a_date_shifted_by_more_than_three_pixels_is_found_and_left_out() -> None:
    observations = trial().observations.copy()
    observations[4] = np.roll(observations[4], (4, -3), axis=(1, 2))
    answer = fuse(observations, trial().bands, 2)
    assert answer.used.tolist() == [True, True, True, True, False, True]
    assert answer.reasons[4] == "shifted by 5.0 px, more than 3"
    np.testing.assert_allclose(answer.shifts_px[4], trial().shifts_px[4] + [4, -3], atol=0.1)


def test_a_date_of_another_place_is_left_out() -> None:
    observations = trial().observations.copy()
    observations[2] = np.random.default_rng(0).random(observations[2].shape)
    answer = fuse(observations, trial().bands, 2)
    assert not answer.used[2]
    assert answer.reasons[2]


def test_borders_without_data_stay_so_and_spread_no_further() -> None:
    observations = trial().observations.copy()
    observations[:, :, :5] = np.nan
    observations[:, 1, :, 90:] = np.nan  # one band missing: the pixel does not count
    answer = fuse(observations, trial().bands, 2)
    missing = np.zeros((144, 192), dtype=bool)
    missing[:10], missing[:, 180:] = True, True
    assert (np.isnan(answer.reflectance) == missing).all()
    assert (np.isnan(answer.sigma) == missing).all()


def test_one_psf_may_be_given_for_all_bands() -> None:
    right = gain_db(trial())
    assert gain_db(trial(), settings=FusionSettings(psf_sigma_px=0.75)) < right - 0.5


@pytest.mark.parametrize("factor", [0, 1, 3])
def test_other_factors_are_refused(factor: int) -> None:
    with pytest.raises(InvalidInput, match=f"factor of 2, 4 or 8, got {factor}"):
        fuse(trial().observations, trial().bands, factor)


def test_a_stack_that_is_not_of_dates_bands_and_pixels_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"\(date, band, y, x\).*\(3, 72, 96\)"):
        fuse(trial().observations[0], trial().bands, 2)


def test_bands_that_do_not_match_the_pixels_are_refused() -> None:
    with pytest.raises(InvalidInput, match="3 bands of pixels for 2"):
        fuse(trial().observations, trial().bands[:2], 2)


def test_bands_of_different_pixel_size_are_refused_together() -> None:
    with pytest.raises(InvalidInput, match=r"one pixel size, got \[10, 20\]"):
        fuse(trial().observations, find_bands(["B02", "B05", "B08"]), 2)


def test_no_data_at_all_is_refused() -> None:
    nothing = np.full((2, 3, 20, 24), np.nan, dtype=np.float32)
    with pytest.raises(InvalidInput, match="choose other dates"):
        fuse(nothing, trial().bands, 2)


def test_more_dates_than_memory_holds_are_refused_before_work_begins() -> None:
    many: NDArray[np.float32] = np.broadcast_to(trial().observations[:1], (100_000, 3, 72, 96))
    with pytest.raises(InvalidInput, match=r"100000 dates of 72x96 px need about .* fewer dates"):
        fuse(many, trial().bands, 2)


def test_a_reference_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InvalidInput, match="date 6 is not among 0 to 5"):
        fuse(trial().observations, trial().bands, 2, FusionSettings(reference=6))


@pytest.mark.parametrize(
    "wrong",
    [{"method": "magic"}, {"psf_sigma_px": -1.0}, {"prior_exponent": 1.0}, {"tv": -1.0}],
)
def test_settings_without_meaning_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        FusionSettings(**wrong)  # type: ignore[arg-type]


def test_mixing_bands_is_undone_by_joining_them() -> None:
    values = np.random.default_rng(4).standard_normal((2, 4, 9, 11)).astype(np.float32)
    mixing = find_mixing(values, [1e-4, 3e-4, 1e-3, 2e-4], [0.42, 0.41, 0.7, 0.44])
    np.testing.assert_allclose(mixing.joined(mixing.mixed(values[0])), values[0], atol=1e-5)
    assert mixing.sigmas_px[2] == pytest.approx(0.7)


def test_only_bands_of_like_blur_are_mixed() -> None:
    assert alike([0.7, 0.41, 0.44, 0.72]) == [[1, 2], [0, 3]]
