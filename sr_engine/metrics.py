"""How far an image is from the truth, and how sharp it is without one.

Images are (band, y, x); pixels that are not finite in both images do not count. Sharpness
measures say nothing about being right: noise is sharp.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datacube.errors import InvalidInput

Images = NDArray[np.floating]
SSIM_SIGMA_PX = 1.5  # Wang et al. 2004, "Image Quality Assessment", IEEE TIP 13(4)
SSIM_K1, SSIM_K2 = 0.01, 0.03


def psnr(image: Images, truth: Images, *, data_range: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, the mean over bands; infinite where they are equal.

    Raises InvalidInput where shapes differ or no pixel is finite in both.
    """
    ratios = []
    for a, b in _bands(image, truth):
        error = float(np.mean((a - b) ** 2))
        ratios.append(10 * math.log10(data_range**2 / error) if error else math.inf)
    return float(np.mean(ratios))


def rmse(image: Images, truth: Images) -> float:
    """Root mean square difference over all bands, in units of the images."""
    return math.sqrt(float(np.mean([np.mean((a - b) ** 2) for a, b in _bands(image, truth)])))


def ssim(image: Images, truth: Images, *, data_range: float = 1.0) -> float:
    """Structural similarity under an 11 px Gaussian window (Wang et al. 2004), mean of bands.

    Windows that touch the edge, or a pixel without data, are left out.
    """
    return float(np.mean([_ssim_band(a, b, data_range) for a, b in _checked(image, truth)]))


def sam(image: Images, truth: Images) -> float:
    """Mean spectral angle in degrees over pixels; scaling a spectrum leaves it unchanged.

    Pixels whose spectrum is zero in either image have no angle and are left out.
    """
    a, b = _spectra(image, truth)
    sizes = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    known = sizes > 0
    if not known.any():
        raise InvalidInput("need a spectrum that is not zero in both images, got none")
    # From chord lengths rather than arccos, which loses half the digits at small angles.
    unit_a = a[:, known] / np.linalg.norm(a[:, known], axis=0)
    unit_b = b[:, known] / np.linalg.norm(b[:, known], axis=0)
    apart = np.linalg.norm(unit_a - unit_b, axis=0)
    together = np.linalg.norm(unit_a + unit_b, axis=0)
    return float(np.degrees(np.mean(2 * np.arctan2(apart, together))))


def ergas(image: Images, truth: Images, *, factor: float) -> float:
    """Relative dimensionless global error of synthesis (Wald 2000), smaller is better.

    100 / factor * sqrt(mean over bands of (rmse / mean)^2), `factor` being how many times
    finer the image's pixels are than those it was made from.
    """
    relative = []
    for a, b in _bands(image, truth):
        mean = float(np.mean(b))
        if mean == 0:
            raise InvalidInput("need a truth whose band means are not zero for ERGAS")
        relative.append(float(np.mean((a - b) ** 2)) / mean**2)
    return 100 / factor * math.sqrt(float(np.mean(relative)))


def edge_contrast(image: Images) -> float:
    """Mean gradient of the steepest 5 % of pixels over the standard deviation, mean of bands.

    The steepest pixels are its edges; dividing makes it blind to gain and offset. Zero for a
    constant image.
    """
    values = []
    for band in image:
        known = band[np.isfinite(band)]
        spread = float(known.std()) if known.size else 0.0
        steep = _gradient(band)
        steep = steep[np.isfinite(steep)]
        if spread <= 0 or not steep.size:
            values.append(0.0)
            continue
        values.append(float(steep[steep >= np.quantile(steep, 0.95)].mean()) / spread)
    return float(np.mean(values))


def laplacian_var(image: Images) -> float:
    """Variance of the five-point Laplacian, mean of bands."""
    values = [_laplacian(band) for band in image]
    return float(np.mean([known[np.isfinite(known)].var() for known in values]))


def gradient_energy(image: Images) -> float:
    """Mean squared gradient (central differences), mean of bands."""
    squares = [_gradient(band) ** 2 for band in image]
    return float(np.mean([known[np.isfinite(known)].mean() for known in squares]))


def _gradient(band: Images) -> NDArray[np.float64]:
    """Length of the gradient at inner pixels."""
    b = band.astype(np.float64)
    return np.hypot(b[2:, 1:-1] - b[:-2, 1:-1], b[1:-1, 2:] - b[1:-1, :-2]) / 2


def _laplacian(band: Images) -> NDArray[np.float64]:
    b = band.astype(np.float64)
    around = b[2:, 1:-1] + b[:-2, 1:-1] + b[1:-1, 2:] + b[1:-1, :-2]
    return np.asarray(around - 4 * b[1:-1, 1:-1])


def _checked(image: Images, truth: Images) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    if image.shape != truth.shape or image.ndim != 3:
        raise InvalidInput(
            f"need two images of one shape (band, y, x), got {image.shape} and {truth.shape}"
        )
    return [(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(image, truth, strict=True)]


def _bands(image: Images, truth: Images) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The pixels that are finite in both, as one pair of vectors per band."""
    pairs = []
    for a, b in _checked(image, truth):
        both = np.isfinite(a) & np.isfinite(b)
        if not both.any():
            raise InvalidInput("need a pixel that has data in both images, got none")
        pairs.append((a[both], b[both]))
    return pairs


def _spectra(image: Images, truth: Images) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    pairs = _checked(image, truth)
    a, b = np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])
    both = np.isfinite(a).all(axis=0) & np.isfinite(b).all(axis=0)
    return a[:, both], b[:, both]


def _ssim_band(a: NDArray[np.float64], b: NDArray[np.float64], data_range: float) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    radius = 5
    rim = np.ones((2 * radius + 1,) * 2, dtype=bool)
    whole = ndimage.binary_erosion(both, rim)
    if not whole.any():
        raise InvalidInput("need an 11 px window with data in both images for SSIM, got none")
    a, b = np.where(both, a, 0), np.where(both, b, 0)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.GaussianBlur(values, size, SSIM_SIGMA_PX), dtype=np.float64)

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    c1, c2 = (SSIM_K1 * data_range) ** 2, (SSIM_K2 * data_range) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    likeness /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(likeness[whole].mean())
