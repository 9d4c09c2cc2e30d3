"""One acquisition: what a catalog says of it, and the pixels it brings."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from datacube.errors import InvalidInput
from datacube.window import Window

SCENE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

# CF encoding of every reflectance array: lossless for Sentinel-2's own numbers of any processing
# baseline, and with room for the negative reflectance that baseline 04.00 introduced.
SCALE_FACTOR = 1e-4
ADD_OFFSET = -0.1
NO_DATA_DN = 0


@dataclass(frozen=True)
class Scene:
    """What is known of one acquisition before its pixels are looked at.

    `properties` are those of its STAC item (`eo:cloud_cover` in percent and the like).
    """

    scene_id: str
    datetime: datetime
    properties: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not SCENE_ID.fullmatch(self.scene_id):
            raise InvalidInput(
                f"need a scene id of 1 to 128 letters, digits, '_', '.' or '-', "
                f"got {self.scene_id[:140]!r}"
            )
        if self.datetime.tzinfo is None:
            raise InvalidInput(f"need a time with a zone for {self.scene_id}, got {self.datetime}")

    @property
    def cloud_cover(self) -> float | None:
        """Percent of the scene under cloud, where it is known."""
        value = self.properties.get("eo:cloud_cover")
        return None if value is None else float(value)

    @property
    def stamp(self) -> str:
        """The time in UTC as RFC 3339, to the second."""
        return rfc3339(self.datetime)


@dataclass(frozen=True, eq=False)
class ScenePixels:
    """The pixels of a scene on the cube's grid.

    `dn`: uint16 (band, y, x) in the cube's encoding, 0 where there is no data.
    `scl`: uint8 (y, x), scene classification of Sentinel-2 level 2A, or None.
    """

    dn: NDArray[np.uint16]
    scl: NDArray[np.uint8] | None = None

    def read(self, window: Window) -> "ScenePixels":
        """The pixels of a window, as any other source of pixels gives them."""
        return ScenePixels(
            self.dn[:, *window.slices], None if self.scl is None else self.scl[window.slices]
        )


class PixelSource(Protocol):
    """Where a scene's pixels come from, window by window, so that none need hold them all.

    It may be asked for the same window again, from another thread or (pickled) another process,
    and must then give the same pixels.
    """

    def read(self, window: Window) -> ScenePixels:
        """The pixels of a window of the cube's grid, which lies inside it."""


def reflectance_from_dn(dn: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Reflectance as float32, NaN where there is no data."""
    reflectance = dn.astype(np.float32) * np.float32(SCALE_FACTOR) + np.float32(ADD_OFFSET)
    reflectance[dn == NO_DATA_DN] = np.nan
    return reflectance


def dn_from_reflectance(reflectance: NDArray[np.floating[Any]]) -> NDArray[np.uint16]:
    """Nearest digital number; NaN becomes 0, what lies outside is clipped, never wrapped."""
    scaled = (reflectance.astype(np.float64) - ADD_OFFSET) / SCALE_FACTOR
    numbers = np.clip(np.rint(scaled), 1, np.iinfo(np.uint16).max)
    return np.where(np.isfinite(scaled), numbers, NO_DATA_DN).astype(np.uint16)


def rfc3339(moment: datetime) -> str:
    """A time with a zone as `2024-06-20T10:30:00Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_rfc3339(text: str) -> datetime:
    """A time in UTC; a date alone is its midnight. Raises InvalidInput for anything else."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"need a time such as 2024-06-20T10:30:00Z, got {text[:40]!r}"
        ) from error
    if moment.tzinfo is None:
        if len(text) > len("2024-06-20"):
            raise InvalidInput(f"need a time zone ('Z' for UTC) in {text[:40]!r}")
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidInput(f"need a time of the years 1 to 9999, got {text[:40]!r}") from error
