"""Two simulated detectors over one landscape: offsets, flows and truth agree with each other."""

import numpy as np
import pytest
from scipy import ndimage

from datacube.errors import InvalidInput
from datacube.simulation import Landscape, build_landscape
from datacube.simulation.detectors import OverlapPlan, simulate_overlap


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return build_landscape(31, (96, 72))


def warped(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """The image at p + flow(p), by scipy."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return ndimage.map_coordinates(image, [rows + flow[1], columns + flow[0]], order=3)


@pytest.mark.parametrize("band", ["B02", "B03", "B04", "B08"])
def test_the_true_flow_lays_the_other_detector_on_the_first(
    landscape: Landscape, band: str
) -> None:
    pair = simulate_overlap(landscape, OverlapPlan(3, noise=False))
    own, other = (pair.views[view, pair.bands.index(band)] for view in (0, 1))
    flow = pair.flow((0, band), (1, band))

    def unlike(dx: float, dy: float) -> float:
        moved = warped(other, flow + np.array([dx, dy], np.float32)[:, None, None])
        return float(((moved - own)[8:-8, 8:-8] ** 2).mean())

    there = unlike(0, 0)
    # What is left there is aliasing: neither sampling of the scene is band-limited.
    assert there < min(unlike(0.15, 0), unlike(-0.15, 0), unlike(0, 0.15), unlike(0, -0.15))


def test_a_flow_there_and_back_ends_where_it_began(landscape: Landscape) -> None:
    pair = simulate_overlap(landscape, OverlapPlan(4))
    there, back = pair.flow((0, "B03"), (1, "B08")), pair.flow((1, "B08"), (0, "B03"))
    returned = there + np.stack([warped(back[i], there) for i in (0, 1)])
    assert np.abs(returned[:, 8:-8, 8:-8]).max() < 0.01


def test_shifts_reach_what_was_asked_for_and_vary_along_rows(landscape: Landscape) -> None:
    pair = simulate_overlap(landscape, OverlapPlan(5, max_shift_px=2.5))
    relative = pair.offsets_px - pair.offsets_px[:1, 1:2]
    assert np.abs(relative).max() == pytest.approx(2.5)
    assert np.ptp(relative[1, 3, :, 1]) > 0.05


def test_the_order_of_bands_turns_round_between_the_detectors(landscape: Landscape) -> None:
    pair = simulate_overlap(landscape, OverlapPlan(6, noise=False))
    first = (pair.offsets_px[0, 2] - pair.offsets_px[0, 1]).mean(axis=0)
    second = (pair.offsets_px[1, 2] - pair.offsets_px[1, 1]).mean(axis=0)
    assert not np.allclose(first, second, atol=0.05)


def test_without_shifts_blur_and_noise_the_views_are_the_means_of_the_truth(
    landscape: Landscape,
) -> None:
    plan = OverlapPlan(7, max_shift_px=0, psf="none", noise=False, truth=True)
    pair = simulate_overlap(landscape, plan)
    assert pair.truth is not None
    height, width = landscape.shape
    means = pair.truth.reshape(4, height, 2, width, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(pair.views[0], means, atol=2e-3)
    np.testing.assert_allclose(pair.views[1], means, atol=2e-3)


def test_two_views_have_noise_of_their_own(landscape: Landscape) -> None:
    noisy = simulate_overlap(landscape, OverlapPlan(8, max_shift_px=0)).views
    clean = simulate_overlap(landscape, OverlapPlan(8, max_shift_px=0, noise=False)).views
    first, second = (noisy - clean).reshape(2, -1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02
    assert first.std() > 1e-4


def test_shifts_beyond_the_landscape_and_unknown_bands_are_refused() -> None:
    with pytest.raises(InvalidInput, match="shifts of 0 to 4 px"):
        OverlapPlan(1, max_shift_px=5)
    with pytest.raises(InvalidInput, match="need B03"):
        OverlapPlan(1, bands=("B02", "B11"))
