"""GeoTIFF, COG and JPEG 2000 files: bands by their descriptions or names, dates by file names.

Files that differ in nothing but the band they name (`20250401_B04.tif`, `20250401_SCL.tif`,
`20250401.tif`) are one scene.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from datacube.bands import CLASSES, band_in, without_band
from datacube.errors import InvalidInput, SrcubeError
from datacube.scene import Scene, parse_rfc3339
from datacube.sources.naming import scene_id_of, time_in
from datacube.sources.plan import BandSource, Given, Origin, PlannedScene, Refusal, SourcePlan
from datacube.sources.radiometry import Calibration, stated_calibration
from datacube.sources.raster import Header, RasterBand, open_raster
from datacube.sources.refusals import AssetUnreadable, BandMissing, DateUnknown

SUFFIXES = frozenset({".tif", ".tiff", ".jp2"})
NO_DATA = 0.0  # Sentinel-2's own, where a file declares none

_RESOLUTION = re.compile(r"(?<![A-Za-z0-9])\d\dm(?![A-Za-z0-9])")


@dataclass(frozen=True)
class _Header:
    """What the header of one file says."""

    moment: datetime | None
    bands: Mapping[str, RasterBand]
    origin: Origin


def plan_files(paths: Sequence[Path], given: Given) -> SourcePlan:
    """Plan the scenes that raster files hold; what cannot be taken in is listed with its reason."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(paths):
        groups[group_name(path)].append(path)
    plan = SourcePlan()
    for name, files in groups.items():
        try:
            planned = _plan_scene(name, files, given)
        except SrcubeError as error:
            plan += SourcePlan(refusals=(Refusal(name, str(error), error.code),))
        else:
            plan += SourcePlan((planned,) if given.wants(planned.scene.datetime) else ())
    return plan


def group_name(path: Path) -> str:
    """What the files of one scene have in common: their name without band and resolution."""
    stem = path.name.removesuffix(path.suffix)
    return scene_id_of(_RESOLUTION.sub("", without_band(stem)))


def _plan_scene(name: str, files: Iterable[Path], given: Given) -> PlannedScene:
    bands: dict[str, BandSource] = {}
    moments: set[datetime] = set()
    origins: set[Origin] = set()
    for path in files:
        header = _read_header(path, given)
        moments |= {header.moment} if header.moment else set()
        origins.add(header.origin)
        for band, source in header.bands.items():
            held = bands.get(band)
            if held is not None and held.grid.gsd_m == source.grid.gsd_m:
                raise InvalidInput(f"{name} has band {band} twice, the second in {path.name}")
            if held is None or source.grid.gsd_m < held.grid.gsd_m:
                bands[band] = source
    if len(origins) > 1:
        raise InvalidInput(f"the files of {name} differ in whether they are simulated, or by whom")
    scene = Scene(name, _moment(name, moments, given))
    return PlannedScene(scene, bands, origin=origins.pop())


def _moment(name: str, moments: set[datetime], given: Given) -> datetime:
    if len(moments) > 1:
        raise DateUnknown(f"the files of {name} name {len(moments)} different times")
    found = moments.pop() if moments else given.instant
    if found is None:
        raise DateUnknown(f"nothing says when {name} was seen; say it with --datetime 2024-06-20")
    return found


def _read_header(path: Path, given: Given) -> _Header:
    """Read one header; raises a refusal that names the option which would help."""
    if not path.is_file() or not path.stat().st_size:
        raise AssetUnreadable(f"{path.name} is no file, or empty")
    with open_raster(str(path)) as file:
        header, grid = file.header, file.grid
    names = band_names(header, path, given)
    moment = parse_rfc3339(header.datetime) if header.datetime else time_in(path.stem)
    bands = {}
    for index, name in enumerate(names, start=1):
        if name is not None:
            calibration = calibration_of(header, index, name, given, path.name)
            mask = header.mask(index, calibration.no_data, names)
            bands[name] = RasterBand(str(path), index, grid, calibration, mask)
    return _Header(moment, bands, _origin(header, path.name))


def _origin(header: Header, file: str) -> Origin:
    """Raises InvalidInput for what a model made: a cube's measurement holds none of it."""
    found = header.record
    if "model" in found or found.get("inferred"):
        maker = str(found.get("model", "a model"))[:60]
        raise InvalidInput(
            f"{file} was made by {maker}, not measured; take in what it was made from, and "
            "super-resolve the cube"
        )
    return Origin(bool(found.get("simulated")), found.get("attribution"), found.get("notice"))


def band_names(header: Header, path: Path, given: Given) -> list[str | None]:
    """The name of each band of a file, None for one that is no band of the instrument.

    From the descriptions; else, of a single band, from the file's name; else as given. A band
    of opacity (alpha) has no name, unless it is given or described one: then it is a band.
    Raises BandMissing if nothing says, InvalidInput if two have one name.
    """
    described = [band_in(text or "") for text in header.descriptions]
    count = header.alpha.count(False)
    if not any(described) and count == 1:
        described = [None if alpha else band_in(path.stem) for alpha in header.alpha]
    if any(described):
        _refuse_twins(described, path.name)
        return described
    if len(given.bands) == header.count:
        return list(given.bands)
    if len(given.bands) == count:
        names = iter(given.bands)
        return [None if alpha else next(names) for alpha in header.alpha]
    raise BandMissing(
        f"{path.name} does not name its {count} bands; name all of them in the file's "
        f"order, as in --bands B04,B03,B02,B08,SCL"
        + (f" (got {len(given.bands)})" if given.bands else "")
    )


def _refuse_twins(names: Sequence[str | None], file: str) -> None:
    known = [name for name in names if name]
    if len(set(known)) < len(known):
        raise InvalidInput(f"{file} names a band twice: {', '.join(known)}")


def calibration_of(header: Header, index: int, name: str, given: Given, file: str) -> Calibration:
    """How the numbers of a band become reflectance: as given, else as the file states it.

    Raises RadiometryUnknown where neither says, AssetUnreadable for a picture of 8 bits.
    """
    declared = header.no_data[index - 1]
    no_data = NO_DATA if declared is None else float(declared)
    dtype = header.dtypes[index - 1]
    if name == CLASSES:
        return Calibration(no_data=no_data)
    if dtype == "uint8":
        raise AssetUnreadable(
            f"{file} holds {name} as 8-bit numbers: a picture, not reflectance; take the product "
            "it was drawn from"
        )
    scale, offset = given.scale, given.offset
    written: tuple[Any, Any] = (header.scales[index - 1], header.offsets[index - 1])
    if scale is None and offset is None and written != (1.0, 0.0):
        scale, offset = written
    return stated_calibration(scale, offset, no_data=no_data, name=file)
