"""The root document: one atomic write of it is the commit.

A writer first puts chunks under keys that no reader looks at yet, then replaces the cube's
root `zarr.json`, which holds the metadata of every array (consolidated) and the commit record.
Whatever happens before that write has not happened; whatever happens after it is repaired by
the next writer. A reader keeps the root document it opened, and so sees one generation.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from datacube.conventions import Document
from datacube.errors import Conflict, Damaged, NotFound
from datacube.storage import Storage

ROOT_KEY = "zarr.json"
ATTEMPTS = 50  # of a commit that other writers overtake; only where no lock keeps them out


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
    `slots` is the length of the time axis, superseded and abandoned slots included.
    """

    uid: str
    revision: int = 0
    generation: int = 0
    slots: int = 0
    scenes: Mapping[str, Slot] = field(default_factory=dict)
    superseded: tuple[int, ...] = ()
    products: tuple[str, ...] = ()

    @classmethod
    def from_document(cls, document: Document) -> Self:
        """Parse the record as JSON holds it."""
        scenes = {name: Slot(**slot) for name, slot in document["scenes"].items()}
        lists = {key: tuple(document[key]) for key in ("superseded", "products")}
        return cls(**{**document, **lists, "scenes": scenes})

    def with_scene(self, scene_id: str, slot: Slot) -> Self:
        """The record after a scene was added, or put in the place of an older one."""
        old = self.scenes.get(scene_id)
        return replace(
            self,
            generation=self.generation + 1,
            slots=max(self.slots, slot.slot + 1),
            scenes={**self.scenes, scene_id: slot},
            superseded=self.superseded + ((old.slot,) if old else ()),
        )


@dataclass(frozen=True)
class Root:
    """One version of a cube's root document."""

    attributes: Document
    nodes: Mapping[str, Document]
    commit: CommitRecord
    version: str | None

    @classmethod
    def load(cls, storage: Storage) -> Self:
        """Read the current root; raises NotFound or Damaged."""
        version = storage.version(ROOT_KEY)
        data = storage.read(ROOT_KEY)
        if data is None:
            raise NotFound(f"no cube at {storage.address}")
        try:
            document = json.loads(data)
            attributes = dict(document["attributes"])
            commit = CommitRecord.from_document(attributes.pop("commit"))
            nodes = document["consolidated_metadata"]["metadata"]
        except (ValueError, KeyError, TypeError) as error:
            raise Damaged(f"{storage.address} has a root document that is not a cube's") from error
        return cls(attributes, nodes, commit, version)

    def changed(self, commit: CommitRecord, nodes: Mapping[str, Document] | None = None) -> Self:
        """The next version: time axes as long as `commit` says, revision one higher."""
        commit = replace(commit, revision=self.commit.revision + 1)
        grown = {
            path: _with_slots(document, commit.slots)
            for path, document in {**self.nodes, **(nodes or {})}.items()
        }
        return replace(self, commit=commit, nodes=grown)

    def publish(self, storage: Storage) -> Self:
        """Commit: replace the root if it still is the version this one was made from."""
        attributes = {**self.attributes, "commit": asdict(self.commit)}
        consolidated = {"kind": "inline", "must_understand": False, "metadata": dict(self.nodes)}
        document = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": attributes,
            "consolidated_metadata": consolidated,
        }
        storage.publish(ROOT_KEY, json.dumps(document).encode(), expected=self.version)
        self.sync_children(storage)
        return replace(self, version=storage.version(ROOT_KEY))

    def sync_children(self, storage: Storage) -> None:
        """Bring each node's own `zarr.json` up to date, for readers that go without the root's."""
        for path, document in self.nodes.items():
            key = f"{path}/{ROOT_KEY}"
            data = json.dumps(document).encode()
            if storage.read(key) != data:
                storage.write(key, data, durable=False)


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


def _with_slots(document: Document, slots: int) -> Document:
    if document["node_type"] != "array" or document["dimension_names"][:1] != ["time"]:
        return document
    return {**document, "shape": [slots, *document["shape"][1:]]}
