"""Explanation by gradients: exact where it can be checked, against captum and by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from datacube import Grid, Window
from datacube.errors import InvalidInput
from sr_engine.bicubic import bicubic
from sr_engine.blocks import predict_window
from sr_engine.explain.attribution import Quadrature, attribute, local_attribution
from sr_engine.explain.bands import pixel_origin
from sr_engine.explain.case import open_case, window_around
from sr_engine.explain.diffusion import band_shares, diffusion_index, distance_shares, gini
from sr_engine.explain.influence import influence_at, is_linear
from sr_engine.explain.objective import SMOOTH, Detail
from sr_engine.explain.occlusion import band_occlusion, occlusion_map
from sr_engine.explain.paths import BlurPath, StraightPath
from sr_engine.explain.report import explain_image
from sr_engine.gaps import filled
from sr_engine.model import DifferentiableModel, PatchModel, Reflectance
from sr_engine.scenes.source import CubeScene
from sr_engine.threads import use_one_thread
from sr_engine.wiener import wiener
from tests.explain_cases import MODELS, ArrayImagery, case_at, cube_of, ids, objective_of
from tests.scenes import BANDS, small_grid
from tests.small_nets import (
    HALO_PX,
    NetModel,
    WithoutGradients,
    landscape_pair,
    trained_net,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    use_one_thread()


@pytest.mark.parametrize("make", MODELS, ids=ids)
@settings(max_examples=12)
@given(row=st.integers(-1, 92), col=st.integers(-1, 108), side=st.integers(2, 24))
def test_contributions_add_up_to_a_percent_wherever_the_window_lies(
    make: type[DifferentiableModel], row: int, col: int, side: int
) -> None:
    model = make()
    case = case_at(model, Window(row, col, side, side + 1))
    found = local_attribution(case)
    assert found.completeness_error < 0.01
    start = BlurPath(case.patch, Quadrature().sigma_px).baseline
    rise = objective_of(model, case, case.patch) - objective_of(model, case, start)
    assert found.values.sum() == pytest.approx(rise, rel=0.01, abs=1e-6)
    assert found.values.shape == case.patch.shape


def test_the_path_ends_at_the_image_and_its_slope_is_its_derivative() -> None:
    image = landscape_pair()[0][:, :31, :44]
    path = BlurPath(image, 2.0)
    ends, _ = path.at(np.array([0.0, 1.0]))
    np.testing.assert_allclose(ends[1], image, atol=1e-6)
    edges = [np.abs(np.diff(one)).mean() for one in ends]
    assert edges[0] < 0.6 * edges[1]
    np.testing.assert_allclose(ends[0].mean(axis=(1, 2)), image.mean(axis=(1, 2)), atol=1e-5)
    step = 1e-3
    around, slopes = path.at(np.array([0.4 - step, 0.4, 0.4 + step]))
    np.testing.assert_allclose((around[2] - around[0]) / (2 * step), slopes[1], atol=2e-3)


def test_blur_is_that_of_a_gaussian_with_mirrored_edges() -> None:
    image = landscape_pair()[0][:, :31, :44]
    expected = ndimage.gaussian_filter(
        image.astype(np.float64), (0, 2.0, 2.0), mode="reflect", truncate=8
    )
    np.testing.assert_allclose(BlurPath(image, 2.0).baseline, expected, atol=2e-4)


@pytest.mark.parametrize("make", MODELS, ids=ids)
def test_captum_finds_the_same_along_a_straight_path(make: type[DifferentiableModel]) -> None:
    model = make()
    case = case_at(model, Window(33, 52, 9, 7))
    module, detail = model.module(BANDS), Detail.of_case(case)
    start = BlurPath(case.patch, 2.0).baseline
    ours = attribute(module, detail, StraightPath(case.patch, start), Quadrature(order=32, most=32))
    theirs = IntegratedGradients(lambda patch: detail(module(patch))).attribute(
        torch.from_numpy(case.patch)[None],
        torch.from_numpy(start)[None],
        n_steps=32,
        method="gausslegendre",
    )
    scale = np.abs(ours.values).max()
    np.testing.assert_allclose(ours.values, theirs[0].detach().numpy(), atol=1e-4 * scale)


def test_captum_finds_the_same_origin_of_a_pixel() -> None:
    model = NetModel(trained_net())
    case = case_at(model, Window(40, 50, 6, 8))
    ours = pixel_origin(case, 5, 9, Quadrature(order=64, most=64))
    halo = case.halo_px
    around = torch.from_numpy(case.patch[:, 2 : 2 + 2 * halo + 1, 4 : 4 + 2 * halo + 1])[None]
    flat = around[:, :, halo : halo + 1, halo : halo + 1].expand_as(around)
    for band in range(len(BANDS)):
        theirs = IntegratedGradients(
            lambda patch, band=band: model.net(patch)[:, band, 1, 1]
        ).attribute(around, flat, n_steps=64, method="gausslegendre")
        np.testing.assert_allclose(ours.values[band], theirs[0].detach().numpy(), atol=1e-6)
    assert pixel_origin(case, 5, 9).completeness_error < 0.01


def test_of_a_linear_model_a_pixel_is_weights_times_differences() -> None:
    model = wiener(2)
    case = case_at(model, Window(20, 70, 5, 5))
    found = pixel_origin(case, 4, 7)
    around = case.patch[:, 2 : 2 + 13, 3 : 3 + 13]
    for place, band in enumerate(BANDS):
        expected = model.kernel(band)[0, 1] * (around[place] - around[place, 6, 6])
        np.testing.assert_allclose(found.values[place, place], expected, atol=1e-6)
        others = np.delete(found.values[place], place, axis=0)
        np.testing.assert_array_equal(others, 0)
        assert found.shares()[band][band] == pytest.approx(1)


def test_influence_of_a_linear_model_is_its_kernel_and_of_a_net_its_finite_difference() -> None:
    random = np.random.default_rng(3)
    linear = wiener(4)
    around = random.uniform(0, 0.5, (4, 13, 13)).astype(np.float32)
    found = influence_at(linear, BANDS, around)
    for place, band in enumerate(BANDS):
        np.testing.assert_allclose(found[place, :, :, place], linear.kernel(band), atol=1e-6)
    net = NetModel(trained_net())
    side = 2 * HALO_PX + 1
    around = random.uniform(0.1, 0.4, (4, side, side)).astype(np.float32)
    slopes = influence_at(net, BANDS, around)
    moved = around.copy()
    moved[3, 4, 7] += 1e-3
    change = (net.predict(moved, BANDS).reflectance - net.predict(around, BANDS).reflectance) / 1e-3
    np.testing.assert_allclose(slopes[:, :, :, 3, 4, 7], change, atol=0.02)


def test_linear_models_are_told_from_others() -> None:
    assert is_linear(wiener(2), BANDS)
    assert is_linear(bicubic(4), BANDS)
    assert not is_linear(NetModel(trained_net()), BANDS)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), st.floats(1e-3, 1e3))
def test_gini_is_half_the_mean_difference_over_the_mean(values: list[float], gain: float) -> None:
    numbers = np.array(values)
    found = gini(numbers)
    if numbers.sum() > 1e-6:
        differences = np.abs(numbers[:, None] - numbers[None, :]).mean()
        assert found == pytest.approx(differences / (2 * numbers.mean()), abs=1e-9)
    assert gini(gain * numbers) == pytest.approx(found, abs=1e-9)
    assert 0 <= found < 1


def test_diffusion_index_runs_from_one_pixel_to_all_alike() -> None:
    one = np.zeros((4, 10, 20), np.float32)
    one[1, 3, 4] = -2
    assert diffusion_index(one) == pytest.approx(100 / 200)
    assert diffusion_index(np.full((4, 10, 20), -0.3, np.float32)) == pytest.approx(100)


def test_shares_sum_to_one_and_fall_off_with_distance() -> None:
    case = case_at(wiener(2), Window(30, 40, 10, 14))
    found = local_attribution(case)
    distance = distance_shares(found.values, case)
    assert list(distance) == ["0", "1", "2", "3-4", "5-6"]
    for shares in (distance, band_shares(found.values, BANDS)):
        assert sum(shares.values()) == pytest.approx(1)
        assert min(shares.values()) >= 0
    assert distance["0"] > distance["1"] > distance["5-6"]


def test_a_model_that_sees_one_band_is_credited_to_that_band() -> None:
    class NirOnly(torch.nn.Module):
        def forward(self, patch: torch.Tensor) -> torch.Tensor:
            nir = patch[:, 3:, HALO_PX:-HALO_PX, HALO_PX:-HALO_PX]
            return torch.tanh(3 * nir).repeat(1, 4, 2, 2)

    case = case_at(NetModel(NirOnly()), Window(30, 40, 8, 9))
    found = local_attribution(case)
    np.testing.assert_array_equal(found.values[:3], 0)
    assert band_shares(found.values, BANDS)["B08"] == pytest.approx(1)
    lost = band_occlusion(case)
    assert lost["B08"] > 0.3
    assert max(lost[name] for name in BANDS[:3]) == 0


def test_occlusion_needs_no_gradients_and_agrees_with_them_on_where() -> None:
    model = NetModel(trained_net())
    case = case_at(model, Window(30, 40, 16, 16))
    blind = case_at(WithoutGradients(model), Window(30, 40, 16, 16))
    losses = occlusion_map(blind, side_px=2)
    np.testing.assert_array_equal(losses, occlusion_map(case, side_px=2))
    gradients = local_attribution(case).values.sum(axis=0)
    assert np.corrcoef(losses.ravel(), gradients.ravel())[0, 1] > 0.5
    hidden = case.patch.copy()
    hidden[:, 8:10, 10:12] = BlurPath(case.patch, 2.0).baseline[:, 8:10, 10:12]
    loss = objective_of(model, case, case.patch) - objective_of(model, case, hidden)
    assert losses[9, 10] == pytest.approx(loss / 4, abs=1e-7)


def test_what_a_model_sees_is_filled_as_for_a_block(tmp_path: Path) -> None:
    """The window's own answer is the one that the cube's block has, gaps and edges included."""
    image = landscape_pair()[0].copy()
    image[:, 10:14, 6:9] = np.nan
    cube = cube_of(tmp_path, image)
    model, window = wiener(2), Window(0, 0, 20, 24)
    case = open_case(CubeScene(cube, cube.scenes[0]), model, window)
    expected = predict_window(cube, model, 0, window).reflectance
    shown = ~np.isnan(expected)
    found = model.predict(case.patch, BANDS).reflectance
    np.testing.assert_allclose(found[shown], expected[shown], atol=1e-6)
    np.testing.assert_array_equal(case.shown.repeat(2, axis=1).repeat(2, axis=2), shown)
    assert not np.isnan(case.patch).any()


def test_detail_counts_no_pixel_without_data() -> None:
    shown = np.ones((1, 3, 4), bool)
    shown[0, 1, 2] = False
    weight = Detail.of(shown, 2).weight[0]
    assert weight.shape == (5, 7)
    assert float(weight.sum()) == pytest.approx(1)
    assert not weight[2:4, 3:6].any()
    assert not weight[1, 4:6].any()
    assert weight[1, 3] > 0
    ramp = torch.arange(8.0)[None, :].repeat(6, 1)[None, None] * 0.01
    assert float(Detail.of(shown, 2)(ramp)[0]) == pytest.approx(0.01 - SMOOTH, rel=0.01)


@pytest.mark.parametrize(
    ("row", "col", "size", "expected"),
    [(10.2, 20.9, 4, (8, 19)), (10.5, 20.5, 5, (8, 18)), (0.1, 0.1, 16, (-8, -8))],
)
def test_the_window_lies_around_the_place(
    row: float, col: float, size: int, expected: tuple[int, int]
) -> None:
    window = window_around(small_grid(), row, col, size)
    assert (window.row, window.col, window.height, window.width) == (*expected, size, size)


def refused(model: PatchModel, window: Window, image: Reflectance) -> str:
    with pytest.raises(InvalidInput) as error:
        explain_image(ArrayImagery(image), model, window)
    text = str(error.value)
    assert "\n" not in text
    return text


def test_what_cannot_be_explained_is_refused_in_one_line() -> None:
    net, image = NetModel(trained_net()), landscape_pair()[0]
    window = Window(10, 10, 8, 8)
    assert "no gradients" in refused(WithoutGradients(net), window, image)
    flat = np.full_like(image, 0.2)
    assert "constant" in refused(net, window, flat)
    empty = np.full_like(image, np.nan)
    assert "no data" in refused(net, window, empty)
    with pytest.raises(InvalidInput, match="outside the scene"):
        window_around(small_grid(), -1, 5, 16)
    with pytest.raises(InvalidInput, match="1 to 256"):
        window_around(small_grid(), 1, 5, 0)
    three = ArrayImagery(image, BANDS[:3])
    with pytest.raises(InvalidInput, match="B08"):
        open_case(three, net, window)


def test_the_document_is_json_and_the_pictures_show_what_they_say() -> None:
    image = landscape_pair()[0].copy()
    image[:, 12:15, 41:44] = np.nan
    model = NetModel(trained_net())
    found = explain_image(ArrayImagery(image), model, Window(8, 36, 16, 16))
    facts = json.loads(json.dumps(found.document))
    assert facts["completeness_error"] < 0.01
    assert 0 < facts["diffusion_index"] < 100
    assert 0 < facts["filled_share"] < 0.1
    assert set(facts["middle_pixel"]["band_shares"]) == set(BANDS)
    grid: Grid = small_grid(image.shape[1:])
    assert facts["window"]["bounds"][0] == grid.bounds[0] + 36 * 10
    assert facts["window"]["bounds"][3] == grid.bounds[3] - 8 * 10
    assert facts["seen"]["row"] == 8 - HALO_PX
    assert found.pictures["attribution"].shape == (26, 26, 3)
    assert found.pictures["sr"].shape == (32, 32, 3)
    hole = (slice(4 + HALO_PX, 7 + HALO_PX), slice(5 + HALO_PX, 8 + HALO_PX))
    assert not found.pictures["input"][hole].any()


def test_gaps_are_filled_with_what_is_near() -> None:
    image = landscape_pair()[0].copy()
    image[:, 40:43, 50:52] = np.nan
    case = case_at(NetModel(trained_net()), Window(38, 47, 8, 8), image)
    known: NDArray[np.bool_] = ~case.missing
    whole = filled(image, HALO_PX)[:, 33:51, 42:60]
    np.testing.assert_allclose(case.patch[known], whole[known])
    assert case.patch.shape == whole.shape
