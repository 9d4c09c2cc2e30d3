"""The only thing that deletes: what no committed version reaches any more, once it is old.

What is reachable follows from the commit record alone. Clocks decide only how long garbage is
kept, so that a clock which is wrong can delete garbage too early or too late, and nothing else.
Slots are retired in the root document before they are emptied: a writer that was taken for dead
finds its slot retired and cannot commit it.
"""

import dataclasses
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from datacube.cube import Cube
from datacube.errors import InvalidInput
from datacube.product import BLOCKS_LOCK, Product
from datacube.store.commit import Root, amend, outdated
from datacube.store.storage import PARTIAL, Entry

INFERRED = "sr"  # the group of all that models made
KEPT = {"time", "superseded"}  # plain readers index by them; a few bytes each


@dataclass(frozen=True)
class Vacuumed:
    """What was removed: slots emptied, files and bytes, products of earlier generations."""

    slots: tuple[int, ...]
    files: int
    bytes: int
    products: tuple[str, ...] = ()


def vacuum(cube: Cube, *, older_than: timedelta, now: float | None = None) -> Vacuumed:
    """Remove chunks of superseded and abandoned slots, products that depend on all dates and
    were made of fewer, and what crashed writers left.

    A slot or a product goes when it was superseded, and its newest chunk written, at least
    `older_than` ago: choose longer than a reader stays on one generation and than an ingest or
    a job takes. `now` is in seconds since 1970. Raises InvalidInput for a negative age.
    """
    if older_than < timedelta(0):
        raise InvalidInput(f"need an age of zero or more, got {older_than}")
    horizon = (time.time() if now is None else now) - older_than.total_seconds()
    storage = cube.storage
    with storage.exclusive(), storage.exclusive(BLOCKS_LOCK):
        root = Root.load(storage)
        entries = list(storage.entries())
        by_slot = _by_slot(root, entries)
        dead = _dead_slots(cube.at(root), by_slot, horizon)
        outlived = _outlived(root, entries, horizon)
        root = amend(storage, partial(_retired, slots=dead, products=outlived))
        doomed = [entry for slot in dead for entry in by_slot[slot]]
        doomed += _orphans(cube.at(root), by_slot, horizon)
        doomed += [entry for entry in entries if _is_stray(root, entry, horizon)]
        doomed = list(dict.fromkeys(doomed))
        for entry in sorted(doomed, key=lambda one: "_blocks/" not in one.key):  # records first
            storage.remove(entry.key)
    size = sum(entry.size for entry in doomed)
    return Vacuumed(tuple(dead), len(doomed), size, tuple(outlived))


def _retired(root: Root, *, slots: list[int], products: list[str]) -> Root:
    """The root after slots and products were given up; itself where there is nothing to give up."""
    gone = set(products) & set(outdated(root.commit, root.nodes))
    if gone:
        root = root.without(gone)
    record = root.commit
    ending = {slot for slot in slots if slot < record.slots} - record.live_slots
    if ending <= set(record.retired):
        return root
    retired = tuple(sorted({*record.retired, *ending}))
    keys = {str(slot) for slot in ending}
    ended = {key: at for key, at in record.ended.items() if key not in keys}
    return root.changed(dataclasses.replace(record, retired=retired, ended=ended))


def _outlived(root: Root, entries: list[Entry], horizon: float) -> list[str]:
    """Products of earlier generations that nobody has added to, or that ended, since `horizon`."""
    newest: dict[str, float] = {}
    for path in outdated(root.commit, root.nodes):
        within = (one.modified for one in entries if one.key.startswith(f"{path}/"))
        newest[path] = max(within, default=0.0)
    ended = root.commit.ended
    return [path for path, at in newest.items() if max(at, ended.get(path, at)) <= horizon]


def _by_slot(root: Root, entries: list[Entry]) -> dict[int, list[Entry]]:
    """Chunks of arrays along time, by slot; those of `KEPT` and unfinished files are not among
    them.
    """
    slots: dict[int, list[Entry]] = defaultdict(list)
    for entry in entries:
        path, _, index = entry.key.rpartition("/c/")
        document = root.nodes.get(path)
        first = index.partition("/")[0]
        if document is None or not first.isdigit() or entry.key.endswith(PARTIAL):
            continue
        if document.get("dimension_names", [])[:1] == ["time"] and path.split("/")[-1] not in KEPT:
            slots[int(first)].append(entry)
    return slots


def _dead_slots(cube: Cube, by_slot: dict[int, list[Entry]], horizon: float) -> list[int]:
    record = cube.root.commit
    dead = []
    for slot, entries in sorted(by_slot.items()):
        # Beyond the time axis a crashed writer left them; without a lock, one may be about to.
        is_free = slot < record.slots or cube.storage.locks
        newest = max(entry.modified for entry in entries)
        newest = max(newest, record.ended.get(str(slot), newest))
        if slot not in record.live_slots and is_free and newest <= horizon:
            dead.append(slot)
    return dead


def _orphans(cube: Cube, by_slot: dict[int, list[Entry]], horizon: float) -> list[Entry]:
    """Chunks of inferred blocks that no record speaks of, because their writer crashed."""
    recorded: set[str] = set()
    products = [Product(cube, path) for path in cube.root.commit.products]
    live = [entry for slot in cube.root.commit.live_slots for entry in by_slot.get(slot, [])]
    for entry in live:
        path, _, index = entry.key.rpartition("/c/")
        for product in products:
            if path.startswith(f"{product.path}/") and path.endswith("_blocks"):
                variable = path.rpartition("/")[2].removesuffix("_blocks")
                slot, row, col = (int(number) for number in index.split("/"))
                recorded.update(product.block_keys(slot, (row, col), variable=variable))
    return [
        entry
        for entry in live
        if any(entry.key.startswith(f"{product.path}/") for product in products)
        and "_blocks/c/" not in entry.key
        and entry.key not in recorded
        and entry.modified <= horizon
    ]


def _is_stray(root: Root, entry: Entry, horizon: float) -> bool:
    """Whether a file was never finished, or is of a product that no version describes."""
    if entry.modified > horizon:
        return False
    node, chunk, _ = entry.key.rpartition("/c/")
    node = node if chunk else entry.key.rpartition("/")[0]
    undescribed = node.startswith(f"{INFERRED}/") and node not in root.nodes
    return undescribed or entry.key.endswith(PARTIAL)
