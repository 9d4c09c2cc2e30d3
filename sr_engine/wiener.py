"""Single-image Wiener deconvolution: the best linear answer, and no training at all.

The fine image is taken for a random field whose power falls with frequency as |f|^-3, the
measurement for its blur by the band's PSF, its sampling at 10 m and white noise. The linear
estimate with least mean square error then has, at fine frequency f, the transfer function

    W(f) = S(f) H(f) / (sum over aliases g of f of |H(g)|^2 S(g) + N)

(N. Wiener 1949; with aliasing, e.g. Fienup 1997), which is sampled here as one finite kernel per
phase of the fine grid. Nothing is learnt, so nothing can be invented that the blur forbids.
"""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from datacube.bands import find_bands
from sr_engine.card import ModelCard, Score, settings_sha256
from sr_engine.polyphase import Kernel, PolyphaseModel

# `srcube bench demo`: 256 x 256 px of one simulated summer date, mean of four bands
BLURS = ("blurred as the model assumes", "blurred by optics")
GAINS_DB = {2: (1.4, 1.5), 4: (0.9, 1.0)}

PERIOD_PX = 64  # of the grid of frequencies on which the kernel is integrated


@dataclass(frozen=True)
class WienerSettings:
    """What the estimate assumes.

    `signal_std` is the standard deviation of reflectance within a period of 64 pixels,
    `noise_std` the sensor's noise (SNR 130 at a reflectance of 0.13), `slope` the exponent of the
    power spectrum, `halo_px` the radius at which the kernel is cut.
    """

    signal_std: float = 0.06
    noise_std: float = 0.001
    slope: float = 3.0
    halo_px: int = 6
    version: int = 1


def wiener(factor: int, settings: WienerSettings | None = None) -> PolyphaseModel:
    """Wiener deconvolution at a magnification of `factor`, with each band's own PSF."""
    chosen = settings or WienerSettings()
    values = {"method": "wiener", "factor": factor, **asdict(chosen)}
    card = ModelCard(
        id=f"wiener-x{factor}",
        title=f"Wiener deconvolution x{factor}",
        description="Linear least-squares estimate from the band's PSF and a power-law prior, "
        "applied as a fixed convolution. It sharpens what the sensor blurred.",
        factor=factor,
        halo_px=chosen.halo_px,
        psf="Gaussian of the band's MTF at Nyquist, then the 10 m pixel",
        limits="One date cannot resolve what was aliased; detail beyond about 0.7 cycles per "
        "10 m is not restored. Edges may ring by a few percent of their contrast.",
        weights_sha256=settings_sha256(values),
        settings=values,
        metrics=tuple(
            Score(f"simulated landscape, one date, truth {blur}", "PSNR gain, dB", gain, 0.0)
            for blur, gain in zip(BLURS, GAINS_DB.get(factor, ()), strict=False)
        ),
    )
    return PolyphaseModel(card, lambda band: wiener_kernel(band, factor, chosen))


def wiener_kernel(band: str, factor: int, settings: WienerSettings) -> Kernel:
    """Weights (phase_y, phase_x, tap_y, tap_x) for one band; they keep any plane as it is."""
    sigma_px = find_bands([band])[0].psf_sigma_px
    frequency = (np.arange(PERIOD_PX * factor) - PERIOD_PX * factor // 2) / PERIOD_PX
    blur_1d = axis_response(frequency, sigma_px, factor)
    blur = np.outer(blur_1d, blur_1d)
    prior = power_law(frequency, settings)
    aliased = _over_aliases(blur**2 * prior, factor) + settings.noise_std**2
    response = prior * blur / aliased
    waves = np.exp(2j * np.pi * np.outer(_offsets(factor, settings.halo_px), frequency))
    impulse = (waves @ response @ waves.T).real / PERIOD_PX**2
    taps = 2 * settings.halo_px + 1
    kernel = impulse.reshape(factor, taps, factor, taps).transpose(0, 2, 1, 3)
    taper = _taper(factor, settings.halo_px)
    return _reproducing_planes(kernel * taper, taper, settings.halo_px)


def axis_response(
    frequency: NDArray[np.float64], sigma_px: float, factor: int
) -> NDArray[np.float64]:
    """Transfer function along one axis, from pixels of the fine grid to the measured pixel.

    `frequency` in cycles per measured pixel. The pixel is the mean of `factor` fine pixels (a
    Dirichlet kernel, not a sinc, because the fine image is itself made of pixels).
    """
    fine = np.where(frequency == 0, 1e-12, frequency / factor)
    box = np.sin(np.pi * fine * factor) / (factor * np.sin(np.pi * fine))
    response: NDArray[np.float64] = box * np.exp(-2 * (np.pi * sigma_px * frequency) ** 2)
    return response


def power_law(frequency: NDArray[np.float64], settings: WienerSettings) -> NDArray[np.float64]:
    """Prior power on the grid of frequencies, `signal_std` squared in all beyond the mean."""
    radius = np.hypot(frequency[:, None], frequency[None, :])
    radius[radius == 0] = 0.5 / PERIOD_PX  # the mean: known far better than any detail
    power = radius**-settings.slope
    inner = np.abs(frequency) < 0.5
    share = power[np.ix_(inner, inner)].sum() / PERIOD_PX**2
    scaled: NDArray[np.float64] = power * settings.signal_std**2 / share
    return scaled


def _over_aliases(power: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Sum over the frequencies that sampling cannot tell apart, put back at each of them."""
    size = power.shape[0] // factor
    folded = power.reshape(factor, size, factor, size).sum(axis=(0, 2))
    return np.tile(folded, (factor, factor))


def _offsets(factor: int, halo_px: int) -> NDArray[np.float64]:
    """Distance, in input pixels, from each tap to each phase's centre, phase-major."""
    phase = (np.arange(factor) + 0.5) / factor - 0.5
    return (phase[:, None] - np.arange(-halo_px, halo_px + 1)[None, :]).ravel()


def _reproducing_planes(
    kernel: NDArray[np.float64], taper: NDArray[np.float64], halo_px: int
) -> Kernel:
    """The least change, weighted by the taper, after which no plane is bent or shifted.

    Three conditions per phase: the weights sum to one, and their centre of mass lies at the
    phase's own centre, without which cutting the kernel moves things by hundredths of a pixel.
    """
    factor = kernel.shape[0]
    tap = np.arange(-halo_px, halo_px + 1, dtype=np.float64)
    planes = np.stack([np.ones((tap.size, tap.size)), *np.meshgrid(tap, tap, indexing="ij")])
    phase = (np.arange(factor) + 0.5) / factor - 0.5
    result = np.empty_like(kernel)
    for p, q in np.ndindex(factor, factor):
        wanted = np.array([1.0, phase[p], phase[q]])
        moments = np.einsum("nkl,kl->n", planes, kernel[p, q])
        gram = np.einsum("nkl,mkl,kl->nm", planes, planes, taper[p, q])
        change = np.linalg.solve(gram, wanted - moments)
        result[p, q] = kernel[p, q] + np.einsum("n,nkl->kl", change, planes) * taper[p, q]
    weights: Kernel = result.astype(np.float32)
    return weights


def _taper(factor: int, halo_px: int) -> NDArray[np.float64]:
    """Lets the kernel end softly: 1 up to half the halo, then down by a cosine."""
    distance = np.abs(_offsets(factor, halo_px)).reshape(factor, -1)
    ramp = np.clip((distance - halo_px / 2) / (halo_px / 2 + 0.5), 0, 1)
    axis = 0.5 + 0.5 * np.cos(np.pi * ramp)
    taper: NDArray[np.float64] = np.einsum("pk,ql->pqkl", axis, axis)
    return taper
