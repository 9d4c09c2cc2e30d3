"""CSR and REC: their sizes, what they promise of their inputs, and the weights that ship."""

import numpy as np
import pytest
import torch

from datacube.errors import InvalidInput
from datacube.simulation import build_landscape
from datacube.simulation.detectors import DetectorPair, OverlapPlan, simulate_overlap
from sr_engine.l1b import flow_network, rec_network
from sr_engine.l1b.flow_network import FlowNetwork, FlowSettings, find_flow, standardised
from sr_engine.l1b.measure import band_shifts
from sr_engine.l1b.polish import PolishSettings, polished
from sr_engine.l1b.rec_network import Joint, RecNetwork, RecSettings, operations_per_px
from sr_engine.l1b.register import aligned
from sr_engine.l1b.shipped import load_csr
from sr_engine.l1b.views import BANDS
from sr_engine.l1b.warp import warp


@pytest.fixture(scope="module")
def pair() -> DetectorPair:
    return simulate_overlap(build_landscape(41, (136, 120)), OverlapPlan(41, max_shift_px=2.0))


def parameters(network: torch.nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_reference_rec_has_15_million_parameters_and_the_small_ones_are_small() -> None:
    assert parameters(RecNetwork(rec_network.REFERENCE)) == 15_445_796
    assert parameters(RecNetwork()) + parameters(FlowNetwork()) < 400_000


def test_operations_are_counted_as_a_counter_of_operations_counts_them() -> None:
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 - slow to import

    network = RecNetwork(RecSettings(2, 1, 16, 4, 0, aligned=False))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 4, 24, 40))
    per_px = counter.get_total_flops() / (24 * 40)
    assert operations_per_px(network.settings) == pytest.approx(per_px, rel=0.01)


@pytest.mark.parametrize("settings", [flow_network.SMALL, flow_network.REFERENCE])
@pytest.mark.parametrize("shape", [(37, 53), (8, 9)])
def test_a_flow_has_the_images_shape_and_stays_in_range(
    settings: FlowSettings, shape: tuple[int, int]
) -> None:
    torch.manual_seed(3)
    network = FlowNetwork(settings)
    with torch.no_grad():
        network.last.weight.mul_(1e4)  # what would leave any range
        flow = network(torch.randn(2, 2, *shape))
    assert flow.shape == (2, 2, *shape)
    assert 0.9 * settings.range_px < flow.abs().max() <= settings.range_px


@pytest.mark.parametrize("how", ["image", "window"])
def test_standardised_bands_do_not_know_gain_and_offset(how: str) -> None:
    settings = FlowSettings(standardise=how)  # type: ignore[arg-type]
    image = torch.rand(1, 1, 50, 61) * 0.1 + 0.2
    one, other = standardised(image, settings), standardised(3 * image, settings)
    torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_flows_of_aligned_places_do_not_depend_on_the_window_they_are_found_in(
    pair: DetectorPair,
) -> None:
    network = load_csr()
    bands = torch.from_numpy(pair.views[0])[None]
    with torch.inference_mode():
        whole = find_flow(network, bands[:, [1]], bands[:, [0]])
        part = find_flow(network, bands[:, [1], 8:], bands[:, [0], 8:])
    torch.testing.assert_close(whole[..., 88:, :], part[..., 80:, :], atol=1e-4, rtol=0)


def test_the_shipped_csr_finds_flows_known_by_construction(pair: DetectorPair) -> None:
    image = torch.from_numpy(pair.views[0, 1])[None, None]
    flow = torch.zeros(1, 2, *image.shape[-2:])
    flow[:, 0], flow[:, 1] = 1.3, -0.7  # dx, dy
    reference = warp(image, flow, "bicubic")
    with torch.inference_mode():
        rough = find_flow(load_csr(), reference, image)
        fine = polished(reference, image, rough)
    inner = (slice(None), slice(None), slice(24, -24), slice(24, -24))
    assert (rough - flow)[inner].abs().mean() < 0.3
    assert (fine - flow)[inner].abs().max() < 0.12


def test_a_polish_of_no_steps_changes_nothing() -> None:
    images = torch.rand(1, 1, 40, 44)
    flow = torch.rand(1, 2, 40, 44)
    assert torch.equal(polished(images, images, flow, PolishSettings(steps=0)), flow)


def test_aligning_brings_the_bands_of_a_detector_within_a_quarter_of_a_pixel(
    pair: DetectorPair,
) -> None:
    moved, flows = aligned(load_csr(), pair.views[0], BANDS, "B03")
    assert not flows[1].any()
    for index, band in enumerate(BANDS):
        away = (flows[index] - pair.flow((0, "B03"), (0, band)))[:, 12:-12, 12:-12]
        assert np.sqrt((away**2).sum(axis=0).mean()) < 0.35
    np.testing.assert_array_equal(moved[1], pair.views[0, 1])
    before = band_shifts(pair.views[0, 1], pair.views[0, 2]).rms_px
    assert band_shifts(moved[1], moved[2]).rms_px < min(0.25 * before, 0.2)


def test_phase_correlation_measures_a_shift_known_by_construction(pair: DetectorPair) -> None:
    image = torch.from_numpy(pair.views[0, 1])[None, None]
    flow = torch.zeros(1, 2, *image.shape[-2:])
    flow[:, 0], flow[:, 1] = -0.75, 1.5
    moved = warp(image, -flow, "bicubic")[0, 0].numpy()  # what was at p lies at p + flow
    shifts = band_shifts(pair.views[0, 1], moved).shifts_px
    np.testing.assert_allclose(shifts, np.tile([1.5, -0.75], (len(shifts), 1)), atol=0.08)


def test_a_rec_that_wants_aligned_bands_needs_a_csr() -> None:
    with pytest.raises(InvalidInput, match="needs a CSR"):
        Joint(RecNetwork(), None)
    with pytest.raises(InvalidInput, match="needs a CSR"):
        Joint(RecNetwork(RecSettings(1, 1, 16, 4, aligned=False)), FlowNetwork())


def test_the_joint_network_doubles_any_shape_and_passes_a_gain_on(pair: DetectorPair) -> None:
    torch.manual_seed(1)
    joint = Joint(RecNetwork(RecSettings(1, 1, 16, 4)), load_csr()).eval()
    bands = torch.from_numpy(pair.views[:1, :, :45, :61])
    with torch.inference_mode():
        one, tripled = joint(bands), joint(3 * bands)
    assert one.shape == (1, 4, 90, 122)
    torch.testing.assert_close(3 * one, tripled, atol=2e-3, rtol=2e-2)
