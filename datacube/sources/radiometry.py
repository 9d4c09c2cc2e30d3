"""From a product's numbers to the cube's, exactly where that is possible.

Sentinel-2 numbers are reflectance x 10000, since processing baseline 04.00 (25 January 2022,
and everything reprocessed since) with 1000 added. Some catalogs have taken the 1000 away again.
The cube adds 1000 to all, so that either kind is an integer shift and loses nothing.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.errors import InvalidInput
from datacube.scene import ADD_OFFSET, NO_DATA_DN, SCALE_FACTOR, dn_from_reflectance
from datacube.sources.refusals import RadiometryUnknown

QUANTIFICATION = 10_000
BASELINE_OFFSET = -0.1  # reflectance; -1000 in numbers
FIRST_BASELINE_WITH_OFFSET = (4, 0)
HIGHEST_DN = 65_535

_SAY_IT = "say it with --scale 0.0001 and --offset 0 (or -0.1 where 1000 is still in the numbers)"


@dataclass(frozen=True)
class Calibration:
    """reflectance = number * `scale` + `offset`; `no_data` is the number of no data, or None.

    NaN is always no data. A saturated number stays the highest there is.
    """

    scale: float = 1 / QUANTIFICATION
    offset: float = 0.0
    no_data: float | None = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.scale, self.offset]).all() and self.scale > 0):
            raise InvalidInput(
                f"need a scale > 0 and a finite offset, got {self.scale} and {self.offset}"
            )
        if abs(self.offset) >= 1:
            raise InvalidInput(
                f"need the offset as reflectance, |offset| < 1, got {self.offset:g}; "
                f"-1000 in numbers of reflectance x 10000 is -0.1"
            )

    @property
    def shift(self) -> int | None:
        """What to add to a number to have the cube's; None where it is not a whole number."""
        exact = (self.offset - ADD_OFFSET) / SCALE_FACTOR
        whole = abs(self.scale / SCALE_FACTOR - 1) < 1e-9 and abs(exact - round(exact)) < 1e-6
        return round(exact) if whole else None

    def empty(self, numbers: NDArray[Any]) -> NDArray[np.bool_]:
        """Where there is no data."""
        empty = np.isnan(numbers) if numbers.dtype.kind == "f" else np.zeros(numbers.shape, bool)
        if self.no_data is not None and not np.isnan(self.no_data):
            empty |= numbers == self.no_data
        return empty


def harmonise(numbers: NDArray[Any], calibration: Calibration) -> NDArray[np.uint16]:
    """Numbers of a product, any shape, in the cube's encoding; 0 where there is no data.

    Integers with a whole shift stay the very integers plus the shift. What lies outside the
    encoding is clipped to 1 or 65535, never wrapped.
    """
    if numbers.dtype.kind not in "iuf":
        raise InvalidInput(f"need integer or real numbers, got {numbers.dtype}")
    if numbers.dtype == np.uint16:
        return np.take(_table(calibration), numbers)
    return _encoded(numbers, calibration)


def _encoded(numbers: NDArray[Any], calibration: Calibration) -> NDArray[np.uint16]:
    empty = calibration.empty(numbers)
    shift = calibration.shift
    if shift is not None and numbers.dtype.kind in "iu":
        shifted = np.clip(numbers.astype(np.int64) + shift, 1, HIGHEST_DN)
        return np.where(empty, NO_DATA_DN, shifted).astype(np.uint16)
    reflectance = numbers.astype(np.float64) * calibration.scale + calibration.offset
    encoded = dn_from_reflectance(reflectance)
    encoded[empty] = NO_DATA_DN
    return encoded


@lru_cache(maxsize=32)
def _table(calibration: Calibration) -> NDArray[np.uint16]:
    """The answer for each of the 65536 numbers: ten times faster than working each out."""
    return _encoded(np.arange(HIGHEST_DN + 1, dtype=np.int32), calibration)


def baseline_calibration(
    baseline: str | None, *, offset_removed: bool | None = None, no_data: float | None = 0.0
) -> Calibration:
    """Calibration of numbers of reflectance x 10000 from the processing baseline (`05.10`).

    `offset_removed` says that whoever delivers the numbers has already subtracted the 1000
    (`earthsearch:boa_offset_applied`, a harmonised collection). Raises RadiometryUnknown where
    neither tells: the date does not, since old scenes are reprocessed.
    """
    if offset_removed:
        return Calibration(no_data=no_data)
    version = re.fullmatch(r"N?(\d{1,2})\.?(\d{2})", baseline.strip()) if baseline else None
    if version is None:
        raise RadiometryUnknown(
            f"no processing baseline says whether 1000 is to be subtracted (got {baseline!r}); "
            + _SAY_IT
        )
    shifted = (int(version[1]), int(version[2])) >= FIRST_BASELINE_WITH_OFFSET
    return Calibration(offset=BASELINE_OFFSET if shifted else 0.0, no_data=no_data)


def stated_calibration(
    scale: float | None, offset: float | None, *, no_data: float | None, name: str
) -> Calibration:
    """Calibration as the user states it; both numbers, or it is unknown.

    Raises RadiometryUnknown, naming the options, where one of them is missing.
    """
    if scale is None or offset is None:
        raise RadiometryUnknown(
            f"{name} does not say how its numbers become reflectance; " + _SAY_IT
        )
    return Calibration(scale, offset, no_data)
