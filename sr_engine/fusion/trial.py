"""A trial with known truth: one simulated place, seen several times, nothing growing.

The ground is the simulated landscape at 1.25 m, integrated numerically through the point
spread function, so that no solver is judged by its own forward model; season and sky are
left out, because here one cause of error at a time is turned on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datacube.bands import Band, find_bands
from datacube.errors import InvalidInput
from datacube.scene import reflectance_from_dn
from datacube.simulation.exposure import TRUTH_FACTOR, Camera, expose
from datacube.simulation.landscape import Landscape, build_landscape
from datacube.simulation.optics import Psf

Image = NDArray[np.float32]
CLOUD_PX = 12.0  # smoothing that gives clouds of some tens of pixels


@dataclass(frozen=True)
class TrialPlan:
    """What is simulated.

    `jitter_px` is the rms shift per axis, the first date unshifted; `snr` mean over noise;
    `psf_scale` multiplies the true Gaussian's width (a solver that does not know it works
    with a wrong PSF); `cloud` is the share of each date that is masked; `gain_drift` the
    standard deviation of the gain of every date but the first.
    """

    dates: int = 8
    shape: tuple[int, int] = (256, 256)
    bands: tuple[str, ...] = ("B02", "B03", "B04", "B08")
    jitter_px: float = 0.15
    snr: float = 130.0
    psf: Psf = "gaussian"
    psf_scale: float = 1.0
    cloud: float = 0.0
    gain_drift: float = 0.0
    day_of_year: int = 172
    seed: int = 1


@dataclass(frozen=True)
class Trial:
    """`observations` (date, band, y, x), NaN in cloud; `shifts_px` (date, 2) as they are.

    `truth_4` (band, 4 y, 4 x) is the mean reflectance of each pixel 4 times finer.
    """

    observations: Image
    shifts_px: NDArray[np.float64]
    truth_4: Image
    bands: tuple[Band, ...]

    def truth(self, factor: int) -> Image:
        """Mean reflectance of each pixel `factor` (2 or 4) times finer than observed."""
        if factor == TRUTH_FACTOR:
            return self.truth_4
        count, height, width = self.truth_4.shape
        step = TRUTH_FACTOR // factor
        parts = self.truth_4.reshape(count, height // step, step, width // step, step)
        return np.asarray(parts.mean(axis=(2, 4)), dtype=np.float32)


def simulate_trial(plan: TrialPlan, landscape: Landscape | None = None) -> Trial:
    """Observe a landscape, by default that of the plan's own seed, as the plan says.

    Plans that differ only in noise, cloud, drift or PSF share shifts and noise patterns.
    """
    if landscape is None:
        landscape = build_landscape(plan.seed, plan.shape)
    bands = find_bands(plan.bands)
    rng = np.random.default_rng([plan.seed, 11])
    shifts = rng.normal(0, 1, (plan.dates, 2)) * plan.jitter_px
    shifts[0] = 0
    cameras = [
        Camera.of(band, landscape, plan.psf, (-shift[0], -shift[1]), plan.day_of_year)
        for shift in shifts
        for band in (widened(band, plan.psf_scale) for band in bands)
    ]
    grounds, truth_dn = expose(landscape, cameras, len(bands))
    clean = np.stack(grounds).reshape(plan.dates, len(bands), *plan.shape)
    gains = 1 + plan.gain_drift * np.random.default_rng([plan.seed, 12]).standard_normal(plan.dates)
    gains[0] = 1
    noise = np.random.default_rng([plan.seed, 13]).standard_normal(clean.shape)
    noise *= clean.mean(axis=(0, 2, 3), keepdims=True) / plan.snr
    observations = (clean * gains[:, None, None, None] + noise).astype(np.float32)
    if plan.cloud:
        hidden = _clouds(plan)
        observations = np.where(hidden[:, None], np.float32(np.nan), observations)
    if truth_dn is None:
        raise InvalidInput("need a band to simulate, got none")
    return Trial(observations, shifts, reflectance_from_dn(truth_dn), bands)


def widened(band: Band, scale: float) -> Band:
    """`band` with a PSF `scale` times as wide, told by its MTF as the simulation needs it."""
    sigma = band.psf_sigma_px
    extra = np.exp(-0.5 * (np.pi * sigma) ** 2 * (scale**2 - 1))
    return replace(band, mtf_at_nyquist=float(band.mtf_at_nyquist * extra))


def bicubic_mean(observations: Image, factor: int) -> Image:
    """What fusion is measured against: the masked temporal mean, enlarged by bicubic."""
    seen = np.isfinite(observations)
    total = np.where(seen, observations, 0).sum(axis=0)
    mean = (total / np.maximum(seen.sum(axis=0), 1)).astype(np.float32)
    return enlarged(mean, factor)


def enlarged(image: Image, factor: int) -> Image:
    """Bicubic interpolation of `image` (band, y, x), pixel centres kept in place."""
    size = (image.shape[2] * factor, image.shape[1] * factor)
    return np.stack([cv2.resize(band, size, interpolation=cv2.INTER_CUBIC) for band in image])


def _clouds(plan: TrialPlan) -> NDArray[np.bool_]:
    """(date, y, x): each date hides its own `plan.cloud` of the ground, in lumps."""
    rng = np.random.default_rng([plan.seed, 14])
    fields: Sequence[NDArray[np.float64]] = [
        ndimage.gaussian_filter(rng.standard_normal(plan.shape), CLOUD_PX, mode="wrap")
        for _ in range(plan.dates)
    ]
    return np.stack([field > np.quantile(field, 1 - plan.cloud) for field in fields])
