"""Where bytes are kept: a folder or an object store, with the few operations a commit needs.

Every write is of a whole key and is atomic: a reader sees the old bytes or the new ones.
`publish` is the only write that may replace something that readers rely on, and it does so
only if nobody else has replaced it meanwhile.
"""

import fcntl
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import from_url
from zarr.abc.store import Store
from zarr.storage import LocalStore, ObjectStore

from datacube.errors import Conflict, InvalidInput

LOCK_KEY = ".lock"


class Storage(Protocol):
    """A flat space of keys under one address."""

    locks: bool  # whether `exclusive` really keeps other writers out

    @property
    def address(self) -> str:
        """Folder or URL, for messages on the operator's own terminal only."""

    def read(self, key: str) -> bytes | None:
        """The bytes of `key`, or None where there is no such key."""

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Put a whole key; `durable` waits until it would survive a power cut."""

    def version(self, key: str) -> str | None:
        """A text that changes whenever `key` is replaced; None where there is no such key."""

    def publish(self, key: str, data: bytes, *, expected: str | None) -> None:
        """Replace `key` if its version still is `expected` (None: it must not exist).

        Raises Conflict if it was replaced meanwhile.
        """

    def folders(self) -> list[str]:
        """Names directly below the address, sorted."""

    def inside(self, name: str) -> "Storage":
        """The storage below `name`."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the one writer's place for as long as the context lasts."""

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
        try:
            return (self._folder / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write to a temporary name beside `key`, then rename over it."""
        target = self._folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            partial.replace(target)
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        if durable:
            _sync_folder(target.parent)

    def version(self, key: str) -> str | None:
        """Modification time, inode and size: a rename changes the inode at least."""
        try:
            status = (self._folder / key).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return f"{status.st_mtime_ns:x}-{status.st_ino:x}-{status.st_size:x}"

    def publish(self, key: str, data: bytes, *, expected: str | None) -> None:
        """Replace `key` if unchanged; the caller holds `exclusive`, which makes this safe."""
        if self.version(key) != expected:
            raise Conflict(f"{key} was replaced by another writer meanwhile; open again and retry")
        self.write(key, data)

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
    def exclusive(self) -> Iterator[None]:
        """Hold an advisory lock on the folder; the kernel frees it if the process dies."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / LOCK_KEY).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def zarr_store(self) -> Store:
        """The folder as a read-only zarr store."""
        return LocalStore(self._folder, read_only=True)


class ObjectStorage:
    """A prefix of a bucket, by its URL; conditional writes decide races.

    Credentials and end points come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
    """

    locks = False

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._store = from_url(self._url)

    @property
    def address(self) -> str:
        """The URL."""
        return self._url

    def read(self, key: str) -> bytes | None:
        """The bytes of `key`, or None where there is no such key."""
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError:
            return None

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002
        """Put the object; an object store acknowledges only what is durable."""
        obstore.put(self._store, key, data)

    def version(self, key: str) -> str | None:
        """The object's entity tag."""
        try:
            return obstore.head(self._store, key)["e_tag"]
        except FileNotFoundError:
            return None

    def publish(self, key: str, data: bytes, *, expected: str | None) -> None:
        """Put the object on the condition that its entity tag still is `expected`."""
        try:
            if expected is None:
                obstore.put(self._store, key, data, mode="create")
            else:
                obstore.put(self._store, key, data, mode={"e_tag": expected})
        except (PreconditionError, AlreadyExistsError) as error:
            raise Conflict(
                f"{key} was replaced by another writer meanwhile; open again and retry"
            ) from error

    def folders(self) -> list[str]:
        """Common prefixes directly below this one, sorted."""
        found = obstore.list_with_delimiter(self._store)
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"])

    def inside(self, name: str) -> "ObjectStorage":
        """The prefix below `name`."""
        return ObjectStorage(f"{self._url}/{name}")

    def exclusive(self) -> AbstractContextManager[None]:
        """Nothing to hold: `publish` decides, and each writer has slots of its own."""
        return nullcontext()

    def zarr_store(self) -> Store:
        """The prefix as a read-only zarr store."""
        return ObjectStore(self._store, read_only=True)


def open_storage(address: str | Path) -> LocalStorage | ObjectStorage:
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
    return ObjectStorage(text)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
