"""Composites: the right point of every pixel's spectra, of clear ones only, with their origin."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from datacube import Catalog, Product, Scene, ScenePixels, Window, open_storage
from datacube.composite import (
    CompositePixels,
    CompositeSpec,
    composite_dn,
    make_composite,
    periods_of,
)
from datacube.errors import InvalidInput
from datacube.geomedian import geometric_median, masked_median
from datacube.scene import reflectance_from_dn
from sr_engine.blocks import compute_block, product_spec
from sr_engine.registry import DEFAULT_MODEL, find_model
from tests.scenes import BANDS, new_cube, pixels

SHAPE = (60, 41)
CLEAR, CLOUD = 4, 9


def spectra(seed: int, dates: int = 7, count: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).gamma(2, 0.05, (dates, 4, count))


def everywhere(points: np.ndarray) -> np.ndarray:
    return np.ones((points.shape[0], points.shape[2]), bool)


@given(seed=st.integers(0, 10_000), dates=st.integers(3, 9))
def test_no_other_point_is_nearer_to_all_observations(seed: int, dates: int) -> None:
    points = spectra(seed, dates, 1)
    found = geometric_median(points, everywhere(points))[:, 0]

    def total(place: np.ndarray) -> float:
        return float(np.sqrt(((points[:, :, 0] - place) ** 2).sum(axis=1)).sum())

    best = minimize(total, points[:, :, 0].mean(axis=0), method="Nelder-Mead",
                    options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000})  # fmt: skip
    assert total(found) <= best.fun * (1 + 2e-5)


@given(seed=st.integers(0, 10_000))
def test_it_moves_turns_and_scales_with_the_spectra(seed: int) -> None:
    points = spectra(seed)
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))
    moved = 1.7 * np.einsum("ab,tbp->tap", turn, points) + 0.3
    found = geometric_median(moved, everywhere(moved))
    expected = 1.7 * turn @ geometric_median(points, everywhere(points)) + 0.3
    np.testing.assert_allclose(found, expected, atol=5e-4)  # of either side a digital number


@given(seed=st.integers(0, 10_000))
def test_the_order_of_dates_does_not_matter_and_invalid_ones_do_not_count(seed: int) -> None:
    points = spectra(seed)
    valid = np.random.default_rng(seed).random((7, 5)) < 0.6
    valid[:3] = True
    spoilt = np.where(valid[:, None], points, 9e9)
    order = np.random.default_rng(seed).permutation(7)
    found = geometric_median(points, valid)
    np.testing.assert_allclose(geometric_median(spoilt[order], valid[order]), found, atol=1e-5)
    np.testing.assert_allclose(
        masked_median(spoilt[order], valid[order]), masked_median(points, valid)
    )


def test_of_few_observations_the_median_is_plain() -> None:
    points = spectra(3, dates=3, count=4)
    valid = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]], bool)
    found = geometric_median(points, valid)
    np.testing.assert_allclose(found[:, 0], points[0, :, 0])
    np.testing.assert_allclose(found[:, 1], points[:2, :, 1].mean(axis=0))
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(found[:, 3]).all()


def test_an_observation_that_is_the_median_is_returned_itself() -> None:
    # Four corners of a square around the fifth: the iteration starts and stays on it. Three
    # points on a line: the middle one.
    square = np.array([[0, 0], [2, 0], [0, 2], [2, 2], [1, 1]], float)[:, :, None]
    np.testing.assert_allclose(geometric_median(square, everywhere(square))[:, 0], [1, 1])
    line = np.array([[0, 0], [1, 2], [5, 10]], float)[:, :, None]
    np.testing.assert_allclose(geometric_median(line, everywhere(line))[:, 0], [1, 2], atol=1e-5)
    same = np.repeat(np.array([[0.3], [0.1]])[None], 5, axis=0)
    np.testing.assert_allclose(geometric_median(same, everywhere(same)), same[0])


def test_starting_on_a_wrong_observation_does_not_hold_it_there() -> None:
    # The band-wise median (0, 0) is an observation, but the others pull harder than it holds.
    points = np.array([[0, 0], [0, 1], [1, 0], [-0.1, 4], [4, -0.1]], float)[:, :, None]
    found = geometric_median(points, everywhere(points))[:, 0]
    assert found.min() > 0.01
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)


def test_a_cloud_that_slipped_through_moves_it_little() -> None:
    points = np.repeat(np.array([[0.05], [0.08], [0.06], [0.4]])[None], 6, axis=0)
    points = points + np.random.default_rng(0).normal(0, 0.002, points.shape)
    spoilt = points.copy()
    spoilt[2] += 0.7
    clean = geometric_median(points, everywhere(points))
    assert np.abs(geometric_median(spoilt, everywhere(points)) - clean).max() < 0.004
    assert np.abs(spoilt.mean(axis=0) - clean).max() > 0.1


@given(seed=st.integers(0, 1000))
def test_the_median_is_numpys(seed: int) -> None:
    points = spectra(seed)
    valid = np.random.default_rng(seed).random((7, 5)) < 0.7
    valid[0] = True
    expected = np.nanmedian(np.where(valid[:, None], points, np.nan), axis=0)
    np.testing.assert_allclose(masked_median(points, valid), expected)


@pytest.mark.parametrize("method", ["median", "geomedian"])
def test_only_clear_pixels_with_data_count(method: str) -> None:
    numbers = np.random.default_rng(1).integers(2000, 2100, (5, 4, 6, 9)).astype(np.uint16)
    clear = np.ones((5, 6, 9), bool)
    numbers[1] = 9000  # a cloud
    clear[1] = False
    numbers[2, 3, 0, 0] = 0  # one band is missing
    clear[:, 5, 8] = False
    found = composite_dn(numbers, clear, method)
    assert found[:, 5, 8].tolist() == [0] * 4
    rest = np.delete(found.reshape(4, -1), 53, axis=1)
    assert rest.min() >= 2000
    assert rest.max() < 2100


def cloudy_cube(root: Path) -> Catalog:
    """Four dates in January, two in February; a cloud on the left of one, all over another."""
    cube = new_cube(root, SHAPE)
    for month, day in ((1, 3), (1, 8), (1, 13), (1, 18), (2, 2), (2, 22)):
        dn = (pixels(7, SHAPE).dn // 10 + 3000 + day).astype(np.uint16)
        scl = np.full(SHAPE, CLEAR, np.uint8)
        if (month, day) == (1, 8):
            scl[:, :20], dn[:, :, :20] = CLOUD, 12_000
        if (month, day) == (2, 22):
            scl[:], dn[:] = CLOUD, 12_000
        moment = datetime(2024, month, day, 10, tzinfo=UTC)
        cube = cube.append(Scene(f"S{month}{day:02d}", moment), ScenePixels(dn, scl))
    return Catalog(open_storage(root))


@pytest.mark.parametrize("method", ["median", "geomedian"])
def test_a_monthly_composite_is_a_cube_of_clear_scenes(tmp_path: Path, method: str) -> None:
    catalog = cloudy_cube(tmp_path)
    made = make_composite(catalog, "field", CompositeSpec("month", method))
    cube = Catalog(open_storage(tmp_path)).open(f"field-month-{method}")
    assert cube.generation == made.generation
    assert [one.scene.stamp for one in cube.scenes] == [
        "2024-01-01T00:00:00Z",
        "2024-02-01T00:00:00Z",
    ]
    whole = Window(0, 0, *SHAPE)
    january, february = (cube.window_dn(one.slot, BANDS, whole) for one in cube.scenes)
    assert january.max() < 5000
    # Clear on all four dates, the numbers differ by the day alone: 3, 8, 13, 18.
    base = pixels(7, SHAPE).dn // 10 + 3000
    assert np.abs(january[:, 30:, 30:].astype(int) - base[:, 30:, 30:] - 10.5).max() <= 3
    np.testing.assert_array_equal(february, base + 2)
    properties = cube.scenes[0].scene.properties
    assert properties["srcube:input_scenes"] == ["S103", "S108", "S113", "S118"]
    assert properties["start_datetime"] == "2024-01-01T00:00:00Z"
    assert properties["end_datetime"] == "2024-01-31T23:59:59Z"
    assert "Composite" in cube.attributes["notice"]
    assert not cube.has_scl


def test_making_it_again_changes_nothing_and_new_scenes_replace(tmp_path: Path) -> None:
    catalog = cloudy_cube(tmp_path)
    spec = CompositeSpec("month", "median")
    first = make_composite(catalog, "field", spec)
    again = make_composite(catalog, "field", spec)
    assert again.generation == first.generation
    moment = datetime(2024, 2, 12, 10, tzinfo=UTC)
    catalog.open("field").append(
        Scene("S212", moment), ScenePixels(pixels(5, SHAPE).dn, np.full(SHAPE, CLEAR, np.uint8))
    )
    third = make_composite(catalog, "field", spec)
    assert third.generation == first.generation + 1
    assert len(third.scenes) == 2


def test_the_window_that_is_read_does_not_change_the_pixels(tmp_path: Path) -> None:

    cube = cloudy_cube(tmp_path).open("field")
    source = CompositePixels(cube, tuple(one.slot for one in cube.scenes), "geomedian")
    whole = source.read(Window(0, 0, *SHAPE)).dn
    for window in (Window(0, 17, 33, 9), Window(41, 0, 19, 41)):
        np.testing.assert_array_equal(source.read(window).dn, whole[:, *window.slices])


def test_seasons_begin_with_december(tmp_path: Path) -> None:
    cube = cloudy_cube(tmp_path).open("field")
    (winter,) = periods_of(cube, "season")
    assert winter.start == datetime(2023, 12, 1, tzinfo=UTC)
    assert winter.end == datetime(2024, 3, 1, tzinfo=UTC)
    (year,) = periods_of(cube, "year")
    assert (year.start.year, year.end.year) == (2024, 2025)


def test_what_cannot_be_composed_is_refused(tmp_path: Path) -> None:
    for wrong in ({"period": "week"}, {"method": "mean"}):
        with pytest.raises(InvalidInput, match=next(iter(wrong))):
            CompositeSpec(**wrong)
    catalog = cloudy_cube(tmp_path)
    made = make_composite(catalog, "field", CompositeSpec())
    assert np.isfinite(reflectance_from_dn(made.window_dn(0, BANDS, Window(0, 0, 2, 2)))).all()
    with pytest.raises(InvalidInput, match="classification"):
        make_composite(catalog, "field-month-median", CompositeSpec())
    with pytest.raises(InvalidInput, match="another id"):
        make_composite(catalog, "field", CompositeSpec(), target_id="field")
    new_cube(tmp_path, SHAPE, "empty")
    with pytest.raises(InvalidInput, match="no scenes"):
        make_composite(Catalog(open_storage(tmp_path)), "empty", CompositeSpec())


def test_super_resolution_accepts_a_composite(tmp_path: Path) -> None:
    catalog = cloudy_cube(tmp_path)
    made = make_composite(catalog, "field", CompositeSpec())
    model = find_model(DEFAULT_MODEL)
    product = Product.ensure(made, product_spec(made, model))
    compute_block(product, model, 0, (0, 0))
    fine = product.read_block(0, (0, 0))
    assert fine is not None
    assert fine.shape == (4, SHAPE[0] * product.factor, SHAPE[1] * product.factor)
    assert (fine[:, 80:, 80:] > 0).all()
