"""Warping by flows: against scipy, and flows known by construction."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from datacube.bands import find_bands
from sr_engine.l1b.degrade import degraded
from sr_engine.l1b.flowing import turned, turned_flow
from sr_engine.l1b.warp import (
    Interpolation,
    composed,
    finer_flow,
    inverse,
    warp,
    warp_finer,
)
from sr_engine.wiener import axis_response

SHAPE = (23, 31)


def image_of(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return np.asarray(ndimage.gaussian_filter(noise, 2.0), np.float32)


def flow_of(seed: int, size_px: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 6.0) for _ in range(2)])
    return np.asarray(size_px * field / np.abs(field).max(), np.float32)


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)[None]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), size_px=st.floats(0.1, 6.0))
def test_bilinear_warping_is_scipys_interpolation_at_p_plus_flow(seed: int, size_px: float) -> None:
    image, flow = image_of(seed), flow_of(seed + 1, size_px)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    places = [rows + flow[1], columns + flow[0]]
    wanted = ndimage.map_coordinates(image, places, order=1, mode="nearest")
    found = warp(tensor(image[None]), tensor(flow))[0, 0].numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_flow_of_whole_pixels_takes_the_pixel_it_points_to(
    interpolation: Interpolation,
) -> None:
    image = image_of(3)
    flow = np.zeros((2, *SHAPE), np.float32)
    flow[0], flow[1] = 4, -2  # dx to the right, dy up
    moved = warp(tensor(image[None]), tensor(flow), interpolation)[0, 0].numpy()
    np.testing.assert_allclose(moved[2:, :-4], image[:-2, 4:], atol=1e-5)


def test_bicubic_warping_follows_a_smooth_image_to_a_twentieth_of_a_pixel() -> None:
    rows, columns = np.mgrid[:40, :50].astype(np.float32)

    def shown(y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return (np.sin(x / 7) + np.cos(y / 5 + x / 11)).astype(np.float32)

    flow = flow_of(5, 2.0, (40, 50))
    moved = warp(tensor(shown(rows, columns)[None]), tensor(flow), "bicubic")[0, 0].numpy()
    wanted = shown(rows + flow[1], columns + flow[0])
    np.testing.assert_allclose(moved[4:-4, 4:-4], wanted[4:-4, 4:-4], atol=0.05 * 0.45)


def test_gradients_of_a_warp_are_those_of_finite_differences() -> None:
    image, flow = (tensor(one).double() for one in (image_of(8)[None, :7, :9], flow_of(9, 0.4)))
    flow = flow[..., :7, :9].clone().requires_grad_()
    image.requires_grad_()
    assert torch.autograd.gradcheck(lambda i, f: warp(i, f, "bicubic"), (image, flow), eps=1e-5)


def test_warping_twice_is_warping_by_the_composed_flow() -> None:
    image = image_of(11, (60, 70))
    first, then = flow_of(12, 1.5, (60, 70)), flow_of(13, 1.5, (60, 70))
    whole, one, two = tensor(image[None]), tensor(first), tensor(then)
    twice = warp(warp(whole, two, "bicubic"), one, "bicubic")
    once = warp(whole, composed(one, two), "bicubic")
    away = (twice - once)[..., 6:-6, 6:-6].abs().max()
    unmoved = (warp(whole, two, "bicubic") - once)[..., 6:-6, 6:-6].abs().max()
    assert away < 0.25 * unmoved


def test_the_inverse_leads_back() -> None:
    flow = tensor(flow_of(14, 1.0, (60, 70)))
    there_and_back = composed(flow, inverse(flow))
    assert there_and_back[..., 6:-6, 6:-6].abs().max() < 0.01


def test_a_finer_warp_keeps_the_ground_where_it_is() -> None:
    rows, columns = np.mgrid[:20, :24].astype(np.float32)
    plane = (2 * columns + 3 * rows)[None]
    flow = np.zeros((2, 20, 24), np.float32)
    flow[0], flow[1] = 0.3, -0.6
    fine = warp_finer(tensor(plane), tensor(flow), 2)[0, 0].numpy()
    y, x = (np.mgrid[:40, :48] + 0.5) / 2 - 0.5  # centres of the fine pixels, in coarse ones
    wanted = 2 * (x + 0.3) + 3 * (y - 0.6)
    np.testing.assert_allclose(fine[6:-6, 6:-6], wanted[6:-6, 6:-6], atol=0.05 * (2 + 3))


def test_a_finer_flow_keeps_its_unit() -> None:
    flow = tensor(np.full((2, 5, 6), 1.25, np.float32))
    assert finer_flow(flow, 2).shape == (1, 2, 10, 12)
    assert torch.all(finer_flow(flow, 2) == 1.25)


@pytest.mark.parametrize("number", range(8))
def test_turning_pixels_and_flow_together_changes_nothing_else(number: int) -> None:
    turn = tuple(bool(number & bit) for bit in (1, 2, 4))
    image, flow = tensor(image_of(20)[None]), tensor(flow_of(21, 2.0))
    turned_after = turned(warp(image, flow), turn)
    turned_before = warp(turned(image, turn), turned_flow(flow, turn))
    torch.testing.assert_close(turned_after, turned_before, atol=1e-5, rtol=0)


def test_degrading_keeps_a_plane_and_halves_the_grid() -> None:
    rows, columns = np.mgrid[:24, :36].astype(np.float32)
    plane = np.stack([columns, rows])[None]
    seen = degraded(torch.from_numpy(plane), ("B02", "B08"))[0].numpy()
    assert seen.shape == (2, 12, 18)
    y, x = np.mgrid[:12, :18] * 2 + 0.5
    inner = (slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(seen[0][inner], x[inner], atol=1e-4)
    np.testing.assert_allclose(seen[1][inner], y[inner], atol=1e-4)


def test_degrading_dims_a_wave_as_the_transfer_function_says() -> None:
    frequency = 0.25  # cycles per measured pixel
    wave = np.cos(np.pi * frequency * (np.arange(96) - 47.5)).astype(np.float32)
    fine = torch.from_numpy(np.tile(wave, (96, 1)))[None, None]
    seen = degraded(fine, ("B04",))[0, 0, 24].numpy()
    amplitude = seen[12:-12].std() / wave.std()
    sigma = find_bands(["B04"])[0].psf_sigma_px
    expected = axis_response(np.array([frequency]), sigma, 2)[0]
    assert amplitude == pytest.approx(expected, abs=0.02)
