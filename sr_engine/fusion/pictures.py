"""Pictures of a fusion: input, enlarged mean and result side by side."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from datacube.bands import Band

Image = NDArray[np.float32]


def save_row(path: Path, images: Sequence[Image], bands: Sequence[Band]) -> None:
    """Save `images` (band, y, x; one shape) in a row, under one stretch (2 to 98 % of the first).

    Shown are red, green and blue where the bands have them, otherwise the first band thrice.
    """
    shown = _shown(bands)
    first = images[0][shown]
    known = first[:, np.isfinite(first).all(axis=0)]
    low = np.percentile(known, 2, axis=1)[:, None, None]
    high = np.percentile(known, 98, axis=1)[:, None, None]
    span = np.maximum(high - low, 1e-9)
    row = np.concatenate([np.nan_to_num((one[shown] - low) / span) for one in images], axis=2)
    pixels = (np.clip(row, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    Pillow.fromarray(pixels).save(path)


def save_grid(path: Path, images: Sequence[Image], bands: Sequence[Band], columns: int) -> None:
    """Save `images` as rows of `columns`; a last row that is short is filled with black."""
    rows = []
    for start in range(0, len(images), columns):
        row = list(images[start : start + columns])
        row += [np.zeros_like(images[0])] * (columns - len(row))
        rows.append(np.concatenate(row, axis=2))
    save_row(path, [np.concatenate(rows, axis=1)], bands)


def nearest(image: Image, factor: int) -> Image:
    """Each pixel repeated, so that an input can stand beside what was made of it."""
    return image.repeat(factor, axis=1).repeat(factor, axis=2)


def _shown(bands: Sequence[Band]) -> list[int]:
    names = [band.common_name for band in bands]
    if {"red", "green", "blue"} <= set(names):
        return [names.index(name) for name in ("red", "green", "blue")]
    return [0, 0, 0]
