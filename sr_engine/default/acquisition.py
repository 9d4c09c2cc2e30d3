"""Simulated acquisition: from an image of finer pixels to what Sentinel-2 would record of it.

The instrument's weights are integrated over the pixels of the image as they are, whatever their
size; the truth is the mean over each fine pixel, of the same ground.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.errors import InvalidInput
from datacube.simulation.optics import SAMPLES_PER_PX, Psf, axis_weights, line_spread
from datacube.simulation.spectra import noise_sigma
from sr_engine.default.sources import Plane, Values

KNOTS = (0.02, 0.25, 0.5, 0.75, 0.98)
Histogram = dict[str, NDArray[np.float64]]  # reflectance at the knots, by band


@dataclass(frozen=True, eq=False)
class Pair:
    """What was recorded of one band, `lr` (y, x), without noise, and the truth `hr`, finer."""

    place: str
    image: str
    band: str
    lr: Values
    hr: Values

    def noisy(self, rng: np.random.Generator) -> Values:
        """The record with the sensor's noise."""
        noise = rng.standard_normal(self.lr.shape, dtype=np.float32)
        return np.asarray(self.lr + noise * noise_sigma(self.lr, self.band), np.float32)


@dataclass(frozen=True)
class Shot:
    """How to record: `pixel_m` of the record; `shift` of its grid, in its pixels.

    `margin_px` is left out at every edge, None for as little as the band's optics need; bands
    that are to lie on one another need the same.
    """

    factor: int
    pixel_m: float = 10.0
    psf: Psf = "gaussian"
    shift: tuple[float, float] = (0.0, 0.0)
    margin_px: float | None = None


def record(plane: Plane, shot: Shot, band: str | None = None) -> Pair:
    """Record a plane through a band's optics, its own or another's.

    The record covers what of the image the point spread leaves whole. Raises InvalidInput where
    nothing is left of it.
    """
    seen_by = find_bands([band or plane.band])[0]
    lr, hr = plane.values, plane.values
    for axis in (0, 1):
        profile = line_spread(seen_by, shot.psf, "y" if axis == 0 else "x")
        fine_per_px = shot.pixel_m / plane.gsd_m[axis]
        reach = len(profile) / 2 / SAMPLES_PER_PX + abs(shot.shift[axis])
        margin = math.ceil((shot.margin_px or reach) * fine_per_px)
        fine_px = plane.values.shape[axis]
        out_px = math.floor((fine_px - 2 * margin) / fine_per_px)
        if out_px < 1:
            raise InvalidInput(f"{plane.place} is too small to be recorded: {plane.values.shape}")
        common = {"fine_px": fine_px, "margin_fine": margin}
        lr_weights = axis_weights(
            profile, out_px=out_px, fine_per_px=fine_per_px, shift_px=shot.shift[axis], **common
        )
        hr_weights = axis_weights(
            line_spread(seen_by, "none", "x"),
            out_px=out_px * shot.factor,
            fine_per_px=fine_per_px / shot.factor,
            shift_px=shot.shift[axis] * shot.factor,
            **common,
        )
        lr = lr_weights @ lr if axis == 0 else (lr_weights @ lr.T).T
        hr = hr_weights @ hr if axis == 0 else (hr_weights @ hr.T).T
    return Pair(
        plane.place,
        plane.image,
        seen_by.name,
        np.ascontiguousarray(lr, np.float32),
        np.ascontiguousarray(hr, np.float32),
    )


def histogram_of(planes: Sequence[Plane]) -> Histogram:
    """Quantiles of reflectance, by band, over all planes of a band."""
    bands = sorted({plane.band for plane in planes})
    return {
        band: np.quantile(
            np.concatenate([p.values.ravel() for p in planes if p.band == band]), KNOTS
        )
        for band in bands
    }


def matched(plane: Plane, reference: Histogram) -> Plane:
    """Counts of an aerial camera as reflectance of the reference's distribution.

    Quantiles are compared at 10 m, where the reference was taken; the map is linear between
    them and beyond the outermost as steep as it is on the whole. Reflectance stays as it is.
    """
    if not plane.counts:
        return plane
    steps = [max(round(10 / gsd), 1) for gsd in plane.gsd_m]
    rows, columns = (
        size // step * step for size, step in zip(plane.values.shape, steps, strict=True)
    )
    blocks = plane.values[:rows, :columns].reshape(
        rows // steps[0], steps[0], columns // steps[1], steps[1]
    )
    found = np.quantile(blocks.mean(axis=(1, 3)), KNOTS)
    wanted = reference[plane.band]
    slope = (wanted[-1] - wanted[0]) / max(found[-1] - found[0], 1e-3)
    far = 2.0  # further than any count
    at = np.concatenate([[found[0] - far], found + 1e-6 * np.arange(len(KNOTS)), [found[-1] + far]])
    to = np.concatenate([[wanted[0] - far * slope], wanted, [wanted[-1] + far * slope]])
    values = np.maximum(np.interp(plane.values, at, to), 0.001).astype(np.float32)
    return replace(plane, values=values, counts=False)
