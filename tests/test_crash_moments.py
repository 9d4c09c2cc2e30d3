"""Kills at random moments, full disks, and readers while scenes are replaced."""

import multiprocessing
import random
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from datacube import Cube, Product, ScenePixels, Window
from datacube.errors import OutOfSpace
from datacube.store.storage import LocalStorage
from datacube.vacuum import vacuum
from datacube.verify import verify
from tests import crashes
from tests.scenes import scene
from tests.stores import (
    BANDS,
    PRODUCT,
    SHAPE,
    folder_in_memory,
    open_tiny,
    seen,
    tiny_block,
    tiny_cube,
    tiny_pixels,
)

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.test_crash_moments"])


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """An empty folder."""
    with folder_in_memory(tmp_path) as folder:
        yield folder


def busy(root: Path, first: int, journal: Path) -> None:
    """Replace scenes, keep blocks and vacuum for ever; write down what was acknowledged."""
    with journal.open("a") as acknowledged:
        for seed in range(first, first + 10_000):
            day = 1 + seed % 3
            cube = open_tiny(root).append(scene(day), tiny_pixels(seed), replace=True)
            acknowledged.write(f"{day} {seed}\n")
            acknowledged.flush()
            product = Product.ensure(cube, PRODUCT)
            slot = cube.scene_at(scene(day).datetime).slot
            product.write_block(slot, (0, 0), tiny_block(product, (0, 0), seed))
            vacuum(cube, older_than=timedelta(0), now=crashes.LATER_S * 10)


def seeds_seen(cube: Cube, upto: int) -> dict[str, int]:
    """Which seed each scene was made from; fails for pixels that are nobody's."""
    found = {}
    whole = Window(0, 0, *SHAPE)
    for one in cube.scenes:
        dn = cube.window_dn(one.slot, BANDS, whole)
        found[one.scene.scene_id] = next(
            seed for seed in range(upto, -1, -1) if np.array_equal(tiny_pixels(seed).dn, dn)
        )
    return found


def kill_at_random_moments(root: Path, kills: int) -> int:
    """Kill a busy writer again and again; returns how many commits were acknowledged."""
    tiny_cube(root)
    journal = root / "journal"
    journal.touch()
    chance = random.Random(20240620)  # noqa: S311 (moments, not secrets)
    for _ in range(kills):
        lines = journal.read_text().splitlines()
        first = int(lines[-1].split()[1]) + 1 if lines else 0
        writer = CONTEXT.Process(target=busy, args=(root, first, journal))
        writer.start()
        enough = len(lines) + chance.randrange(3)
        while len(journal.read_text().splitlines()) < enough and writer.is_alive():
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
        writer.kill()
        writer.join()
        assert writer.exitcode == -signal.SIGKILL
        entries = [line.split() for line in journal.read_text().splitlines()]
        latest = {f"S2X_{int(day):02d}": int(seed) for day, seed in entries}
        last = int(entries[-1][1]) if entries else -1
        cube = open_tiny(root)
        found = seeds_seen(cube, last + 1)
        for name, seed in latest.items():  # the one that was not acknowledged may be there too
            assert found[name] in {seed, last + 1}, f"{name} was acknowledged and lost"
        assert verify(cube).faults == []
    return len(journal.read_text().splitlines())


def test_kills_at_random_moments_lose_and_tear_nothing(root: Path) -> None:
    assert kill_at_random_moments(root, 8) >= 1


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_200_kills_at_random_moments_lose_and_tear_nothing(root: Path) -> None:
    print(kill_at_random_moments(root, 200), "commits were acknowledged")  # noqa: T201


class Filling(LocalStorage):
    """A folder on which, from the k-th write on, no byte can be written any more."""

    left = 0

    def write(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write, or find the disk full: files may not grow, so the kernel itself refuses."""
        Filling.left -= 1
        with full_disk() if Filling.left < 0 else unlimited():
            super().write(key, data, durable=durable)


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond 10 bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def unlimited() -> Iterator[None]:
    """As it is."""
    yield


@pytest.mark.parametrize("replaced", [False, True])
def test_a_full_disk_leaves_the_cube_as_it_was(root: Path, replaced: bool) -> None:
    crashes.create(root)
    crashes.append_first(root)
    new = scene(1) if replaced else scene(2)
    old = seen(open_tiny(root))
    refused: list[str] = []
    for room in range(100):
        cube = Cube.open(Filling(root / "tiny.zarr"))
        Filling.left = room
        try:
            cube = cube.append(new, tiny_pixels(50), replace=True)
        except OutOfSpace as error:
            refused.append(str(error))
            assert seen(open_tiny(root)) == old
            assert not list(root.rglob("*.partial"))
        else:
            break
    assert len(refused) >= 9  # each chunk, each time, and the root
    assert all("space" in message for message in refused)
    Filling.left = 100
    assert len(cube.scenes) == (1 if replaced else 2)
    sound = cube.append(scene(3), tiny_pixels(3))
    assert verify(sound).is_sound
    assert verify(sound).lagging == []


def replace_often(root: Path, times: int) -> None:
    """Put constant pixels, another number each time, in the place of a scene."""
    for number in range(1, times + 1):
        dn = np.full((len(BANDS), *SHAPE), number, np.uint16)
        scl = np.full(SHAPE, number % 12, np.uint8)
        open_tiny(root).append(scene(1), ScenePixels(dn, scl), replace=True)


def read_while_replacing(root: Path, times: int) -> int:
    """Read without rest while a process replaces; returns the number of reads."""
    tiny_cube(root)
    replace_often(root, 1)
    writer = CONTEXT.Process(target=replace_often, args=(root, times))
    writer.start()
    reads, latest = 0, 0
    while writer.is_alive() or not reads:
        cube = open_tiny(root)
        slot = cube.scenes[0].slot
        for level, grid in enumerate(cube.levels):
            whole = Window(0, 0, *grid.shape)
            dn = cube.window_dn(slot, BANDS, whole, level=level)
            values = np.unique(dn)
            assert values.size == 1, "two generations in one read"
            assert np.all(cube.window_scl(slot, whole, level=level) == values[0] % 12)
            if level == 0:
                generation = int(values[0])
            assert values[0] == generation, "levels of two generations"
        assert cube.generation >= latest
        latest = cube.generation
        reads += 1
    writer.join()
    assert writer.exitcode == 0
    return reads


def test_readers_see_one_generation_while_a_scene_is_replaced(root: Path) -> None:
    assert read_while_replacing(root, 8) >= 3


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_2000_reads_during_50_replacements_see_one_generation_each(root: Path) -> None:
    reads = rounds = 0
    while reads < 2000:
        reads += read_while_replacing(root / f"{rounds}", 50)
        rounds += 1
    print(reads, "reads,", 50 * rounds, "replacements")  # noqa: T201
