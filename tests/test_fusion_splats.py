"""Splats are integrated exactly, and every strategy fits them better than interpolation."""

from typing import get_args

import numpy as np
import pytest
import torch

from sr_engine.fusion import FusionSettings, fuse
from sr_engine.fusion.fitting import HUBER, Fitting, huber_variation
from sr_engine.fusion.settings import Method
from sr_engine.fusion.splat import SplatField, SplatGrid, box_of_gaussian
from sr_engine.fusion.trial import TrialPlan, bicubic_mean, simulate_trial
from sr_engine.metrics import psnr


def field(per_px: float, seed: int = 0) -> SplatField:
    grid = SplatGrid((13, 17), per_px)
    weights = torch.rand((2, *grid.counts), generator=torch.Generator().manual_seed(seed))
    shifts = torch.tensor([[0.0, 0.0], [0.4, -0.3], [-0.5, 0.15]])
    return SplatField(grid, weights, shifts, torch.tensor([0.41, 0.45]))


@pytest.mark.parametrize("per_px", [0.25, 0.5, 1, 2, 4])
def test_separable_evaluation_equals_the_double_sum(per_px: float) -> None:
    model = field(per_px)
    torch.testing.assert_close(model(), model.dense(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("per_px", [0.5, 2])
def test_gradients_reach_weights_and_shifts_alike_on_both_ways(per_px: float) -> None:
    for evaluate in (SplatField.forward, SplatField.dense):
        model = field(per_px)
        (evaluate(model) ** 2).sum().backward()  # type: ignore[no-untyped-call]
        assert model.shifts_px.grad is not None
        if evaluate is SplatField.forward:
            expected = model.shifts_px.grad.clone()
    torch.testing.assert_close(model.shifts_px.grad, expected, rtol=1e-3, atol=1e-3)


def test_the_box_of_a_gaussian_is_its_numerical_integral() -> None:
    x = np.linspace(-0.2, 0.8, 200_001)
    density = np.exp(-0.5 * (x / 0.43) ** 2) / (0.43 * np.sqrt(2 * np.pi))
    found = box_of_gaussian(torch.tensor(-0.2), 1.0, torch.tensor(0.43))
    assert float(found) == pytest.approx(np.trapezoid(density, x), abs=1e-6)


def test_equal_weights_render_and_observe_nearly_their_value() -> None:
    grid = SplatGrid((9, 12), 2)
    model = SplatField(
        grid, torch.ones((1, *grid.counts)), torch.zeros((1, 2)), torch.tensor([0.4])
    )
    torch.testing.assert_close(model(), torch.ones((1, 1, 9, 12)), atol=0.02, rtol=0)
    torch.testing.assert_close(model.render(2), torch.ones((1, 18, 24)), atol=0.03, rtol=0)


def test_a_splat_appears_where_it_lies_moved_by_the_shift() -> None:
    grid = SplatGrid((12, 15), 2)
    weights = torch.zeros((1, *grid.counts))
    weights[0, 20, 23] = 1.0  # centre at y = 6.25, x = 7.75 from the outer corner
    shifts = torch.tensor([[0.0, 0.0], [1.0, -2.0]])
    seen = SplatField(grid, weights, shifts, torch.tensor([0.4]))().detach().numpy()[:, 0]
    rows, cols = np.mgrid[:12, :15] + 0.5
    for image, (y, x) in zip(seen, [(6.25, 7.75), (7.25, 5.75)], strict=True):
        assert (image * rows).sum() / image.sum() == pytest.approx(y, abs=0.01)
        assert (image * cols).sum() / image.sum() == pytest.approx(x, abs=0.01)


def test_a_drift_of_all_shifts_changes_nothing() -> None:
    one, two = field(2), field(2)
    with torch.no_grad():
        two.shifts_px.add_(torch.tensor([0.7, -0.2]))
    torch.testing.assert_close(one(), two())


def test_a_finer_grid_starts_near_the_same_scene() -> None:
    model = field(1)
    with torch.no_grad():
        model.weights.copy_(
            torch.linspace(0, 1, model.weights.shape[1])[None, :, None].expand_as(model.weights)
        )
    torch.testing.assert_close(model.finer(2)(), model(), atol=0.02, rtol=0)


def test_huber_variation_is_square_below_and_linear_above_its_knee() -> None:
    step = torch.zeros((1, 4, 6))
    step[..., 3:] = HUBER / 2
    small = float(huber_variation(step))
    step[..., 3:] = 10 * HUBER
    large = float(huber_variation(step))
    assert small * 5 == pytest.approx(HUBER / 8)  # one of five differences along x
    assert large * 5 == pytest.approx(9.5 * HUBER)


def test_held_out_pixels_are_not_fitted_and_gaps_are_neither() -> None:
    values = np.random.default_rng(0).random((3, 2, 20, 30)).astype(np.float32)
    values[1, :, :5] = np.nan
    fitting = Fitting.of(values, 0.1, seed=0)
    assert not (fitting.fitted & fitting.held_out).any()
    assert ((fitting.fitted | fitting.held_out).numpy() == np.isfinite(values)).all()
    assert 0.05 < fitting.held_out.float().mean() < 0.15


@pytest.mark.parametrize("method", [name for name in get_args(Method) if name != "closed_form"])
def test_every_strategy_beats_the_enlarged_mean(method: Method) -> None:
    trial = simulate_trial(TrialPlan(shape=(32, 40), bands=("B04", "B08"), dates=4, seed=3))
    settings = FusionSettings(method=method, iterations=60)
    answer = fuse(trial.observations, trial.bands, 2, settings)
    truth = trial.truth(2)
    gain = psnr(answer.reflectance, truth) - psnr(bicubic_mean(trial.observations, 2), truth)
    assert gain > 0.5
    assert answer.losses[-1] < answer.losses[0] / 10
