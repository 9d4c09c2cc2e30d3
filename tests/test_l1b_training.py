"""Training CSR and REC: what a batch holds, what the losses see, what is only told."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import sr_engine
from datacube.errors import InvalidInput
from datacube.simulation import build_landscape
from datacube.simulation.detectors import DetectorPair, OverlapPlan, simulate_overlap
from sr_engine.l1b.flow_network import FlowSettings
from sr_engine.l1b.flowing import Example, ExamplePatches, with_flows
from sr_engine.l1b.losses import decorrelation, inside
from sr_engine.l1b.rec_network import RecSettings
from sr_engine.l1b.shipped import load_csr
from sr_engine.l1b.train_csr import CsrConfig, CsrTask, constructed
from sr_engine.l1b.train_rec import Judge, RecConfig, RecTask, judge_of, made_of, unexplained
from sr_engine.l1b.views import PairPatches, SimulatedPairs, simulated
from sr_engine.training.config import read_config

CONFIGS = Path(sr_engine.__file__).parent / "l1b/configs"


@pytest.fixture(scope="module")
def pair() -> DetectorPair:
    plan = OverlapPlan(61, max_shift_px=2.0, truth=True)
    return simulate_overlap(build_landscape(61, (88, 72)), plan)


@pytest.fixture(scope="module")
def example(pair: DetectorPair) -> Example:
    return with_flows(load_csr(), pair.views)


def test_the_committed_settings_are_read_and_keep_places_apart() -> None:
    csr, rec = (
        read_config(CONFIGS / "csr.toml", CsrConfig),
        read_config(CONFIGS / "rec.toml", RecConfig),
    )
    for config in (csr, rec):
        trained = range(config.pairs.first_seed, config.pairs.first_seed + config.pairs.places)
        assert config.validation.first_seed not in trained


def test_both_views_of_a_patch_are_turned_alike() -> None:
    rows, columns = np.mgrid[:20, :26].astype(np.float32)
    place = rows * 100 + columns  # tells where a pixel came from
    views = np.broadcast_to(place, (2, 4, 20, 26)).copy()
    drawn = PairPatches([views]).draw(np.random.default_rng(1), 12, 9)
    assert torch.equal(drawn[:, 0], drawn[:, 1])
    assert len({tuple(patch[0, 0, 0, :2].tolist()) for patch in drawn}) > 6


def test_patches_larger_than_a_pair_are_refused(pair: DetectorPair) -> None:
    with pytest.raises(InvalidInput, match="smaller than patches of 80 px"):
        PairPatches([pair.views]).draw(np.random.default_rng(1), 1, 80)


def test_simulated_pairs_bring_no_truth_unless_it_is_asked_for() -> None:
    settings = SimulatedPairs(first_seed=7, places=1, side_px=32, per_place=2)
    made = list(simulated(settings))
    assert [pair.truth for pair in made] == [None, None]
    assert not np.array_equal(made[0].views, made[1].views)


def test_what_was_constructed_shows_the_image_where_its_flow_says() -> None:
    ramp = torch.arange(40.0).expand(1, 1, 48, 40) / 40
    made, flow = constructed(ramp, np.random.default_rng(3), 3.0)
    assert flow.abs().max() <= 3.0
    # Tones change along one curve, so equal places keep equal values: order by place is a curve.
    place = (torch.arange(40.0) + flow[0, 0])[8:-8, 8:-8].flatten()
    value = made[0, 0, 8:-8, 8:-8].flatten()
    order = place.argsort()
    jumps = value[order].unfold(0, 25, 25).mean(dim=1).diff().abs()
    assert jumps.median() < 0.2 * value.std()


def test_reversed_contrast_coincides_and_another_place_does_not() -> None:
    torch.manual_seed(2)
    image = torch.nn.functional.avg_pool2d(torch.randn(1, 1, 66, 66), 3, 1)
    weight = torch.ones_like(image)
    assert decorrelation(image, 3 - 2 * image, weight) < 0.2
    assert decorrelation(image, image.roll(4, dims=-1), weight) > 0.7


def test_pixels_that_a_flow_leads_out_of_the_image_do_not_count() -> None:
    flow = torch.zeros(1, 2, 12, 10)
    flow[:, 0] = 5
    mask = inside(flow)
    assert mask[0, 0, 5, 2] == 1
    assert not mask[0, 0, :, 3:].any()


def test_every_weight_of_csr_learns_and_the_truth_is_only_told(pair: DetectorPair) -> None:
    config = CsrConfig(batch=2, patch_px=48, network=FlowSettings((8,), (8,), 8, 3.0, 2))
    task = CsrTask(config, PairPatches([pair.views]), [pair])
    losses = task.losses(np.random.default_rng(5), 0)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    assert all(weight.grad is not None for weight in task.module.parameters())
    assert {"same_band", "cross_band", "around", "constructed"} < set(losses)
    with torch.inference_mode():
        told = task.validate(task.module.eval())
    assert told.score == pytest.approx(-told.metrics["decorrelation"])
    assert told.pictures["bands"].ndim == 3


def test_flows_foretell_where_the_other_views_bands_saw_the_ground(
    pair: DetectorPair, example: Example
) -> None:
    for index, band in enumerate(pair.bands[:3]):
        for own in (0, 1):
            there = pair.flow((1 - own, band), (own, "B03"))  # type: ignore[arg-type]
            away = (example.foretelling[own, index].numpy() - there)[:, 14:-14, 14:-14]
            assert np.sqrt((away**2).sum(axis=0).mean()) < 0.3


def test_rec_learns_from_the_other_view_and_is_judged_by_truth(
    pair: DetectorPair, example: Example
) -> None:
    config = RecConfig(batch=2, patch_px=40, network=RecSettings(1, 1, 16, 4))
    task = RecTask(config, ExamplePatches([example]), [(example, judge_of(pair))])
    losses = task.losses(np.random.default_rng(5), 0)
    losses["loss"].backward()  # type: ignore[no-untyped-call]
    grown = task.module.exit.weight.grad
    assert grown is not None
    assert grown.abs().max() > 0
    with torch.inference_mode():
        told = task.validate(task.module.eval())
    # Before a step is taken it is bicubic interpolation, of bands aligned by CSR.
    assert -1.0 < told.metrics["gain_db"] < 0.3
    assert told.score == pytest.approx(-told.metrics["unlike"])


def test_a_sharper_image_explains_the_other_view_better(pair: DetectorPair) -> None:
    assert pair.truth is not None

    def lost(image: np.ndarray, true_flows: Example) -> float:
        return float(unexplained(torch.from_numpy(image)[None], true_flows))

    def stacked(lead: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(lead))[None]

    views = torch.from_numpy(pair.views)
    told = Example(
        views[:1],
        views[1:],
        stacked([pair.flow((0, "B03"), (0, band)) for band in pair.bands]),
        stacked([pair.flow((1, band), (0, "B03")) for band in pair.bands]),
    )
    judge: Judge = judge_of(pair)
    assert lost(pair.truth, told) < 0.8 * lost(judge.bicubic, told)
    aligned = made_of(RecTask(RecConfig(), ExamplePatches([told]), []).module, told)
    np.testing.assert_allclose(aligned[0].detach().numpy(), judge.bicubic, atol=1e-5)
