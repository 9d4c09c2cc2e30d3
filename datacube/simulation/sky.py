"""Clouds over the landscape, and the shadows they throw to the north-west.

Clouds are smooth on the scale of a pixel, so they are laid over the blurred 10 m image: each
pixel is mixed with cloud by `alpha`, after the ground was dimmed by the shadow of the cloud
that stands between it and the sun.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datacube.simulation.texture import smooth_noise

SkyKind = Literal["clear", "fair", "scattered", "broken", "overcast"]

COVERED = {"clear": 0.0, "fair": 0.025, "scattered": 0.16, "broken": 0.52, "overcast": 0.88}
SHADOW_DEPTH = 0.62  # share of the light that a thick cloud takes from the ground
SUN_AZIMUTH_DEG = 152.0  # about 10:30 local solar time in summer
OVERSIZE = 1.6  # the sky reaches this many times the displacement beyond the area


@dataclass(frozen=True)
class Sky:
    """`alpha` 0..1: how much cloud covers a pixel; `light` 0..1: what reaches the ground."""

    alpha: NDArray[np.float32]
    light: NDArray[np.float32]
    brightness: NDArray[np.float32]


def sun_elevation_deg(day_of_year: int, latitude_deg: float = 49.0) -> float:
    """Elevation of the sun about 1.5 hours before noon (declination: Cooper 1969)."""
    declination = math.radians(23.45) * math.sin(2 * math.pi * (284 + day_of_year) / 365)
    latitude, hour = math.radians(latitude_deg), math.radians(-22.5)
    sine = math.sin(latitude) * math.sin(declination)
    sine += math.cos(latitude) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.asin(sine))


def make_sky(
    rng: np.random.Generator, kind: SkyKind, shape: tuple[int, int], day_of_year: int
) -> Sky:
    """A sky over `shape` 10 m pixels."""
    base_m = float(rng.uniform(700, 1300))
    reach_px = base_m / math.tan(math.radians(sun_elevation_deg(day_of_year))) / 10
    azimuth = math.radians(SUN_AZIMUTH_DEG)
    # The cloud that shades a pixel stands towards the sun: south (y down) and east of it.
    dy, dx = -reach_px * math.cos(azimuth), reach_px * math.sin(azimuth)
    pad = math.ceil(reach_px * OVERSIZE) + 2
    height, width = shape
    full = (height + 2 * pad, width + 2 * pad)
    field = _cloud_field(rng, full, kind)
    alpha = np.zeros(full, np.float32)
    if COVERED[kind]:
        threshold = float(np.quantile(field, 1 - COVERED[kind]))
        softness = 1.1 if kind in ("overcast", "broken") else 0.8
        ramp = np.clip((field - threshold) / softness + 0.2, 0, 1)
        alpha = np.asarray(ramp * ramp * (3 - 2 * ramp), np.float32)
    here = (slice(pad, pad + height), slice(pad, pad + width))
    row, column = pad + round(dy), pad + round(dx)
    above = alpha[row : row + height, column : column + width]
    billow = np.clip(1.0 + 0.13 * smooth_noise(rng, shape, 9), 0.7, 1.35)
    light = np.asarray(1 - SHADOW_DEPTH * above, np.float32)
    return Sky(alpha[here], light, np.asarray(billow * (0.75 + 0.35 * alpha[here]), np.float32))


def _cloud_field(
    rng: np.random.Generator, shape: tuple[int, int], kind: SkyKind
) -> NDArray[np.float32]:
    """Fractal noise: cumulus of a few hundred metres, or sheets of kilometres."""
    largest = 260.0 if kind in ("overcast", "broken") else 110.0
    field = np.zeros(shape, np.float32)
    for octave in range(6):
        field += smooth_noise(rng, shape, largest / 2**octave) * np.float32(0.52**octave)
    return field
