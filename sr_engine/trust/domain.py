"""For which acquisitions an interval is told: sensors and levels that a calibration is for.

Elsewhere it abstains, and says why: a quantile of errors at one level says nothing of another.
A level has to be known. A sensor is taken for Sentinel-2's where no platform is named, since
bands go by its names here, and have to be given for files that do not; a platform that is named
and not its own is another sensor.
"""

import re
from dataclasses import dataclass
from typing import Any

from datacube import Cube
from datacube.errors import InvalidInput
from sr_engine.card import ModelCard
from sr_engine.trust.calibration import Calibration, calibration_or_none

SENTINEL2 = "sentinel-2"
_PLATFORM = re.compile(r"(sentinel-?2|s2)[a-d]?", re.IGNORECASE)
_LEVEL = re.compile(r"(?<![A-Za-z0-9])(?:MSI)?(L[012][ABC])(?![A-Za-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Acquisition:
    """How pixels came to be, as far as is said: `platform` and processing `level`, else None."""

    level: str | None = None
    platform: str | None = None

    @classmethod
    def of_cube(cls, cube: Cube, slot: int | None = None) -> "Acquisition":
        """Of one date of a cube; without a slot, of what holds for all."""
        shown = (one.scene.properties for one in cube.scenes if one.slot == slot)
        platform = next(shown, {}).get("platform")
        level = cube.attributes.get("processing:level")
        return cls(
            None if level is None else str(level), None if platform is None else str(platform)
        )

    @classmethod
    def of_name(cls, name: str) -> "Acquisition":
        """Of a file named as ESA does, `S2A_MSIL2A_...`, or with the level as a word: `x_L1C`."""
        found = _LEVEL.search(name)
        return cls(found[1].upper() if found else None)

    @property
    def sensor(self) -> str:
        """The constellation; what is named and not known is a sensor of its own."""
        if self.platform is None or _PLATFORM.fullmatch(self.platform.strip()):
            return SENTINEL2
        return self.platform.strip()[:40].lower()


def abstention(card: ModelCard, taken: Acquisition) -> str | None:
    """Why no interval is told of an acquisition, in one line.

    None where it is told, and of a model that is not calibrated at all.
    """
    known = calibration_or_none(card)
    if known is None:
        return None
    meant = f"{card.id} tells intervals of {' and '.join(known.levels)} of {known.sensors[0]} alone"
    if taken.sensor not in known.sensors:
        return f"{meant}, for which they are calibrated; this is of {taken.sensor}"
    if taken.level is None:
        return f"{meant}; the processing level of this is not said: name it with --level"
    if taken.level not in known.levels:
        return f"{meant}, for which they are calibrated; this is level {taken.level}"
    return None


def is_outside(card: ModelCard, taken: Acquisition) -> bool:
    """Whether it is known that a calibrated model's intervals are not for an acquisition."""
    said = taken.level is not None or taken.sensor != SENTINEL2
    return said and abstention(card, taken) is not None


def refuse_outside(card: ModelCard, taken: Acquisition) -> None:
    """Raise InvalidInput where no interval is told of an acquisition."""
    why = abstention(card, taken)
    if why is not None:
        raise InvalidInput(why)


def calibration_record(card: ModelCard, taken: Acquisition) -> dict[str, Any] | None:
    """The calibration set as provenance names it, and why it abstains where it does.

    None of a model that is not calibrated.
    """
    known = calibration_or_none(card)
    if known is None:
        return None
    return {**_named(known), "abstains": abstention(card, taken)}


def _named(known: Calibration) -> dict[str, Any]:
    return {
        "sha256": known.sha256,
        "weights_sha256": known.weights_sha256,
        "places": list(known.places),
        "pixels": known.pixels,
        "levels": list(known.levels),
        "sensors": list(known.sensors),
    }
