"""What a source holds, before any pixel is read: a value that can be printed and carried out."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from numpy.typing import NDArray

from datacube.bands import CLASSES
from datacube.grid import Grid
from datacube.scene import Scene
from datacube.sources.naming import Interval
from datacube.sources.radiometry import Calibration
from datacube.sources.refusals import BandMissing
from datacube.window import Window

ReadNumbers = Callable[[Window], NDArray[Any]]


class BandSource(Protocol):
    """One band of one scene, on its own pixels."""

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""

    @property
    def calibration(self) -> Calibration:
        """How its numbers become reflectance; of classes only the no-data number counts."""

    def open(self) -> AbstractContextManager[ReadNumbers]:
        """Open it; what is given reads a window (y, x), which must lie inside the grid.

        Reading raises AssetUnreadable where the file is damaged.
        """


@dataclass(frozen=True)
class Given:
    """What the user says that a file may not: names of bands, a date, scale and offset.

    `bands` name the bands of a file that does not, in its order, and choose among those of a
    file that does. `interval` chooses among dates; its instant dates a file that has none.
    """

    bands: tuple[str, ...] = ()
    interval: Interval | None = None
    scale: float | None = None
    offset: float | None = None
    sensor_geometry: bool = False

    @property
    def instant(self) -> datetime | None:
        """The one date given, if it was one."""
        return self.interval.instant if self.interval else None

    def wants(self, moment: datetime) -> bool:
        """Whether a date was asked for."""
        return self.interval is None or self.interval.holds(moment)


@dataclass(frozen=True)
class Origin:
    """What a file that srcube wrote says of its pixels; nothing is said by any other."""

    simulated: bool = False
    attribution: str | None = None
    notice: str | None = None


@dataclass(frozen=True)
class PlannedScene:
    """A scene that can be taken in: its bands by name, and where they come from.

    `beside` are further granules of the same overpass, which have the same bands.
    """

    scene: Scene
    bands: Mapping[str, BandSource]
    level: str = "L2A"
    georeference: str = "exact"
    beside: "tuple[PlannedScene, ...]" = ()
    origin: Origin = Origin()

    @property
    def reflective(self) -> tuple[str, ...]:
        """Names of its bands without the classification, sorted."""
        return tuple(sorted(name for name in self.bands if name != CLASSES))

    def require(self, names: tuple[str, ...]) -> None:
        """Raise BandMissing, listing what is there, unless all of `names` are."""
        parts = (self, *self.beside)
        missing = [name for name in names if any(name not in part.bands for part in parts)]
        if missing:
            raise BandMissing(
                f"{self.scene.scene_id} has no {', '.join(missing)}; it has "
                f"{', '.join(sorted(self.bands)) or 'no bands'}; choose with --bands"
            )


@dataclass(frozen=True)
class Refusal:
    """What was not taken in, and why in one line."""

    name: str
    reason: str
    code: str = "InvalidInput"


@dataclass(frozen=True)
class SourcePlan:
    """What a source holds, and what of it was refused."""

    scenes: tuple[PlannedScene, ...] = ()
    refusals: tuple[Refusal, ...] = field(default=())

    def __add__(self, other: "SourcePlan") -> "SourcePlan":
        return SourcePlan(self.scenes + other.scenes, self.refusals + other.refusals)
