"""One clear scene per period, from all that were clear enough: a cube like any other.

A composite is computed window by window when it is committed, so that memory depends on the
number of dates under one window and not on the size of the cube. It keeps no scene
classification: what made it is clear by construction, and a made-up class would not be honest.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.catalog import Catalog
from datacube.cube import CommittedScene, Cube
from datacube.errors import InvalidInput
from datacube.geomedian import geometric_median, masked_median
from datacube.masks import DILATION_PX, clear_mask
from datacube.scene import (
    NO_DATA_DN,
    Scene,
    ScenePixels,
    dn_from_reflectance,
    reflectance_from_dn,
    rfc3339,
)
from datacube.store.layout import CubeSpec
from datacube.window import Window

METHODS = ("median", "geomedian")
PERIODS = ("month", "season", "year")
PART_PX = 512  # a chunk: of all dates this much is held at a time
STATISTIC_VALUES = 2_000_000  # of all dates and bands at a time: 16 MB, held a few times over


@dataclass(frozen=True)
class CompositeSpec:
    """What to make: how long a period is, and by which statistic."""

    period: str = "month"
    method: str = "median"

    def __post_init__(self) -> None:
        if self.period not in PERIODS:
            raise InvalidInput(f"need a period of {', '.join(PERIODS)}, got {self.period!r}")
        if self.method not in METHODS:
            raise InvalidInput(f"need a method of {' or '.join(METHODS)}, got {self.method!r}")

    def suffix(self) -> str:
        """What the id of a composite cube ends in."""
        return f"{self.period}-{self.method}"


@dataclass(frozen=True)
class Period:
    """From `start` to before `end`, and the scenes in it."""

    start: datetime
    end: datetime
    scenes: tuple[CommittedScene, ...]


@dataclass(frozen=True)
class CompositePixels:
    """The composite of some scenes of a cube, by window; what `Cube.append` reads."""

    cube: Cube
    slots: tuple[int, ...]
    method: str

    def read(self, window: Window) -> ScenePixels:
        """Numbers (band, y, x) of a window; 0 where no scene was clear."""
        bands = tuple(band.name for band in self.cube.bands)
        out = np.zeros((len(bands), window.height, window.width), np.uint16)
        for row in range(0, window.height, PART_PX):
            for col in range(0, window.width, PART_PX):
                part = Window(row, col, PART_PX, PART_PX).within((window.height, window.width))
                place = Window(window.row + row, window.col + col, part.height, part.width)
                numbers = np.stack([self.cube.window_dn(slot, bands, place) for slot in self.slots])
                clear = np.stack([self._clear(slot, place) for slot in self.slots])
                out[:, *part.slices] = composite_dn(numbers, clear, self.method)
        return ScenePixels(out)

    def _clear(self, slot: int, window: Window) -> NDArray[np.bool_]:
        """Where the scene shows the ground; clouds beyond the window's edge count as well."""
        rim = window.grown(DILATION_PX).within(self.cube.grid.shape)
        clear = clear_mask(self.cube.window_scl(slot, rim))
        top, left = window.row - rim.row, window.col - rim.col
        return clear[top : top + window.height, left : left + window.width]


def make_composite(
    catalog: Catalog,
    cube_id: str,
    spec: CompositeSpec,
    *,
    target_id: str | None = None,
    report: Callable[[str], None] = lambda _line: None,
) -> Cube:
    """Make or continue the composite cube of a cube; scenes that are there already are kept.

    Raises InvalidInput for a cube without scene classification, since then nothing says what is
    cloud, and for a cube without scenes.
    """
    cube = catalog.open(cube_id)
    if not cube.has_scl:
        raise InvalidInput(
            f"cube {cube_id} has no scene classification, so that clouds are not known; ingest "
            "the scenes with SCL"
        )
    name = target_id or f"{cube_id}-{spec.suffix()}"[:64]
    periods = list(periods_of(cube, spec.period))
    if not periods:
        raise InvalidInput(f"cube {cube_id} holds no scenes yet")
    target = catalog.open(name) if name in catalog.ids() else None
    target = target or catalog.create(name, composite_cube_spec(cube_id, cube, spec))
    _check_same(target, cube_id, cube, spec, name)
    for period in periods:
        scene = composite_scene(cube_id, period, spec)
        slots = tuple(one.slot for one in period.scenes)
        target = target.append(scene, CompositePixels(cube, slots, spec.method), replace=True)
        report(f"{scene.scene_id}: {len(slots)} scenes")
    return target


def composite_dn(
    numbers: NDArray[np.uint16], clear: NDArray[np.bool_], method: str
) -> NDArray[np.uint16]:
    """Composite over time of numbers (time, band, y, x) where `clear` (time, y, x).

    A spectrum counts if all its bands have data; where none does, the result is 0.
    """
    dates, bands, height, width = numbers.shape
    valid = (clear & (numbers != NO_DATA_DN).all(axis=1)).reshape(dates, -1)
    flat = numbers.reshape(dates, bands, -1)
    statistic = geometric_median if method == "geomedian" else masked_median
    out = np.empty((bands, height * width), np.uint16)
    step = max(STATISTIC_VALUES // (dates * bands), 1)
    for first in range(0, height * width, step):
        part = slice(first, first + step)
        spectra = reflectance_from_dn(flat[:, :, part])
        out[:, part] = dn_from_reflectance(statistic(spectra, valid[:, part]))
    return out.reshape(bands, height, width)


def periods_of(cube: Cube, period: str) -> Iterator[Period]:
    """Periods in which the cube has scenes, by time; half-open, in UTC.

    A season begins with December, March, June or September.
    """
    groups: dict[datetime, list[CommittedScene]] = {}
    for one in cube.scenes:
        groups.setdefault(_start(one.scene.datetime, period), []).append(one)
    for start, scenes in sorted(groups.items()):
        yield Period(start, _end(start, period), tuple(scenes))


def composite_scene(cube_id: str, period: Period, spec: CompositeSpec) -> Scene:
    """What is recorded with a composite: its period, its statistic, and what went in."""
    stamp = period.start.strftime("%Y%m%d")
    properties: dict[str, Any] = {
        "start_datetime": rfc3339(period.start),
        "end_datetime": rfc3339(period.end - timedelta(seconds=1)),
        "processing:lineage": f"{spec.method} of {len(period.scenes)} scenes of cube {cube_id}, "
        f"clear by SCL with a margin of {DILATION_PX} px",
        "srcube:composite_method": spec.method,
        "srcube:input_scenes": [one.scene.scene_id for one in period.scenes],
    }
    text = re.sub(r"[^A-Za-z0-9_.-]", "_", f"{cube_id}_{stamp}_{spec.suffix()}")
    return Scene(text, period.start, properties)


def composite_cube_spec(cube_id: str, cube: Cube, spec: CompositeSpec) -> CubeSpec:
    """The new cube: the same grid and bands, and a notice that its scenes were never seen."""
    given = cube.attributes
    said = f"{given['notice']} " if given.get("notice") else ""
    return CubeSpec(
        title=f"{given['title']}: {spec.method} per {spec.period}",
        description=f"Cloud-free composites of cube {cube_id}: the {spec.method} over each "
        f"{spec.period} of what its scene classification calls clear.",
        notice=f"{said}Composite of several dates: no single moment looked like this.",
        attribution=given["attribution"],
        grid=cube.grid,
        bands=cube.bands,
        simulated=bool(given.get("simulated")),
        georeference=given.get("georeference", "exact"),
        level=given.get("processing:level", "L2A"),
        with_scl=False,
        extra={"srcube:composite": _origin(cube_id, cube, spec)},
    )


def _origin(cube_id: str, cube: Cube, spec: CompositeSpec) -> dict[str, str]:
    return {
        "cube": cube_id,
        "cube_uid": cube.root.commit.uid,
        "period": spec.period,
        "method": spec.method,
    }


def _check_same(target: Cube, cube_id: str, cube: Cube, spec: CompositeSpec, name: str) -> None:
    """Refuse to mix composites of different origin in one cube."""
    if target.attributes.get("srcube:composite") != _origin(cube_id, cube, spec):
        raise InvalidInput(
            f"cube {name} is there and is no {spec.suffix()} composite of this {cube_id}; "
            "choose another id with --cube"
        )


def _start(moment: datetime, period: str) -> datetime:
    if period == "year":
        return datetime(moment.year, 1, 1, tzinfo=UTC)
    if period == "season":
        month = moment.month // 3 * 3
        year, month = (moment.year, month) if month else (moment.year - 1, 12)
        return datetime(year, month, 1, tzinfo=UTC)
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def _end(start: datetime, period: str) -> datetime:
    months = {"month": 1, "season": 3, "year": 12}[period]
    total = start.year * 12 + start.month - 1 + months
    return datetime(total // 12, total % 12 + 1, 1, tzinfo=UTC)
