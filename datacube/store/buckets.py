"""Object stores: one client per bucket, bounded retries, conditional writes.

A store may apply a write whose acknowledgement is lost on the way. `publish` therefore reads
back after every failure: what it finds decides whether the commit has happened.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from typing import Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url
from zarr.abc.store import Store
from zarr.storage import ObjectStore

from datacube.errors import Conflict, Unavailable
from datacube.store.storage import LOCK_KEY, Entry

# A request is given up after 4 s, a retried one after about 10 s in all: an answer, or an error,
# within 20 s even where a commit must be read back after it failed.
CLIENT = {"connect_timeout": timedelta(seconds=2), "timeout": timedelta(seconds=4)}
RETRY: dict[str, Any] = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=5),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}
_GONE = (FileNotFoundError, NotFoundError)


class ObjectStorage:
    """A prefix of a bucket, by its URL; conditional writes decide races.

    Credentials and end points come from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`).
    """

    locks = False

    def __init__(self, url: str, *, _parent: "ObjectStorage | None" = None) -> None:
        self._url = url.rstrip("/")
        name = self._url.rpartition("/")[2]
        self._store: Any = _parent._store if _parent else _open(self._url)  # noqa: SLF001 (own kind)
        self._prefix: str = f"{_parent._prefix}{name}/" if _parent else ""  # noqa: SLF001

    def __reduce__(self) -> tuple[type["ObjectStorage"], tuple[str]]:
        """Sent to another process, it opens a client of its own from that one's environment."""
        return ObjectStorage, (self._url,)

    @property
    def address(self) -> str:
        """The URL."""
        return self._url

    def read(self, key: str) -> bytes | None:
        """The bytes of `key`, or None where there is no such key."""
        found = self.read_versioned(key)
        return found[0] if found else None

    def read_versioned(self, key: str) -> tuple[bytes, str] | None:
        """The object and its entity tag, from one request."""
        with _typed_errors(self._url):
            try:
                found = obstore.get(self._store, self._prefix + key)
                return bytes(found.bytes()), found.meta["e_tag"] or ""
            except _GONE as error:
                if "NoSuchBucket" in str(error):
                    raise Unavailable(f"there is no bucket for {self._url}") from error
                return None

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:  # noqa: ARG002
        """Put the object; an object store acknowledges only what is durable."""
        with _typed_errors(self._url):
            obstore.put(self._store, self._prefix + key, data)

    def settle(self, keys: Iterable[str]) -> None:
        """Nothing to wait for."""

    def version(self, key: str) -> str | None:
        """The object's entity tag."""
        with _typed_errors(self._url):
            try:
                return obstore.head(self._store, self._prefix + key)["e_tag"]
            except _GONE:
                return None

    def publish(self, key: str, data: bytes, *, expected: str | None) -> str:
        """Put the object on the condition that its entity tag still is `expected`.

        `data` must differ from whatever was or will be published under the key: it is how a
        write whose acknowledgement was lost is told from another writer's.
        """
        mode: Any = "create" if expected is None else {"e_tag": expected}
        try:
            return obstore.put(self._store, self._prefix + key, data, mode=mode)["e_tag"] or ""
        except BaseError as error:
            found = self.read_versioned(key)
            if found and found[0] == data:
                return found[1]
            if isinstance(error, (PreconditionError, AlreadyExistsError)):
                raise Conflict(
                    f"{key} was replaced by another writer meanwhile; open again and retry"
                ) from error
            raise _unavailable(self._url, error) from error

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """List the prefix page by page."""
        with _typed_errors(self._url):
            for page in obstore.list(self._store, self._prefix + prefix):
                for item in page:
                    key = str(item["path"]).removeprefix(self._prefix)
                    yield Entry(key, item["last_modified"].timestamp(), item["size"])

    def remove(self, key: str) -> None:
        """Delete the object."""
        with _typed_errors(self._url), suppress(*_GONE):
            obstore.delete(self._store, self._prefix + key)

    def folders(self) -> list[str]:
        """Common prefixes directly below this one, sorted."""
        with _typed_errors(self._url):
            found = obstore.list_with_delimiter(self._store, self._prefix or None)
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"])

    def inside(self, name: str) -> "ObjectStorage":
        """The prefix below `name`, through the same client."""
        return ObjectStorage(f"{self._url}/{name}", _parent=self)

    def exclusive(self, name: str = LOCK_KEY) -> AbstractContextManager[None]:  # noqa: ARG002
        """Nothing to hold: `publish` decides, and each writer has slots of its own."""
        return nullcontext()

    def zarr_store(self) -> Store:
        """The prefix as a read-only zarr store."""
        return ObjectStore(_open(self._url), read_only=True)


def _open(url: str) -> Any:
    # Options given here hide the environment's, so the one that tests and MinIO need is repeated.
    options = {**CLIENT, "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"}
    return from_url(url, client_options=options, retry_config=RETRY)  # type: ignore[call-overload]


def _unavailable(url: str, error: BaseError) -> Unavailable:
    if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
        return Unavailable(f"{url} refuses these credentials; check them and their rights")
    return Unavailable(f"{url} does not answer as it should; retry when it is back")


@contextmanager
def _typed_errors(url: str) -> Iterator[None]:
    """Turn what the client says into an error of ours; a missing key is the caller's to see."""
    try:
        yield
    except _GONE:
        raise
    except BaseError as error:
        raise _unavailable(url, error) from error
