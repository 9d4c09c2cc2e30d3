"""Consistency and quality flags: right where they can be checked, the same block by block."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from datacube import Cube, Product, ScenePixels, Window, find_bands
from datacube.scene import dn_from_reflectance
from datacube.simulation.optics import axis_weights, line_spread
from datacube.store.pyramid import flag_levels
from sr_engine.audit.consistency import (
    RIM_PX,
    consistency,
    degraded,
    footprints,
    over_bands,
    sensor_noise,
    whole_image,
)
from sr_engine.audit.quality import (
    Input,
    half_width_90,
    measured_flags,
    near_px,
    not_tested,
    shares,
)
from sr_engine.blocks import compute_block, plan_blocks, predict_window, product_spec
from sr_engine.planes import AUDIT_PLANES, QUALITY, Quality
from sr_engine.registry import find_model
from sr_engine.scenes.run import super_resolve
from sr_engine.scenes.source import CubeScene
from sr_engine.trust.calibration import calibration_of
from tests.opensr_cases import noise, smooth
from tests.scenes import BANDS, new_cube, scene

Image = NDArray[np.float32]
FOUR = find_bands(BANDS)


def ground(shape: tuple[int, int], seed: int = 3) -> Image:
    """Smooth reflectance between 0.05 and 0.5, other in every band."""
    field = smooth(noise((len(BANDS), *shape), seed), 2)
    return (0.05 + 0.45 * field).astype(np.float32)


def cube_of(root: Path, image: Image, scl: NDArray[np.uint8] | None = None) -> Cube:
    cube = new_cube(root, (image.shape[1], image.shape[2]))
    classes = np.full(image.shape[1:], 4, np.uint8) if scl is None else scl
    return cube.append(scene(1), ScenePixels(dn_from_reflectance(image), classes))


def flags_of(cube: Cube, differences: float = 0.0) -> NDArray[np.uint16]:
    window = Window(0, 0, *cube.grid.shape)
    near = near_px(find_model("wiener-x4").card)
    found = np.full(cube.grid.shape, differences, np.float32)
    return measured_flags(Input.of(cube, 0, BANDS, window, near), found)


def where(masks: NDArray[np.uint16], flag: Quality) -> NDArray[np.bool_]:
    return (masks & int(flag)) > 0


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("name", BANDS)
def test_the_footprint_is_the_one_that_simulated_scenes_are_seen_with(
    name: str, factor: int
) -> None:
    """The simulation integrates a sampled profile, and knows no closed form."""
    (band,) = find_bands([name])
    margin = 6 * factor
    expected = axis_weights(line_spread(band, "gaussian", "y"), out_px=5, fine_per_px=factor,
                            fine_px=5 * factor + 2 * margin, margin_fine=margin,
                            shift_px=0).toarray()  # fmt: skip
    cut = margin - RIM_PX * factor
    found = footprints(5, factor, band.psf_sigma_px).toarray()
    np.testing.assert_allclose(found, expected[:, cut:-cut], atol=1e-5)


@given(seed=st.integers(1, 30))
def test_noise_alone_is_a_difference_of_one(seed: int) -> None:
    factor, shape = 4, (24, 31)
    fine = ground(tuple(factor * (size + 2 * RIM_PX) for size in shape), seed)  # type: ignore[arg-type]
    clean = degraded(fine, FOUR, shape, 10.0)
    rng = np.random.default_rng(seed)
    sigma = np.stack([sensor_noise(*pair) for pair in zip(clean, FOUR, strict=True)])
    lr = clean + sigma * rng.standard_normal(clean.shape).astype(np.float32)
    differences = consistency(fine, lr, FOUR, 10.0)
    assert differences.std() == pytest.approx(1, abs=0.06)
    assert over_bands(differences).shape == shape
    brighter = consistency(fine + np.float32(0.02), lr, FOUR, 10.0)
    assert brighter.mean() > 5


def test_what_lies_beyond_the_image_is_not_made_up() -> None:
    fine, lr = ground((80, 96)), ground((20, 24), 4)
    fine[:, 40:44, 48:52] = np.nan
    lr[:, 3, 5] = np.nan
    unknown = np.asarray(np.isnan(whole_image(fine, lr, FOUR, 10.0)).all(axis=0))
    expected = np.zeros((20, 24), bool)
    expected[[0, -1]] = expected[:, [0, -1]] = True
    expected[3, 5] = True
    expected[9:12, 12] = expected[10, 11:14] = True
    np.testing.assert_array_equal(unknown[:9], expected[:9])
    assert unknown[10, 12]
    assert not unknown[13:-1, 1:-1].any()


@pytest.mark.parametrize("model_id", ["wiener-x4", "bicubic-x2", "fusion-x2"])
def test_every_block_has_the_planes_that_the_whole_scene_has(tmp_path: Path, model_id: str) -> None:
    image = ground((150, 270))
    image[:, 60:64, 100:107] = np.nan
    cube, model = cube_of(tmp_path, image), find_model(model_id)
    product = Product.ensure(cube, product_spec(cube, model))
    whole = Window(0, 0, 150, 270)
    for block in plan_blocks(product, 0, whole).missing:
        compute_block(product, model, 0, block)
    made = predict_window(cube, model, 0, whole).reflectance
    lr = Input.of(cube, 0, BANDS, whole, 0).within(0)
    expected = over_bands(whole_image(made, lr, FOUR, 10.0))
    dataset = product.dataset(level=model.card.factor.bit_length() - 1)
    found = dataset.consistency.values[0]
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    seam = 0.3 if model_id == "fusion-x2" else 0.0  # its neighbours' rim differs, within the noise
    np.testing.assert_allclose(found, expected, atol=0.03 + seam)
    masks = product.dataset().quality.values[0]
    assert (np.isnan(masks) == np.isnan(made).all(axis=0)).all()


def test_each_flag_marks_its_pixels_and_no_others(tmp_path: Path) -> None:
    image = ground((40, 50))
    scl = np.full((40, 50), 4, np.uint8)
    scl[2, 3], scl[2, 7], scl[4, 4] = 9, 3, 7
    image[:, 30, 40] = np.nan
    image[1, 20, 10] = 7.0  # beyond the encoding: stored as the mark for saturation
    image[2, 10, 30] = 1.3
    image[3, 12, 33] = -0.05
    masks = flags_of(cube_of(tmp_path, image, scl))
    cloudy = np.zeros((40, 50), bool)
    cloudy[2, [3, 7]] = True
    np.testing.assert_array_equal(where(masks, Quality.INPUT_CLOUDY), cloudy)
    saturated = np.zeros((40, 50), bool)
    saturated[14:27, 4:17] = True  # six pixels, the reach of the model, around it
    np.testing.assert_array_equal(where(masks, Quality.SATURATED), saturated)
    outside = np.zeros((40, 50), bool)
    outside[20, 10] = outside[10, 30] = outside[12, 33] = True
    np.testing.assert_array_equal(where(masks, Quality.OUT_OF_DOMAIN), outside)
    near = np.ones((40, 50), bool)
    near[6:-6, 6:-6] = False
    near[24:37, 34:47] = True
    gone = np.zeros((40, 50), bool)
    gone[30, 40] = True
    np.testing.assert_array_equal(where(masks, Quality.NO_DATA_NEAR), near & ~gone)
    np.testing.assert_array_equal(masks == 0, gone)
    assert not where(masks, Quality.INCONSISTENT).any()


def test_a_result_the_sensor_would_not_have_seen_is_inconsistent(tmp_path: Path) -> None:
    cube = cube_of(tmp_path, ground((40, 50)))
    assert where(flags_of(cube, 3.2), Quality.INCONSISTENT).all()
    assert not where(flags_of(cube, float("nan")), Quality.INCONSISTENT).any()


def test_an_interval_is_compared_with_what_was_changed() -> None:
    """A posterior by the Gaussian's 1.645, a told scale by its calibration, no other at all."""
    planes = {"sigma": np.array([[0.01, 0.02]], np.float32)}
    fusion, default = find_model("fusion-x2").card, find_model("default-x2").card
    posterior = half_width_90(fusion, planes)
    assert posterior is not None
    np.testing.assert_allclose(posterior, [[0.01645, 0.0329]], rtol=1e-6)
    told = half_width_90(default, {"scale": planes["sigma"]})
    assert told is not None
    multipliers = calibration_of(default).multipliers["0.90"].values()
    rms = float(np.sqrt(np.mean(np.square(list(multipliers)))))
    np.testing.assert_allclose(told, rms * planes["sigma"], rtol=1e-5)
    assert half_width_90(find_model("bicubic-x2").card, {"scale": planes["sigma"]}) is None


def test_fusion_tells_where_its_interval_is_wider_than_its_gain(tmp_path: Path) -> None:
    cube, model = cube_of(tmp_path, ground((130, 60))), find_model("fusion-x2")
    product = Product.ensure(cube, product_spec(cube, model))
    compute_block(product, model, 0, (0, 0))
    masks = product.read_block(0, (0, 0), variable="quality")
    assert masks is not None
    assert 0 < where(masks, Quality.INTERVAL_WIDER_THAN_GAIN).mean() < 1
    assert not_tested(cube, model.card, ("sigma",)) == []
    assert not_tested(cube, model.card, ("influence",)) == ["interval_wider_than_gain"]
    assert product.attributes["quality_not_tested"] == []


@given(rows=st.integers(1, 9), cols=st.integers(1, 9), seed=st.integers(0, 99))
def test_a_coarser_pixel_has_every_flag_of_those_it_covers(rows: int, cols: int, seed: int) -> None:
    masks = np.random.default_rng(seed).integers(0, 128, (rows, cols), dtype=np.uint16)
    levels = list(flag_levels(masks, 3))
    expected = np.zeros((-(-rows // 4), -(-cols // 4)), np.uint16)
    for row, col in np.ndindex(rows, cols):
        expected[row // 4, col // 4] |= masks[row, col]
    np.testing.assert_array_equal(levels[2], expected)


def test_masks_are_named_as_cf_names_flags_and_never_scaled(tmp_path: Path) -> None:
    cube = cube_of(tmp_path, ground((40, 50)))
    product = Product.ensure(cube, product_spec(cube, find_model("bicubic-x2")))
    compute_block(product, find_model("bicubic-x2"), 0, (0, 0))
    attributes = product.dataset().quality.attrs
    assert attributes["flag_masks"] == [1, 2, 4, 8, 16, 32, 64]
    assert attributes["flag_meanings"].split() == [str(flag.name).lower() for flag in Quality]
    np.testing.assert_array_equal(QUALITY.encode(np.array([3.0, np.nan, 1.0])), [3, 0, 1])


def test_a_product_of_before_the_audit_still_takes_blocks(tmp_path: Path) -> None:
    cube, model = cube_of(tmp_path, ground((40, 50))), find_model("bicubic-x2")
    product = Product.ensure(cube, replace(product_spec(cube, model), planes=model.planes))
    compute_block(product, model, 0, (0, 0))
    assert product.has_block(0, (0, 0))
    assert not {plane.name for plane in AUDIT_PLANES} & set(product.variables)


def test_shares_count_each_flag_among_computed_pixels() -> None:
    masks = np.array([[0, 1, 3], [9, 1, 1]], np.uint16)
    found = shares(masks)
    assert found["clean"] == pytest.approx(0.6)
    assert found["input_cloudy"] == found["no_data_near"] == pytest.approx(0.2)
    assert found["saturated"] == 0


def test_a_super_resolved_file_has_the_planes_that_a_cube_has(tmp_path: Path) -> None:
    """But for clouds, of which a file without classes knows nothing."""
    image = ground((150, 140))
    image[:, 60:64, 100:107] = np.nan
    cube, model = cube_of(tmp_path / "cube", image), find_model("wiener-x2")
    product = Product.ensure(cube, product_spec(cube, model))
    for block in plan_blocks(product, 0, Window(0, 0, 150, 140)).missing:
        compute_block(product, model, 0, block)
    written = super_resolve(
        CubeScene(cube, cube.scenes[0]), model, tmp_path / "out.tif", extras=("audit",)
    )
    names = [path.name for path in written]
    assert names == ["out.tif", "out_audit_consistency.tif", "out_audit_quality.tif"]
    dataset = product.dataset()
    with rasterio.open(written[1]) as file:
        found = file.read(1, masked=True).filled(0) * file.scales[0] + file.offsets[0]
        known = dataset.consistency.values[0]
        np.testing.assert_allclose(found[np.isfinite(known)], known[np.isfinite(known)], atol=0.06)
    with rasterio.open(written[2]) as file:
        np.testing.assert_array_equal(file.read(1), np.nan_to_num(dataset.quality.values[0]))
        assert json.loads(file.tags()["SRCUBE_FLAGS"])["inconsistent"] == Quality.INCONSISTENT
