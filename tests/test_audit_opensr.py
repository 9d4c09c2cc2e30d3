"""opensr-test's measures: its own numbers, and what they must say of answers that are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from datacube.errors import InvalidInput
from sr_engine.audit.alignment import Shift, moved, phase_shift
from sr_engine.audit.opensr import OpensrMeasures, correctness, measures, table
from sr_engine.audit.resampling import enlarged, matched_histogram, reduced
from tests.opensr_cases import GOLDEN, images, noise, smooth

NAMES = {2: ("B04", "B08"), 3: ("B04", "B03", "B02"), 4: ("B04", "B03", "B02", "B08")}


@pytest.mark.parametrize(("factor", "bands", "answer"), GOLDEN)
def test_measures_are_those_of_opensr_test(factor: int, bands: int, answer: str) -> None:
    """To single precision, in which it computes; its arccos is good to 1e-3 degrees only."""
    case, names = images(factor, bands), NAMES[bands]
    *expected, alone = GOLDEN[factor, bands, answer]
    found = measures(case["lr"], case[answer], case["hr"], bands=names, factor=factor)
    assert found.spectral == pytest.approx(expected[1], abs=1e-3)
    values = [found.reflectance, found.spatial, found.synthesis]
    values += [found.improvement, found.omission, found.hallucination]
    assert values == pytest.approx([expected[0], *expected[2:]], abs=2e-6)
    without_truth = measures(case["lr"], case[answer], bands=names, factor=factor)
    assert without_truth.synthesis == pytest.approx(alone, abs=2e-6)
    assert without_truth.improvement is None


def test_the_truth_improves_the_input_omits_and_noise_invents() -> None:
    case = images(4, 3)
    lr, hr, names = case["lr"], case["hr"], NAMES[3]
    low = enlarged(lr, 4)
    rng = np.random.default_rng(1)
    wild = low + 0.15 * rng.standard_normal(hr.shape)
    shares = [measures(lr, one, hr, bands=names, factor=4) for one in (hr, low, wild)]
    assert (shares[0].improvement or 0) > 0.95
    assert (shares[1].omission or 0) > 0.65  # matching histograms moves it a little
    assert (shares[2].hallucination or 0) > 0.5


@given(weight=st.floats(0, 1), seed=st.integers(1, 50))
def test_the_three_shares_sum_to_one_at_every_judged_pixel(weight: float, seed: int) -> None:
    case = images(2, 2)
    answer = case["hr"] + weight * 0.1 * (smooth(noise(case["hr"].shape, seed), 1) - 0.5)
    maps = correctness(case["lr"], answer, case["hr"], bands=NAMES[2], factor=2)
    total = maps.improvement + maps.omission + maps.hallucination
    assert total[np.isfinite(total)] == pytest.approx(1)
    assert 0.2 < np.isfinite(total).mean() < 1


@pytest.mark.parametrize("factor", [2, 4])
def test_resampling_is_bilinear_with_antialiasing(factor: int) -> None:
    coarse = noise((2, 9, 13), 5)
    fine = noise((2, 9 * factor, 13 * factor), 6)
    up = functional.interpolate(torch.from_numpy(coarse)[None], scale_factor=factor,
                                mode="bilinear")  # fmt: skip
    down = functional.interpolate(torch.from_numpy(fine)[None], scale_factor=1 / factor,
                                  mode="bilinear", antialias=True)  # fmt: skip
    np.testing.assert_allclose(enlarged(coarse, factor), up[0].numpy(), atol=1e-12)
    np.testing.assert_allclose(reduced(fine, factor), down[0].numpy(), atol=1e-12)


@given(down=st.integers(-6, 6), across=st.integers(-6, 6))
def test_a_shift_is_found_with_its_sign_and_undone(down: int, across: int) -> None:
    reference = smooth(noise((60, 47), 7), 2)
    moving = np.roll(reference, (down, across), (0, 1))
    found = phase_shift(moving, reference)
    assert (found.down_px, found.across_px) == pytest.approx((-down, -across), abs=0.02)
    back = moved(moving[None], found)[0]
    np.testing.assert_allclose(back[8:-8, 8:-8], reference[8:-8, 8:-8], atol=0.01)


def test_moving_by_nothing_changes_nothing() -> None:
    image = noise((2, 5, 7), 3)
    np.testing.assert_allclose(moved(image, Shift(0, 0)), image, atol=1e-7)


@given(seed=st.integers(0, 99))
def test_a_matched_image_keeps_its_order_and_takes_the_distribution(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, wanted = rng.random((11, 6)), rng.gamma(2.0, 1.0, (11, 6))
    values[2, 3] = np.nan
    found = matched_histogram(values, wanted)
    known = np.isfinite(values)
    assert np.isnan(found[2, 3])
    assert (np.argsort(found[known]) == np.argsort(values[known])).all()
    assert set(matched_histogram(values[:2], wanted[:2])[0]) <= set(wanted[:2].ravel())


def test_pixels_without_data_do_not_count() -> None:
    case = images(4, 3)
    answer = case["near"].copy()
    whole = measures(case["lr"], answer, case["hr"], bands=NAMES[3], factor=4)
    answer[:, 60:70, 80:100] = np.nan
    found = measures(case["lr"], answer, case["hr"], bands=NAMES[3], factor=4)
    assert found.reflectance == pytest.approx(whole.reflectance, rel=0.05)
    assert found.improvement == pytest.approx(whole.improvement, abs=0.02)


def test_a_table_has_bicubic_first_or_is_refused() -> None:
    row = OpensrMeasures(0.1, 0.2, None, 0.3, 0.5, 0.25, 0.25)
    text = table({"wiener-x4": row, "bicubic-x4": row})
    lines = text.splitlines()
    assert lines[2].startswith("| bicubic-x4 | 0.1000 | 0.2000 | - |")
    assert lines[3].startswith("| wiener-x4 |")
    with pytest.raises(InvalidInput, match="bicubic"):
        table({"wiener-x4": row})


def test_what_cannot_be_compared_is_refused_in_one_line() -> None:
    case, names = images(2, 2), NAMES[2]
    lr, hr = case["lr"], case["hr"]
    with pytest.raises(InvalidInput, match=r"truth of .* bring both to one grid"):
        measures(lr, hr, hr[:, :-2], bands=names, factor=2)
    with pytest.raises(InvalidInput, match="constant"):
        measures(np.full_like(lr, 0.2), hr, bands=names, factor=2)
    with pytest.raises(InvalidInput, match="at least 24 px"):
        measures(lr[:, :20], hr[:, :40], bands=names, factor=2)
    with pytest.raises(InvalidInput, match="3 bands"):
        measures(lr, hr, bands=NAMES[3], factor=2)
