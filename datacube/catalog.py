"""The cubes under one root, by id."""

import re
import threading
import time

from datacube.cube import Cube
from datacube.errors import InvalidInput, NotFound, Unavailable
from datacube.store.commit import ROOT_KEY
from datacube.store.layout import CubeSpec
from datacube.store.reading import ChunkCache
from datacube.store.storage import Storage

CUBE_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SUFFIX = ".zarr"
REMOTE_CHECK_S = 1.0  # how old an object store's answer "nothing new" may be


class Catalog:
    """Cubes as folders `<id>.zarr`; an opened cube is kept until its root document changes."""

    def __init__(self, storage: Storage, cache: ChunkCache | None = None) -> None:
        self.storage = storage
        self.cache = cache
        self._opened: dict[str, tuple[Cube, float]] = {}
        self._lock = threading.Lock()

    def ids(self) -> tuple[str, ...]:
        """Ids of the cubes there are, sorted."""
        names = [name.removesuffix(SUFFIX) for name in self.storage.folders() if SUFFIX in name]
        return tuple(
            name
            for name in names
            if CUBE_ID.fullmatch(name) and self._place(name).version(ROOT_KEY) is not None
        )

    def open(self, cube_id: str) -> Cube:
        """The newest committed version of a cube; raises NotFound without touching the disk
        for a text that cannot be an id.

        Where the store does not answer, what was opened before is given: a reader who needs no
        more than is in memory is served, and whoever needs more is told when he reads it.
        """
        if not CUBE_ID.fullmatch(cube_id):
            raise NotFound("no such cube; ids are made of a-z, 0-9, '_' and '-'")
        with self._lock:
            held = self._opened.get(cube_id)
        if held and not self.storage.locks and time.monotonic() - held[1] < REMOTE_CHECK_S:
            return held[0]
        cube = self._newest(cube_id, held[0] if held else None)
        with self._lock:
            self._opened[cube_id] = (cube, time.monotonic())
        return cube

    def _newest(self, cube_id: str, held: Cube | None) -> Cube:
        place = self._place(cube_id)
        try:
            version = place.version(ROOT_KEY)
            if version is None:
                raise NotFound(f"no cube {cube_id!r} in this catalog")
            if held is not None and held.root.version == version:
                return held
            return Cube.open(place, self.cache)
        except Unavailable:
            if held is None:
                raise
            return held

    def create(self, cube_id: str, spec: CubeSpec) -> Cube:
        """A new, empty cube; raises Conflict if there is one of this id."""
        if not CUBE_ID.fullmatch(cube_id):
            raise InvalidInput(f"need an id of a-z, 0-9, '_' and '-', got {cube_id[:80]!r}")
        return Cube.create(self._place(cube_id), spec)

    def _place(self, cube_id: str) -> Storage:
        return self.storage.inside(cube_id + SUFFIX)
