"""Fuse by filters: the posterior mean of the scene and its standard deviation.

Radiometry and shifts come in settled; here bands find their strengths, share filter banks
where these agree, and blocks are filtered. Where a date has no data it takes the mean of
the others first, then, for as many rounds as asked, what the fit expects of it there, so
that the shift-invariant filters remain right around clouds and beyond the scene's edges.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from datacube.registration import fill_gaps, has_data, move_content, move_mask
from sr_engine.fusion.blocks import Layout, plan_blocks
from sr_engine.fusion.evidence import Strengths, estimate_strengths
from sr_engine.fusion.filters import Design, FilterBank, design_filters
from sr_engine.fusion.settings import FusionSettings, Stack

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
LOCAL_PX = 3.0  # radius, in LR pixels, over which texture is taken to be of one strength


def fuse_closed_form(stack: Stack, factor: int, settings: FusionSettings) -> tuple[Image, Image]:
    """Posterior mean and standard deviation, (band, y * factor, x * factor) each."""
    count, height, width = stack.values.shape[1:]
    means = np.nanmean(stack.values, axis=(0, 2, 3))
    seen = has_data(stack.values)
    filled = _filled(stack.values - means[:, None, None], stack.shifts_px, seen)
    strengths = [
        estimate_strengths(
            filled[:, i],
            (stack.shifts_px, stack.sigmas_px[i], factor, settings.prior_exponent),
            settings.seed,
        )
        for i in range(count)
    ]
    layout = plan_blocks((height, width))
    fused = np.empty((count, height * factor, width * factor), dtype=np.float32)
    sigma = np.empty_like(fused)
    for (sigma_px, ratio), bands in _groups(stack, strengths).items():
        design = Design(factor, stack.shifts_px, sigma_px, ratio, settings.prior_exponent)
        bank = design_filters(design, layout.size)
        fused[bands] = _fuse_bands(stack, filled, bands, layout, bank, settings.refills)
        for i in bands:
            sigma[i] = _standard_deviation(fused[i], stack.values[:, i], bank, strengths[i])
    return fused + means[:, None, None].astype(np.float32), sigma


def _groups(stack: Stack, strengths: list[Strengths]) -> dict[tuple[float, float], list[int]]:
    """Bands that share a filter bank, by (sigma_px, noise_ratio)."""
    groups: dict[tuple[float, float], list[int]] = {}
    for i, strength in enumerate(strengths):
        key = (round(stack.sigmas_px[i], 4), float(f"{strength.noise_ratio:.3g}"))
        groups.setdefault(key, []).append(i)
    return groups


def _filled(values: Image, shifts_px: NDArray[np.float64], seen: Mask) -> Image:
    """`values` (date, band, y, x) with gaps taking the mean of the other dates, aligned.

    Aligned, because a fill that is off by a tenth of a pixel looks like noise to
    `estimate_strengths`: measured, four times too much of it.
    """
    if seen.all():
        return values
    known = np.where(seen[:, None], values, 0).astype(np.float32)
    counts = seen.sum(axis=0).astype(np.float32)
    rough = fill_gaps(known.sum(axis=0) / np.maximum(counts, 1), counts > 0)
    total, weights = np.zeros_like(rough), np.zeros_like(counts)
    for date, visible, shift in zip(known, seen, -shifts_px, strict=True):
        weight = move_mask(visible, shift).astype(np.float32)
        total += move_content(np.where(visible, date, rough), shift) * weight
        weights += weight
    mean = np.where(weights > 0, total / np.maximum(weights, 1), rough).astype(np.float32)
    dates = zip(known, seen, shifts_px, strict=True)
    return np.stack([np.where(s, date, move_content(mean, shift)) for date, s, shift in dates])


def _fuse_bands(
    stack: Stack,
    filled: Image,
    bands: list[int],
    layout: Layout,
    bank: FilterBank,
    refills: int,
) -> Image:
    height, width = layout.scene
    factor = bank.factor
    answer = np.empty((len(bands), height * factor, width * factor), dtype=np.float32)
    seen = has_data(stack.values)
    for window in layout.windows():
        rows, cols = layout.rows_and_cols(window)
        block = filled[:, bands][:, :, rows[:, None], cols].swapaxes(0, 1)
        gaps = ~(seen[:, rows[:, None], cols] & layout.inside(window))
        fused = _fuse_block(np.ascontiguousarray(block), gaps, bank, refills)
        halo = layout.halo_px * factor
        target = window.scaled(factor)
        answer[(slice(None), *target.slices)] = fused[
            :, halo : halo + target.height, halo : halo + target.width
        ]
    return answer


def _fuse_block(block: Image, gaps: Mask, bank: FilterBank, refills: int) -> Image:
    """Filter one `block` (band, date, y, x) whose `gaps` (date, y, x) hold first guesses."""
    values = torch.from_numpy(block)
    if refills and gaps.any():
        values = _refilled(values, torch.from_numpy(gaps), bank, refills)
    parts = torch.fft.irfft2(_filtered(bank.sharpen, torch.fft.rfft2(values)), s=bank.shape)
    (height, width), factor = bank.shape, bank.factor
    parts = parts.reshape(-1, factor, factor, height, width).permute(0, 3, 1, 4, 2)
    return np.asarray(parts.reshape(-1, height * factor, width * factor).numpy())


def _refilled(
    values: torch.Tensor, gaps: torch.Tensor, bank: FilterBank, steps: int
) -> torch.Tensor:
    """Make the gaps what the fit expects there, by conjugate gradients, each band its own.

    Expectation maximisation would set gap = (S values) in the gaps, S being `predict`, again
    and again: Richardson's iteration for (I - S) within the gaps. That matrix is Hermitian
    and positive, so conjugate gradients get there in a third of the rounds.
    """

    def short_of_expected(image: torch.Tensor) -> torch.Tensor:
        spectra = _filtered(bank.predict, torch.fft.rfft2(image))
        short: torch.Tensor = gaps * (torch.fft.irfft2(spectra, s=bank.shape) - image)
        return short

    rest = short_of_expected(values)
    direction, size = rest, (rest**2).sum((1, 2, 3), keepdim=True)
    for _ in range(steps):
        image = -short_of_expected(direction)
        length = size / (direction * image).sum((1, 2, 3), keepdim=True).clamp_min(1e-30)
        values = values + length * direction
        rest = rest - length * image
        before, size = size, (rest**2).sum((1, 2, 3), keepdim=True)
        direction = rest + size / before.clamp_min(1e-30) * direction
    return values


def _filtered(filters: torch.Tensor, spectra: torch.Tensor) -> torch.Tensor:
    """Sum over dates of `filters` (out, date, ky, kx) times `spectra` (band, date, ky, kx)."""
    answer = torch.zeros(
        (spectra.shape[0], filters.shape[0], *spectra.shape[2:]), dtype=torch.complex64
    )
    for date in range(filters.shape[1]):
        answer.addcmul_(filters[None, :, date], spectra[:, date, None])
    return answer


def _standard_deviation(
    fused: Image, values: Image, bank: FilterBank, strengths: Strengths
) -> Image:
    """Posterior standard deviation of every HR pixel of one band.

    The noise part grows where fewer dates saw the ground; the scene part follows how strong
    the texture is locally, compared with the scene's mean, which the amplitude stands for.
    """
    factor = bank.factor
    counts = np.isfinite(values).sum(axis=0).astype(np.float32)
    share = len(values) / np.maximum(counts, 1)
    noise = bank.noise_part.reshape(factor, factor) * strengths.noise
    scene = bank.scene_part.reshape(factor, factor) * strengths.amplitude
    height, width = values.shape[1:]
    radius = LOCAL_PX * factor
    down, across = np.gradient(fused)
    energy = np.asarray(down**2 + across**2, dtype=np.float32)
    local = np.asarray(cv2.GaussianBlur(energy, (0, 0), radius))
    local = np.clip(local / max(float(local.mean()), 1e-20), 0.05, 20)
    variance = np.kron(share, noise) + np.tile(scene, (height, width)) * local
    return np.sqrt(variance).astype(np.float32)
