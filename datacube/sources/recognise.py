"""What a SOURCE is: looked up in what lies there, never guessed from a wish."""

from pathlib import Path

from datacube.errors import InvalidInput, SrcubeError
from datacube.sources import geotiff, l1b, netcdf, safe
from datacube.sources.archive import Archive
from datacube.sources.plan import Given, PlannedScene, Refusal, SourcePlan

KINDS = (
    "a SAFE folder or zip, GeoTIFF, COG or JPEG 2000 files or a folder of them, NetCDF, or with "
    "--sensor-geometry a Level-1B crop"
)


def plan_source(path: Path, given: Given) -> SourcePlan:
    """Plan every scene that a path holds; parts that cannot be taken in are listed with reasons.

    Raises InvalidInput where there is nothing, or nothing of a kind that is understood.
    """
    if not path.exists():
        raise InvalidInput(f"there is nothing at {path}; a SOURCE is {KINDS}")
    if path.is_file():
        return _plan_file(path, given)
    if _is_product(path):
        return _planned(path, given)
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    products = [one for one in entries if one.suffix == ".zip" or _is_product(one)]
    files = [one for one in entries if one.is_file()]
    rasters = [one for one in files if one.suffix.lower() in geotiff.SUFFIXES]
    cubes = [one for one in files if netcdf.is_netcdf(one) and one not in rasters]
    if not (products or rasters or cubes):
        raise InvalidInput(f"{path.name} holds nothing to take in; a SOURCE is {KINDS}")
    plan = SourcePlan()
    for one in [*products, *cubes]:
        plan += _planned(one, given)
    return plan + _plan_rasters(rasters, given)


def _plan_file(path: Path, given: Given) -> SourcePlan:
    if path.suffix.lower() in geotiff.SUFFIXES:
        return _plan_rasters([path], given)
    if path.suffix.lower() == ".zip" or netcdf.is_netcdf(path):
        return _planned(path, given)
    raise InvalidInput(f"{path.name} is of no kind that is understood; a SOURCE is {KINDS}")


def _plan_rasters(paths: list[Path], given: Given) -> SourcePlan:
    if not given.sensor_geometry:
        return geotiff.plan_files(paths, given)
    plan = SourcePlan()
    for path in paths:
        plan += _planned(path, given)
    return plan


def _planned(path: Path, given: Given) -> SourcePlan:
    """Plan one product or file, or say why it is refused."""
    try:
        if path.is_dir():
            return _wanted(safe.plan_product(Archive.of_folder(path)), given)
        if path.suffix.lower() == ".zip":
            return _wanted(safe.plan_product(Archive.of_zip(path)), given)
        if given.sensor_geometry:
            return _wanted(l1b.plan_crop(path, given), given)
        return netcdf.plan_netcdf(path, given)
    except SrcubeError as error:
        return SourcePlan(refusals=(Refusal(path.name, str(error), error.code),))


def _wanted(scene: PlannedScene, given: Given) -> SourcePlan:
    return SourcePlan((scene,) if given.wants(scene.scene.datetime) else ())


def _is_product(path: Path) -> bool:
    """Whether a folder is, or just holds, one SAFE product."""
    return path.is_dir() and (
        path.suffix == ".SAFE" or any((path / name).is_file() for name in safe.METADATA)
    )
