"""Is every byte there that the root document promises, and is it what was written?

Readers find damage where they look; this looks everywhere. Besides the checksum of each chunk it
recomputes the digest of each scene, the coarser levels and the digests of inferred blocks, so
that a chunk in the wrong place is found too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.cube import CommittedScene, Cube
from datacube.errors import Damaged
from datacube.product import Block, Product
from datacube.store.appending import ChunkDigest, chunk_digest, content_digest
from datacube.store.chunks import chunk_key, decode, digest, read_bytes, read_chunk
from datacube.store.commit import ROOT_KEY, CommitRecord, Root
from datacube.store.conventions import Document
from datacube.store.coordinates import coordinate_chunks
from datacube.store.layout import BLOCK_PX
from datacube.store.pyramid import halved_classes, halved_dn
from datacube.store.reading import ChunkReader
from datacube.window import Window


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was written: a key of the store, and what ails it."""

    key: str
    what: str


@dataclass
class Report:
    """What was looked at, and what was found; `lagging` keys mislead plain readers only, and the
    next writer puts them right.
    """

    scenes: int = 0
    blocks: int = 0
    chunks: int = 0
    faults: list[Fault] = field(default_factory=list)
    lagging: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.faults


def verify(cube: Cube) -> Report:
    """Check the newest committed version of a cube; one fault for each damaged chunk.

    Raises Unavailable if the store does not answer: that is no damage.
    """
    report = Report()
    try:
        root = Root.load(cube.storage)
        _check_record(root)
    except Damaged as error:
        report.faults.append(Fault(ROOT_KEY, str(error)))
        return report
    checked = Cube(cube.storage, root)
    faults = report.faults
    for one in checked.scenes:
        faults.extend(_scene_faults(checked, one, report))
        report.scenes += 1
    faults.extend(_coordinate_faults(checked))
    for path in root.commit.products:
        faults.extend(_product_faults(Product(checked, path), report))
    report.faults = list(dict.fromkeys(faults))
    report.lagging = [key for key, data in root.followers() if cube.storage.read(key) != data]
    return report


def _check_record(root: Root) -> None:
    record: CommitRecord = root.commit
    slots = [slot.slot for slot in record.scenes.values()]
    if len(set(slots)) != len(slots) or any(not 0 <= slot < record.slots for slot in slots):
        raise Damaged("two scenes share a slot, or one lies beyond the time axis")
    if record.live_slots & {*record.superseded, *record.retired}:
        raise Damaged("a scene lies in a slot that is superseded")
    if missing := [path for path in record.products if path not in root.nodes]:
        raise Damaged(f"products {missing} are recorded but not described")


def _scene_faults(cube: Cube, one: CommittedScene, report: Report) -> Iterator[Fault]:
    writer = cube.slot_writer(one.slot, one.scene)
    digests: list[ChunkDigest] = []
    whole = True
    for level, group in enumerate(writer.levels):
        for name, lead, index, document in _places(writer.nodes, group, writer.shape[0]):
            path, report.chunks = f"{group}/{name}", report.chunks + 1
            place = (one.slot, *lead, *index)
            try:
                chunk = read_chunk(cube.storage, path, place, document)
            except Damaged as error:
                whole = False
                yield Fault(chunk_key(path, place), str(error))
                continue
            values = _inside(chunk, index, document)
            if level == 0:
                digests.append((name, (*lead, *index), chunk_digest(values)))
            elif not _follows(cube, writer.levels[level - 1], name, (place, values)):
                yield Fault(chunk_key(path, place), "is not the mean of the finer level")
        yield from _time_faults(cube, f"{group}/time", one.slot, writer.seconds)
    expected = cube.root.commit.scenes[one.scene.scene_id].sha256
    if whole and content_digest(iter(digests)) != expected:
        yield Fault(f"{writer.levels[0]}", f"scene {one.scene.scene_id} is not what was committed")


def _places(
    nodes: Any, group: str, bands: int
) -> Iterator[tuple[str, tuple[int, ...], tuple[int, int], Document]]:
    """Array, band if it has any, and row and column, of each chunk of one scene at one level."""
    for name in ("reflectance", "scl"):
        document = nodes.get(f"{group}/{name}")
        if document is None:
            continue
        *_, height, width = document["shape"]
        side = document["chunk_grid"]["configuration"]["chunk_shape"][-1]
        for index in Window(0, 0, height, width).cells(side):
            for lead in ((band,) for band in range(bands)) if name == "reflectance" else ((),):
                yield name, lead, index, document


def _inside(chunk: NDArray[Any], index: tuple[int, int], document: Document) -> NDArray[Any]:
    """The last two axes of a chunk, without what pads it beyond the array's edge."""
    side = document["chunk_grid"]["configuration"]["chunk_shape"][-1]
    shape = (document["shape"][-2], document["shape"][-1])
    window = Window(index[0] * side, index[1] * side, side, side).within(shape)
    plane: NDArray[Any] = chunk.reshape(chunk.shape[-2:])[: window.height, : window.width]
    return plane


def _follows(
    cube: Cube, finer: str, name: str, found: tuple[tuple[int, ...], NDArray[Any]]
) -> bool:
    """Whether a coarser chunk is what the finer level makes of it; a damaged one is not blamed."""
    (*lead, row, col), values = found
    path = f"{finer}/{name}"
    document = cube.root.nodes[path]
    side = 2 * document["chunk_grid"]["configuration"]["chunk_shape"][-1]
    shape = (document["shape"][-2], document["shape"][-1])
    window = Window(row * side, col * side, side, side).within(shape)
    reader = ChunkReader(cube.storage, cube.root.commit.uid)
    try:
        fine = reader.window(path, tuple(lead), window, document)
    except Damaged:
        return True
    coarse = halved_classes(fine) if name == "scl" else halved_dn(fine)
    return np.array_equal(coarse, values)


def _time_faults(cube: Cube, path: str, slot: int, seconds: int) -> Iterator[Fault]:
    try:
        values = read_chunk(cube.storage, path, (slot,), cube.root.nodes[path])
        if values[0] != seconds:
            yield Fault(chunk_key(path, (slot,)), "is not the time of the scene")
    except Damaged as error:
        yield Fault(chunk_key(path, (slot,)), str(error))


def _coordinate_faults(cube: Cube) -> Iterator[Fault]:
    for path, document in cube.root.nodes.items():
        for key, data in coordinate_chunks(path, document, cube.root.nodes):
            expected = decode(data, document, key=key)
            try:
                found = decode(read_bytes(cube.storage, key), document, key=key)
                if not np.array_equal(found, expected):
                    yield Fault(key, "is not the grid's coordinate")
            except Damaged as error:
                yield Fault(key, str(error))


def _product_faults(product: Product, report: Report) -> Iterator[Fault]:
    cube = product.cube
    for variable in product.variables:
        record = f"{product.path}/{variable}_blocks"
        present = {entry.key for entry in cube.storage.entries(f"{record}/c")}
        for one in cube.scenes:
            for block in Window(0, 0, *cube.grid.shape).cells(BLOCK_PX):
                if chunk_key(record, (one.slot, *block)) in present:
                    report.blocks += 1
                    yield from _block_faults(product, one.slot, block, variable, report)


def _block_faults(
    product: Product, slot: int, block: Block, variable: str, report: Report
) -> Iterator[Fault]:
    storage, nodes = product.cube.storage, product.cube.root.nodes
    record = f"{product.path}/{variable}_blocks"
    record_key = chunk_key(record, (slot, *block))
    try:
        expected = read_chunk(storage, record, (slot, *block), nodes[record])[0, 0, 0]
    except Damaged as error:
        yield Fault(record_key, str(error))
        return
    parts: list[bytes] = []
    keys: Sequence[str] = product.block_keys(slot, block, variable=variable)
    for key in keys:
        report.chunks += 1
        try:
            data = read_bytes(storage, key)
            decode(data, nodes[key.partition("/c/")[0]], key=key)
            parts.append(data)
        except Damaged as error:
            yield Fault(key, str(error))
    if expected and len(parts) == len(keys) and digest(parts) != expected:
        yield Fault(record_key, f"block {block} of slot {slot} is not what was recorded")
