"""Take scenes into a cube: plan from headers, then read, look at, and commit one by one.

    plan_ingest -> IngestPlan (printable) -> carry_out -> Summary

A scene that cannot be taken in is listed with its reason and does not stop the others; a scene
that is there already changes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from datacube.bands import CLASSES
from datacube.catalog import Catalog
from datacube.cube import CommittedScene, Cube, plain_properties
from datacube.errors import Conflict, InvalidInput, SrcubeError
from datacube.ingest.plan import IngestPlan, Target, plan_ingest, plan_scenes
from datacube.ingest.shifts import Shift, measure_shift
from datacube.ingest.summary import Progress, Summary
from datacube.masks import (
    DETECTOR_BANDS,
    MaskSummary,
    detect_clouds,
    detector_grid,
    summarise,
)
from datacube.scene import PixelSource, Scene, ScenePixels
from datacube.sources.mosaic import Reader, open_reader
from datacube.sources.pixels import ArrayBand
from datacube.sources.plan import PlannedScene, Refusal
from datacube.sources.refusals import AssetUnreadable
from datacube.stac.errors import Unreachable
from datacube.store.commit import CommitRecord
from datacube.store.layout import CubeSpec
from datacube.window import Window

__all__ = ["IngestPlan", "Progress", "Summary", "Target", "carry_out", "plan_ingest", "plan_scenes"]

REFERENCE_CLEAR_PERCENT = 50.0  # a scene less clear is no reference for shifts


def carry_out(
    plan: IngestPlan, catalog: Catalog, report: Callable[[Progress], None] = lambda _: None
) -> Summary:
    """Take the planned scenes in. A scene that fails is refused; the cube is as without it.

    Raises what the store raises: a full disk or a lost store ends the ingest, and what is
    committed by then stays.
    """
    begun = time.monotonic()
    if not plan.exists:
        catalog.create(plan.target.cube_id, plan.spec)
    run = _Run(plan, catalog.open(plan.target.cube_id), Progress(_planned_bytes(plan), report))
    for planned, summary in run.looked_at():
        run.take(planned, summary)
    return Summary(
        plan.target.cube_id,
        run.cube.generation,
        tuple(run.taken),
        tuple(run.unchanged),
        (*plan.refusals, *run.refusals),
        run.progress.done,
        time.monotonic() - begun,
        run.differing,
        tuple(run.restated),
    )


class _Run:
    """One ingest on its way: the cube as it grows, and what became of each scene."""

    def __init__(self, plan: IngestPlan, cube: Cube, progress: Progress) -> None:
        self.plan = plan
        self.cube = cube
        self.progress = progress
        self.reference = reference_scene(cube)
        self.taken: list[Scene] = []
        self.unchanged: list[str] = []
        self.differing: dict[str, tuple[str, ...]] = {}
        self.restated: list[str] = []
        self.refusals: list[Refusal] = []

    def looked_at(self) -> list[tuple[PlannedScene, MaskSummary]]:
        """The scenes and what their masks say, the one to be the reference first, then by time."""
        found = []
        for planned in self.plan.scenes:
            self.progress.advance(0, f"{planned.scene.scene_id}: clouds")
            try:
                seen = with_classes(planned, self.plan.spec)
                with self.plan.reader(seen) as reader:
                    summary = summarise(reader)
                if not summary.valid:
                    raise AssetUnreadable("holds no data on the cube's grid")
            except SrcubeError as error:
                self._refuse(planned, error)
            else:
                found.append((seen, summary))
        found.sort(key=lambda one: one[0].scene.datetime)
        if self.reference is None and found:
            first = _best_reference(found)
            found.sort(key=lambda one: one is not first)
        return found

    def take(self, planned: PlannedScene, summary: MaskSummary) -> None:
        """Measure one scene's shift, commit it, and say what became of it."""
        with self.plan.reader(planned) as reader:
            self.progress.advance(0, f"{planned.scene.scene_id}: pixels")
            counting = _Counting(reader, self.progress)
            try:
                scene = self._described(planned, summary, reader)
                before = self.cube.root.commit
                target = self.plan.target
                self.cube = self.cube.append(
                    scene, counting, replace=target.replace, scheduler=target.scheduler
                )
            except (InvalidInput, Conflict, Unreachable) as error:
                self._refuse(planned, error)
                return
        self._note(scene, before)
        if self.reference is None:
            self.reference = reference_scene(self.cube)

    def _note(self, scene: Scene, before: CommitRecord) -> None:
        """Say what became of a scene that was not refused."""
        old, new = (record.scenes.get(scene.scene_id) for record in (before, self.cube.root.commit))
        if old is None or new is None or old.slot != new.slot:
            self.taken.append(scene)
        elif old.properties != new.properties:
            self.restated.append(scene.scene_id)
        else:
            self.unchanged.append(scene.scene_id)
            said = plain_properties(scene)
            keys = sorted({*old.properties, *said})
            differing = tuple(key for key in keys if old.properties.get(key) != said.get(key))
            if differing:
                self.differing[scene.scene_id] = differing

    def _described(self, planned: PlannedScene, summary: MaskSummary, reader: Reader) -> Scene:
        resampling = {name: how for name, how in reader.methods.items() if how != "none"}
        properties = {**planned.scene.properties, **summary.properties()}
        if resampling:
            properties["srcube:resampling"] = resampling
        if planned.georeference != "sensor":
            properties.update(self._shift(planned.scene, summary, reader).properties())
        return replace(planned.scene, properties=properties)

    def _shift(self, scene: Scene, summary: MaskSummary, reader: Reader) -> Shift:
        known = self.reference
        if known is None or known.scene.scene_id == scene.scene_id:
            if _clearness(summary) < REFERENCE_CLEAR_PERCENT:
                return Shift(scene.scene_id, reason="no scene is clear enough to be a reference")
            return Shift(scene.scene_id)
        committed = CommittedPixels(self.cube, known.slot)
        return measure_shift(committed, reader, reference_id=known.scene.scene_id)

    def _refuse(self, planned: PlannedScene, error: SrcubeError) -> None:
        self.refusals.append(Refusal(planned.scene.scene_id, str(error), error.code))


class CommittedPixels:
    """A scene of a cube, read as any other source of pixels."""

    def __init__(self, cube: Cube, slot: int) -> None:
        self.cube = cube
        self.slot = slot
        self.grid = cube.grid
        self.bands = tuple(band.name for band in cube.bands)

    def read(self, window: Window) -> ScenePixels:
        """The pixels of a window."""
        classes = self.cube.window_scl(self.slot, window) if self.cube.has_scl else None
        return ScenePixels(self.cube.window_dn(self.slot, self.bands, window), classes)


class _Counting:
    """A source that reports the bytes that pass; a copy in another process does not."""

    def __init__(self, source: PixelSource, progress: Progress | None) -> None:
        self._source = source
        self._progress = progress

    def __getstate__(self) -> dict[str, Any]:
        return {"_source": self._source, "_progress": None}

    def read(self, window: Window) -> ScenePixels:
        pixels = self._source.read(window)
        if self._progress is not None:
            classes = 0 if pixels.scl is None else pixels.scl.nbytes
            self._progress.advance(pixels.dn.nbytes + classes)
        return pixels


def reference_scene(cube: Cube) -> CommittedScene | None:
    """The scene that others are measured against: the one named so, else the clearest."""
    for one in cube.scenes:
        named = one.scene.properties.get("srcube:shift_reference")
        if named == one.scene.scene_id and "srcube:shift_px" in one.scene.properties:
            return one
    clear = [one for one in cube.scenes if _recorded_clearness(one) >= REFERENCE_CLEAR_PERCENT]
    return max(clear, key=_recorded_clearness, default=None)


def with_classes(planned: PlannedScene, spec: CubeSpec) -> PlannedScene:
    """The scene with a classification from s2cloudless, where it brings none and can have one."""
    if CLASSES in planned.bands or not spec.with_scl:
        return planned
    grid = detector_grid(spec.grid)
    with open_reader(planned, DETECTOR_BANDS, grid, with_scl=False) as reader:
        classes = detect_clouds(reader.read(Window(0, 0, *grid.shape)).dn)
    properties = {**planned.scene.properties, "srcube:classes_by": f"s2cloudless, {grid.gsd_m:g} m"}
    found = ArrayBand(classes, grid)
    return replace(
        planned,
        scene=replace(planned.scene, properties=properties),
        bands={**planned.bands, CLASSES: found},
        beside=tuple(
            replace(part, bands={**part.bands, CLASSES: found}) for part in planned.beside
        ),
    )


def _best_reference(
    found: list[tuple[PlannedScene, MaskSummary]],
) -> tuple[PlannedScene, MaskSummary]:
    """The clearest, to a percent; of several the one in the middle of them, like most others."""
    clearest = max(round(_clearness(summary)) for _, summary in found)
    equals = [one for one in found if round(_clearness(one[1])) == clearest]
    return equals[len(equals) // 2]


def _planned_bytes(plan: IngestPlan) -> int:
    per_pixel = 2 * len(plan.spec.bands) + int(plan.spec.with_scl)
    return per_pixel * int(np.prod(plan.spec.grid.shape)) * len(plan.scenes)


def _clearness(summary: MaskSummary) -> float:
    """Percent of the grid that is clear; without classes, that has data."""
    clear = summary.valid if summary.clear is None else summary.clear
    return 100 * clear / max(summary.pixels, 1)


def _recorded_clearness(one: CommittedScene) -> float:
    known = one.scene.properties
    value = known.get("srcube:clear_percent", known.get("srcube:valid_percent"))
    if value is None:
        cover = one.scene.cloud_cover
        return 100.0 if cover is None else 100.0 - cover
    return float(value)
