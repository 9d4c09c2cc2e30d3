"""Fuse by filters: the posterior mean of the scene and its standard deviation.

Radiometry and shifts come in settled. Bands are mixed, each mixture finds its strengths,
mixtures whose strengths agree share a filter bank, and blocks are filtered.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from datacube.registration import has_data
from sr_engine.fusion.blocks import Layout, plan_blocks
from sr_engine.fusion.evidence import Strengths, estimate_strengths
from sr_engine.fusion.filters import Design, FilterBank, design_filters, filtered
from sr_engine.fusion.gaps import filled_from_others, refill_gaps
from sr_engine.fusion.mixing import find_mixing
from sr_engine.fusion.settings import FusionSettings, Stack

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
LOCAL_PX = 3.0  # radius, in LR pixels, over which texture is taken to be of one strength


def fuse_closed_form(stack: Stack, factor: int, settings: FusionSettings) -> tuple[Image, Image]:
    """Posterior mean and standard deviation, (band, y * factor, x * factor) each."""
    means = np.asarray(np.nanmean(stack.values, axis=(0, 2, 3), dtype=np.float64), np.float32)
    seen = has_data(stack.values)
    filled = filled_from_others(stack.values - means[:, None, None], stack.shifts_px, seen)
    strengths = _strengths(filled, stack, stack.sigmas_px, factor, settings)
    mixing = find_mixing(filled, [each.noise for each in strengths], stack.sigmas_px)
    filled = mixing.mixed(filled)
    strengths = _strengths(filled, stack, mixing.sigmas_px, factor, settings)
    layout = plan_blocks(stack.values.shape[2:])
    height, width = layout.scene
    fused = np.empty((len(means), height * factor, width * factor), dtype=np.float32)
    variance = np.empty_like(fused)
    for (sigma_px, ratio), parts in _groups(mixing.sigmas_px, strengths).items():
        design = Design(factor, stack.shifts_px, sigma_px, ratio, settings.prior_exponent)
        bank = design_filters(design, layout.size)
        fused[parts] = _fuse_mixtures(filled[:, parts], seen, layout, bank, settings.refills)
        for i in parts:
            variance[i] = _variance(fused[i], seen, bank, strengths[i])
    sigma = np.sqrt(mixing.joined_variance(variance))
    return mixing.joined(fused) + means[:, None, None], sigma


def _strengths(
    filled: Image,
    stack: Stack,
    sigmas_px: tuple[float, ...],
    factor: int,
    settings: FusionSettings,
) -> list[Strengths]:
    """Of each band or mixture of `filled` (date, band, y, x)."""
    return [
        estimate_strengths(
            filled[:, i],
            Design(factor, stack.shifts_px, sigma_px, 1.0, settings.prior_exponent),
            settings.seed,
        )
        for i, sigma_px in enumerate(sigmas_px)
    ]


def _groups(
    sigmas_px: tuple[float, ...], strengths: list[Strengths]
) -> dict[tuple[float, float], list[int]]:
    """Mixtures that share a filter bank, by (sigma_px, noise_ratio)."""
    groups: dict[tuple[float, float], list[int]] = {}
    for i, (sigma_px, strength) in enumerate(zip(sigmas_px, strengths, strict=True)):
        key = (round(sigma_px, 4), float(f"{strength.noise_ratio:.3g}"))
        groups.setdefault(key, []).append(i)
    return groups


def _fuse_mixtures(
    filled: Image, seen: Mask, layout: Layout, bank: FilterBank, refills: int
) -> Image:
    """Filter `filled` (date, mixture, y, x) block by block: (mixture, y * factor, x * factor)."""
    height, width = layout.scene
    factor, halo = bank.factor, layout.halo_px * bank.factor
    answer = np.empty((filled.shape[1], height * factor, width * factor), dtype=np.float32)
    for window in layout.windows():
        rows, cols = layout.rows_and_cols(window)
        block = np.ascontiguousarray(filled[:, :, rows[:, None], cols].swapaxes(0, 1))
        gaps = ~(seen[:, rows[:, None], cols] & layout.inside(window))
        fused = _fuse_block(block, gaps, bank, refills)
        target = window.scaled(factor)
        answer[(slice(None), *target.slices)] = fused[
            :, halo : halo + target.height, halo : halo + target.width
        ]
    return answer


def _fuse_block(block: Image, gaps: Mask, bank: FilterBank, refills: int) -> Image:
    """Filter one `block` (mixture, date, y, x) whose `gaps` (date, y, x) hold first guesses."""
    values = torch.from_numpy(block)
    if refills and gaps.any():
        values = refill_gaps(values, torch.from_numpy(gaps), bank, refills)
    parts = torch.fft.irfft2(filtered(bank.sharpen, torch.fft.rfft2(values)), s=bank.shape)
    (height, width), factor = bank.shape, bank.factor
    parts = parts.reshape(-1, factor, factor, height, width).permute(0, 3, 1, 4, 2)
    return np.asarray(parts.reshape(-1, height * factor, width * factor).numpy())


def _variance(fused: Image, seen: Mask, bank: FilterBank, strengths: Strengths) -> Image:
    """Posterior variance of every HR pixel of one mixture.

    The noise part grows where fewer dates saw the ground; the scene part follows how strong
    the texture is locally, compared with the scene's mean, which the amplitude stands for.
    """
    factor = bank.factor
    share = len(seen) / np.maximum(seen.sum(axis=0), 1).astype(np.float32)
    noise = (bank.noise_part * strengths.noise).reshape(factor, factor).astype(np.float32)
    scene = (bank.scene_part * strengths.amplitude).reshape(factor, factor).astype(np.float32)
    down, across = np.gradient(fused)
    energy = np.asarray(down**2 + across**2, dtype=np.float32)
    local = np.asarray(cv2.GaussianBlur(energy, (0, 0), LOCAL_PX * factor))
    local = np.clip(local / max(float(local.mean()), 1e-20), 0.05, 20)
    return np.asarray(np.kron(share, noise) + np.tile(scene, share.shape) * local)
