"""The root document: one atomic write of it is the commit.

A writer first puts chunks under keys that no reader looks at yet, then replaces the cube's
root `zarr.json`, which holds the metadata of every array (consolidated) and the commit record.
Whatever happens before that write has not happened; whatever happens after it is repaired by
the next writer. A reader keeps the root document it opened, and so sees one generation.

The root document carries a checksum of itself: a flipped bit in a slot or a transform would
otherwise put right pixels in the wrong place.
"""

import hashlib
import json
import random
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from datacube.errors import Conflict, Damaged, NotFound, OutOfSpace, Unavailable
from datacube.store.admissible import check_documents
from datacube.store.chunks import chunk_key, encode
from datacube.store.conventions import Document
from datacube.store.storage import Storage

ROOT_KEY = "zarr.json"
ATTEMPTS = 50  # of a commit that other writers overtake; only where no lock keeps them out
_CHECKSUM = "srcube:checksum"
_BLANK = "0" * 64
_CHECKSUM_TEXT = re.compile(rf'"{_CHECKSUM}": "([0-9a-f]{{64}})"'.encode())


@dataclass(frozen=True)
class Slot:
    """Where one scene lies on the time axis, and what is recorded of it."""

    slot: int
    datetime: str
    sha256: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CommitRecord:
    """What is committed.

    `uid` is made with the cube, so that another cube of the same name is not mistaken for it;
    `generation` counts changes of the measurement, `revision` every replacement of the root;
    `slots` is the length of the time axis, superseded and abandoned slots included; `retired`
    are slots that vacuum has emptied, or is about to: none may be committed any more.
    `ended` says when a slot was superseded, or a product that depends on all dates was by a new
    one, in seconds since 1970, for vacuum to count from.
    `write_id` is new with every revision, so that no two versions of a root are alike.
    """

    uid: str
    revision: int = 0
    generation: int = 0
    slots: int = 0
    scenes: Mapping[str, Slot] = field(default_factory=dict)
    superseded: tuple[int, ...] = ()
    products: tuple[str, ...] = ()
    retired: tuple[int, ...] = ()
    ended: Mapping[str, float] = field(default_factory=dict)
    write_id: str = ""

    @property
    def live_slots(self) -> frozenset[int]:
        """Slots that hold a scene which is not superseded."""
        return frozenset(slot.slot for slot in self.scenes.values())

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Parse the record as JSON holds it."""
        scenes = {name: Slot(**slot) for name, slot in document["scenes"].items()}
        lists = ("superseded", "products", "retired")
        tuples = {key: tuple(document.get(key, ())) for key in lists}
        return cls(**{**document, **tuples, "scenes": scenes})

    def with_scene(self, scene_id: str, slot: Slot) -> Self:
        """The record after a scene was added, or put in the place of an older one.

        Raises Conflict if vacuum took the slot for abandoned meanwhile.
        """
        if slot.slot in self.retired:
            raise Conflict(
                f"slot {slot.slot} of scene {scene_id} was vacuumed before it was committed; "
                "retry, and vacuum with an age longer than an ingest takes"
            )
        old = self.scenes.get(scene_id)
        return replace(
            self,
            generation=self.generation + 1,
            slots=max(self.slots, slot.slot + 1),
            scenes={**self.scenes, scene_id: slot},
            superseded=self.superseded + ((old.slot,) if old else ()),
            ended={**self.ended, **({str(old.slot): time.time()} if old else {})},
        )

    def with_properties(self, scene_id: str, properties: Mapping[str, Any]) -> Self:
        """The record after something else is said of a scene, whose pixels stay where they are.

        Raises Conflict if the scene is not there any more.
        """
        known = self.scenes.get(scene_id)
        if known is None:
            raise Conflict(f"scene {scene_id} is not committed any more; retry")
        scenes = {**self.scenes, scene_id: replace(known, properties=dict(properties))}
        return replace(self, generation=self.generation + 1, scenes=scenes)


@dataclass(frozen=True)
class Root:
    """One version of a cube's root document."""

    attributes: Document
    nodes: Mapping[str, Document]
    commit: CommitRecord
    version: str | None

    @classmethod
    def load(cls, storage: Storage) -> Self:
        """Read the current root; raises NotFound, Damaged, or InvalidInput for what is not read."""
        found = storage.read_versioned(ROOT_KEY)
        if found is None:
            raise NotFound(f"no cube at {storage.address}")
        data, version = found
        if not _is_intact(data):
            raise Damaged(f"the root document of {storage.address} fails its checksum")
        try:
            document = json.loads(data)
            attributes = dict(document["attributes"])
            attributes.pop(_CHECKSUM, None)
            commit = CommitRecord.from_document(attributes.pop("commit"))
            nodes = document["consolidated_metadata"]["metadata"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Damaged(f"{storage.address} has a root document that is not a cube's") from error
        check_documents(attributes, nodes, storage.address)
        return cls(attributes, nodes, commit, version)

    def changed(
        self,
        commit: CommitRecord,
        nodes: Mapping[str, Document] | None = None,
        attributes: Document | None = None,
    ) -> Self:
        """The next version: time axes as long as `commit` says, revision one higher."""
        nodes = {**self.nodes, **(nodes or {})}
        grown = {path: _with_slots(document, commit.slots) for path, document in nodes.items()}
        commit = replace(
            commit,
            revision=self.commit.revision + 1,
            write_id=uuid.uuid4().hex,
            ended={**{path: time.time() for path in outdated(commit, nodes)}, **commit.ended},
        )
        attributes = {**self.attributes, **(attributes or {})}
        return replace(self, attributes=attributes, commit=commit, nodes=grown)

    def without(self, products: Collection[str]) -> Self:
        """The next version without some products, their groups and their levels in the overview."""
        groups = tuple(f"{path}/" for path in products)
        nodes = {key: one for key, one in self.nodes.items() if not f"{key}/".startswith(groups)}
        record = self.commit
        kept = tuple(path for path in record.products if path not in products)
        ended = {key: at for key, at in record.ended.items() if key not in products}
        scales = self.attributes["multiscales"]
        layout = [one for one in scales["layout"] if not one["asset"].startswith(groups)]
        attributes = {**self.attributes, "multiscales": {**scales, "layout": layout}}
        bare = replace(self, nodes=nodes, attributes=attributes)
        return bare.changed(replace(record, products=kept, ended=ended))

    def publish(self, storage: Storage) -> Self:
        """Commit: replace the root if it still is the version this one was made from.

        What plain readers see besides the root follows; if that fails the commit stands, and
        the next writer makes up for it.
        """
        data = _with_checksum(json.dumps(self._document()))
        version = storage.publish(ROOT_KEY, data, expected=self.version)
        published = replace(self, version=version)
        with suppress(OutOfSpace, Unavailable):
            published.sync_children(storage)
        return published

    def sync_children(self, storage: Storage) -> None:
        """Bring what plain readers read up to date: each node's `zarr.json`, `superseded`.

        On an object store several writers may be at it: whoever finds a key changed under his
        hands begins again from the newest root, so that the last one leaves all of it right.
        """
        root = self
        for _ in range(ATTEMPTS):
            try:
                for key, data in root.followers():
                    _bring_up_to_date(storage, key, data)
            except Conflict:
                root = type(self).load(storage)
            else:
                return

    def _document(self) -> Document:
        scenes = {name: vars(slot) for name, slot in self.commit.scenes.items()}
        commit = {**vars(self.commit), "scenes": scenes}
        attributes = {_CHECKSUM: _BLANK, **self.attributes, "commit": commit}
        consolidated = {"kind": "inline", "must_understand": False, "metadata": dict(self.nodes)}
        return {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": attributes,
            "consolidated_metadata": consolidated,
        }

    def followers(self) -> Iterator[tuple[str, bytes]]:
        """Keys that follow this root, and what they are to hold."""
        for path, document in self.nodes.items():
            yield f"{path}/{ROOT_KEY}", json.dumps(document).encode()
            if path.endswith("/superseded"):
                yield from _superseded_chunks(path, document, self.commit)


def amend(storage: Storage, change: Callable[[Root], Root]) -> Root:
    """Load the root, change it, publish it; again from the start if another writer was faster.

    Where the storage has a lock, the caller holds it and the first attempt succeeds. Raises
    Conflict if the change does, or after many lost races.
    """
    for attempt in range(ATTEMPTS):
        root = Root.load(storage)
        changed = change(root)
        if changed is root:
            return root
        try:
            return changed.publish(storage)
        except Conflict:
            if storage.locks or attempt == ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0.01, 0.2))  # noqa: S311 (spreads writers, guards nothing)
    raise Conflict(f"{storage.address} is too busy: {ATTEMPTS} attempts to commit were overtaken")


def outdated(commit: CommitRecord, nodes: Mapping[str, Document]) -> list[str]:
    """Products that depend on all dates, and are of a generation before this one."""
    return [
        path
        for path in commit.products
        if nodes[path]["attributes"].get("generation", commit.generation) < commit.generation
    ]


def superseded_flags(commit: CommitRecord) -> Any:
    """For each slot 0 if a scene is to be read there, else 1: superseded, abandoned or not yet."""
    flags = np.ones(commit.slots, np.uint8)
    flags[sorted(commit.live_slots)] = 0
    return flags


def _superseded_chunks(
    path: str, document: Document, commit: CommitRecord
) -> Iterator[tuple[str, bytes]]:
    size = document["chunk_grid"]["configuration"]["chunk_shape"][0]
    flags = superseded_flags(commit)
    for start in range(0, commit.slots, size):
        data = encode(flags[start : start + size], document)
        yield chunk_key(path, (start // size,)), data


def _bring_up_to_date(storage: Storage, key: str, data: bytes) -> None:
    if storage.locks:
        if storage.read(key) != data:
            storage.write(key, data, durable=False)
        return
    found = storage.read_versioned(key)
    if found is None or found[0] != data:
        storage.publish(key, data, expected=found[1] if found else None)


def _with_checksum(text: str) -> bytes:
    """The text with the SHA-256 of itself (taken with zeros in that place) written into it."""
    data = text.encode()
    checksum = hashlib.sha256(data).hexdigest()
    return data.replace(_BLANK.encode(), checksum.encode(), 1)


def _is_intact(data: bytes) -> bool:
    """Whether a root's own checksum holds; a root without one is judged by its parser alone."""
    found = _CHECKSUM_TEXT.search(data)
    if not found:
        return _CHECKSUM.encode() not in data
    start, end = found.span(1)
    blank = data[:start] + _BLANK.encode() + data[end:]
    return hashlib.sha256(blank).hexdigest().encode() == found[1]


def _with_slots(document: Document, slots: int) -> Document:
    if document["node_type"] != "array" or document["dimension_names"][:1] != ["time"]:
        return document
    return {**document, "shape": [slots, *document["shape"][1:]]}
