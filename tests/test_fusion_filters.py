"""The filters are the Gaussian posterior, written per frequency: proved against dense algebra."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sr_engine.fusion.blocks import mirrored, plan_blocks
from sr_engine.fusion.evidence import estimate_strengths
from sr_engine.fusion.filters import Design, design_filters, filtered
from sr_engine.fusion.gaps import refill_gaps
from sr_engine.fusion.optics import aliases, transfer

Float = NDArray[np.float64]
FACTOR, HEIGHT, WIDTH = 2, 5, 7  # odd sizes: no frequency is its own mirror image but zero
SHIFTS = np.array([[0.0, 0.0], [0.3, -0.2], [-0.45, 0.1]])
SIGMA_PX, RATIO, EXPONENT = 0.4, 0.05, 3.0


@dataclass(frozen=True)
class Dense:
    """The same problem as matrices over a small periodic scene of HR frequencies."""

    forward: NDArray[np.complex128]
    read: NDArray[np.complex128]
    prior: Float


def dense_problem() -> Dense:
    fy = np.fft.fftfreq(HEIGHT * FACTOR) * FACTOR
    fx = np.fft.fftfreq(WIDTH * FACTOR) * FACTOR
    # An even size of the refined grid: its Nyquist frequency is taken as negative.
    fy, fx = (axis.ravel() for axis in np.meshgrid(fy, fx, indexing="ij"))
    radius = np.maximum(np.hypot(fy, fx), 0.5 / max(HEIGHT, WIDTH))
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    blur = transfer(fy, SIGMA_PX) * transfer(fx, SIGMA_PX)
    forward = [
        blur * np.exp(2j * np.pi * (fy * (y - dy) + fx * (x - dx)))
        for dy, dx in SHIFTS
        for y, x in zip(rows.ravel(), cols.ravel(), strict=True)
    ]
    read = []
    for y in (np.arange(HEIGHT * FACTOR) + 0.5) / FACTOR - 0.5:
        for x in (np.arange(WIDTH * FACTOR) + 0.5) / FACTOR - 0.5:
            box = np.sinc(fy / FACTOR) * np.sinc(fx / FACTOR)
            read.append(box * np.exp(2j * np.pi * (fy * y + fx * x)))
    pixels = HEIGHT * WIDTH
    return Dense(np.array(forward), np.array(read), radius**-EXPONENT / pixels)


def posterior(dense: Dense, seen: NDArray[np.bool_]) -> tuple[NDArray[np.complex128], Float]:
    """Matrix from the seen observations to the HR pixels, and the pixels' variance."""
    forward = dense.forward[seen]
    signal = (forward * dense.prior) @ forward.conj().T
    cross = (dense.read * dense.prior) @ forward.conj().T
    gain = np.linalg.solve(signal + RATIO * np.eye(len(signal)), cross.conj().T).conj().T
    variance = (np.abs(dense.read) ** 2 * dense.prior).sum(axis=1)
    explained = np.asarray((gain * cross.conj()).sum(axis=1).real, dtype=np.float64)
    return np.asarray(gain, dtype=np.complex128), variance - explained


def fuse_by_filters(observations: Float, refills: int, gaps: NDArray[np.bool_]) -> Float:
    bank = design_filters(Design(FACTOR, SHIFTS, SIGMA_PX, RATIO, EXPONENT), (HEIGHT, WIDTH))
    values = torch.from_numpy(observations[None].astype(np.float32))
    values = refill_gaps(values, torch.from_numpy(gaps), bank, refills) if refills else values
    parts = torch.fft.irfft2(filtered(bank.sharpen, torch.fft.rfft2(values)), s=bank.shape)
    shaped = parts[0].reshape(FACTOR, FACTOR, HEIGHT, WIDTH).permute(2, 0, 3, 1)
    return np.asarray(shaped.reshape(HEIGHT * FACTOR, WIDTH * FACTOR).numpy(), dtype=np.float64)


def test_filters_equal_the_dense_gaussian_posterior_mean() -> None:
    observations = np.random.default_rng(0).standard_normal((3, HEIGHT, WIDTH))
    gain, _ = posterior(dense_problem(), np.ones(3 * HEIGHT * WIDTH, dtype=bool))
    expected = (gain @ observations.ravel()).real.reshape(HEIGHT * FACTOR, WIDTH * FACTOR)
    no_gaps = np.zeros(observations.shape, dtype=bool)
    np.testing.assert_allclose(fuse_by_filters(observations, 0, no_gaps), expected, atol=2e-5)


def test_refilled_gaps_lead_to_the_posterior_of_what_was_seen() -> None:
    rng = np.random.default_rng(1)
    observations = rng.standard_normal((3, HEIGHT, WIDTH))
    gaps = rng.random(observations.shape) < 0.3
    gain, _ = posterior(dense_problem(), ~gaps.ravel())
    expected = (gain @ observations[~gaps]).real.reshape(HEIGHT * FACTOR, WIDTH * FACTOR)
    guessed = np.where(gaps, 0, observations)
    np.testing.assert_allclose(fuse_by_filters(guessed, 60, gaps), expected, atol=2e-3)


def test_reported_variance_is_that_of_the_posterior() -> None:
    design = Design(FACTOR, SHIFTS, SIGMA_PX, RATIO, EXPONENT)
    bank = design_filters(design, (HEIGHT, WIDTH))
    beyond = design_filters(Design(FACTOR, SHIFTS[:1], SIGMA_PX, 1e9, EXPONENT), (HEIGHT, WIDTH))
    _, variance = posterior(dense_problem(), np.ones(3 * HEIGHT * WIDTH, dtype=bool))
    by_phase = variance.reshape(HEIGHT, FACTOR, WIDTH, FACTOR).mean(axis=(0, 2)).ravel()
    prior = (np.abs(dense_problem().read) ** 2 * dense_problem().prior).sum(axis=1).mean()
    unseen = beyond.scene_part.mean() - prior  # what HR pixels hold beyond their Nyquist limit
    assert 0 < unseen < 0.5 * by_phase.mean()
    found = bank.scene_part + RATIO * bank.noise_part
    np.testing.assert_allclose(found - unseen, by_phase, rtol=1e-3)


def test_many_dates_and_few_take_different_sides_of_one_solution() -> None:
    shifts = np.random.default_rng(2).normal(0, 0.3, (5, 2))  # 5 dates > 4 aliases: other branch
    twin = np.concatenate([shifts[:3], shifts[:3]])
    one = design_filters(Design(FACTOR, shifts[:3], SIGMA_PX, RATIO, EXPONENT), (6, 8))
    two = design_filters(Design(FACTOR, twin, SIGMA_PX, 2 * RATIO, EXPONENT), (6, 8))
    # Every date twice with twice the noise variance is the same knowledge.
    torch.testing.assert_close(
        two.sharpen[:, :3] + two.sharpen[:, 3:], one.sharpen, atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_aliases_are_congruent_distinct_and_within_the_refined_band(factor: int) -> None:
    frequency = np.asarray(np.fft.fftfreq(9), dtype=np.float64)
    found = aliases(frequency, factor)
    assert ((found >= -factor / 2) & (found < factor / 2)).all()
    offsets = found - frequency[:, None]
    np.testing.assert_allclose(offsets, np.round(offsets), atol=1e-12)
    assert all(len(set(np.round(row))) == factor for row in offsets)


def test_strengths_of_a_drawn_scene_are_found() -> None:
    rng = np.random.default_rng(3)
    size, factor = 96, 2
    frequency = np.asarray(np.fft.fftfreq(size * factor) * factor, dtype=np.float64)
    fy, fx = frequency[:, None], frequency[None]
    power = 4e-4 * np.maximum(np.hypot(fy, fx), 0.5 / size) ** -3.0
    white = np.fft.fft2(rng.standard_normal((size * factor, size * factor))) / factor
    scene = white * np.sqrt(power) * factor**2
    shifts = np.array([[0, 0], [0.2, -0.4], [-0.3, 0.25], [0.1, 0.4]])
    blur = transfer(fy, 0.42) * transfer(fx, 0.42)
    dates = []
    for dy, dx in shifts:
        fine = np.fft.ifft2(scene * blur * np.exp(-2j * np.pi * (fy * dy + fx * dx))).real
        dates.append(fine[::factor, ::factor] + 0.004 * rng.standard_normal((size, size)))
    design = Design(factor, shifts, 0.42, 1.0, 3.0)
    found = estimate_strengths(np.array(dates, dtype=np.float32), design, 0)
    assert found.noise == pytest.approx(0.004**2, rel=0.2)
    assert found.amplitude == pytest.approx(4e-4, rel=0.4)


@given(shape=st.tuples(st.integers(1, 70), st.integers(1, 70)), core=st.integers(8, 33))
def test_blocks_write_every_pixel_once_and_read_within_the_scene(
    shape: tuple[int, int], core: int
) -> None:
    layout = plan_blocks(shape, core_px=core, halo_px=5)
    hits = np.zeros(shape, dtype=int)
    for window in layout.windows():
        hits[window.slices] += 1
        rows, cols = layout.rows_and_cols(window)
        assert layout.inside(window).shape == layout.size == (len(rows), len(cols))
        assert set(rows) <= set(range(shape[0]))
        assert set(cols) <= set(range(shape[1]))
        assert layout.size[0] >= window.height + 10
    assert (hits == 1).all()


def test_a_mirror_repeats_edge_pixels() -> None:
    assert mirrored(np.arange(-3, 6), 3).tolist() == [2, 1, 0, 0, 1, 2, 2, 1, 0]
