"""Numbers must keep their meaning: exactly where they can, refused where nobody knows it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from datacube.errors import InvalidInput
from datacube.scene import dn_from_reflectance, reflectance_from_dn
from datacube.sources.radiometry import (
    Calibration,
    baseline_calibration,
    harmonise,
    stated_calibration,
)
from datacube.sources.refusals import RadiometryUnknown

images = npst.arrays(np.uint16, st.tuples(st.integers(1, 5), st.integers(1, 7)))


@given(images, st.sampled_from([0.0, -0.1]))
def test_integers_are_shifted_by_a_whole_number_and_nothing_else(
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], offset: float
) -> None:
    found = harmonise(numbers, Calibration(offset=offset)).astype(int)
    shift = 1000 if offset == 0 else 0
    expected = np.where(numbers == 0, 0, np.minimum(numbers.astype(int) + shift, 65_535))
    np.testing.assert_array_equal(found, expected)


@given(images, st.floats(1e-6, 1e-3), st.floats(-0.9, 0.9))
def test_any_calibration_gives_the_nearest_number_of_the_formula(
    numbers: np.ndarray[tuple[int, ...], np.dtype[np.uint16]], scale: float, offset: float
) -> None:
    found = harmonise(numbers, Calibration(scale, offset, None))
    expected = dn_from_reflectance(numbers.astype(np.float64) * scale + offset)
    np.testing.assert_array_equal(found, expected)


def test_reflectance_survives_whether_or_not_the_offset_was_removed() -> None:
    reflectance = np.array([[-0.0999, -0.05, 0.0, 0.3, 1.2]])
    for offset in (0.0, -0.1):
        numbers = np.rint((reflectance - offset) * 10_000).astype(np.int32)
        calibration = Calibration(offset=offset, no_data=-9999)
        found = reflectance_from_dn(harmonise(numbers, calibration))
        np.testing.assert_allclose(found, reflectance, atol=1e-6)


def test_negative_and_saturated_numbers_are_clipped_and_never_wrapped() -> None:
    numbers = np.array([[-32_768, -1001, -999, 0, 32_767]], np.int16)
    found = harmonise(numbers, Calibration(no_data=None))
    np.testing.assert_array_equal(found, [[1, 1, 1, 1000, 33_767]])
    assert harmonise(np.array([65_535], np.uint16), Calibration())[0] == 65_535


def test_each_way_of_saying_no_data_becomes_zero() -> None:
    numbers = np.array([[65_535, 0, 7]], np.uint16)
    np.testing.assert_array_equal(
        harmonise(numbers, Calibration(no_data=65_535)), [[0, 1000, 1007]]
    )
    floats = np.array([[np.nan, np.inf, 0.5, -1.0]], np.float32)
    found = harmonise(floats, Calibration(1.0, 0.0, no_data=-1.0))
    np.testing.assert_array_equal(found, [[0, 0, 6000, 0]])


@pytest.mark.parametrize(
    ("baseline", "removed", "offset"),
    [("03.01", None, 0), ("04.00", None, -0.1), ("05.10", False, -0.1), ("N0500", None, -0.1),
     ("05.10", True, 0), (None, True, 0)],
)  # fmt: skip
def test_the_offset_follows_the_baseline_unless_it_was_removed(
    baseline: str | None, removed: bool | None, offset: float
) -> None:
    assert baseline_calibration(baseline, offset_removed=removed).offset == offset


@pytest.mark.parametrize("baseline", [None, "", "latest", "2022-01-26"])
def test_without_a_baseline_nothing_is_guessed(baseline: str | None) -> None:
    with pytest.raises(RadiometryUnknown, match="--offset"):
        baseline_calibration(baseline)


def test_half_a_statement_is_none() -> None:
    with pytest.raises(RadiometryUnknown, match="--scale"):
        stated_calibration(1e-4, None, no_data=0, name="a.tif")


@pytest.mark.parametrize(("scale", "offset"), [(1e-4, -1000.0), (0.0, 0.0), (1e-4, float("nan"))])
def test_a_calibration_that_is_none_is_refused(scale: float, offset: float) -> None:
    with pytest.raises(InvalidInput):
        Calibration(scale, offset)


def test_numbers_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InvalidInput, match="complex"):
        harmonise(np.zeros((2, 2), np.complex64), Calibration())
