"""Saliency of a whole view, and whether a map is about the model at all."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from datacube import Window
from datacube.errors import InvalidInput
from sr_engine.explain.attribution import Quadrature, attribute
from sr_engine.explain.bench import explain_figures
from sr_engine.explain.case import open_case
from sr_engine.explain.companion import saliency_companion
from sr_engine.explain.diffusion import diffusion_index
from sr_engine.explain.objective import Detail
from sr_engine.explain.paths import BlurPath
from sr_engine.explain.saliency import View, diffusion_layer, sensitivity
from sr_engine.explain.sanity import cascade, randomised, similarity
from sr_engine.fusion.model import FusionModel
from sr_engine.model import DifferentiableModel, Prediction, Reflectance
from sr_engine.scenes.companions import MadeBlock
from sr_engine.threads import use_one_thread
from sr_engine.wiener import wiener
from tests.explain_cases import MODELS, ArrayImagery, case_at, ids, objective_of
from tests.scenes import BANDS
from tests.small_nets import (
    HALO_PX,
    NetModel,
    PlainNet,
    WithoutGradients,
    landscape_pair,
    random_net,
    trained,
    trained_net,
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    use_one_thread()


@pytest.mark.parametrize("make", MODELS, ids=ids)
def test_a_layer_is_what_one_probe_after_the_other_gives(make: type[DifferentiableModel]) -> None:
    model = make()
    image = landscape_pair()[0].copy()
    image[:, 16:32, 32:48] = np.nan
    image[1, 3, 5] = np.nan
    view = View.of(case_at(model, Window(0, 0, 40, 70), image))
    module = model.module(BANDS)
    layer = diffusion_layer(module, view, cell_px=16, probe_px=6, nodes=8)
    assert layer.shape == (3, 5)
    assert np.isnan(layer[1, 2])
    probes = {(0, 4): (5, 64, 6, 6), (2, 0): (33, 5, 6, 6), (2, 1): (33, 21, 6, 6)}
    for cell, probe in probes.items():
        alone = open_case(ArrayImagery(image), model, Window(*probe))
        values = attribute(
            module, Detail.of_case(alone), BlurPath(alone.patch, 2.0), Quadrature(order=8, most=8)
        ).values
        assert not alone.missing.all(axis=0).all()
        if not alone.missing.any():  # a gap is filled from twice the halo: not the same patch
            assert layer[cell] == pytest.approx(diffusion_index(values), abs=0.02)
    assert not open_case(ArrayImagery(image), model, Window(*probes[2, 1])).missing[:, 6:].any()


def test_a_layer_depends_on_nothing_beyond_the_halo() -> None:
    """So it is the same in whichever block it is computed."""
    model = NetModel(trained_net())
    module = model.module(BANDS)
    whole = diffusion_layer(module, View.of(case_at(model, Window(0, 0, 64, 96))), cell_px=16)
    part = diffusion_layer(module, View.of(case_at(model, Window(16, 48, 32, 32))), cell_px=16)
    np.testing.assert_allclose(part, whole[1:3, 3:5], atol=1e-3)


def test_one_gradient_ranks_cells_as_the_whole_path_does() -> None:
    model = NetModel(trained_net())
    view = View.of(case_at(model, Window(0, 0, 96, 112)))
    module = model.module(BANDS)
    quick, full = (
        diffusion_layer(module, view, cell_px=8, probe_px=8, nodes=nodes) for nodes in (1, 8)
    )
    assert spearmanr(quick.ravel(), full.ravel()).statistic > 0.85


def test_the_layer_beside_a_scene_is_the_same_however_it_is_cut() -> None:
    model = NetModel(trained_net())
    companion = saliency_companion(model)
    image = landscape_pair()[0].copy()
    image[:, 33:50, 66:90] = np.nan
    source = ArrayImagery(image)

    def told(window: Window) -> Reflectance:
        measured = source.read(BANDS, window, companion.halo_px)
        nothing = Prediction(np.zeros((0, 0, 0), np.float32), {})
        block = MadeBlock(BANDS, 2, companion.halo_px, measured, nothing)
        return companion.tell(block)["saliency"]

    whole = told(Window(0, 0, 96, 112))
    assert whole.shape == (192, 224)
    np.testing.assert_array_equal(
        np.isnan(whole), np.isnan(image).all(axis=0).repeat(2, axis=0).repeat(2, axis=1)
    )
    known = whole[~np.isnan(whole)]
    assert 0 < known.min() < known.max() < 100
    np.testing.assert_allclose(told(Window(32, 64, 64, 48)), whole[64:, 128:], atol=1e-3)
    with pytest.raises(InvalidInput, match="no gradients"):
        saliency_companion(WithoutGradients(model))
    with pytest.raises(InvalidInput, match="several dates"):
        saliency_companion(FusionModel(2))


@pytest.mark.long
def test_the_figures_are_told_by_their_names() -> None:
    figures = explain_figures(NetModel(trained_net()))
    assert figures["lam_completeness_error"] < 0.01
    assert figures["lam_core_s"] > 0
    assert figures["saliency_view_core_s"] > 0


def test_sensitivity_is_the_slope_of_detail_by_each_pixel() -> None:
    model = NetModel(trained_net())
    case = case_at(model, Window(30, 40, 12, 15))
    found = sensitivity(model.module(BANDS), View.of(case))
    assert found.shape == (12, 15)
    slopes = []
    for band in range(4):
        ends = []
        for sign in (-1, 1):
            moved = case.patch.copy()
            moved[band, HALO_PX + 4, HALO_PX + 9] += sign * 1e-3
            ends.append(objective_of(model, case, moved) * 12 * 15)
        slopes.append((ends[1] - ends[0]) / 2e-3)
    assert found[4, 9] == pytest.approx(np.linalg.norm(slopes), rel=0.05)


def test_randomised_weights_change_the_map_more_than_another_training_does() -> None:
    """Correlation of signed contributions; see `sanity` for why not ranks of magnitudes."""
    nets = [trained(PlainNet, seed) for seed in (1, 2)]
    case = case_at(NetModel(nets[0]), Window(30, 40, 24, 24))

    def explain(module: torch.nn.Module) -> Reflectance:
        path = BlurPath(case.patch, 2.0)
        return attribute(module, Detail.of_case(case), path, Quadrature()).values

    original = explain(nets[0])
    again = similarity(original, explain(nets[1]))
    everything = [similarity(original, explain(randomised(nets[0], seed))) for seed in range(4)]
    assert again > 0.8
    assert max(everything) < 0.7
    assert np.mean(np.abs(everything)) < 0.5
    falling = cascade(nets[0], explain)
    assert falling[0] == pytest.approx(1)
    assert len(falling) == 1 + 5
    assert max(falling[1:]) < again


def test_randomising_leaves_the_module_itself_alone_and_a_linear_one_as_it_is() -> None:
    net = random_net()
    before = [values.clone() for values in net.parameters()]
    assert cascade(wiener(2).module(BANDS), lambda _: landscape_pair()[0]) == pytest.approx([1])
    randomised(net)
    for values, kept in zip(net.parameters(), before, strict=True):
        torch.testing.assert_close(values, kept)
