"""Metrics agree with definitions written another way, and with what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from datacube.errors import InvalidInput
from sr_engine import metrics


def picture(seed: int = 0, shape: tuple[int, int, int] = (3, 37, 29)) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    smooth: NDArray[np.float64] = ndimage.gaussian_filter(rng.random(shape), (0, 1.5, 1.0))
    return 0.1 + 0.8 * smooth


def test_psnr_of_a_known_error_is_the_textbook_value() -> None:
    truth = picture()
    image = truth + np.array([0.1, 0.01, 0.001])[:, None, None]
    assert metrics.psnr(image, truth) == pytest.approx((20 + 40 + 60) / 3)


def test_psnr_of_equal_images_is_infinite() -> None:
    assert metrics.psnr(picture(), picture()) == float("inf")


def test_rmse_is_blind_to_pixels_without_data() -> None:
    truth, image = picture(), picture() + 0.25
    image[:, 3:9, 4:] = np.nan
    assert metrics.rmse(image, truth) == pytest.approx(0.25)


def test_ssim_equals_the_definition_summed_over_one_window_at_a_time() -> None:
    a, b = picture(1, (1, 14, 13)), picture(2, (1, 14, 13))
    steps = np.arange(-5, 6)
    window = np.exp(-(steps[:, None] ** 2 + steps[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for row in range(5, 9):
        for col in range(5, 8):
            x = a[0, row - 5 : row + 6, col - 5 : col + 6]
            y = b[0, row - 5 : row + 6, col - 5 : col + 6]
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            values.append(
                (2 * mx * my + 1e-4)
                * (2 * cov + 9e-4)
                / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
            )
    assert metrics.ssim(a, b) == pytest.approx(np.mean(values), rel=1e-9)


def test_ssim_of_an_image_with_itself_is_one_and_falls_with_noise() -> None:
    truth = picture()
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(truth.shape)
    little, much = truth + 0.02 * noise, truth + 0.1 * noise
    assert metrics.ssim(truth, truth) == pytest.approx(1)
    assert 1 > metrics.ssim(little, truth) > metrics.ssim(much, truth)


def test_sam_is_the_angle_between_spectra_in_degrees() -> None:
    truth = np.zeros((2, 3, 4))
    truth[0] = 2.0
    image = np.zeros((2, 3, 4))
    image[0], image[1] = np.cos(0.3), np.sin(0.3)
    assert metrics.sam(image, truth) == pytest.approx(np.degrees(0.3))


@given(scale=st.floats(0.1, 10))
def test_sam_does_not_see_brightness(scale: float) -> None:
    assert metrics.sam(picture() * scale, picture()) == pytest.approx(0, abs=1e-6)


def test_ergas_of_a_relative_error_in_every_band_is_that_share() -> None:
    truth = np.stack([np.full((5, 7), 0.2), np.full((5, 7), 0.4)])
    assert metrics.ergas(truth * 1.1, truth, factor=2) == pytest.approx(100 / 2 * 0.1)


@pytest.mark.parametrize(
    "measure", [metrics.edge_contrast, metrics.laplacian_var, metrics.gradient_energy]
)
def test_sharpness_falls_when_the_image_is_blurred(measure: object) -> None:
    assert callable(measure)
    sharp = picture(4)
    blurred: NDArray[np.float64] = ndimage.gaussian_filter(sharp, (0, 1, 1))
    assert measure(sharp) > measure(blurred) > 0


def test_gradient_energy_and_laplacian_of_a_plane_and_a_bowl() -> None:
    y, x = np.mgrid[:9, :7].astype(float)
    assert metrics.gradient_energy((3 * y + 4 * x)[None]) == pytest.approx(25)
    assert metrics.laplacian_var((3 * y + 4 * x)[None]) == pytest.approx(0)
    assert metrics.laplacian_var((y**3)[None]) == pytest.approx(np.var(6 * np.arange(1, 8)))


@given(gain=st.floats(0.1, 5), offset=st.floats(-1, 1))
def test_edge_contrast_does_not_see_gain_or_offset(gain: float, offset: float) -> None:
    sharp = picture(5)
    expected = metrics.edge_contrast(sharp)
    assert metrics.edge_contrast(gain * sharp + offset) == pytest.approx(expected, rel=1e-6)


def test_sharpness_of_a_constant_image_is_zero() -> None:
    flat = np.full((2, 8, 9), 0.3)
    assert metrics.edge_contrast(flat) == 0
    assert metrics.gradient_energy(flat) == 0


def test_images_of_different_shape_are_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match=r"\(3, 37, 29\) and \(3, 37, 28\)"):
        metrics.psnr(picture(), picture()[..., :-1])


def test_images_that_share_no_data_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got none"):
        metrics.rmse(np.full((1, 4, 5), np.nan), np.ones((1, 4, 5)))
