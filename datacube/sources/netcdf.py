"""NetCDF files: one variable per band over (time, y, x), placed by their CF grid mapping."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from datacube.bands import CLASSES, band_in
from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.scene import Scene
from datacube.sources.naming import scene_id_of, time_in
from datacube.sources.plan import BandSource, Given, PlannedScene, ReadNumbers, SourcePlan
from datacube.sources.radiometry import Calibration, stated_calibration
from datacube.sources.raster import MAX_PIXELS, checked_grid
from datacube.sources.refusals import (
    AssetTooLarge,
    AssetUnreadable,
    BandMissing,
    CrsMismatch,
    DateUnknown,
)
from datacube.window import Window

SIGNATURES = (b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"CDF\x02")
TIMES = ("t", "time")
UNEVEN = 1e-3  # of a pixel; coordinates are written as doubles


@dataclass(frozen=True)
class NetcdfBand:
    """One variable at one time. `flipped` says that the file's rows run northwards."""

    path: str
    variable: str
    time_index: int | None
    grid: Grid
    flipped: bool = False
    calibration: Calibration = field(default_factory=Calibration)

    @contextmanager
    def open(self) -> Iterator[ReadNumbers]:
        """Open the file; reading raises AssetUnreadable where it is damaged."""
        with _open(Path(self.path)) as dataset:
            plane = dataset[self.variable].transpose(..., "y", "x")
            if self.time_index is not None:
                plane = plane.isel(time=self.time_index)
            yield partial(self._read, plane)

    def _read(self, plane: xr.DataArray, window: Window) -> NDArray[Any]:
        rows, cols = window.slices
        if self.flipped:
            height = self.grid.shape[0]
            rows = slice(height - rows.stop, height - rows.start)
        try:
            numbers = plane.isel(y=rows, x=cols).values
        except (OSError, RuntimeError, ValueError) as error:
            raise AssetUnreadable(f"{Path(self.path).name} cannot be decoded") from error
        return numbers[::-1] if self.flipped else numbers


def is_netcdf(path: Path) -> bool:
    """Whether a file begins as NetCDF does, whatever it is named."""
    with path.open("rb") as file:
        return file.read(8).startswith(SIGNATURES)


def plan_netcdf(path: Path, given: Given) -> SourcePlan:
    """Plan a scene for each time of a file.

    Raises BandMissing, CrsMismatch, DateUnknown, RadiometryUnknown or AssetUnreadable.
    """
    with _open(path) as dataset:
        variables = _band_variables(dataset, path.name)
        first = dataset[next(iter(variables.values()))]
        grid, flipped = _grid(dataset, first, path.name)
        template = {
            band: NetcdfBand(
                str(path), name, None, grid, flipped,
                _calibration(dataset[name], band, given, path.name),
            )
            for band, name in variables.items()
        }  # fmt: skip
        moments = _moments(first, path, given)
    stem = scene_id_of(path.stem)
    scenes = []
    for index, moment in moments:
        bands: dict[str, BandSource] = {
            band: NetcdfBand(one.path, one.variable, index, one.grid, one.flipped, one.calibration)
            for band, one in template.items()
        }
        name = f"{stem}_{moment:%Y%m%dT%H%M%S}" if index is not None else stem
        scenes.append(PlannedScene(Scene(name, moment), bands))
    return SourcePlan(tuple(one for one in scenes if given.wants(one.scene.datetime)))


@contextmanager
def _open(path: Path) -> Iterator[xr.Dataset]:
    """The file with its axes named time, y and x, numbers as they are stored."""
    if not is_netcdf(path):
        raise AssetUnreadable(f"{path.name} is no NetCDF file")
    try:
        dataset = xr.open_dataset(path, engine="netcdf4", mask_and_scale=False, decode_coords=False)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise AssetUnreadable(f"{path.name} is no readable NetCDF file") from error
    with dataset:
        renamed = {name: "time" for name in TIMES if name in dataset.dims and name != "time"}
        yield dataset.rename(renamed)


def _band_variables(dataset: xr.Dataset, file: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, variable in dataset.data_vars.items():
        band = band_in(str(name))
        if band is None or not {"y", "x"} <= set(variable.dims):
            continue
        extra = set(variable.dims) - {"time", "y", "x"}
        if extra:
            raise InvalidInput(f"{file} has {name} over {sorted(map(str, extra))} as well")
        if band in found:
            raise InvalidInput(f"{file} has band {band} twice: {found[band]} and {name}")
        found[band] = str(name)
    if not set(found) - {CLASSES}:
        raise BandMissing(
            f"{file} has no variable named after a band over (time, y, x); it has "
            f"{', '.join(map(str, dataset.data_vars))}"
        )
    return found


def _grid(dataset: xr.Dataset, variable: xr.DataArray, file: str) -> tuple[Grid, bool]:
    crs = _crs(dataset, variable, file)
    x, y = (np.asarray(dataset[name].values, np.float64) for name in ("x", "y"))
    if min(x.size, y.size) < 2:
        raise CrsMismatch(f"{file} has {y.size} x {x.size} pixels; need two each way to place them")
    if x.size * y.size > MAX_PIXELS:
        raise AssetTooLarge(f"{file} has {x.size} x {y.size} pixels; at most {MAX_PIXELS} are read")
    flipped = bool(y[0] < y[-1])
    y = y[::-1] if flipped else y
    across, down = (x[-1] - x[0]) / (x.size - 1), (y[-1] - y[0]) / (y.size - 1)
    even = np.abs(np.diff(x) - across).max() < UNEVEN * abs(across)
    if not (across > 0 and even and np.abs(np.diff(y) - down).max() < UNEVEN * abs(down)):
        raise CrsMismatch(f"{file} has x or y coordinates that are not evenly spaced")
    transform = Affine(across, 0, x[0] - across / 2, 0, down, y[0] - down / 2)
    return checked_grid(crs, transform, (y.size, x.size), name=file), flipped


def _crs(dataset: xr.Dataset, variable: xr.DataArray, file: str) -> str:
    name = variable.attrs.get("grid_mapping") or variable.encoding.get("grid_mapping")
    if name is None or name not in dataset.variables:
        raise CrsMismatch(f"{file} has no CF grid mapping, so its place is unknown")
    attributes = dict(dataset[name].attrs)
    text = attributes.get("crs_wkt") or attributes.get("spatial_ref")
    try:
        crs = CRS.from_user_input(text) if text else CRS.from_cf(attributes)
    except (CRSError, KeyError) as error:
        raise CrsMismatch(f"{file} has a grid mapping that PROJ does not know") from error
    authority = crs.to_authority()
    return ":".join(authority) if authority else crs.to_wkt()


def _calibration(variable: xr.DataArray, band: str, given: Given, file: str) -> Calibration:
    attributes = variable.attrs
    declared = attributes.get("_FillValue", attributes.get("missing_value"))
    no_data = 0.0 if declared is None else float(declared)
    if band == CLASSES:
        return Calibration(no_data=no_data)
    scale, offset = given.scale, given.offset
    if scale is None and offset is None and "scale_factor" in attributes:
        scale = float(attributes["scale_factor"])
        offset = float(attributes.get("add_offset", 0.0))
    return stated_calibration(scale, offset, no_data=no_data, name=f"{file} ({variable.name})")


def _moments(variable: xr.DataArray, path: Path, given: Given) -> list[tuple[int | None, datetime]]:
    """Index on the time axis and time of each step; a file without the axis is one step."""
    if "time" not in variable.dims:
        moment = time_in(path.stem) or given.instant
        if moment is None:
            raise DateUnknown(f"{path.name} has no time axis; say its date with --datetime")
        return [(None, moment)]
    stamps = variable["time"].values
    if not np.issubdtype(stamps.dtype, np.datetime64) or np.isnat(stamps).any():
        raise DateUnknown(f"{path.name} has a time axis that CF does not read as dates")
    seconds = stamps.astype("datetime64[s]").astype(np.int64)
    if len(set(seconds.tolist())) < len(seconds):
        raise DateUnknown(f"{path.name} has a time twice on its time axis")
    return [
        (index, datetime.fromtimestamp(second, UTC))
        for index, second in enumerate(seconds.tolist())
    ]
