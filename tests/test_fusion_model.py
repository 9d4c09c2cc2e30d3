"""Fusion as a model of a cube: block by block, in any order, from the dates around."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from datacube import Cube, Product, Scene, ScenePixels, Window
from datacube.errors import NotFound
from datacube.scene import dn_from_reflectance, reflectance_from_dn
from sr_engine.blocks import compute_block, plan_blocks, predict_window, product_path, product_spec
from sr_engine.fusion import FusionSettings, fuse
from sr_engine.fusion.model import DATES, KEPT_SCENES, FusionModel
from sr_engine.fusion.prepared_scene import psf_on_grid, sample_window
from sr_engine.fusion.trial import Trial, TrialPlan, bicubic_mean, simulate_trial
from sr_engine.metrics import psnr
from sr_engine.model import PatchModel, SeriesModel
from sr_engine.registry import find_model
from sr_engine.threads import use_one_thread
from tests.scenes import BANDS, new_cube

SHAPE = (150, 202)  # two by two blocks, the outer ones ragged
START = datetime(2024, 6, 1, 10, 30, tzinfo=UTC)
CLEAR = 4


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    use_one_thread()


@cache
def trial(dates: int = 5) -> Trial:
    return simulate_trial(TrialPlan(shape=SHAPE, bands=BANDS, dates=dates, seed=2))


def appended(
    cube: Cube, day: int, values: NDArray[np.float32], cloud: Window | None = None
) -> Cube:
    classes = np.full(values.shape[1:], CLEAR, np.uint8)
    if cloud is not None:
        classes[cloud.slices] = 9
    scene = Scene(f"S2X_{day:03d}", START + timedelta(days=day))
    return cube.append(scene, ScenePixels(dn_from_reflectance(values), classes))


def cube_of(root: Path, values: NDArray[np.float32]) -> Cube:
    cube = new_cube(root, (values.shape[2], values.shape[3]))
    for day, date in enumerate(values):
        cube = appended(cube, 5 * day, date)
    return cube


@pytest.mark.parametrize("factor", [2, 4])
def test_blocks_agree_with_fusing_the_whole(tmp_path: Path, factor: int) -> None:
    """Within a tenth of what the answer may be wrong by, although filters differ in length."""
    one = trial()
    cube = cube_of(tmp_path, one.observations)
    made = predict_window(cube, FusionModel(factor), 0, Window(0, 0, *SHAPE))
    settings = FusionSettings(reference=0)
    stored = reflectance_from_dn(dn_from_reflectance(one.observations))
    whole = fuse(stored, one.bands, factor, settings)
    apart = made.reflectance - whole.reflectance
    assert np.sqrt(np.mean(apart**2)) < 0.1 * np.sqrt(np.mean(whole.sigma**2))
    assert np.abs(psnr(made.reflectance, one.truth(factor))
                  - psnr(whole.reflectance, one.truth(factor))) < 0.1  # fmt: skip
    np.testing.assert_allclose(made.planes["sigma"].mean(), whole.sigma.mean(), rtol=0.1)


def test_blocks_join_without_a_seam_whatever_their_order(tmp_path: Path) -> None:
    values = trial().observations.copy()
    values[0, :, 120:131, 122:140] = np.nan
    cube = cube_of(tmp_path, values)
    cube = appended(cube, 30, values[1], Window(60, 80, 60, 70))
    forwards, backwards = FusionModel(2), FusionModel(2)
    product = Product.ensure(cube, product_spec(cube, forwards))
    blocks = plan_blocks(product, 0, Window(0, 0, *SHAPE)).missing
    assert len(blocks) == 4
    for block in reversed(blocks):
        compute_block(product, backwards, 0, block, source=cube)
    joined = product.dataset().reflectance.values[0]
    whole = predict_window(cube, forwards, 0, Window(0, 0, *SHAPE)).reflectance
    np.testing.assert_array_equal(np.isnan(joined), np.isnan(whole))
    np.testing.assert_allclose(joined, whole, atol=6e-5)  # half a digital number
    part = predict_window(cube, forwards, 0, Window(101, 97, 40, 66)).reflectance
    np.testing.assert_array_equal(part, whole[:, 202:282, 194:326])


def test_no_seam_shows_at_the_edge_of_a_block(tmp_path: Path) -> None:
    """The error against the truth is no larger beside the edge than anywhere."""
    one = trial()
    made = predict_window(cube_of(tmp_path, one.observations), FusionModel(2), 0,
                          Window(0, 0, *SHAPE)).reflectance  # fmt: skip
    slips = np.abs(np.diff(made - one.truth(2), axis=2)).mean(axis=(0, 1))
    assert slips[255] < 1.5 * np.median(slips)


@pytest.mark.parametrize(("factor", "least_db"), [(2, 2.5), (4, 1.5)])
def test_fusion_of_a_cube_beats_bicubic_of_its_mean(
    tmp_path: Path, factor: int, least_db: float
) -> None:
    one = trial(8)
    cube = cube_of(tmp_path, one.observations)
    made = predict_window(cube, FusionModel(factor), 0, Window(0, 0, *SHAPE)).reflectance
    truth = one.truth(factor)
    baseline = psnr(bicubic_mean(one.observations, factor), truth)
    assert psnr(made, truth) > baseline + least_db


def test_a_cube_of_one_date_is_deconvolved(tmp_path: Path) -> None:
    one = trial()
    made = predict_window(
        cube_of(tmp_path, one.observations[:1]), FusionModel(2), 0, Window(0, 0, *SHAPE)
    )
    alone = psnr(bicubic_mean(one.observations[:1], 2), one.truth(2))
    assert psnr(made.reflectance, one.truth(2)) > alone + 1
    assert (made.planes["sigma"] > 0).all()


def test_no_data_stays_no_data_band_by_band(tmp_path: Path) -> None:
    values = trial().observations.copy()
    values[0, :, 40:52, 60:75] = np.nan
    values[0, 2, 10:14, 20:31] = np.nan
    made = predict_window(cube_of(tmp_path, values), FusionModel(2), 0, Window(0, 0, *SHAPE))
    expected = np.isnan(values[0]).repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(np.isnan(made.reflectance), expected)
    np.testing.assert_array_equal(np.isnan(made.planes["sigma"]), expected.all(axis=0))


def test_under_a_cloud_the_ground_of_other_dates_appears_and_is_less_certain(
    tmp_path: Path,
) -> None:
    one = trial()
    cloudy = one.observations[0].copy()
    hole = Window(40, 60, 30, 40)
    cloudy[:, *hole.slices] = 0.8
    cube = cube_of(tmp_path, one.observations[1:])
    cube = appended(cube, 7, cloudy, hole)
    slot = cube.scene_at(START + timedelta(days=7)).slot
    made = predict_window(cube, FusionModel(2), slot, Window(0, 0, *SHAPE))
    inside = hole.scaled(2).slices
    error = made.reflectance - one.truth(2)
    assert np.sqrt(np.mean(error[:, *inside] ** 2)) < 0.02
    sigma = made.planes["sigma"]
    assert sigma[inside].mean() > sigma.mean()


def test_dates_are_the_nearest_clear_ones(tmp_path: Path) -> None:
    values = np.broadcast_to(trial().observations[0, :, :40, :52], (DATES + 4, 4, 40, 52))
    cube = cube_of(tmp_path, values[:1])
    for day in range(1, DATES + 4):
        cloud = Window(0, 0, 40, 40) if day in {2, 3} else None
        cube = appended(cube, 5 * day, values[day], cloud)
    chosen = FusionModel(2).choose(cube, cube.scenes[1].slot)
    days = [round((one.scene.datetime - START).days / 5) for one in chosen]
    assert days == [0, 1, 4, 5, 6, 7, 8, 9]
    overcast = FusionModel(2).choose(cube, cube.scenes[2].slot)
    assert [one.slot for one in overcast] == [cube.scenes[2].slot]
    with pytest.raises(NotFound, match="slot 99"):
        FusionModel(2).choose(cube, 99)


def test_an_overcast_date_is_sharpened_as_it_is(tmp_path: Path) -> None:
    values = trial().observations[:2, :, :64, :80]
    cube = appended(cube_of(tmp_path, values[:1]), 5, values[1], Window(0, 0, 64, 80))
    made = predict_window(cube, FusionModel(2), cube.scenes[1].slot, Window(0, 0, 64, 80))
    assert np.isfinite(made.reflectance).all()
    parts = made.reflectance.reshape(4, 64, 2, 80, 2).mean(axis=(2, 4))
    assert np.sqrt(np.mean((parts - values[1]) ** 2)) < 0.03


def test_whole_pixels_of_shift_are_read_elsewhere(tmp_path: Path) -> None:
    one = trial()
    moved = one.observations.copy()
    moved[2] = np.roll(one.observations[2], (-2, 1), axis=(1, 2))
    model = FusionModel(2)
    cube = cube_of(tmp_path, moved)
    np.testing.assert_array_equal(model.prepared(cube, 0).whole_px[2], [-2, 1])
    made = predict_window(cube, model, 0, Window(0, 0, *SHAPE)).reflectance
    still = predict_window(cube_of(tmp_path / "still", one.observations), model, 0,
                           Window(0, 0, *SHAPE)).reflectance  # fmt: skip
    truth = one.truth(2)
    assert psnr(made, truth) > psnr(still, truth) - 0.2


def test_a_new_date_never_mixes_with_old_blocks(tmp_path: Path) -> None:
    model, linear = FusionModel(2), find_model("bicubic-x2")
    cube = cube_of(tmp_path, trial().observations[:2, :, :40, :52])
    before, spec = product_path(cube, model), product_spec(cube, model)
    assert spec.attributes["dates"]["2024-06-01T10:30:00Z"] == [
        "2024-06-01T10:30:00Z",
        "2024-06-06T10:30:00Z",
    ]
    product = Product.ensure(cube, spec)
    assert product.attributes["generation"] == cube.generation
    newer = appended(product.cube, 30, trial().observations[2, :, :40, :52])
    assert product_path(newer, model) != before
    assert product_path(newer, linear) == product_path(cube, linear)


def test_prepared_scenes_are_few_and_found_again(tmp_path: Path) -> None:
    cube = cube_of(tmp_path, trial().observations[:4, :, :40, :52])
    model = FusionModel(2)
    first = model.prepared(cube, 0)
    assert model.prepared(cube, 0) is first
    for slot in range(1, KEPT_SCENES + 1):
        model.prepared(cube, slot)
    assert model.prepared(cube, 0) is not first


def test_the_sample_is_where_it_is_clear(tmp_path: Path) -> None:
    cube = new_cube(tmp_path, (600, 700))
    values = np.full((4, 600, 700), 0.2, np.float32)
    cube = appended(cube, 0, values, Window(100, 0, 500, 700))
    window = sample_window(cube, [0])
    assert window.row == 0
    assert (window.height, window.width) == (384, 384)


def test_a_wider_pixel_on_the_grid_is_a_wider_blur() -> None:
    native = trial().bands[0]
    assert psf_on_grid(native, 10) == pytest.approx(native.psf_sigma_px)
    wide = replace(native, gsd_m=20)
    assert psf_on_grid(wide, 10) ** 2 == pytest.approx((2 * native.psf_sigma_px) ** 2 + 0.25)


def test_models_say_what_kind_they_are() -> None:
    fusion, linear = find_model("fusion-x4"), find_model("wiener-x4")
    assert isinstance(fusion, SeriesModel)
    assert not isinstance(fusion, PatchModel)
    assert not isinstance(linear, SeriesModel)
    assert (fusion.card.dates, linear.card.dates) == (DATES, 1)
    assert [plane.name for plane in fusion.planes] == ["sigma"]
    assert [plane.name for plane in linear.planes] == ["influence", "reach"]
