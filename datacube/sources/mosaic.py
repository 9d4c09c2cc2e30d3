"""Scenes of one overpass: granules side by side are one acquisition, cut up for delivery."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from datacube.grid import Grid
from datacube.scene import NO_DATA_DN, Scene, ScenePixels
from datacube.sources.naming import scene_id_of
from datacube.sources.pixels import SceneReader
from datacube.sources.plan import PlannedScene, Refusal, SourcePlan
from datacube.window import Window

ONE_PASS = timedelta(seconds=60)  # neighbouring granules of one datatake carry one time or nearly
BASELINE = "s2:processing_baseline"


class MosaicReader:
    """Pixels of several granules on one grid; the first that has data at a pixel gives it."""

    def __init__(self, readers: Sequence[SceneReader]) -> None:
        self._readers = tuple(readers)
        first = self._readers[0]
        self.grid, self.bands, self.with_scl = first.grid, first.bands, first.with_scl
        self.methods = {
            name: how for one in self._readers for name, how in one.methods.items()
            if how != "none" or name not in first.methods
        } or first.methods  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with ExitStack() as stack:
            for one in self._readers:
                stack.callback(one.close)

    def read(self, window: Window) -> ScenePixels:
        """The pixels of a window; classes come from the granule that gives the pixel."""
        dn = np.stack([self.band(name, window) for name in self.bands])
        return ScenePixels(dn, self.classes(window) if self.with_scl else None)

    def band(self, name: str, window: Window) -> NDArray[np.uint16]:
        """One band (y, x)."""
        return _overlaid([one.band(name, window) for one in self._readers])

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """The scene classification (y, x)."""
        return _overlaid([one.classes(window) for one in self._readers])


Reader = SceneReader | MosaicReader


def open_reader(
    planned: PlannedScene, bands: tuple[str, ...], grid: Grid, *, with_scl: bool
) -> Reader:
    """What reads a planned scene on a grid, be it one granule or several."""
    readers = [
        SceneReader(part.bands, bands, grid, with_scl=with_scl)
        for part in (planned, *planned.beside)
    ]
    return readers[0] if len(readers) == 1 else MosaicReader(readers)


def gather(found: SourcePlan) -> SourcePlan:
    """The same scenes, those of one overpass as one; of one granule processed twice, the newer.

    Two that show the same ground at the same time without saying which is newer cannot both be
    the scene of that time: the second is refused.
    """
    groups: list[list[PlannedScene]] = []
    for one in sorted(found.scenes, key=lambda one: (one.scene.datetime, one.scene.scene_id)):
        if groups and _is_one_pass(groups[-1][0], one):
            groups[-1].append(one)
        else:
            groups.append([one])
    scenes, refusals = [], list(found.refusals)
    for group in groups:
        kept, superseded = _newest(group)
        refusals += superseded
        scenes.append(_joined(kept))
    return SourcePlan(tuple(scenes), tuple(refusals))


def _is_one_pass(first: PlannedScene, other: PlannedScene) -> bool:
    apart = other.scene.datetime - first.scene.datetime
    return apart < ONE_PASS and (first.level, first.georeference) == (
        other.level, other.georeference,
    )  # fmt: skip


def _newest(group: list[PlannedScene]) -> tuple[list[PlannedScene], list[Refusal]]:
    """Of each place the scene of the latest baseline; the others, refused."""
    kept: dict[Any, PlannedScene] = {}
    refusals = []
    for one in sorted(group, key=_baseline, reverse=True):
        place = _place(one)
        if place in kept and kept[place].scene.scene_id != one.scene.scene_id:
            reason = f"{kept[place].scene.scene_id} shows the same ground at the same time"
            refusals.append(Refusal(one.scene.scene_id, reason, "Conflict"))
        else:
            kept.setdefault(place, one)
    return sorted(kept.values(), key=lambda one: one.scene.scene_id), refusals


def _baseline(one: PlannedScene) -> str:
    return str(one.scene.properties.get(BASELINE, ""))


def _place(one: PlannedScene) -> Any:
    grid = min((source.grid for source in one.bands.values()), key=lambda grid: grid.gsd_m)
    return grid.crs, grid.bounds


def _joined(parts: list[PlannedScene]) -> PlannedScene:
    if len(parts) == 1:
        return parts[0]
    first, *others = parts
    ids = [one.scene.scene_id for one in parts]
    properties = {**first.scene.properties, "srcube:source_items": ids}
    name = scene_id_of(f"{ids[0][:110]}_and_{len(others)}_more")
    scene = Scene(name, first.scene.datetime, properties)
    return replace(first, scene=scene, beside=tuple(others))


def _overlaid(layers: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The first layer, and where it is 0 the next that is not."""
    found = layers[0]
    for layer in layers[1:]:
        found = np.where(found == NO_DATA_DN, layer, found)
    return found
