"""Windows of arrays, put together from checked chunks.

Committed chunks never change, so that a decoded chunk may be kept for as long as there is
room; what was written after a cache was filled has keys of its own and is seen at once.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.errors import Damaged, Gone
from datacube.store.chunks import chunk_key, read_chunk
from datacube.store.commit import Root
from datacube.store.conventions import Document
from datacube.store.storage import Storage
from datacube.window import Window


class ChunkCache:
    """Decoded chunks, the least recently used dropped first, bounded in bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: Hashable, load: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """The chunk under `key`, loaded if it is not held."""
        with self._lock:
            chunk = self._held.get(key)
            if chunk is not None:
                self._held.move_to_end(key)
                self.hits += 1
                return chunk
            self.misses += 1
        chunk = load()
        if chunk.nbytes <= self._limit:
            self._keep(key, chunk)
        return chunk

    def holds(self, key: Hashable) -> bool:
        """Whether the chunk is held just now."""
        with self._lock:
            return key in self._held

    def _keep(self, key: Hashable, chunk: NDArray[Any]) -> None:
        with self._lock:
            if key not in self._held:
                self._held[key] = chunk
                self.bytes += chunk.nbytes
            while self.bytes > self._limit:
                self.bytes -= self._held.popitem(last=False)[1].nbytes


class ChunkReader:
    """Reads windows of a cube's arrays, through a cache if it was given one."""

    def __init__(self, storage: Storage, uid: str, cache: ChunkCache | None = None) -> None:
        self._storage = storage
        self._uid = uid
        self.cache = cache

    def chunk(self, path: str, index: tuple[int, ...], document: Document) -> NDArray[Any]:
        """One committed chunk; raises Damaged if it is missing or fails its checksum, Gone if
        it was vacuumed after the cube was opened.
        """

        def load() -> NDArray[Any]:
            try:
                return read_chunk(self._storage, path, index, document)
            except Damaged:
                self._refuse_vacuumed(path, index)
                raise

        if self.cache is None:
            return load()
        return self.cache.get((self._uid, path, index), load)

    def _refuse_vacuumed(self, path: str, index: tuple[int, ...]) -> None:
        """Raise Gone if the newest root has given up the array or the slot.

        That is written down before anything is removed, so that it tells a chunk which vacuum
        took from one that was lost.
        """
        root = Root.load(self._storage)
        replaced = root.commit.uid != self._uid or path not in root.nodes
        if replaced or (_is_along_time(root.nodes[path]) and index[0] in root.commit.retired):
            raise Gone("what this reads was replaced and has been removed; open it anew")

    def has(self, path: str, index: tuple[int, ...]) -> bool:
        """Whether the chunk was written; asked of the storage only while the cache lacks it."""
        if self.cache is not None and self.cache.holds((self._uid, path, index)):
            return True
        return self._storage.version(chunk_key(path, index)) is not None

    def window(
        self, path: str, lead: tuple[int, ...], window: Window, document: Document
    ) -> NDArray[Any]:
        """A window of the last two axes at one index of the leading ones, shape (height, width).

        The window must lie inside the array; leading axes must be chunked by one.
        """
        *_, rows, cols = document["chunk_grid"]["configuration"]["chunk_shape"]
        out = np.empty((window.height, window.width), np.dtype(document["data_type"]))
        for row in range(window.row // rows, -(-(window.row + window.height) // rows)):
            for col in range(window.col // cols, -(-(window.col + window.width) // cols)):
                chunk = self.chunk(path, (*lead, row, col), document)
                source, target = _overlap(window, (row * rows, col * cols), (rows, cols))
                out[target] = chunk[(0,) * len(lead)][source]
        return out


def _is_along_time(document: Document) -> bool:
    return list(document.get("dimension_names", []))[:1] == ["time"]


def _overlap(
    window: Window, origin: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of a chunk, and of the window, where the two coincide."""
    top, left = max(window.row, origin[0]), max(window.col, origin[1])
    bottom = min(window.row + window.height, origin[0] + shape[0])
    right = min(window.col + window.width, origin[1] + shape[1])
    source = (
        slice(top - origin[0], bottom - origin[0]),
        slice(left - origin[1], right - origin[1]),
    )
    target = (
        slice(top - window.row, bottom - window.row),
        slice(left - window.col, right - window.col),
    )
    return source, target
