"""A series of scenes over a small area, as cropped COGs on one grid with items beside them.

Only the byte ranges under the area are asked for. Granules of one overpass become one file; its
numbers are in the cube's encoding, whatever the catalog's were.
"""

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from datacube.bands import CLASSES
from datacube.cog import RasterSpec, cog_writer, windows_of
from datacube.errors import InvalidInput, SrcubeError
from datacube.grid import Grid
from datacube.ingest.placing import place_cube, touches
from datacube.lonlat import Bbox
from datacube.scene import NO_DATA_DN, Scene, ScenePixels
from datacube.sources.pixels import SceneReader
from datacube.sources.plan import PlannedScene, Refusal, SourcePlan
from datacube.stac.describe import file_item
from datacube.window import Window

ONE_PASS = timedelta(minutes=10)  # granules nearer in time were seen in one overpass
WORKERS = 4
STAMP = "%Y%m%dT%H%M%S"


@dataclass(frozen=True)
class Overpass:
    """What was seen at one time: granules side by side, in one file each for bands and SCL."""

    granules: tuple[PlannedScene, ...]

    @property
    def scene(self) -> Scene:
        """The first granule's."""
        return self.granules[0].scene

    @property
    def stamp(self) -> str:
        """The time, as files are named by it."""
        return self.scene.datetime.strftime(STAMP)


@dataclass(frozen=True)
class DownloadPlan:
    """Which overpasses, onto which grid, with which bands; and what was refused."""

    grid: Grid
    bands: tuple[str, ...]
    with_scl: bool
    passes: tuple[Overpass, ...]
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Downloaded:
    """What a download did: stamps written, and those that were there already."""

    written: tuple[str, ...]
    unchanged: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = field(default=())


def plan_download(
    found: SourcePlan, bbox: Bbox, bands: Sequence[str], *, min_scenes: int = 1
) -> DownloadPlan:
    """Group scenes into overpasses and choose the grid: the product's own pixels under the box.

    Raises InvalidInput where there are fewer overpasses than asked for, before a pixel is read.
    """
    names = tuple(name for name in bands if name != CLASSES)
    finest = {
        id(one): min((one.bands[name].grid for name in names), key=lambda grid: grid.gsd_m)
        for one in found.scenes
    }
    passes = _overpasses(found.scenes)
    if len(passes) < max(min_scenes, 1):
        refused = f"; {len(found.refusals)} were refused" if found.refusals else ""
        raise InvalidInput(
            f"found {len(passes)} dates, {max(min_scenes, 1)} are asked for{refused}; allow more "
            "cloud, a longer time, or fewer scenes (--max-cloud-cover, --start, --min-scenes)"
        )
    grids = list(finest.values())
    reference = max(grids, key=lambda grid: sum(one.crs == grid.crs for one in grids))
    near = [grid for grid in grids if touches(reference, grid)]
    grid = place_cube(reference, near, gsd_m=None, bbox=bbox)
    with_scl = CLASSES in bands and all(CLASSES in one.bands for one in found.scenes)
    return DownloadPlan(grid, names, with_scl, tuple(passes), found.refusals)


def download(plan: DownloadPlan, folder: Path, tags: dict[str, str]) -> Downloaded:
    """Fetch and write what the plan says; files that are there already are kept.

    The item is written last, so that an interrupted download is simply continued. A date that
    fails is listed and does not stop the others; raises its error if none succeeds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [one for one in plan.passes if not _is_there(folder, plan, one)]
    with ThreadPoolExecutor(WORKERS) as workers:
        errors = list(workers.map(lambda one: _tried(folder, plan, one, tags), missing))
    failed = {one.stamp: error for one, error in zip(missing, errors, strict=True) if error}
    if failed and len(failed) == len(plan.passes):
        raise next(iter(failed.values()))
    return Downloaded(
        tuple(one.stamp for one in missing if one.stamp not in failed),
        tuple(one.stamp for one in plan.passes if one not in missing),
        plan.refusals
        + tuple(Refusal(stamp, str(error), error.code) for stamp, error in failed.items()),
    )


def _tried(
    folder: Path, plan: DownloadPlan, one: Overpass, tags: dict[str, str]
) -> SrcubeError | None:
    try:
        _write_pass(folder, plan, one, tags)
    except SrcubeError as error:
        return error
    return None


class MosaicReader:
    """Pixels of several granules on one grid; the first that has data at a pixel gives it."""

    def __init__(self, readers: Sequence[SceneReader]) -> None:
        self._readers = readers

    def read(self, window: Window) -> ScenePixels:
        """The pixels of a window, (band, y, x), and the classes of the same granules."""
        first, *others = self._readers
        pixels = first.read(window)
        dn, scl = pixels.dn, pixels.scl
        for reader in others:
            empty = (dn == NO_DATA_DN).all(axis=0)
            if not empty.any():
                break
            other = reader.read(window)
            dn = np.where(empty, other.dn, dn)
            if scl is not None and other.scl is not None:
                scl = np.where(empty, other.scl, scl)
        return ScenePixels(dn, scl)


def _write_pass(folder: Path, plan: DownloadPlan, one: Overpass, tags: dict[str, str]) -> None:
    sources = ", ".join(granule.scene.scene_id for granule in one.granules)
    tags = {**tags, "datetime": one.scene.stamp, "SRCUBE_SOURCE_ITEMS": sources}
    with ExitStack() as stack:
        readers = [
            stack.enter_context(
                SceneReader(granule.bands, plan.bands, plan.grid, with_scl=plan.with_scl)
            )
            for granule in one.granules
        ]
        methods = json.dumps(readers[0].methods, sort_keys=True)
        spec = RasterSpec(plan.grid, plan.bands, tags={**tags, "SRCUBE_RESAMPLING": methods})
        put = stack.enter_context(cog_writer(folder / f"{one.stamp}.tif", spec))
        put_classes = None
        if plan.with_scl:
            classes = RasterSpec(plan.grid, (CLASSES,), "uint8", physical=False, tags=tags)
            put_classes = stack.enter_context(
                cog_writer(folder / f"{one.stamp}_{CLASSES}.tif", classes)
            )
        mosaic = MosaicReader(readers)
        for window in windows_of(plan.grid.shape):
            pixels = mosaic.read(window)
            put(window, pixels.dn)
            if put_classes and pixels.scl is not None:
                put_classes(window, pixels.scl[np.newaxis])
    partial = folder / f".{one.stamp}.json.partial"
    partial.write_text(json.dumps(_document(plan, one), indent=2), "utf-8")
    partial.replace(folder / f"{one.stamp}.json")


def _document(plan: DownloadPlan, one: Overpass) -> dict[str, Any]:
    assets: dict[str, tuple[str, Grid, Iterable[str]]] = {
        "data": (f"./{one.stamp}.tif", plan.grid, plan.bands)
    }
    if plan.with_scl:
        assets["scl"] = (f"./{one.stamp}_{CLASSES}.tif", plan.grid, ())
    kept = ("platform", "eo:cloud_cover", "s2:processing_baseline", "processing:version")
    properties = {key: one.scene.properties[key] for key in kept if key in one.scene.properties}
    properties["processing:level"] = one.granules[0].level
    properties["srcube:source_items"] = [granule.scene.scene_id for granule in one.granules]
    return file_item(one.stamp, one.scene, assets, properties)


def _is_there(folder: Path, plan: DownloadPlan, one: Overpass) -> bool:
    """Whether an earlier download ended with this very item, and its files are still there."""
    path = folder / f"{one.stamp}.json"
    names = [f"{one.stamp}.tif"] + [f"{one.stamp}_{CLASSES}.tif"] * plan.with_scl
    if not path.is_file() or not all((folder / name).is_file() for name in names):
        return False
    try:
        return bool(json.loads(path.read_text("utf-8")) == _document(plan, one))
    except ValueError:
        return False


def _overpasses(scenes: Iterable[PlannedScene]) -> list[Overpass]:
    groups: list[list[PlannedScene]] = []
    for one in sorted(scenes, key=lambda one: (one.scene.datetime, one.scene.scene_id)):
        if groups and one.scene.datetime - groups[-1][0].scene.datetime < ONE_PASS:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [Overpass(tuple(group)) for group in groups]
