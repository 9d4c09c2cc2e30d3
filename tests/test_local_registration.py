"""A shift is found although every neighbourhood changed its brightness in its own way."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from datacube.local_registration import refine_shift
from datacube.registration import estimate_shifts

SHAPE = (120, 150)


def landscape(seed: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Texture of a few pixels, and the number of the field that each pixel belongs to."""
    random = np.random.default_rng(seed)
    fields = ndimage.zoom(random.integers(0, 12, (9, 11)), (14.0, 14.2), order=0)
    texture = ndimage.gaussian_filter(random.normal(size=fields.shape), 1.5)
    return texture[: SHAPE[0], : SHAPE[1]], fields[: SHAPE[0], : SHAPE[1]]


def seen(texture: NDArray[np.float64], fields: NDArray[np.intp], levels: NDArray[np.float64],
         shift: tuple[float, float]) -> NDArray[np.float64]:  # fmt: skip
    """Two bands (band, y, x) of fields at their levels, blurred, displaced by `shift`."""
    bands = [ndimage.gaussian_filter(level[fields] + 0.1 * texture, 1.0) for level in levels]
    return np.stack([ndimage.shift(band, shift, order=5, mode="nearest") for band in bands])


@pytest.mark.parametrize("seed", [6, 8])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.37, -0.22), (-0.81, 0.64)])
def test_fields_that_all_changed_do_not_move_the_shift(
    shift: tuple[float, float], seed: int
) -> None:
    texture, fields = landscape(8)
    before, after = np.random.default_rng(seed).uniform(0.05, 0.4, (2, 2, 12))
    reference = seen(texture, fields, before, (0.0, 0.0))
    date = seen(texture, fields, after, shift)
    found = refine_shift(reference, date, [np.zeros(2)])
    assert np.abs(found.shift - shift).max() < 0.05
    # One gain for the whole band is led astray: why this module exists.
    whole = estimate_shifts(np.stack([reference, date])).shifts_px[1]
    assert np.abs(whole - shift).max() > 0.2


def test_gaps_and_gain_do_not_disturb_and_the_best_start_wins() -> None:
    texture, fields = landscape(3)
    levels = np.random.default_rng(6).uniform(0.05, 0.4, (2, 12))
    reference = seen(texture, fields, levels, (0.0, 0.0))
    date = 0.7 * seen(texture, fields, levels, (0.4, 0.3)) + 0.02
    date[:, 30:50, 90:120] = np.nan
    reference[:, 80:95, 10:40] = np.nan
    found = refine_shift(reference, date, [np.array([9.0, -7.0]), np.array([0.0, 0.5])])
    assert np.abs(found.shift - (0.4, 0.3)).max() < 0.01
    assert found.correlation > 0.98
    coarse = estimate_shifts(np.stack([reference, date])).shifts_px[1]
    assert np.abs(coarse - (0.4, 0.3)).max() < 0.05


def test_an_image_without_texture_stays_where_it_was() -> None:
    flat = np.full((2, *SHAPE), 0.2)
    found = refine_shift(flat, flat, [np.array([0.25, -0.5])])
    np.testing.assert_array_equal(found.shift, [0.25, -0.5])
    assert found.correlation < 0.01
