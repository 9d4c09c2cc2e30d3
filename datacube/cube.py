"""A cube of scenes on one grid, opened at one generation.

`append` is where a scene is committed; `dataset` hands out plain xarray; `window_dn` reads the
numbers a map tile or a model needs.
"""

import dataclasses
import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from datacube.bands import Band, find_bands
from datacube.errors import Conflict, InvalidInput, NotFound
from datacube.grid import Grid
from datacube.scene import PixelSource, Scene, ScenePixels, parse_rfc3339
from datacube.store.appending import Progress, SlotWriter, write_scene
from datacube.store.arrays import lazy_dataset
from datacube.store.commit import ROOT_KEY, CommitRecord, Root, Slot, amend
from datacube.store.conventions import Document, level_name
from datacube.store.coordinates import coordinate_chunks, grids_of
from datacube.store.layout import MEASUREMENT, CubeSpec, root_nodes
from datacube.store.reading import ChunkCache, ChunkReader
from datacube.store.storage import Storage
from datacube.window import Window


@dataclass(frozen=True)
class CommittedScene:
    """A scene of the cube, and the slot of the time axis that holds it."""

    scene: Scene
    slot: int


class Cube:
    """One committed version of a cube; open it again to see what was committed since."""

    def __init__(self, storage: Storage, root: Root, cache: ChunkCache | None = None) -> None:
        self.storage = storage
        self.root = root
        self.chunks = ChunkReader(storage, root.commit.uid, cache)

    @classmethod
    def open(cls, storage: Storage, cache: ChunkCache | None = None) -> Self:
        """Read the root document; raises NotFound, or Damaged if it is not a cube's."""
        return cls(storage, Root.load(storage), cache)

    @classmethod
    def create(cls, storage: Storage, spec: CubeSpec) -> Self:
        """Make an empty cube; raises Conflict where there is one already."""
        root = Root(spec.attributes(), root_nodes(spec), CommitRecord(uid=uuid.uuid4().hex), None)
        with storage.exclusive():
            if storage.version(ROOT_KEY) is not None:
                raise Conflict(f"there is a cube at {storage.address} already; choose another id")
            cls(storage, root).write_coordinates(root.nodes)
            created = root.changed(root.commit)
            return cls(storage, created.publish(storage))

    def at(self, root: Root) -> "Cube":
        """The same cube at another version of its root document, with the same cache."""
        return Cube(self.storage, root, self.chunks.cache)

    def write_coordinates(self, nodes: Mapping[str, Document]) -> None:
        """Write `y`, `x` and `spatial_ref` of new groups, before `nodes` are published."""
        for path, document in nodes.items():
            for key, data in coordinate_chunks(path, document, nodes):
                self.storage.write(key, data)

    @property
    def generation(self) -> int:
        """Rises by one with every change of the measurement."""
        return self.root.commit.generation

    @property
    def attributes(self) -> Document:
        """Title, description, notice and attribution, without the conventions' own."""
        return {
            name: value
            for name, value in self.root.attributes.items()
            if not name.startswith(("proj:", "spatial:", "multiscales", "zarr_conventions"))
        }

    @cached_property
    def levels(self) -> tuple[Grid, ...]:
        """Grids of the measurement, finest first."""
        attributes = self.root.nodes[MEASUREMENT]["attributes"]
        return grids_of(attributes)

    @property
    def grid(self) -> Grid:
        """The grid of the measured pixels."""
        return self.levels[0]

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """The bands, in the order of the band axis."""
        return find_bands(self._level_document(self.grid, "reflectance")["attributes"]["bands"])

    @property
    def has_scl(self) -> bool:
        """Whether scenes come with a scene classification."""
        return f"{MEASUREMENT}/{level_name(self.grid.gsd_m)}/scl" in self.root.nodes

    @cached_property
    def scenes(self) -> tuple[CommittedScene, ...]:
        """Scenes that are not superseded, by time, then by id."""
        found = [
            CommittedScene(Scene(name, parse_rfc3339(slot.datetime), slot.properties), slot.slot)
            for name, slot in self.root.commit.scenes.items()
        ]
        return tuple(sorted(found, key=lambda one: (one.scene.datetime, one.scene.scene_id)))

    def scene_at(self, moment: datetime) -> CommittedScene:
        """The scene of this very second; raises NotFound naming the nearest."""
        if not self.scenes:
            raise NotFound("the cube holds no scenes yet")
        nearest = min(self.scenes, key=lambda one: abs(one.scene.datetime - moment))
        if abs((nearest.scene.datetime - moment).total_seconds()) >= 1:
            raise NotFound(
                f"no scene at {moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}; "
                f"the nearest is at {nearest.scene.stamp}"
            )
        return nearest

    def band_indices(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Places of bands on the band axis; raises InvalidInput for a band the cube lacks."""
        known = [band.name for band in self.bands]
        missing = [name for name in names if name not in known]
        if missing:
            raise InvalidInput(f"no band {', '.join(missing)} here; the bands are {known}")
        return tuple(known.index(name) for name in names)

    def window_dn(
        self, slot: int, bands: tuple[str, ...], window: Window, *, level: int = 0
    ) -> NDArray[np.uint16]:
        """Digital numbers (band, y, x) of a window of one level, which must lie inside it."""
        grid = self.levels[level]
        path = f"{MEASUREMENT}/{level_name(grid.gsd_m)}/reflectance"
        document = self.root.nodes[path]
        return np.stack(
            [
                self.chunks.window(path, (slot, band), window, document)
                for band in self.band_indices(bands)
            ]
        )

    def window_scl(self, slot: int, window: Window, *, level: int = 0) -> NDArray[np.uint8]:
        """Scene classification (y, x) of a window of one level."""
        path = f"{MEASUREMENT}/{level_name(self.levels[level].gsd_m)}/scl"
        return self.chunks.window(path, (slot,), window, self.root.nodes[path])

    def dataset(self, *, level: int = 0) -> xr.Dataset:
        """One level as lazy, CF-decoded xarray, by time, without superseded slots.

        Dimensions (time, band, y, x); reflectance is float32 with NaN for no data. Reading a
        chunk that is missing or damaged raises Damaged, unlike a plain `xarray.open_zarr`.
        """
        path = f"{MEASUREMENT}/{level_name(self.levels[level].gsd_m)}"
        dataset = lazy_dataset(self.root.nodes, path, self.chunks)
        dataset = dataset.isel(time=[one.slot for one in self.scenes])
        dataset["reflectance"] = dataset["reflectance"].astype(np.float32)
        return dataset.assign_coords(
            time=scene_times(self.scenes),
            band=[band.name for band in self.bands],
            scene_id=("time", [one.scene.scene_id for one in self.scenes]),
        ).assign_attrs(self.attributes)

    def append(
        self,
        scene: Scene,
        pixels: PixelSource,
        *,
        replace: bool = False,
        scheduler: str | None = None,
        progress: Progress | None = None,
    ) -> "Cube":
        """Commit one scene: chunks to new keys, then one write of the root document.

        Appending the same pixels under the same id again changes nothing, whatever else is said
        of the scene: with `replace` that is committed, in the same slot. Other pixels or another
        time under the same id raise Conflict unless `replace`, which takes a new slot and
        supersedes the old one. Raises InvalidInput for pixels that do not fit the cube.
        `scheduler` and `progress` are those of `write_scene`.

        Pixels in memory are written under the writer's lock. Those of any other source may take
        long: they go to a slot that was claimed for them, and the lock is held to commit only.
        """
        writer = self.slot_writer(None, scene)
        if isinstance(pixels, ScenePixels):
            writer.check(pixels, self.grid.shape)
        quick = isinstance(pixels, ScenePixels) and scheduler is None
        with self.storage.exclusive() if quick else nullcontext():
            root = self._repaired(locked=quick)
            if scene.scene_id in root.commit.scenes:
                digest = write_scene(writer, pixels, scheduler=scheduler)
                if _is_committed(root, scene, digest, replace=replace):
                    return self.at(self._restated(root, scene, locked=quick) if replace else root)
            writer = dataclasses.replace(writer, slot=self._free_slot(root, quick=quick))
            digest = write_scene(writer, pixels, scheduler=scheduler, progress=progress)
            slot = Slot(writer.slot or 0, scene.stamp, digest, dict(scene.properties))

            def commit(current: Root) -> Root:
                if _is_committed(current, scene, digest, replace=replace):
                    return current
                return current.changed(current.commit.with_scene(scene.scene_id, slot))

            with nullcontext() if quick else self.storage.exclusive():
                return self.at(amend(self.storage, commit))

    def _repaired(self, *, locked: bool) -> Root:
        """The newest root, with what follows it brought up to date after a crash."""
        with nullcontext() if locked else self.storage.exclusive():
            root = Root.load(self.storage)
            root.sync_children(self.storage)
        return root

    def _restated(self, root: Root, scene: Scene, *, locked: bool) -> Root:
        """The root after what is said of a committed scene was replaced, if that is other."""
        said = plain_properties(scene)
        if root.commit.scenes[scene.scene_id].properties == said:
            return root

        def restate(current: Root) -> Root:
            return current.changed(current.commit.with_properties(scene.scene_id, said))

        with nullcontext() if locked else self.storage.exclusive():
            return amend(self.storage, restate)

    def slot_writer(self, slot: int | None, scene: Scene) -> SlotWriter:
        """What writes a scene's chunks to a slot; nothing of it is committed."""
        levels = tuple(f"{MEASUREMENT}/{level_name(grid.gsd_m)}" for grid in self.levels)
        seconds = int(scene.datetime.timestamp())
        nodes = {
            path: document
            for path, document in self.root.nodes.items()
            if path.rpartition("/")[0] in levels
        }
        return SlotWriter(self.storage, nodes, levels, slot, seconds)

    def _free_slot(self, root: Root, *, quick: bool) -> int:
        """A slot that no other writer will use: under a lock simply the next one."""
        if quick and self.storage.locks:
            return root.commit.slots

        def claim(current: Root) -> Root:
            record = current.commit
            return current.changed(dataclasses.replace(record, slots=record.slots + 1))

        with self.storage.exclusive():
            return amend(self.storage, claim).commit.slots - 1

    def _level_document(self, grid: Grid, name: str) -> Document:
        return self.root.nodes[f"{MEASUREMENT}/{level_name(grid.gsd_m)}/{name}"]


def scene_times(scenes: Sequence[CommittedScene]) -> NDArray[np.datetime64]:
    """Times of scenes in UTC, as numpy has them: without a zone."""
    return np.array([one.scene.stamp.rstrip("Z") for one in scenes], "datetime64[ns]")


def plain_properties(scene: Scene) -> dict[str, Any]:
    """What is said of a scene as it comes back from the root document."""
    found: dict[str, Any] = json.loads(json.dumps(dict(scene.properties)))
    return found


def _is_committed(root: Root, scene: Scene, digest: str, *, replace: bool) -> bool:
    """Whether just these pixels of this time are there; raises Conflict for others under the id."""
    known = root.commit.scenes.get(scene.scene_id)
    if known is None:
        return False
    other = "pixels" if known.sha256 != digest else "time" if known.datetime != scene.stamp else ""
    if other and not replace:
        raise Conflict(
            f"scene {scene.scene_id} is committed with other {other}; replace it explicitly"
        )
    return not other
