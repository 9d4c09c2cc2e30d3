"""A cube of scenes on one grid, opened at one generation.

`append` is where a scene is committed; `dataset` hands out plain xarray; `window_dn` reads the
numbers a map tile or a model needs.
"""

import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray

from datacube.arrays import lazy_dataset
from datacube.bands import Band, find_bands
from datacube.chunks import chunk_key, encode, split
from datacube.commit import CommitRecord, Root, Slot, amend
from datacube.conventions import Document, level_name
from datacube.errors import Conflict, Damaged, InvalidInput, NotFound
from datacube.grid import Grid
from datacube.layout import MEASUREMENT, CubeSpec, root_nodes
from datacube.pyramid import class_levels, dn_levels
from datacube.reading import ChunkCache, ChunkReader
from datacube.scene import Scene, ScenePixels, parse_rfc3339
from datacube.storage import Storage
from datacube.window import Window

Chunks = Iterator[tuple[str, bytes]]


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
            if storage.version("zarr.json") is not None:
                raise Conflict(f"there is a cube at {storage.address} already; choose another id")
            cls(storage, root).write_coordinates(root.nodes)
            return cls(storage, root.publish(storage))

    def at(self, root: Root) -> "Cube":
        """The same cube at another version of its root document, with the same cache."""
        return Cube(self.storage, root, self.chunks.cache)

    def write_coordinates(self, nodes: Mapping[str, Document]) -> None:
        """Write `y`, `x` and `spatial_ref` of new groups, before `nodes` are published."""
        for path, document in nodes.items():
            for key, data in _coordinate_chunks(path, document, nodes):
                self.storage.write(key, data)

    @property
    def generation(self) -> int:
        """Rises by one with every change of the measurement."""
        return self.root.commit.generation

    @property
    def attributes(self) -> Document:
        """Title, description, notice and attribution."""
        return self.root.attributes

    @property
    def levels(self) -> tuple[Grid, ...]:
        """Grids of the measurement, finest first."""
        attributes = self.root.nodes[MEASUREMENT]["attributes"]
        return grids_of(attributes)

    @property
    def grid(self) -> Grid:
        """The grid of the measured pixels."""
        return self.levels[0]

    @property
    def bands(self) -> tuple[Band, ...]:
        """The bands, in the order of the band axis."""
        return find_bands(self._level_document(self.grid, "reflectance")["attributes"]["bands"])

    @property
    def has_scl(self) -> bool:
        """Whether scenes come with a scene classification."""
        return f"{MEASUREMENT}/{level_name(self.grid.gsd_m)}/scl" in self.root.nodes

    @property
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
        slots = [one.slot for one in self.scenes]
        dataset = dataset.isel(time=slots).drop_vars("superseded")
        dataset["reflectance"] = dataset["reflectance"].astype(np.float32)
        return dataset.assign_coords(
            band=[band.name for band in self.bands],
            scene_id=("time", [one.scene.scene_id for one in self.scenes]),
        ).assign_attrs(self.attributes)

    def append(self, scene: Scene, pixels: ScenePixels, *, replace: bool = False) -> "Cube":
        """Commit one scene: chunks to new keys, then one write of the root document.

        Appending the same pixels under the same id again changes nothing. Other pixels under
        the same id raise Conflict unless `replace`, which takes a new slot and supersedes the
        old one. Raises InvalidInput for pixels that do not fit the cube.
        """
        self._check(pixels)
        digest = pixels.sha256()
        with self.storage.exclusive():
            root = Root.load(self.storage)
            root.sync_children(self.storage)
            if _is_committed(root, scene.scene_id, digest, replace=replace):
                return self.at(root)
            slot = Slot(self._claimed_slot(), scene.stamp, digest, dict(scene.properties))
            self._write(root, slot, scene, pixels)

            def commit(current: Root) -> Root:
                if _is_committed(current, scene.scene_id, digest, replace=replace):
                    return current
                return current.changed(current.commit.with_scene(scene.scene_id, slot))

            return self.at(amend(self.storage, commit))

    def _claimed_slot(self) -> int:
        """A slot that no other writer will use: under a lock simply the next one."""
        if self.storage.locks:
            return Root.load(self.storage).commit.slots

        def claim(current: Root) -> Root:
            record = current.commit
            return current.changed(dataclasses.replace(record, slots=record.slots + 1))

        return amend(self.storage, claim).commit.slots - 1

    def _check(self, pixels: ScenePixels) -> None:
        expected = (len(self.bands), *self.grid.shape)
        if pixels.dn.shape != expected or pixels.dn.dtype != np.uint16:
            raise InvalidInput(
                f"need uint16 pixels of shape {expected}, got {pixels.dn.dtype} {pixels.dn.shape}"
            )
        if (pixels.scl is not None) != self.has_scl:
            raise InvalidInput(
                f"the cube holds {'a' if self.has_scl else 'no'} scene classification, "
                f"the scene brings {'none' if pixels.scl is None else 'one'}"
            )
        if pixels.scl is not None and pixels.scl.shape != expected[1:]:
            raise InvalidInput(f"need a classification of {expected[1:]}, got {pixels.scl.shape}")

    def _write(self, root: Root, slot: Slot, scene: Scene, pixels: ScenePixels) -> None:
        written: dict[str, bytes] = {}
        for key, data in self._scene_chunks(root.nodes, slot.slot, scene, pixels):
            self.storage.write(key, data)
            written[key] = data
        for key, data in written.items():
            if self.storage.read(key) != data:
                raise Damaged(f"chunk {key} did not read back as written; nothing was committed")

    def _scene_chunks(
        self, nodes: Mapping[str, Document], slot: int, scene: Scene, pixels: ScenePixels
    ) -> Chunks:
        seconds = np.array([int(scene.datetime.timestamp())])
        dns = dn_levels(pixels.dn, len(self.levels))
        scls = class_levels(pixels.scl, len(self.levels)) if pixels.scl is not None else None
        for grid, dn in zip(self.levels, dns, strict=True):
            path = f"{MEASUREMENT}/{level_name(grid.gsd_m)}"
            for band, plane in enumerate(dn):
                yield from _plane(f"{path}/reflectance", (slot, band), plane, nodes)
            if scls is not None:
                yield from _plane(f"{path}/scl", (slot,), next(scls), nodes)
            for name, values in (("time", seconds), ("superseded", np.zeros(1))):
                document = nodes[f"{path}/{name}"]
                data = encode(values.astype(document["data_type"]), document)
                yield chunk_key(f"{path}/{name}", (slot,)), data

    def _level_document(self, grid: Grid, name: str) -> Document:
        return self.root.nodes[f"{MEASUREMENT}/{level_name(grid.gsd_m)}/{name}"]


def _is_committed(root: Root, scene_id: str, digest: str, *, replace: bool) -> bool:
    """Whether just these pixels are there; raises Conflict for others under the same id."""
    known = root.commit.scenes.get(scene_id)
    if known and known.sha256 != digest and not replace:
        raise Conflict(f"scene {scene_id} is committed with other pixels; replace it explicitly")
    return known is not None and known.sha256 == digest


def grids_of(attributes: Mapping[str, Any]) -> tuple[Grid, ...]:
    """Grids of a multiscales group, finest first."""
    crs = attributes.get("proj:code") or attributes["proj:wkt2"]
    return tuple(
        Grid(crs, Affine(*entry["spatial:transform"]), tuple(entry["spatial:shape"]))
        for entry in attributes["multiscales"]["layout"]
    )


def _plane(
    path: str, lead: tuple[int, ...], plane: NDArray[Any], nodes: Mapping[str, Document]
) -> Chunks:
    document = nodes[path]
    *_, rows, cols = document["chunk_grid"]["configuration"]["chunk_shape"]
    for index, values in split(plane, (rows, cols)):
        chunk = values.reshape((1,) * len(lead) + values.shape)
        yield chunk_key(path, (*lead, *index)), encode(chunk, document)


def _coordinate_chunks(path: str, document: Document, nodes: Mapping[str, Document]) -> Chunks:
    """Chunks of `y`, `x` and `spatial_ref`, which depend on the grid alone."""
    parent, _, name = path.rpartition("/")
    if name not in {"y", "x", "spatial_ref"}:
        return
    if name == "spatial_ref":
        yield chunk_key(path, ()), encode(np.zeros((), np.int64), document)
        return
    group, _, level = parent.rpartition("/")
    for grid in grids_of(nodes[group]["attributes"]):
        if level_name(grid.gsd_m) == level:
            values = grid.centres()[0 if name == "y" else 1]
            yield chunk_key(path, (0,)), encode(values, document)
