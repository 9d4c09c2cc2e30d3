"""Fuse by filters: the posterior mean of the scene and its standard deviation.

Radiometry and shifts come in settled. `settle` mixes the bands, finds each mixture's
strengths and designs its filters; that is the same for every part of a scene. `fused_parts`
and `answer` then take any window, so that windows filtered one by one join without a seam.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from datacube.registration import has_data
from sr_engine.fusion.blocks import Layout, plan_blocks
from sr_engine.fusion.change import estimate_change
from sr_engine.fusion.evidence import Strengths, estimate_strengths
from sr_engine.fusion.filters import Design, FilterBank, design_filters, filtered
from sr_engine.fusion.gaps import filled_from_others, refill_gaps
from sr_engine.fusion.mixing import Mixing, find_mixing
from sr_engine.fusion.settings import FusionSettings, Stack

Float = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
LOCAL_PX = 3.0  # radius, in LR pixels, over which texture is taken to be of one strength


@dataclass(frozen=True, eq=False)
class Settled:
    """What is the same for every part of a scene.

    `means` (band,) are subtracted before mixing; `banks` and `strengths` are of the mixtures;
    `missing_power` (date, mixture) is the variance by which a date misses the reference.
    """

    means: Image
    shifts_px: Float
    reference: int
    mixing: Mixing
    banks: tuple[FilterBank, ...]
    strengths: tuple[Strengths, ...]
    missing_power: Float
    refills: int

    @property
    def factor(self) -> int:
        """How many times finer the answer is."""
        return self.banks[0].factor

    def mixed(self, values: Image) -> tuple[Image, Mask]:
        """Mixtures (date, mixture, y, x) without gaps, and where there were none."""
        seen = has_data(values)
        centred = filled_from_others(values - self.means[:, None, None], self.shifts_px, seen)
        return self.mixing.mixed(centred), seen


def fuse_closed_form(stack: Stack, factor: int, settings: FusionSettings) -> tuple[Image, Image]:
    """Posterior mean and standard deviation, (band, y * factor, x * factor) each."""
    layout = plan_blocks(stack.values.shape[2:])
    settled = settle(stack, factor, settings, layout.size)
    values, seen = settled.mixed(stack.values)
    parts = fused_parts(settled, values, seen, layout)
    return answer(settled, parts, seen, texture_of(parts))


def settle(stack: Stack, factor: int, settings: FusionSettings, size: tuple[int, int]) -> Settled:
    """Mixing, strengths and filters for blocks transformed at `size`, from a sample's `stack`."""
    means = np.asarray(np.nanmean(stack.values, axis=(0, 2, 3), dtype=np.float64), np.float32)
    seen = has_data(stack.values)
    bands = filled_from_others(stack.values - means[:, None, None], stack.shifts_px, seen)
    designs = _designs(stack, stack.change, factor, settings)
    noise = [_strengths(bands[:, i], each, settings).noise for i, each in enumerate(designs)]
    mixing = find_mixing(bands, noise, stack.sigmas_px)
    parts = mixing.mixed(bands)
    change = None
    if settings.allow_change:
        change = estimate_change(parts, seen, stack.shifts_px, stack.reference)
    designs = _designs(replace(stack, sigmas_px=mixing.sigmas_px), change, factor, settings)
    strengths = [_strengths(parts[:, i], each, settings) for i, each in enumerate(designs)]
    power = parts[stack.reference].var(axis=(1, 2), dtype=np.float64)
    if change is None:
        change = np.zeros(parts.shape[:2])
    return Settled(
        means,
        stack.shifts_px,
        stack.reference,
        mixing,
        _banks(designs, strengths, size),
        tuple(strengths),
        np.minimum(change, 1) * power,
        settings.refills,
    )


def _designs(
    stack: Stack, change: Float | None, factor: int, settings: FusionSettings
) -> list[Design]:
    """How each band or mixture was seen; `change` is (date, band or mixture)."""
    return [
        Design(
            factor,
            stack.shifts_px,
            sigma_px,
            1.0,
            settings.prior_exponent,
            tuple(change[:, i].tolist()) if change is not None and change[:, i].any() else (),
        )
        for i, sigma_px in enumerate(stack.sigmas_px)
    ]


def _strengths(images: Image, design: Design, settings: FusionSettings) -> Strengths:
    return estimate_strengths(images, design, settings.seed)


def _banks(
    designs: list[Design], strengths: list[Strengths], size: tuple[int, int]
) -> tuple[FilterBank, ...]:
    """A filter bank for each mixture; mixtures that agree share one."""
    made: dict[tuple[object, ...], FilterBank] = {}
    banks = []
    for design, strength in zip(designs, strengths, strict=True):
        ratio = float(f"{strength.noise_ratio:.3g}")
        key = (round(design.sigma_px, 4), ratio, design.change)
        if key not in made:
            made[key] = design_filters(replace(design, noise_ratio=ratio), size)
        banks.append(made[key])
    return tuple(banks)


def fused_parts(settled: Settled, values: Image, seen: Mask, layout: Layout) -> Image:
    """Filter `values` (date, mixture, y, x) block by block: (mixture, y * factor, x * factor)."""
    height, width = layout.scene
    factor, halo = settled.factor, layout.halo_px * settled.factor
    fused = np.empty((values.shape[1], height * factor, width * factor), dtype=np.float32)
    for window in layout.windows():
        rows, cols = layout.rows_and_cols(window)
        block = np.ascontiguousarray(values[:, :, rows[:, None], cols].swapaxes(0, 1))
        gaps = ~(seen[:, rows[:, None], cols] & layout.inside(window))
        target = window.scaled(factor)
        fused[(slice(None), *target.slices)] = fused_block(settled, block, gaps)[
            :, halo : halo + target.height, halo : halo + target.width
        ]
    return fused


def fused_block(settled: Settled, block: Image, gaps: Mask) -> Image:
    """Filter one `block` (mixture, date, y, x) whose `gaps` (date, y, x) hold first guesses."""
    parts = np.empty((len(block), *(settled.factor * side for side in gaps.shape[1:])), np.float32)
    for bank in dict.fromkeys(settled.banks):
        places = [i for i, each in enumerate(settled.banks) if each is bank]
        parts[places] = _filtered_block(block[places], gaps, bank, settled.refills)
    return parts


def _filtered_block(block: Image, gaps: Mask, bank: FilterBank, refills: int) -> Image:
    values = torch.from_numpy(block)
    if refills and gaps.any():
        values = refill_gaps(values, torch.from_numpy(gaps), bank, refills)
    parts = torch.fft.irfft2(filtered(bank.sharpen, torch.fft.rfft2(values)), s=bank.shape)
    (height, width), factor = bank.shape, bank.factor
    parts = parts.reshape(-1, factor, factor, height, width).permute(0, 3, 1, 4, 2)
    return np.asarray(parts.reshape(-1, height * factor, width * factor).numpy())


def texture_of(parts: Image) -> Float:
    """Mean energy of the slopes of each of `parts` (mixture, y, x): the scene's own texture."""
    return np.array([float(_slope_energy(part).mean(dtype=np.float64)) for part in parts])


def answer(settled: Settled, parts: Image, seen: Mask, texture: Float) -> tuple[Image, Image]:
    """Reflectance and its standard deviation from filtered `parts` (mixture, y, x)."""
    variance = np.stack(
        [_variance(settled, i, part, seen, texture[i]) for i, part in enumerate(parts)]
    )
    sigma = np.sqrt(settled.mixing.joined_variance(variance))
    return settled.mixing.joined(parts) + settled.means[:, None, None], sigma


def _variance(settled: Settled, i: int, part: Image, seen: Mask, texture: float) -> Image:
    """Posterior variance of every HR pixel of one mixture.

    The noise part grows where fewer dates saw the ground, and by what changed where the
    reference did not; the scene part follows how strong the texture is locally, compared with
    the scene's mean, which the amplitude stands for.
    """
    bank, strength, factor = settled.banks[i], settled.strengths[i], settled.factor
    share = len(seen) / np.maximum(seen.sum(axis=0), 1).astype(np.float32)
    noise = (bank.noise_part * strength.noise).reshape(factor, factor).astype(np.float32)
    scene = (bank.scene_part * strength.amplitude).reshape(factor, factor).astype(np.float32)
    local = np.asarray(cv2.GaussianBlur(_slope_energy(part), (0, 0), LOCAL_PX * factor))
    local = np.clip(local / max(texture, 1e-20), 0.05, 20)
    missed = np.where(seen, settled.missing_power[:, i, None, None], np.inf).min(axis=0)
    missed = np.where(np.isfinite(missed), missed, settled.missing_power[:, i].max())
    whole = np.ones((factor, factor), np.float32)
    return np.asarray(
        np.kron(share, noise) + np.tile(scene, share.shape) * local
        + np.kron(missed.astype(np.float32), whole)
    )  # fmt: skip


def _slope_energy(part: Image) -> Image:
    down, across = np.gradient(part)
    return np.asarray(down**2 + across**2, dtype=np.float32)
