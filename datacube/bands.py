"""The bands of Sentinel-2 MSI, and the blur with which each one saw the ground.

The point spread function is modelled as an isotropic Gaussian (optics, diffusion,
motion) followed by the square pixel, so that one number per band, the modulation
transfer function at the Nyquist frequency, fixes it.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from datacube.errors import InvalidInput

PIXEL_MTF_AT_NYQUIST = 2 / math.pi  # sinc(1/2): what integrating over a square pixel alone leaves

CLASSES = "SCL"  # scene classification: comes with the bands of level 2A, holds codes
CIRRUS = "B10"  # of level 1C; shows no ground, so no cube holds it, but cloud detection reads it

_NAME = re.compile(r"(?<![A-Za-z0-9])(?:B(0?[1-9]|1[0-2]|8A)|(SCL))(?![A-Za-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band.

    `wavelength_nm` and `bandwidth_nm` are Sentinel-2A's centre and width at half maximum;
    `mtf_at_nyquist` is of the whole system, pixel included, at the band's own `gsd_m`.
    """

    name: str
    common_name: str
    gsd_m: int
    wavelength_nm: float
    bandwidth_nm: float
    mtf_at_nyquist: float

    @property
    def psf_sigma_px(self) -> float:
        """Standard deviation, in pixels of the band, of the Gaussian before the pixel box.

        From MTF(f) = sinc(f) exp(-2 pi^2 sigma^2 f^2) at f = 1/2 cycle per pixel.
        """
        return math.sqrt(2 * math.log(PIXEL_MTF_AT_NYQUIST / self.mtf_at_nyquist)) / math.pi


# Wavelengths: Sentinel-2 Spectral Response Functions, S2A (ESA, COPE-GSEG-EOPG-TN-15-0007).
# MTF: the values that Sentinel-2 sharpening work (Lanaras et al. 2017; Ulfarsson et al. 2019)
# uses; the mission's requirement is 0.15 to 0.30 for the 10 m bands.
SENTINEL2 = {
    band.name: band
    for band in (
        Band("B01", "coastal", 60, 442.7, 20, 0.32),
        Band("B02", "blue", 10, 492.7, 65, 0.26),
        Band("B03", "green", 10, 559.8, 35, 0.28),
        Band("B04", "red", 10, 664.6, 30, 0.24),
        Band("B05", "rededge071", 20, 704.1, 14, 0.38),
        Band("B06", "rededge075", 20, 740.5, 14, 0.34),
        Band("B07", "rededge078", 20, 782.8, 19, 0.34),
        Band("B08", "nir", 10, 832.8, 105, 0.26),
        Band("B8A", "nir08", 20, 864.7, 21, 0.33),
        Band("B09", "nir09", 60, 945.1, 19, 0.26),
        Band("B11", "swir16", 20, 1613.7, 90, 0.22),
        Band("B12", "swir22", 20, 2202.4, 174, 0.23),
    )
}


def find_bands(names: Iterable[str]) -> tuple[Band, ...]:
    """Look bands up by their Sentinel-2 names.

    Raises InvalidInput for a name that is not a band of the instrument.
    """
    wanted = tuple(names)
    unknown = [name for name in wanted if name not in SENTINEL2]
    if unknown:
        raise InvalidInput(
            f"no Sentinel-2 band {', '.join(unknown)}; the bands are {', '.join(SENTINEL2)}"
        )
    return tuple(SENTINEL2[name] for name in wanted)


def band_in(text: str) -> str | None:
    """The one band that a text names (`B4`, `T32TPS_B04_10m`, `S2-L2A-SCL`, `red`), or None.

    A text that names two different bands names none.
    """
    for band in SENTINEL2.values():
        if text.strip().lower() == band.common_name:
            return band.name
    found = {
        CLASSES if classes else f"B{number.upper().zfill(2)}"
        for number, classes in _NAME.findall(text)
    }
    return found.pop() if len(found) == 1 else None


def without_band(text: str) -> str:
    """The text without its band's name, for telling which files belong to one scene."""
    return _NAME.sub("", text)
