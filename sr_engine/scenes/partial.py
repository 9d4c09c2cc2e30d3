"""Blocks that are done, kept beside the file they are for until all of them are.

A folder `.<name>.partial` with a record of what the blocks are of, a lock, and a file for each
block. A block appears whole, by a rename, with a checksum inside; a kill leaves those done.
"""

import errno
import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numcodecs.zstd import Zstd
from numpy.typing import NDArray

from datacube import Window
from datacube.errors import Conflict, OutOfSpace

RECORD, LOCK = "record.json", "lock"
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Partial:
    """The blocks of one output that are done so far."""

    folder: Path
    layers: int
    factor: int

    def has(self, window: Window) -> bool:
        """Whether a block was kept."""
        return self._path(window).exists()

    def save(self, window: Window, numbers: NDArray[np.uint16]) -> None:
        """Keep a block; raises OutOfSpace where there is no room for it."""
        path = self._path(window)
        beside = path.with_suffix(".part")
        try:
            beside.write_bytes(_codec().encode(np.ascontiguousarray(numbers)))
            beside.replace(path)
        except OSError as error:
            if error.errno not in FULL:
                raise
            beside.unlink(missing_ok=True)
            raise OutOfSpace(
                f"no room for the next block beside {self.folder.name}; free some and run the "
                "same command again: it goes on from here"
            ) from error

    def load(self, window: Window) -> NDArray[np.uint16] | None:
        """A kept block (layer, y, x), or None where there is none or it is damaged."""
        shape = (self.layers, window.height * self.factor, window.width * self.factor)
        try:
            content = _codec().decode(self._path(window).read_bytes())
            return np.frombuffer(content, np.uint16).reshape(shape)
        except (FileNotFoundError, RuntimeError, ValueError):
            return None

    def _path(self, window: Window) -> Path:
        return self.folder / f"{window.row}-{window.col}.block"


@contextmanager
def open_partial(out: Path, key: str, *, layers: int, factor: int) -> Iterator[Partial]:
    """What was done of `out` under this key; blocks of another key are thrown away.

    The folder is left for the next run unless what is inside the context ends well. Raises
    Conflict where another process is at work on the same file.
    """
    folder = out.with_name(f".{out.name}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict(
                f"another process is writing {out.name}; wait for it, or choose another name"
            ) from error
        _begin(folder, key)
        yield Partial(folder, layers, factor)
        shutil.rmtree(folder)


def _begin(folder: Path, key: str) -> None:
    """Empty the folder of all that is not of this key, and of what a kill left half done."""
    record = folder / RECORD
    ours = record.exists() and _key_in(record) == key
    for entry in folder.iterdir():
        if entry.name == LOCK or (ours and entry.suffix in {".block", ".json"}):
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if not ours:
        beside = folder / f"{RECORD}.part"
        beside.write_text(json.dumps({"key": key}), "utf-8")
        beside.replace(record)


def _key_in(record: Path) -> str | None:
    try:
        found = json.loads(record.read_text("utf-8"))
    except ValueError:
        return None
    return found.get("key") if isinstance(found, dict) else None


def _codec() -> Zstd:
    return Zstd(level=1, checksum=True)
