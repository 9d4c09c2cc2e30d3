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

from datacube.cube import Cube
from datacube.errors import InvalidInput
from datacube.product import BLOCKS_LOCK, Product
from datacube.store.commit import Root, amend
from datacube.store.storage import PARTIAL, Entry

KEPT = {"time", "superseded"}  # plain readers index by them; a few bytes each


@dataclass(frozen=True)
class Vacuumed:
    """What was removed: slots emptied, files and bytes."""

    slots: tuple[int, ...]
    files: int
    bytes: int


def vacuum(cube: Cube, *, older_than: timedelta, now: float | None = None) -> Vacuumed:
    """Remove chunks of superseded and abandoned slots, and what crashed writers left.

    A slot goes when it was superseded, and its newest chunk written, at least `older_than` ago:
    choose longer than a reader stays on one generation and than an ingest takes. `now` is in
    seconds since 1970. Raises InvalidInput for a negative age.
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

        def retire(current: Root) -> Root:
            record = current.commit
            ending = {slot for slot in dead if slot < record.slots} - record.live_slots
            if ending <= set(record.retired):
                return current
            retired = tuple(sorted({*record.retired, *ending}))
            ended = {key: at for key, at in record.ended.items() if int(key) not in ending}
            return current.changed(dataclasses.replace(record, retired=retired, ended=ended))

        root = amend(storage, retire)
        doomed = [entry for slot in dead for entry in by_slot[slot]]
        doomed += _orphans(cube.at(root), by_slot, horizon)
        doomed += [entry for entry in entries if _is_stray(entry, horizon)]
        for entry in sorted(doomed, key=lambda one: "_blocks/" not in one.key):  # records first
            storage.remove(entry.key)
    return Vacuumed(tuple(dead), len(doomed), sum(entry.size for entry in doomed))


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


def _is_stray(entry: Entry, horizon: float) -> bool:
    return entry.key.endswith(PARTIAL) and entry.modified <= horizon
