"""What is to be super-resolved: a raster file, or one date of a cube, read window by window."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from datacube import Cube, Grid, Window
from datacube.bands import CLASSES
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput
from datacube.provenance import scene_record
from datacube.sources.geotiff import band_names, calibration_of
from datacube.sources.l1b import nominal_grid
from datacube.sources.plan import Given
from datacube.sources.radiometry import Calibration
from datacube.sources.raster import Header, Mask, RasterFile, open_raster
from datacube.sources.refusals import BandMissing
from sr_engine.audit.provenance import find_provenance
from sr_engine.blocks import read_padded
from sr_engine.model import Reflectance
from sr_engine.trust.domain import Acquisition
from sr_engine.weights import file_sha256

UNSCALED = 2.0  # reflectance: clouds reach 1.2, glint little more; counts begin at thousands
UNSCALED_SHARE = 0.01
SAMPLES, SAMPLE_PX = 5, 64  # so many windows of so many pixels along each axis are looked at


class SceneSource(Protocol):
    """One image of one date; `grid` is nominal where it is not `placed` on Earth."""

    @property
    def name(self) -> str:
        """What to call it in a message."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of its reflective bands, in its order."""

    @property
    def grid(self) -> Grid:
        """Where its pixels lie."""

    @property
    def placed(self) -> bool:
        """Whether that is a place on Earth."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What its pixels are, as JSON holds it; other pixels have another."""

    @property
    def origin(self) -> Mapping[str, Any]:
        """Where they come from, for whoever meets the result; `datetime` where it is known."""

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """The images that results are made from: id, datetime, processing_baseline, sha256."""

    @property
    def taken(self) -> Acquisition:
        """The sensor and the processing level, as far as they are said."""

    def read(self, bands: tuple[str, ...], window: Window, rim_px: int) -> Reflectance:
        """(band, y, x) of a window and a rim; NaN where there is no data or no scene."""


@dataclass(frozen=True)
class _FileBand:
    """One band of a file: where it is, and how its numbers become reflectance."""

    index: int
    calibration: Calibration
    mask: Mask | None

    def read(self, file: RasterFile, window: Window) -> Reflectance:
        """Reflectance (y, x), NaN where there is no data; raises AssetUnreadable for damage."""
        known = self.calibration
        numbers = file.read(window, index=self.index, mask=self.mask)
        found = numbers.astype(np.float32) * np.float32(known.scale) + np.float32(known.offset)
        found[known.empty(numbers) | ~np.isfinite(found)] = np.nan
        return np.asarray(found, np.float32)


class RasterScene:
    """A GeoTIFF or JPEG 2000 file, opened by `open_file`."""

    def __init__(
        self, path: Path, file: RasterFile, given: Given, level: str | None = None
    ) -> None:
        self.name, self._level = path.name, level
        self._path, self._file = path, file
        header = file.header
        self.placed = header.crs is not None
        self.grid = file.grid if self.placed else nominal_grid(header.shape)
        named = band_names(header, path, given)
        self._bands: dict[str, _FileBand] = {}
        for name in _chosen(named, given.bands, path.name):
            index = named.index(name) + 1
            known = _calibration(header, index, name, given, path.name)
            mask = header.mask(index, known.no_data, named)
            self._bands[name] = _FileBand(index, known, mask)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of its reflective bands."""
        return tuple(self._bands)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """The file's digest, and how its numbers are understood."""
        numbers = {
            name: [one.index, one.calibration.scale, one.calibration.offset,
                   repr(one.calibration.no_data)]
            for name, one in self._bands.items()
        }  # fmt: skip
        return {"file": file_sha256(self._path), "bands": numbers}

    @property
    def origin(self) -> Mapping[str, Any]:
        """Name and digest of the file, and its date as tagged."""
        moment = self._file.header.datetime
        dated = {"datetime": moment} if moment else {}
        return {"file": self.name, "sha256": self.identity["file"], **dated}

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """The file; its processing baseline is not known."""
        known = self.origin
        return [
            {
                "id": self.name,
                "datetime": known.get("datetime"),
                "processing_baseline": None,
                "sha256": known["sha256"],
            }
        ]

    @cached_property
    def taken(self) -> Acquisition:
        """As stated, else as the record of srcube in the file has it, else by the file's name."""
        if self._level is not None:
            return Acquisition(self._level)
        record = find_provenance(self._path) or {}
        level = record.get("processing_level")
        platform = (record.get("scene_properties") or {}).get("platform")
        return Acquisition(level, platform) if level else Acquisition.of_name(self.name)

    def read(self, bands: tuple[str, ...], window: Window, rim_px: int) -> Reflectance:
        """See `SceneSource.read`; raises AssetUnreadable where the file is damaged."""
        wanted = window.grown(rim_px)
        there = wanted.within(self.grid.shape)
        shape = (len(bands), wanted.height, wanted.width)
        out = np.full(shape, np.nan, np.float32)
        row, col = there.row - wanted.row, there.col - wanted.col
        inner = out[:, row : row + there.height, col : col + there.width]
        for plane, name in zip(inner, bands, strict=True):
            plane[:] = self._bands[name].read(self._file, there)
        return out

    def refuse_unscaled(self) -> None:
        """Raise InvalidInput where what should be reflectance looks like counts."""
        high = total = 0
        for window in _samples(self.grid.shape):
            values = self.read(self.bands, window, 0)
            known = values[np.isfinite(values)]
            total, high = total + known.size, high + int((known > UNSCALED).sum())
        if high > UNSCALED_SHARE * total:
            raise InvalidInput(
                f"{self.name} holds {100 * high / total:.0f} % of values above {UNSCALED:g}, which "
                "no reflectance is; say how numbers become it, as --scale 0.0001 --offset 0"
            )


class CubeScene:
    """One date of a cube."""

    placed = True

    def __init__(self, cube: Cube, shown: CommittedScene) -> None:
        self.cube, self.slot = cube, shown.slot
        self._shown = shown
        self.name = shown.scene.scene_id
        self.grid = cube.grid
        self.bands = tuple(band.name for band in cube.bands)

    @property
    def identity(self) -> Mapping[str, Any]:
        """The scene's digest, and the cube at its generation, which other dates belong to."""
        record = self.cube.root.commit
        digest = record.scenes[self.name].sha256
        return {"cube": record.uid, "generation": record.generation, "scene": digest}

    @property
    def origin(self) -> Mapping[str, Any]:
        """The cube, the scene, and what must always be said beside its pixels."""
        said = ("simulated", "notice", "attribution", "georeference", "processing:level")
        return {
            "cube_uid": self.cube.root.commit.uid,
            "generation": self.cube.generation,
            "scene": self.name,
            "datetime": self._shown.scene.stamp,
            **{key: self.cube.attributes.get(key) for key in said},
        }

    @property
    def inputs(self) -> Sequence[Mapping[str, Any]]:
        """The date itself; a model of several tells its dates by the cube's generation."""
        return [scene_record(self.cube, self._shown)]

    @property
    def taken(self) -> Acquisition:
        """The cube's level, and the platform where the date has one."""
        return Acquisition.of_cube(self.cube, self.slot)

    def read(self, bands: tuple[str, ...], window: Window, rim_px: int) -> Reflectance:
        """See `SceneSource.read`."""
        return read_padded(self.cube, self.slot, bands, window, rim_px)


@contextmanager
def open_file(path: Path, given: Given, level: str | None = None) -> Iterator[RasterScene]:
    """Open a raster file whose bands and calibration are stated, in it or in `given`.

    `level` is its processing level where the user names one.

    Real numbers without a scale are taken for reflectance. Raises a refusal that names the
    option which would help, and InvalidInput where the numbers are none of reflectance.
    """
    with open_raster(str(path)) as file:
        scene = RasterScene(path, file, given, level)
        scene.refuse_unscaled()
        yield scene


def _chosen(named: list[str | None], asked: tuple[str, ...], file: str) -> tuple[str, ...]:
    found = [name for name in named if name and name not in {CLASSES, "-"}]
    missing = [name for name in asked if name not in {*named, CLASSES, "-"}]
    if missing or not found:
        raise BandMissing(
            f"{file} has no {', '.join(missing) or 'reflective band'}; it has "
            f"{', '.join(found) or 'none of the instrument'}"
        )
    return tuple(name for name in found if not asked or name in asked)


def _calibration(header: Header, index: int, name: str, given: Given, file: str) -> Calibration:
    """As the file or the user states it; real numbers may be reflectance as they are."""
    stated = given.scale is not None or given.offset is not None
    written = (header.scales[index - 1], header.offsets[index - 1]) != (1.0, 0.0)
    if header.dtypes[index - 1].startswith("float") and not (stated or written):
        given = replace(given, scale=1.0, offset=0.0)
    return calibration_of(header, index, name, given, file)


def _samples(shape: tuple[int, int]) -> list[Window]:
    """Small windows all over a raster; the whole of a small one."""
    rows, cols = (
        np.unique(np.linspace(0, max(size - SAMPLE_PX, 0), SAMPLES).astype(int)) for size in shape
    )
    return [
        Window(int(row), int(col), SAMPLE_PX, SAMPLE_PX).within(shape)
        for row in rows
        for col in cols
    ]
