"""What stands in a date's gaps, so that filters which know no gaps remain right around them.

First the other dates, then what the fit itself expects there. Beyond the scene's edge every
date has a gap, whose first guess is the mirror image.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from datacube.registration import fill_gaps, move_content, move_mask
from sr_engine.fusion.filters import FilterBank, filtered

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


def filled_from_others(values: Image, shifts_px: NDArray[np.float64], seen: Mask) -> Image:
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


def refill_gaps(
    values: torch.Tensor, gaps: torch.Tensor, bank: FilterBank, steps: int
) -> torch.Tensor:
    """Make the gaps what the fit expects there, by conjugate gradients, each band its own.

    Expectation maximisation would set gap = (S values) in the gaps, S being `predict`, again
    and again: Richardson's iteration for (I - S) within the gaps. That matrix is Hermitian
    and positive, so conjugate gradients get there in a third of the rounds.
    """

    def short_of_expected(image: torch.Tensor) -> torch.Tensor:
        spectra = filtered(bank.predict, torch.fft.rfft2(image))
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
