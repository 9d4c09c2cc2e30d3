"""Where bytes are kept: a folder or an object store, with the few operations a commit needs.

Every write is of a whole key and is atomic: a reader sees the old bytes or the new ones.
`publish` is the only write that may replace something that readers rely on, and it does so
only if nobody else has replaced it meanwhile. Folders are here, object stores in `buckets`.
"""

import errno
import fcntl
import os
import random
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zarr.abc.store import Store
from zarr.storage import LocalStore

from datacube.errors import Conflict, InvalidInput, OutOfSpace, SrcubeError, Unavailable

LOCK_KEY = ".lock"
PARTIAL = ".partial"  # ends the names of files that a writer has not finished
LOCK_WAIT_S = 60.0
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key there is: when it was last written (seconds since 1970), and its size in bytes."""

    key: str
    modified: float
    size: int


class Storage(Protocol):
    """A flat space of keys under one address.

    Every operation raises Unavailable if the store does not answer within a bounded time or
    refuses us, and OutOfSpace if it is full.
    """

    locks: bool  # whether `exclusive` really keeps other writers out

    @property
    def address(self) -> str:
        """Folder or URL, for messages on the operator's own terminal only."""

    def read(self, key: str) -> bytes | None:
        """The bytes of `key`, or None where there is no such key."""

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        """The bytes of `key` and the version they are, or None where there is no such key."""

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Put a whole key; `durable` waits until it would survive a power cut."""

    def settle(self, keys: Iterable[str]) -> None:
        """Wait until keys written with `durable=False` would survive a power cut."""

    def version(self, key: str) -> str | None:
        """A text that changes whenever `key` is replaced; None where there is no such key."""

    def publish(self, key: str, data: bytes, *, expected: str | None) -> str:
        """Replace `key` if its version still is `expected` (None: it must not exist).

        Returns the new version; raises Conflict if the key was replaced meanwhile.
        """

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Every key below a folder-like prefix, unfinished files of crashed writers included."""

    def remove(self, key: str) -> None:
        """Delete a key; one that is not there is fine. Only `vacuum` deletes."""

    def folders(self) -> list[str]:
        """Names directly below the address, sorted."""

    def inside(self, name: str) -> "Storage":
        """The storage below `name`."""

    def exclusive(self, name: str = LOCK_KEY) -> AbstractContextManager[None]:
        """Hold a writer's place for as long as the context lasts; raises Conflict if it stays
        taken for a minute.
        """

    def zarr_store(self) -> Store:
        """The same keys as zarr-python sees them, read-only."""


class LocalStorage:
    """A folder on a local file system whose locks and renames are honest (not NFS)."""

    locks = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def address(self) -> str:
        """The folder."""
        return str(self._folder)

    def read(self, key: str) -> bytes | None:
        """The bytes of `key`, or None where there is no such key."""
        with _typed_errors(key):
            try:
                return (self._folder / key).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        """Bytes and version of one and the same file, even if it is being replaced."""
        with _typed_errors(key):
            try:
                with (self._folder / key).open("rb") as file:
                    return file.read(), _version(os.fstat(file.fileno()))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write to a temporary name beside `key`, then rename over it."""
        target = self._folder / key
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}{PARTIAL}")
        with _typed_errors(key):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with partial.open("wb") as file:
                    file.write(data)
                    if durable:
                        file.flush()
                        os.fsync(file.fileno())
                partial.replace(target)
            except OSError:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise
            if durable:
                self._sync_folders([key])

    def settle(self, keys: Iterable[str]) -> None:
        """Sync the files, then every folder that leads to one of them."""
        keys = list(keys)
        with _typed_errors(self.address):
            for key in keys:
                _sync(self._folder / key)
            self._sync_folders(keys)

    def version(self, key: str) -> str | None:
        """Modification time, inode and size: a rename changes the inode at least."""
        with _typed_errors(key):
            try:
                return _version((self._folder / key).stat())
            except (FileNotFoundError, NotADirectoryError):
                return None

    def publish(self, key: str, data: bytes, *, expected: str | None) -> str:
        """Replace `key` if unchanged; the caller holds `exclusive`, which makes this safe."""
        if self.version(key) != expected:
            raise Conflict(f"{key} was replaced by another writer meanwhile; open again and retry")
        self.write(key, data)
        return self.version(key) or ""

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """Walk the folder; what vanishes meanwhile is left out."""
        for folder, _, names in os.walk(self._folder / prefix):
            for name in sorted(names):
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    status = path.stat()
                    key = path.relative_to(self._folder).as_posix()
                    yield Entry(key, status.st_mtime, status.st_size)

    def remove(self, key: str) -> None:
        """Unlink the file, and its folder where that is left empty."""
        path = self._folder / key
        with _typed_errors(key):
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()

    def folders(self) -> list[str]:
        """Folders directly below this one, sorted; hidden ones are not ours."""
        if not self._folder.is_dir():
            return []
        return sorted(
            entry.name
            for entry in self._folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )

    def inside(self, name: str) -> "LocalStorage":
        """The folder below `name`."""
        return LocalStorage(self._folder / name)

    @contextmanager
    def exclusive(self, name: str = LOCK_KEY) -> Iterator[None]:
        """Hold an advisory lock on the folder; the kernel frees it if the process dies."""
        with _typed_errors(self.address):
            self._folder.mkdir(parents=True, exist_ok=True)
            file = (self._folder / name).open("w")
        with file:
            _lock(file.fileno(), self.address)
            yield

    def zarr_store(self) -> Store:
        """The folder as a read-only zarr store."""
        return LocalStore(self._folder, read_only=True)

    def _sync_folders(self, keys: Iterable[str]) -> None:
        """Sync each folder between a key and the address: a new one is an entry of its parent."""
        parents = {parent for key in keys for parent in Path(key).parents}
        for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
            _sync(self._folder / parent)


def open_storage(address: str | Path) -> Storage:
    """Open a folder (made on first write) or an object-store URL such as `s3://bucket/prefix`.

    Raises InvalidInput for a scheme that is neither.
    """
    text = str(address)
    scheme = re.match(r"([a-z0-9+.-]+)://", text)
    if not scheme:
        return LocalStorage(Path(text).expanduser())
    if scheme[1] not in {"s3", "gs", "az"}:
        raise InvalidInput(
            f"need a folder or an s3://, gs:// or az:// address for the catalog, got {text!r}"
        )
    from datacube.store.buckets import ObjectStorage  # noqa: PLC0415 (starts a runtime of its own)

    return ObjectStorage(text)


def _version(status: os.stat_result) -> str:
    return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"


def _lock(descriptor: int, address: str) -> None:
    """Take the lock, asking again until it is free: `flock` itself could wait for ever."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise Conflict(
                    f"{address} is busy: another writer has held its lock for {LOCK_WAIT_S:g} s; "
                    "retry when it has ended"
                ) from error
            time.sleep(random.uniform(0.002, 0.02))  # noqa: S311 (spreads writers, guards nothing)
        else:
            return


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _typed_errors(what: str) -> Iterator[None]:
    """Turn what the operating system says into an error of ours."""
    try:
        yield
    except OSError as error:
        kind: type[SrcubeError] = OutOfSpace if error.errno in _FULL else Unavailable
        way_out = "free some space and retry" if kind is OutOfSpace else "see to the disk and retry"
        raise kind(f"cannot keep {what}: {error.strerror}; {way_out}") from error
