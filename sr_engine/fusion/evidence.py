"""How strong the scene's texture and the noise are, read from the observations themselves.

Both follow from how the power and the coherence of the dates fall with frequency: the pair
is chosen that makes the spectra most likely (Whittle's likelihood). The amplitude has a
closed form for each ratio of the two, so only the ratio is searched, on a coarse ladder:
half a step from the best costs less than 0.02 dB, and bands that land on the same rung
share their filters.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from sr_engine.fusion.filters import Design
from sr_engine.fusion.optics import Aliasing

Float = NDArray[np.float64]
RATIOS = np.logspace(-3.5, 2.5, 25)
FREQUENCIES = 800  # of a 256 x 256 half spectrum's 33,000: amplitude to 2 %, in milliseconds


@dataclass(frozen=True)
class Strengths:
    """The prior's power at one cycle per LR pixel, and the variance of the noise."""

    amplitude: float
    noise: float

    @property
    def noise_ratio(self) -> float:
        """What the filters depend on."""
        return self.noise / self.amplitude


def estimate_strengths(images: NDArray[np.float32], design: Design, seed: int) -> Strengths:
    """Most likely strengths for one band's `images` (date, y, x), which have no gaps.

    The `design` says how they were seen; its own noise ratio does not count. A constant
    image has the smallest amplitude that arithmetic allows.
    """
    fy, fx, spectra = _sampled_spectra(images, design.shifts_px, seed)
    aliasing = Aliasing(
        fy, fx, design.factor, exponent=design.exponent, lowest=0.5 / max(images.shape[1:])
    )
    basis, powers = _modes(aliasing.recorded(design.shifts_px, design.sigma_px), design.change)
    inside = np.abs(np.einsum("ntq,nt->nq", basis.conj(), spectra)) ** 2
    energy = (np.abs(spectra) ** 2).sum(axis=1)
    outside = np.maximum(energy - inside.sum(axis=1), 0)
    spare = spectra.shape[1] - powers.shape[1]
    best, strengths = np.inf, Strengths(1e-12, 1e-12)
    for ratio in RATIOS:
        power = powers + ratio
        amplitude = ((inside / power).sum(axis=1) + outside / ratio).mean() / spectra.shape[1]
        amplitude = max(float(amplitude), 1e-12)
        cost = np.log(power).sum(axis=1).mean() + spare * np.log(ratio)
        cost += spectra.shape[1] * np.log(amplitude)
        if cost < best:
            best, strengths = cost, Strengths(amplitude, float(ratio) * amplitude)
    return strengths


def _modes(
    recorded: NDArray[np.complex128], change: tuple[float, ...]
) -> tuple[NDArray[np.complex128], Float]:
    """Combinations of dates (n, date, mode) that vary by themselves, and their power (n, mode)."""
    if not change:
        basis, values, _ = np.linalg.svd(recorded, full_matrices=False)
        return basis, values**2
    own = (np.abs(recorded) ** 2).sum(axis=-1) * np.array(change)
    covariance = recorded @ recorded.conj().swapaxes(-1, -2) + own[:, :, None] * np.eye(len(change))
    powers, basis = np.linalg.eigh(covariance)
    return basis, np.maximum(powers, 0)


def _sampled_spectra(
    images: NDArray[np.float32], shifts_px: Float, seed: int
) -> tuple[Float, Float, NDArray[np.complex128]]:
    """Frequencies (n,), (n,) and tapered spectra (n, date) in units of variance per pixel."""
    height, width = images.shape[1:]
    # Each date's taper moves with its scene: a fixed one would show more, or less, of the
    # strong low frequencies at each date's edges, and the difference would count as noise.
    tapers = np.stack([np.outer(_taper(height, dy), _taper(width, dx)) for dy, dx in shifts_px])
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    spectra = fft.rfft2(centred * tapers) / np.sqrt((tapers[0] ** 2).sum())
    ky, kx = fft.fftfreq(height), np.arange(width // 2 + 1) / width
    fy, fx = (axis.ravel() for axis in np.meshgrid(ky, kx, indexing="ij"))
    # The taper smears the lowest frequencies, and the mean is gone.
    known = np.flatnonzero(np.hypot(fy, fx) > 2.5 / min(height, width))
    rng = np.random.default_rng(seed)
    chosen = rng.choice(known, size=min(FREQUENCIES, len(known)), replace=False)
    return fy[chosen], fx[chosen], spectra.reshape(len(images), -1)[:, chosen].T


def _taper(length: int, shift_px: float) -> Float:
    """A raised cosine over `length` pixels, moved by `shift_px`."""
    position = (np.arange(length) + 0.5 - shift_px) / length
    return np.asarray(np.where(np.abs(position - 0.5) < 0.5, np.sin(np.pi * position) ** 2, 0.0))
