"""What an ingest would do, from headers alone: which scenes, onto which grid, which not and why.

Nothing here reads pixels or changes a store, so that a plan can be shown before it is paid for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from datacube.bands import CLASSES, SENTINEL2, find_bands
from datacube.catalog import Catalog
from datacube.cube import Cube
from datacube.errors import InvalidInput, NotFound, SrcubeError
from datacube.grid import Grid
from datacube.ingest.placing import Box, place_cube, touches
from datacube.masks import can_detect
from datacube.sources.l1b import NOTICE
from datacube.sources.mosaic import Reader, gather, open_reader
from datacube.sources.plan import Given, PlannedScene, Refusal, SourcePlan
from datacube.sources.recognise import plan_source
from datacube.sources.refusals import BandMissing, CrsMismatch
from datacube.store.layout import CubeSpec

COPERNICUS = "Contains modified Copernicus Sentinel data {years}"


@dataclass(frozen=True)
class Target:
    """The cube that scenes go into: one that is there, or one that is to be made."""

    cube_id: str
    bbox: Box | None = None
    gsd_m: float | None = None
    title: str | None = None
    replace: bool = False
    scheduler: str | None = None


@dataclass(frozen=True)
class IngestPlan:
    """What would be taken in, into what, and what would not and why."""

    target: Target
    spec: CubeSpec
    exists: bool
    scenes: tuple[PlannedScene, ...]
    refusals: tuple[Refusal, ...] = ()

    @property
    def band_names(self) -> tuple[str, ...]:
        """The cube's bands, in order."""
        return tuple(band.name for band in self.spec.bands)

    def reader(self, planned: PlannedScene) -> Reader:
        """A planned scene's pixels on the cube's grid."""
        return open_reader(planned, self.band_names, self.spec.grid, with_scl=self.spec.with_scl)

    def document(self) -> dict[str, Any]:
        """The plan as JSON holds it."""
        grid = self.spec.grid
        return {
            "cube": self.target.cube_id,
            "exists": self.exists,
            "crs": grid.crs,
            "transform": list(grid.transform)[:6],
            "shape": list(grid.shape),
            "bands": list(self.band_names),
            "scene_classification": self.spec.with_scl,
            "level": self.spec.level,
            "scenes": [
                {"id": one.scene.scene_id, "datetime": one.scene.stamp,
                 "resampling": self.reader(one).methods}
                for one in self.scenes
            ],
            "refused": [vars(refusal) for refusal in self.refusals],
        }  # fmt: skip


def plan_ingest(
    catalog: Catalog, sources: Iterable[Path], target: Target, given: Given
) -> IngestPlan:
    """Read headers and metadata, no pixels, and decide what goes where.

    Raises InvalidInput where nothing at all can be taken in, with the first reason.
    """
    found = SourcePlan()
    for path in sources:
        found += plan_source(path, given)
    return plan_scenes(catalog, found, target, given)


def plan_scenes(catalog: Catalog, found: SourcePlan, target: Target, given: Given) -> IngestPlan:
    """The plan for scenes from anywhere, those of a STAC catalog too."""
    if not found.scenes:
        if found.refusals:
            first = found.refusals[0]
            raise InvalidInput(f"nothing to take in; {first.name} refused: {first.reason}")
        raise InvalidInput("no scene of the source lies in --datetime")
    _refuse_unplaced(found)
    found = gather(found)
    try:
        existing = catalog.open(target.cube_id)
    except NotFound:
        existing = None
    spec = _spec_of(existing, target) if existing else _new_spec(found, target, given)
    plan = IngestPlan(target, spec, existing is not None, (), found.refusals)
    for planned in found.scenes:
        try:
            _check_fit(planned, plan)
        except SrcubeError as error:
            refusal = Refusal(planned.scene.scene_id, str(error), error.code)
            plan = replace(plan, refusals=(*plan.refusals, refusal))
        else:
            plan = replace(plan, scenes=(*plan.scenes, planned))
    if not plan.scenes:
        first = plan.refusals[0]
        raise InvalidInput(f"nothing to take in; {first.name} refused: {first.reason}")
    return plan


def _spec_of(cube: Cube, target: Target) -> CubeSpec:
    """What a cube is, as far as a scene must fit it; raises InvalidInput for another area."""
    grid = cube.grid
    if target.gsd_m is not None and target.gsd_m != grid.gsd_m:
        raise InvalidInput(
            f"cube {target.cube_id} has pixels of {grid.gsd_m:g} m, not {target.gsd_m:g}; "
            "choose another --cube, or leave --resolution out"
        )
    if target.bbox is not None:
        window = grid.window_of(lonlat_bbox=target.bbox)
        if (window.height, window.width) != grid.shape:
            raise InvalidInput(
                f"cube {target.cube_id} has an area of its own, which --bbox cannot change; "
                "choose another --cube, or leave --bbox out"
            )
    return CubeSpec(
        title=cube.attributes["title"],
        grid=grid,
        bands=cube.bands,
        level=cube.attributes.get("processing:level", "L2A"),
        georeference=cube.attributes.get("georeference", "exact"),
        simulated=bool(cube.attributes.get("simulated")),
        with_scl=cube.has_scl,
    )


def _new_spec(found: SourcePlan, target: Target, given: Given) -> CubeSpec:
    reference = found.scenes[0]
    names = tuple(name for name in SENTINEL2 if name in given.bands)
    if given.bands and not names:
        raise BandMissing(f"none of {', '.join(given.bands)} is a band that a cube holds")
    names = names or _finest_bands(reference)
    reference.require(names)
    granules = [part for one in found.scenes for part in (one, *one.beside)]
    sized = [
        min((one.bands[name].grid for name in names), key=lambda grid: grid.gsd_m)
        for one in granules
        if set(names) <= set(one.bands)
    ]
    best = _reference_grid(sized)
    if reference.georeference == "sensor":
        if target.bbox or target.gsd_m:
            raise InvalidInput("pixels in sensor geometry have no --bbox and no --resolution")
        grid = sized[0]
    else:
        near = [one for one in sized if touches(best, one)]
        grid = place_cube(best, near, gsd_m=target.gsd_m, bbox=target.bbox)
    years = sorted({f"{one.scene.datetime:%Y}" for one in found.scenes})
    return CubeSpec(
        title=target.title or target.cube_id,
        grid=grid,
        bands=find_bands(names),
        notice=NOTICE if reference.georeference == "sensor" else reference.origin.notice,
        attribution=reference.origin.attribution or COPERNICUS.format(years=", ".join(years)),
        simulated=reference.origin.simulated,
        georeference=reference.georeference,
        level=reference.level,
        with_scl=all(CLASSES in one.bands or can_detect(one.bands) for one in granules),
    )


def _finest_bands(planned: PlannedScene) -> tuple[str, ...]:
    """The bands of the smallest pixels, in the instrument's order."""
    known = {name: planned.bands[name].grid.gsd_m for name in SENTINEL2 if name in planned.bands}
    if not known:
        raise BandMissing(f"{planned.scene.scene_id} has no band that a cube holds")
    return tuple(name for name, gsd in known.items() if gsd == min(known.values()))


def _reference_grid(grids: list[Grid]) -> Grid:
    """The grid that most scenes share, a snapped one before others; the first among equals."""

    def rank(grid: Grid) -> tuple[bool, int]:
        return grid.is_snapped(), sum(one.crs == grid.crs for one in grids)

    return max(grids, key=rank)


def _check_fit(planned: PlannedScene, plan: IngestPlan) -> None:
    """Raise the reason why a scene cannot go into the cube."""
    spec = plan.spec
    planned.require(plan.band_names)
    if planned.georeference != spec.georeference:
        raise CrsMismatch(
            f"{planned.scene.scene_id} has georeference {planned.georeference!r}, the cube "
            f"{spec.georeference!r}; choose another --cube"
        )
    if planned.level != spec.level:
        raise InvalidInput(
            f"{planned.scene.scene_id} is of level {planned.level}, the cube of {spec.level}; "
            "one holds reflectance of the surface, the other of the top of the atmosphere"
        )
    if planned.origin.simulated != spec.simulated:
        raise InvalidInput(
            f"{planned.scene.scene_id} is {_reality(planned.origin.simulated)}, the cube "
            f"{_reality(spec.simulated)}; choose another --cube"
        )
    parts = (planned, *planned.beside)
    classified = all(CLASSES in one.bands or can_detect(one.bands) for one in parts)
    if spec.with_scl and not classified:
        raise BandMissing(
            f"{planned.scene.scene_id} brings no SCL, which the cube holds for its other scenes"
        )
    grids = [one.bands[plan.band_names[0]].grid for one in parts]
    if not any(touches(spec.grid, grid) for grid in grids):
        raise CrsMismatch(
            f"{planned.scene.scene_id} lies at {_degrees(grids[0])}, away from the cube at "
            f"{_degrees(spec.grid)}; check its CRS"
        )


def _reality(simulated: bool) -> str:
    return "simulated" if simulated else "measured"


def _refuse_unplaced(found: SourcePlan) -> None:
    if sum(one.georeference == "sensor" for one in found.scenes) > 1:
        raise InvalidInput(
            "pixels in sensor geometry do not tell that they show the same ground: give each "
            "crop its own --cube"
        )


def _degrees(grid: Grid) -> str:
    return str([round(edge, 2) for edge in grid.lonlat_bounds()])
