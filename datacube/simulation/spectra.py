"""Reflectance of ground materials in the bands of Sentinel-2.

The figures are plausible values for central Europe, chosen by hand after the general
shape of field spectra (soil line, green peak, red edge, water absorption in the short-wave
infrared); they are not measurements and serve a landscape that is called simulated.
"""

import numpy as np
from numpy.typing import NDArray

from datacube.errors import InvalidInput

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")

SPECTRA: dict[str, tuple[float, ...]] = {
    # in the order of BANDS
    "soil": (0.078, 0.112, 0.150, 0.170, 0.185, 0.200, 0.215, 0.230, 0.300, 0.265),
    "soil_moist": (0.050, 0.070, 0.094, 0.108, 0.122, 0.134, 0.145, 0.157, 0.205, 0.165),
    "cereal": (0.022, 0.054, 0.026, 0.085, 0.310, 0.400, 0.430, 0.450, 0.190, 0.085),
    "maize": (0.025, 0.061, 0.030, 0.100, 0.330, 0.420, 0.445, 0.455, 0.210, 0.095),
    "beet": (0.026, 0.072, 0.032, 0.115, 0.370, 0.480, 0.510, 0.520, 0.200, 0.085),
    "flower": (0.034, 0.132, 0.112, 0.170, 0.330, 0.390, 0.410, 0.425, 0.200, 0.100),
    "ripe": (0.062, 0.105, 0.142, 0.180, 0.240, 0.270, 0.290, 0.310, 0.330, 0.220),
    "stubble": (0.085, 0.128, 0.170, 0.194, 0.217, 0.237, 0.257, 0.277, 0.360, 0.290),
    "grass": (0.030, 0.072, 0.044, 0.105, 0.270, 0.330, 0.360, 0.375, 0.210, 0.110),
    "hay": (0.048, 0.096, 0.086, 0.140, 0.240, 0.280, 0.300, 0.320, 0.270, 0.170),
    "leaf": (0.017, 0.041, 0.021, 0.068, 0.260, 0.350, 0.380, 0.400, 0.165, 0.070),
    "twigs": (0.038, 0.054, 0.060, 0.080, 0.120, 0.140, 0.155, 0.175, 0.210, 0.140),
    "autumn_leaf": (0.028, 0.066, 0.082, 0.130, 0.220, 0.260, 0.280, 0.300, 0.230, 0.120),
    "needle": (0.014, 0.029, 0.018, 0.042, 0.135, 0.175, 0.195, 0.210, 0.095, 0.042),
    "lake": (0.024, 0.031, 0.015, 0.011, 0.007, 0.006, 0.005, 0.005, 0.003, 0.002),
    "shallow": (0.046, 0.070, 0.048, 0.036, 0.016, 0.014, 0.012, 0.010, 0.005, 0.004),
    "river": (0.032, 0.047, 0.033, 0.027, 0.015, 0.014, 0.012, 0.010, 0.005, 0.004),
    "sand": (0.185, 0.235, 0.275, 0.295, 0.310, 0.320, 0.330, 0.340, 0.400, 0.360),
    "asphalt": (0.083, 0.092, 0.099, 0.105, 0.110, 0.115, 0.120, 0.125, 0.150, 0.140),
    "concrete": (0.195, 0.220, 0.240, 0.252, 0.260, 0.265, 0.270, 0.275, 0.300, 0.280),
    "gravel": (0.140, 0.172, 0.200, 0.215, 0.228, 0.238, 0.248, 0.258, 0.310, 0.290),
    "tile": (0.062, 0.086, 0.178, 0.210, 0.230, 0.245, 0.262, 0.276, 0.330, 0.300),
    "slate": (0.064, 0.070, 0.078, 0.082, 0.086, 0.090, 0.095, 0.100, 0.130, 0.120),
    "metal": (0.260, 0.275, 0.280, 0.282, 0.284, 0.286, 0.288, 0.290, 0.280, 0.260),
    "white_roof": (0.500, 0.530, 0.545, 0.550, 0.555, 0.560, 0.565, 0.565, 0.510, 0.450),
}
CLOUD = (0.62, 0.60, 0.60, 0.61, 0.61, 0.61, 0.62, 0.62, 0.45, 0.36)

# SNR of one pixel at the reference reflectance. The 10 m bands: the mission's requirement,
# B08 (174) kept within 170; the 20 m bands likewise, with a floor of 100.
SNR = dict(zip(BANDS, (154, 168, 142, 117, 100, 105, 170, 100, 100, 100), strict=True))
SNR_REFLECTANCE = dict(zip(BANDS, (0.2, 0.2, 0.2, 0.2, 0.25, 0.3, 0.3, 0.3, 0.2, 0.2), strict=True))


def material_spectra(band: str) -> dict[str, float]:
    """Reflectance of every material in one band; InvalidInput for a band without a spectrum."""
    return {name: values[_index(band)] for name, values in SPECTRA.items()}


def cloud_reflectance(band: str) -> float:
    """Reflectance of a thick cloud in one band."""
    return CLOUD[_index(band)]


def noise_sigma(reflectance: NDArray[np.float32], band: str) -> NDArray[np.float32]:
    """Standard deviation of the noise: 30 % of the variance constant, 70 % shot-like.

    At SNR_REFLECTANCE[band] it is exactly that reflectance over SNR[band].
    """
    _index(band)
    reference = SNR_REFLECTANCE[band]
    relative = 0.3 + 0.7 * np.maximum(reflectance, 0) / np.float32(reference)
    return np.asarray(reference / SNR[band] * np.sqrt(relative), np.float32)


def _index(band: str) -> int:
    if band not in BANDS:
        raise InvalidInput(f"no simulated spectrum for band {band}; there are {', '.join(BANDS)}")
    return BANDS.index(band)
