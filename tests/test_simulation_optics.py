"""The instrument of the simulation: its blur is the band's, on both axes, for both profiles."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from datacube.bands import SENTINEL2, Band
from datacube.errors import InvalidInput
from datacube.simulation.optics import Axis, Psf, axis_weights, line_spread
from datacube.simulation.spectra import BANDS

FINE = 8
MARGIN = 128
OUT = 24


def weights_of(band: Band, psf: Psf, axis: Axis, shift_px: float = 0.0) -> NDArray[np.float64]:
    matrix = axis_weights(
        line_spread(band, psf, axis),
        out_px=OUT,
        fine_per_px=FINE,
        fine_px=OUT * FINE + 2 * MARGIN,
        margin_fine=MARGIN,
        shift_px=shift_px,
    )
    return np.asarray(matrix.toarray(), np.float64)


def ground_positions() -> NDArray[np.float64]:
    """Centres of fine pixels, in 10 m pixels from the edge of the area of interest."""
    return (np.arange(OUT * FINE + 2 * MARGIN) - MARGIN + 0.5) / FINE


@pytest.mark.parametrize("axis", ["y", "x"])
@pytest.mark.parametrize("psf", ["gaussian", "optics"])
@pytest.mark.parametrize("name", BANDS)
def test_contrast_of_a_nyquist_wave_is_the_mtf_of_the_band(name: str, psf: Psf, axis: Axis) -> None:
    band = SENTINEL2[name]
    wave = np.cos(np.pi * (ground_positions() - 0.5))  # crests and troughs on pixel centres
    image = weights_of(band, psf, axis) @ wave
    assert image[::2].min() > 0
    contrast = (image[::2].mean() - image[1::2].mean()) / 2
    assert contrast == pytest.approx(band.mtf_at_nyquist, abs=0.01)
    if band.gsd_m == 10:
        assert 0.15 <= contrast <= 0.30


def test_the_gaussian_follows_its_formula_below_nyquist_and_the_optics_do_not() -> None:
    band = SENTINEL2["B08"]
    frequency = 0.25
    wave = np.cos(2 * np.pi * frequency * (ground_positions() - 0.5))
    formula = np.sinc(frequency) * math.exp(-2 * (np.pi * band.psf_sigma_px * frequency) ** 2)
    gaussian, optics = ((weights_of(band, psf, "x") @ wave)[::4] for psf in ("gaussian", "optics"))
    assert gaussian.mean() == pytest.approx(formula, abs=0.005)
    assert abs(optics.mean() - formula) > 0.03


@pytest.mark.parametrize("psf", ["gaussian", "optics", "none"])
@pytest.mark.parametrize("shift_px", [0.0, -0.37, 0.5])
def test_weights_keep_a_constant_and_are_centred_where_the_shift_says(
    psf: Psf, shift_px: float
) -> None:
    weights = weights_of(SENTINEL2["B04"], psf, "y", shift_px)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    centres = weights @ ground_positions()
    np.testing.assert_allclose(centres, np.arange(OUT) + 0.5 + shift_px, atol=2e-3)


def test_without_a_profile_a_pixel_is_the_mean_of_its_ground() -> None:
    weights = weights_of(SENTINEL2["B04"], "none", "x")
    expected = np.kron(np.eye(OUT), np.full(FINE, 1 / FINE))
    np.testing.assert_allclose(weights[:, MARGIN:-MARGIN], expected, atol=1e-6)


def test_a_point_spreads_farther_through_the_optics_than_through_the_gaussian() -> None:
    band = SENTINEL2["B02"]
    far = np.abs(ground_positions() - 12.5) > 2.5
    gaussian, optics = (weights_of(band, psf, "x")[12, far].sum() for psf in ("gaussian", "optics"))
    assert gaussian < 1e-5
    assert 1e-3 < optics < 5e-2


def test_a_profile_that_leaves_the_margin_is_refused() -> None:
    with pytest.raises(InvalidInput, match="widen the margin"):
        axis_weights(
            line_spread(SENTINEL2["B04"], "optics", "x"),
            out_px=4,
            fine_per_px=FINE,
            fine_px=4 * FINE + 32,
            margin_fine=16,
            shift_px=0.0,
        )
