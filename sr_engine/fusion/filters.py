"""The fusion as a bank of fixed filters, one small linear system per frequency.

With a Gaussian prior on the scene and Gaussian noise the best estimate is linear, and the
problem decouples per LR frequency into a Hermitian system of as many unknowns as there are
dates, or aliases (factor ** 2), whichever is fewer. Its solution is written down not for an
image but as filters from the dates to the factor ** 2 interleaved images that make up the
HR one: the same filters serve every block of a scene, and they carry their own error.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft

from sr_engine.fusion.optics import Aliasing

Float = NDArray[np.float64]
CHUNK_VALUES = 4_000_000  # complex numbers held at once while systems are solved: 64 MB


@dataclass(frozen=True, eq=False)
class FilterBank:
    """Filters for blocks of `shape` (height, width) LR pixels, as half spectra (kx >= 0).

    `sharpen` (pixel, date, ky, kx) leads from the dates to the factor ** 2 HR pixels of an
    LR pixel; `predict` (date, date, ky, kx) from the dates to what the fit expects of them.
    Of the error's variance, `noise_part` (pixel,) is per unit of noise variance, `scene_part`
    per unit of the prior's amplitude.
    """

    shape: tuple[int, int]
    factor: int
    sharpen: torch.Tensor
    predict: torch.Tensor
    noise_part: Float
    scene_part: Float


@dataclass(frozen=True)
class Design:
    """What fixes a filter bank: `noise_ratio` is noise variance over the prior's amplitude.

    `change` (date,) is the power of what each date has of its own, over that of the scene.
    """

    factor: int
    shifts_px: Float
    sigma_px: float
    noise_ratio: float
    exponent: float
    change: tuple[float, ...] = ()


def design_filters(design: Design, shape: tuple[int, int]) -> FilterBank:
    """Solve every frequency of a block of `shape` (height, width) LR pixels."""
    height, width = shape
    ky, kx = fft.fftfreq(height), np.arange(width // 2 + 1) / width
    dates, pixels = len(design.shifts_px), design.factor**2
    sharpen = torch.empty((height, len(kx), pixels, dates), dtype=torch.complex64)
    predict = torch.empty((height, len(kx), dates, dates), dtype=torch.complex64)
    # Columns 0 and (even width) the last stand for themselves, all others also for -f.
    weight = np.where((kx == 0) | (kx == 0.5), 1.0, 2.0) / (height * width)
    noise_part, total = np.zeros(pixels), np.zeros(pixels)
    rows = max(1, CHUNK_VALUES // (len(kx) * pixels * dates))
    for start in range(0, height, rows):
        part = slice(start, min(start + rows, height))
        fy, fx = np.meshgrid(ky[part], kx, indexing="ij")
        solved = _solve(design, fy.ravel(), fx.ravel(), 0.5 / max(shape))
        sharpen[part] = solved.sharpen.reshape(-1, len(kx), pixels, dates)
        predict[part] = solved.predict.reshape(-1, len(kx), dates, dates)
        weights = np.broadcast_to(weight, fy.shape).ravel()
        noise_part += weights @ solved.noise.numpy()
        total += weights @ solved.variance.numpy()
    scene_part = total - design.noise_ratio * noise_part + _beyond(design, shape)
    return FilterBank(
        shape,
        design.factor,
        sharpen.permute(2, 3, 0, 1).contiguous(),
        predict.permute(2, 3, 0, 1).contiguous(),
        noise_part,
        np.maximum(scene_part, 0),
    )


def filtered(filters: torch.Tensor, spectra: torch.Tensor) -> torch.Tensor:
    """Sum over dates of `filters` (out, date, ky, kx) times `spectra` (band, date, ky, kx)."""
    answer = torch.zeros(
        (spectra.shape[0], filters.shape[0], *spectra.shape[2:]), dtype=torch.complex64
    )
    for date in range(filters.shape[1]):
        answer.addcmul_(filters[None, :, date], spectra[:, date, None])
    return answer


@dataclass(frozen=True)
class _Solved:
    """Filters of n frequencies, and the error variance (n, pixel) at prior amplitude 1.

    `noise` (n, pixel) is the part of it, per unit of noise, that noise and change make.
    """

    sharpen: torch.Tensor
    predict: torch.Tensor
    variance: torch.Tensor
    noise: torch.Tensor


def _solve(design: Design, fy: Float, fx: Float, lowest: float) -> _Solved:
    """Gain K = R B^H (B B^H + N)^-1, by Cholesky on whichever side is smaller.

    N is the noise ratio and each date's change. Rows of B are divided by sqrt(N / ratio), so
    that what is solved has white noise. `predict` is S (S + ratio I)^-1, S being all that is
    not noise: B B^H and the changes.
    """
    aliasing = Aliasing(fy, fx, design.factor, exponent=design.exponent, lowest=lowest)
    recorded = torch.from_numpy(aliasing.recorded(design.shifts_px, design.sigma_px))
    weights = _weights(recorded, design)
    recorded = recorded * weights
    dates, sources = recorded.shape[1:]
    if dates <= sources:
        system = recorded @ recorded.mH + design.noise_ratio * torch.eye(dates)
        inner = torch.cholesky_solve(recorded, torch.linalg.cholesky(system)).mH
    else:
        system = recorded.mH @ recorded + design.noise_ratio * torch.eye(sources)
        inner = torch.cholesky_solve(recorded.mH.contiguous(), torch.linalg.cholesky(system))
    white = aliasing.read(inner)
    explained = (white * aliasing.read(recorded.mH).conj()).sum(-1).real
    variance = torch.from_numpy(aliasing.pixel_power())[:, None] - explained
    predict = recorded @ inner
    if design.change:
        identity = torch.eye(dates)
        predict = identity - weights * (identity - predict) * weights.mT
    return _Solved(white * weights.mT, predict, variance, (white.abs() ** 2).sum(-1))


def _weights(recorded: torch.Tensor, design: Design) -> torch.Tensor:
    """(n, date, 1) one over the noise that each date's change amounts to, in units of noise."""
    if not design.change:
        return torch.ones((1, len(design.shifts_px), 1), dtype=torch.float64)
    power = (recorded.abs() ** 2).sum(-1, keepdim=True)
    change = torch.tensor(design.change, dtype=torch.float64)[None, :, None]
    return torch.rsqrt(1 + change * power / design.noise_ratio)


def _beyond(design: Design, shape: tuple[int, int]) -> float:
    """Variance that HR pixels hold from frequencies beyond their own Nyquist limit.

    One ring of aliases of the refined grid carries nearly all of it; nothing estimates it.
    """
    size = 8 * design.factor
    inside = (np.arange(size) + 0.5) / size * design.factor - design.factor / 2
    ring = np.add.outer(np.array([-1, 0, 1]) * design.factor, inside)
    fy, fx = ring[:, None, :, None], ring[None, :, None, :]
    power = (np.sinc(fy / design.factor) * np.sinc(fx / design.factor)) ** 2
    power = power * np.maximum(np.hypot(fy, fx), 0.5 / max(shape)) ** -design.exponent
    power[1, 1] = 0
    return float(power.sum() / size**2 * design.factor**2)
