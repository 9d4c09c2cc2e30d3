"""Linear models: exact where they can be checked, tiled or whole, with or without gaps."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from datacube import Cube, Product, ScenePixels, Window
from datacube.errors import InvalidInput, NotFound
from datacube.scene import dn_from_reflectance, reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from sr_engine.bicubic import bicubic
from sr_engine.blocks import compute_window, plan_blocks, predict_window, product_spec
from sr_engine.gaps import filled
from sr_engine.model import PatchModel, Reflectance
from sr_engine.polyphase import PolyphaseModel
from sr_engine.registry import find_model, find_patch_model, models
from sr_engine.wiener import axis_response, wiener
from tests.scenes import BANDS, new_cube, scene

MODELS = [
    model
    for model in models().values()
    if isinstance(model, PatchModel)
    and set(model.card.bands) <= set(BANDS)
    and not model.card.id.startswith("rec")  # it moves bands; see test_l1b_model
]
model_ids = [model.card.id for model in MODELS]
LINEAR = [model for model in MODELS if isinstance(model, PolyphaseModel)]
linear_ids = [model.card.id for model in LINEAR]


def smooth_image(shape: tuple[int, int], seed: int = 3) -> Reflectance:
    random = np.random.default_rng(seed).random((len(BANDS), *shape)).astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.2) for plane in random])
    return (0.05 + 0.4 * blurred).astype(np.float32)


def whole(model: PatchModel, image: Reflectance) -> Reflectance:
    halo = model.card.halo_px
    padded = np.pad(image, ((0, 0), (halo, halo), (halo, halo)), mode="edge")
    return model.predict(padded, BANDS).reflectance


def cube_of(root: Path, image: Reflectance) -> Cube:
    cube = new_cube(root, (image.shape[1], image.shape[2]))
    scl = np.full(image.shape[1:], 4, np.uint8)
    return cube.append(scene(1), ScenePixels(dn_from_reflectance(image), scl))


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_agrees_with_pillow(factor: int) -> None:
    image = smooth_image((37, 53))
    ours = whole(bicubic(factor), image)
    size = (53 * factor, 37 * factor)
    for plane, result in zip(image, ours, strict=True):
        theirs = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
        rim = 3 * factor
        np.testing.assert_allclose(
            result[rim:-rim, rim:-rim], theirs[rim:-rim, rim:-rim], atol=2e-6
        )


@pytest.mark.parametrize("model", MODELS, ids=model_ids)
def test_a_constant_image_stays_what_it_is(model: PatchModel) -> None:
    flat = np.full((len(BANDS), 20, 31), 0.2, np.float32)
    np.testing.assert_allclose(whole(model, flat), 0.2, atol=1e-6)


@pytest.mark.parametrize("model", MODELS, ids=model_ids)
def test_output_lies_on_the_same_ground(model: PatchModel) -> None:
    """A ramp keeps its place to a hundredth of a measured pixel: no half-pixel shift."""
    rows, cols = np.mgrid[0:48, 0:61].astype(np.float32)
    ramp = np.stack([0.003 * rows + 0.001 * cols] * len(BANDS))
    factor, rim = model.card.factor, 10 * model.card.factor
    fine_rows = (np.arange(48 * factor) + 0.5) / factor - 0.5
    fine_cols = (np.arange(61 * factor) + 0.5) / factor - 0.5
    expected = 0.003 * fine_rows[:, None] + 0.001 * fine_cols[None, :]
    error = (whole(model, ramp) - expected)[:, rim:-rim, rim:-rim]
    assert np.abs(error).max() < 0.003 * 0.01


@settings(max_examples=12, deadline=None)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), cut=st.integers(1, 39),
    model=st.sampled_from(MODELS),
)  # fmt: skip
def test_tiled_equals_whole(height: int, width: int, cut: int, model: PatchModel) -> None:
    image = smooth_image((height, width))
    halo, factor = model.card.halo_px, model.card.factor
    padded = np.pad(image, ((0, 0), (halo, halo), (halo, halo)), mode="edge")
    cut = min(cut, width)
    parts = [padded[:, :, : cut + 2 * halo], padded[:, :, cut:]]
    tiled = [model.predict(part, BANDS).reflectance for part in parts if part.shape[2] > 2 * halo]
    np.testing.assert_allclose(np.concatenate(tiled, axis=2), whole(model, image), atol=1e-5)
    assert whole(model, image).shape == (len(BANDS), height * factor, width * factor)


@pytest.mark.parametrize("model", MODELS, ids=model_ids)
def test_blocks_of_a_cube_join_without_a_seam(tmp_path: Path, model: PatchModel) -> None:
    """Blocks computed one by one equal one window over them all, gaps and edges included."""
    image = smooth_image((150, 270))
    image[:, 120:131, 122:140] = np.nan
    image[2, 10, 10] = np.nan
    cube = cube_of(tmp_path, image)
    whole = Window(0, 0, 150, 270)
    assert compute_window(cube, model, 0, Window(5, 5, 20, 10)) == 1
    assert compute_window(cube, model, 0, whole) == 5  # what is there already is kept
    product = Product.ensure(cube, product_spec(cube, model))
    assert plan_blocks(product, 0, whole).missing == ()
    fine = predict_window(cube, model, 0, Window(0, 0, 150, 270)).reflectance
    joined = product.dataset().reflectance.values[0]
    np.testing.assert_array_equal(np.isnan(joined), np.isnan(fine))
    np.testing.assert_allclose(joined, fine, atol=6e-5)  # half a digital number


@pytest.mark.parametrize("model", MODELS, ids=model_ids)
def test_no_data_stays_no_data_and_reaches_no_further_than_the_kernel(
    tmp_path: Path, model: PatchModel
) -> None:
    image = smooth_image((60, 70))
    holed = image.copy()
    holed[:, 25:31, 30:34] = np.nan
    factor, halo = model.card.factor, model.card.halo_px
    window = Window(0, 0, 60, 70)
    made = predict_window(cube_of(tmp_path / "holed", holed), model, 0, window)
    fine, told = made.reflectance, made.planes[model.planes[0].name]
    whole_fine = predict_window(cube_of(tmp_path / "whole", image), model, 0, window).reflectance
    gap = np.zeros((60, 70), bool)
    gap[25:31, 30:34] = True
    fine_gap = gap.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(np.isnan(fine), np.broadcast_to(fine_gap, fine.shape))
    np.testing.assert_array_equal(np.isnan(told), fine_gap)
    near = np.zeros((60, 70), bool)
    near[25 - halo : 31 + halo, 30 - halo : 34 + halo] = True
    far = ~near.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_allclose(fine[:, far], whole_fine[:, far], atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_gaps_are_filled_from_their_own_neighbourhood(seed: int) -> None:
    random = np.random.default_rng(seed)
    image = smooth_image((21, 33), seed)
    image[:, random.random((21, 33)) < 0.6] = np.nan
    result = filled(image, 4)
    known = ~np.isnan(image)
    np.testing.assert_array_equal(result[known], image[known])
    part = filled(image[:, 3:19, 5:29], 4)
    np.testing.assert_allclose(part[:, 4:-4, 4:-4], result[:, 7:15, 9:25], atol=1e-6)


@pytest.mark.parametrize("model", LINEAR, ids=linear_ids)
def test_influence_is_the_sum_of_what_each_neighbour_changed(model: PatchModel) -> None:
    """Perturbing one input pixel changes the output by weight x perturbation: the oracle."""
    halo, factor = model.card.halo_px, model.card.factor
    base = np.full((1, 2 * halo + 1, 2 * halo + 1), 0.1, np.float32)
    base[0, halo + 1, halo - 2] += 0.05
    flat = model.predict(np.full_like(base, 0.1), ("B04",)).reflectance[0]
    moved = np.abs(model.predict(base, ("B04",)).reflectance[0] - flat)
    found = model.predict(base, ("B04",), planes=("influence", "reach")).planes
    np.testing.assert_allclose(found["influence"], moved, atol=1e-6)
    strong = moved > 1e-5
    phase = (np.arange(factor) + 0.5) / factor - 0.5
    distance = np.hypot(1 - phase[:, None], -2 - phase[None, :])
    np.testing.assert_allclose(found["reach"][strong], distance[strong], rtol=1e-4)


@pytest.mark.parametrize("factor", [2, 4])
def test_the_assumed_blur_is_the_numerical_one(factor: int) -> None:
    """Response along one axis against a direct sum over a finely sampled Gaussian and box."""
    sigma, steps = 0.43, 400
    place = (np.arange(-5 * steps, 5 * steps) + 0.5) / steps
    gaussian = np.exp(-0.5 * (place / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi)) / steps
    phase = (np.arange(factor) + 0.5) / factor - 0.5
    for frequency in (0.0, 0.3, 0.5, 0.9):
        blurred = (gaussian * np.cos(2 * np.pi * frequency * place)).sum()
        expected = blurred * np.cos(2 * np.pi * frequency * phase).mean()
        found = axis_response(np.array([frequency]), sigma, factor)[0]
        assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("factor", [2, 4])
def test_wiener_beats_bicubic_on_simulated_truth(factor: int) -> None:
    """At zero jitter, on every band, by the margin the experiments found (about 1 dB)."""
    (summer,) = plan_season(5, dates=1, truth_dates=1)
    landscape = build_landscape(5, (160, 144))
    shot = acquire(landscape, replace(summer, shift_px=(0.0, 0.0)), BANDS)
    assert shot.truth_dn is not None
    image, truth = reflectance_from_dn(shot.dn), reflectance_from_dn(shot.truth_dn)
    ratio = 4 // factor
    height, width = (size // ratio for size in truth.shape[1:])
    truth = truth.reshape(4, height, ratio, width, ratio).mean(axis=(2, 4))
    rim = 8 * factor

    def mean_squared_error(model: PatchModel) -> NDArray[np.float32]:
        error = (whole(model, image) - truth)[:, rim:-rim, rim:-rim]
        return np.asarray(np.nanmean(error**2, axis=(1, 2)), np.float32)

    gain_db = 10 * np.log10(
        mean_squared_error(bicubic(factor)) / mean_squared_error(wiener(factor))
    )
    assert gain_db.min() > (1.0 if factor == 2 else 0.6)


def test_wrong_input_is_refused_in_one_line() -> None:
    model = find_patch_model("wiener-x2")
    with pytest.raises(InvalidInput, match="halo"):
        model.predict(np.zeros((1, 12, 40), np.float32), ("B04",))
    with pytest.raises(InvalidInput, match="bands"):
        model.predict(np.zeros((2, 40, 40), np.float32), ("B04",))
    with pytest.raises(InvalidInput, match="B99"):
        model.predict(np.zeros((1, 40, 40), np.float32), ("B99",))
    with pytest.raises(NotFound, match="wiener-x4"):
        find_model("wiener-x5")
    with pytest.raises(InvalidInput, match="several dates"):
        find_patch_model("fusion-x2")
