"""Shifts between dates are found whatever the clouds, the radiometry and the size of the shift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from datacube.errors import InvalidInput
from datacube.registration import (
    estimate_shifts,
    fill_gaps,
    has_data,
    move_content,
    move_mask,
)


def scene(seed: int = 0) -> NDArray[np.float64]:
    """Two bands, smooth enough to be moved by Fourier phases without ringing."""
    rng = np.random.default_rng(seed)
    coarse: NDArray[np.float64] = ndimage.gaussian_filter(
        rng.standard_normal((2, 64, 90)), (0, 1.2, 1.2), mode="wrap"
    )
    return 0.2 + 0.2 * coarse


def moved(image: NDArray[np.float64], dy: float, dx: float) -> NDArray[np.float64]:
    """Content moved by exact Fourier phases (periodic)."""
    fy = np.fft.fftfreq(image.shape[1])[:, None]
    fx = np.fft.fftfreq(image.shape[2])[None]
    turn = np.exp(-2j * np.pi * (fy * dy + fx * dx))
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * turn).real)


shifts = st.floats(-2.0, 2.0).map(lambda value: round(value, 3))


@settings(max_examples=15, deadline=None)
@given(dy=shifts, dx=shifts)
def test_a_shift_is_found_with_its_sign_and_axis(dy: float, dx: float) -> None:
    stack = np.stack([scene(), moved(scene(), dy, dx)])
    found = estimate_shifts(stack, reference=0)
    np.testing.assert_allclose(found.shifts_px[1], [dy, dx], atol=0.01)


def test_gain_offset_noise_and_cloud_do_not_disturb() -> None:
    rng = np.random.default_rng(1)
    second = 1.4 * moved(scene(), 0.31, -0.22) - 0.05
    stack = np.stack([scene(), second]) + 0.002 * rng.standard_normal((2, 2, 64, 90))
    stack[0, :, 10:30, :25] = np.nan
    stack[1, 1, 40:, 50:] = np.nan
    found = estimate_shifts(stack)
    np.testing.assert_allclose(found.shifts_px[1], [0.31, -0.22], atol=0.02)
    assert found.correlation[1] > 0.99


def test_a_large_shift_is_measured_and_its_date_unusable() -> None:
    stack = np.stack([scene(), moved(scene(), -6.0, 7.5)])
    found = estimate_shifts(stack)
    np.testing.assert_allclose(found.shifts_px[1], [-6.0, 7.5], atol=0.2)
    assert found.usable.tolist() == [True, False]
    assert "more than 3" in found.reasons[1]


def test_the_first_date_with_data_is_the_reference() -> None:
    stack = np.stack([np.full((2, 64, 90), np.nan), scene(), moved(scene(), 0.5, 0.0)])
    found = estimate_shifts(stack)
    assert found.reference == 1
    assert found.usable.tolist() == [False, True, True]


def test_an_image_without_texture_has_no_shift() -> None:
    found = estimate_shifts(np.full((2, 1, 30, 40), 0.3))
    assert found.shifts_px.tolist() == [[0, 0], [0, 0]]
    assert found.usable.all()


def test_a_reference_without_data_is_refused() -> None:
    stack = np.stack([scene(), np.full((2, 64, 90), np.nan)])
    with pytest.raises(InvalidInput, match=r"reference date 1 has no data; choose one of \[0\]"):
        estimate_shifts(stack, reference=1)


def test_a_stack_without_bands_is_refused() -> None:
    with pytest.raises(InvalidInput, match="date, band, y, x"):
        estimate_shifts(scene())


def test_moving_content_equals_exact_fourier_phases_away_from_edges() -> None:
    image = ndimage.gaussian_filter(scene(), (0, 1, 1), mode="wrap")
    found = move_content(image.astype(np.float32), np.array([1.3, -0.4]))
    expected = moved(image, 1.3, -0.4)
    np.testing.assert_allclose(found[:, 12:-12, 12:-12], expected[:, 12:-12, 12:-12], atol=2e-4)


def test_a_moved_mask_keeps_only_pixels_made_of_seen_ones() -> None:
    mask = np.ones((6, 8), dtype=bool)
    mask[2, 3] = False
    assert (~move_mask(mask, np.array([0.5, 0.0]))).nonzero()[0].tolist() == [0] * 8 + [2, 3]


def test_gaps_take_the_nearest_value() -> None:
    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    seen = np.ones((3, 4), dtype=bool)
    seen[:, 2:] = False
    assert fill_gaps(image, seen)[0].tolist() == [[0, 1, 1, 1], [4, 5, 5, 5], [8, 9, 9, 9]]


def test_a_pixel_has_data_where_all_its_bands_have() -> None:
    values = np.zeros((2, 3, 2, 2))
    values[1, 2, 0, 1] = np.inf
    assert has_data(values).tolist() == [
        [[True, True], [True, True]],
        [[True, False], [True, True]],
    ]
