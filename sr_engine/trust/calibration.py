"""From the scale of the error that a model tells to an interval that holds what it says.

A half-width is the scale times a multiplier of its band and level, and the multipliers are
quantiles of |error| / scale at places that the model never learnt from (split conformal
prediction: Papadopoulos et al. 2002; Vovk et al. 2005). Beside a file there is no interval where
the measurement lies outside `REFLECTANCE`; beside a cube the quality band flags such pixels.
Which acquisitions it is for is told by `sr_engine.trust.domain`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datacube.errors import Damaged, InvalidInput
from sr_engine.card import ModelCard
from sr_engine.planes import BAND_SCALES

CALIBRATIONS = Path(__file__).parent / "calibrations"
LEVELS = ("0.80", "0.90", "0.95")
LISTS = ("places", "tested", "levels", "sensors")
REFLECTANCE = (-0.01, 1.0)  # the domain of all models here; water may be a little below zero

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Calibration:
    """What turns a model's scale into intervals.

    `multipliers` are by level of confidence and band. `places` are those it was made with,
    `pixels` how many measured pixels they have together. `figures` were measured at `tested`,
    which are others. It is for processing `levels` of `sensors`: ground without atmosphere, as
    aerial images and the simulation show it, recorded as that sensor would.
    """

    model: str
    weights_sha256: str
    multipliers: Mapping[str, Mapping[str, float]]
    places: tuple[str, ...]
    pixels: int
    tested: tuple[str, ...] = ()
    figures: Mapping[str, float] | None = None
    levels: tuple[str, ...] = ("L2A",)
    sensors: tuple[str, ...] = ("sentinel-2",)

    @property
    def sha256(self) -> str:
        """Digest of what its intervals depend on, and of where it came from."""
        facts = asdict(replace(self, figures=None, tested=()))
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def half_width(self, scale: Values, band: str, level: str = "0.90") -> Values:
        """Half of the interval (y, x) in reflectance, around the result of one band.

        Raises InvalidInput for a level or a band that it was not made for.
        """
        try:
            multiplier = self.multipliers[level][band]
        except KeyError:
            raise InvalidInput(
                f"{self.model} is calibrated for {', '.join(LEVELS)} of "
                f"{', '.join(self.multipliers[LEVELS[0]])}, got {level} of {band}"
            ) from None
        return np.asarray(scale * np.float32(multiplier), np.float32)

    def over_bands(self, level: str = "0.90") -> float:
        """The multiplier for the scale over all bands: the root mean square of the bands'."""
        return float(np.sqrt(np.mean(np.square(list(self.multipliers[level].values())))))


def in_domain(reflectance: Values) -> NDArray[np.bool_]:
    """Which pixels (y, x) of a measurement (band, y, x) an interval can be told for.

    Those that have data in every band, within the range that was calibrated; saturated ones lie
    above it.
    """
    low, high = REFLECTANCE
    with np.errstate(invalid="ignore"):
        return np.asarray(((reflectance >= low) & (reflectance <= high)).all(axis=0))


def calibration_of(card: ModelCard, folder: Path = CALIBRATIONS) -> Calibration:
    """The calibration of a model; raises InvalidInput where there is none for these weights."""
    found = _read(folder / f"{card.id}.json")
    if found is None:
        raise InvalidInput(
            f"{card.id} has no calibrated interval: no calibration set was run with it; "
            "leave `interval` out, or make one with `srcube calibrate`"
        )
    if found.weights_sha256 != card.weights_sha256:
        raise InvalidInput(
            f"the calibration of {card.id} is of other weights ({found.weights_sha256[:8]}, "
            f"these are {card.weights_sha256[:8]}); make it anew with `srcube calibrate`"
        )
    return found


def calibration_or_none(card: ModelCard) -> Calibration | None:
    """The calibration of a model, None where there is none for these weights."""
    try:
        return calibration_of(card)
    except InvalidInput:
        return None


def write_calibration(calibration: Calibration, folder: Path = CALIBRATIONS) -> Path:
    """Write it as JSON, readable by people; the path of the file."""
    path = folder / f"{calibration.model}.json"
    path.write_text(json.dumps(asdict(calibration), indent=1) + "\n", "utf-8")
    return path


def _read(path: Path) -> Calibration | None:
    """What a file holds, None where there is none; raises Damaged for one that is none."""
    try:
        written = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return _parsed(path, written)


@cache
def _parsed(path: Path, _written: int) -> Calibration:
    try:
        document = json.loads(path.read_text("utf-8"))
        document |= {name: tuple(document[name]) for name in LISTS if name in document}
        return Calibration(**document)
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{path.name} is no calibration: {error}"[:200]) from error


def scale_plane(band: str) -> str:
    """Name of the plane that holds the scale of a band; raises InvalidInput for other bands."""
    if band not in BAND_SCALES:
        raise InvalidInput(f"there are scales for {', '.join(BAND_SCALES)}, not for {band}")
    return BAND_SCALES[band].name
