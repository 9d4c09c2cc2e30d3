"""Scenes that come piece by piece must end up as if they had come whole."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from distributed import LocalCluster

from datacube import Cube, ScenePixels, Window
from datacube.errors import Conflict, InvalidInput, Unavailable
from datacube.store.appending import check_scheduler
from datacube.store.pyramid import class_levels, dn_levels
from datacube.verify import verify
from tests.scenes import scene
from tests.stores import BANDS, Windows, open_tiny, tiny_cube, tiny_pixels

TALL = (1100, 150)  # four levels: the last is made from what the pieces leave


def assert_holds(cube: Cube, slot: int, pixels: ScenePixels) -> None:
    assert pixels.scl is not None
    count = len(cube.levels)
    levels = zip(dn_levels(pixels.dn, count), class_levels(pixels.scl, count), strict=True)
    for level, (dn, scl) in enumerate(levels):
        window = Window(0, 0, *dn.shape[1:])
        np.testing.assert_array_equal(cube.window_dn(slot, BANDS, window, level=level), dn)
        np.testing.assert_array_equal(cube.window_scl(slot, window, level=level), scl)


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def test_pieces_give_the_levels_of_the_whole_scene(tmp_path: Path) -> None:
    cube = tiny_cube(tmp_path, shape=TALL, chunk_px=32)
    assert len(cube.levels) == 4
    told: list[tuple[int, int]] = []
    pixels = tiny_pixels(1, TALL)
    cube = cube.append(scene(1), Windows(pixels), progress=lambda done, of: told.append((done, of)))
    assert_holds(cube, cube.scenes[0].slot, pixels)
    assert told == [(done, 18) for done in range(1, 19)]
    assert verify(cube).is_sound


def test_a_source_and_the_same_pixels_in_memory_are_one_scene(tmp_path: Path) -> None:
    cube = tiny_cube(tmp_path, chunk_px=16)
    cube = cube.append(scene(1), Windows(tiny_pixels(1)))
    before = files(tmp_path)
    for same in (tiny_pixels(1), Windows(tiny_pixels(1))):
        again = cube.append(scene(1), same)
        assert again.root.commit == cube.root.commit
    assert files(tmp_path) == before


def test_other_pixels_from_a_source_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    cube = tiny_cube(tmp_path, chunk_px=16).append(scene(1), tiny_pixels(1))
    before = files(tmp_path)
    other = tiny_pixels(1)
    other.dn[1, -1, -1] += 1
    with pytest.raises(Conflict, match="S2X_01"):
        cube.append(scene(1), Windows(other))
    assert files(tmp_path) == before
    replaced = cube.append(scene(1), Windows(other), replace=True)
    assert_holds(replaced, replaced.scenes[0].slot, other)
    assert replaced.root.commit.superseded == (0,)


def test_a_source_that_gives_the_wrong_shape_leaves_the_cube_as_it_was(tmp_path: Path) -> None:
    cube = tiny_cube(tmp_path, chunk_px=16)
    narrow = tiny_pixels(1)
    with pytest.raises(InvalidInput, match="shape"):
        cube.append(scene(1), Windows(ScenePixels(narrow.dn[:, :-9], narrow.scl)))
    assert open_tiny(tmp_path).scenes == ()
    assert_holds(cube.append(scene(1), narrow), 1, narrow)


@pytest.mark.parametrize("address", ["tcp://198.51.100.7:8786", "http://127.0.0.1:1", "here"])
def test_a_scheduler_open_to_the_network_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="tls"):
        check_scheduler(address)


def test_a_scheduler_that_is_not_there_is_an_error_and_no_commit(tmp_path: Path) -> None:
    cube = tiny_cube(tmp_path)
    with pytest.raises(Unavailable, match="cluster"):
        cube.append(scene(1), tiny_pixels(1), scheduler="tcp://127.0.0.1:9")
    assert open_tiny(tmp_path).scenes == ()


@dataclass(frozen=True, eq=False)
class Slow(Windows):
    """A source that says which process reads, and takes its time."""

    folder: Path

    def read(self, window: Window) -> ScenePixels:
        (self.folder / f"{os.getpid()}").touch()
        time.sleep(0.2)
        return super().read(window)


def test_a_cluster_finishes_the_scene_though_a_worker_is_killed(tmp_path: Path) -> None:
    cube = tiny_cube(tmp_path / "cubes", shape=TALL, chunk_px=32)
    seen = tmp_path / "readers"
    seen.mkdir()
    pixels = tiny_pixels(3, TALL)
    with LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        killed: list[int] = []

        def kill_the_first_reader() -> None:
            while not killed:
                for path in seen.iterdir():
                    os.kill(int(path.name), signal.SIGKILL)
                    killed.append(int(path.name))
                    return
                time.sleep(0.01)

        threading.Thread(target=kill_the_first_reader, daemon=True).start()
        cube = cube.append(scene(1), Slow(pixels, seen), scheduler=cluster.scheduler_address)
    assert len(killed) == 1
    assert len(list(seen.iterdir())) >= 2
    assert_holds(cube, cube.scenes[0].slot, pixels)
    assert verify(open_tiny(tmp_path / "cubes")).is_sound


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_scheduler_that_dies_is_an_error_and_no_commit(tmp_path: Path) -> None:
    cube = tiny_cube(tmp_path / "cubes", shape=TALL, chunk_px=32)
    seen = tmp_path / "readers"
    seen.mkdir()
    address = "tcp://127.0.0.1:18786"
    parts = (
        ("scheduler", "--host", "127.0.0.1", "--port", "18786", "--no-dashboard"),
        ("worker", address, "--no-dashboard", "--death-timeout", "5"),
    )
    crowd = [
        subprocess.Popen([sys.executable, "-m", f"distributed.cli.dask_{name}", *options])
        for name, *options in parts
    ]

    def kill_while_reading() -> None:
        while not list(seen.iterdir()):
            time.sleep(0.05)
        crowd[0].kill()

    threading.Thread(target=kill_while_reading, daemon=True).start()
    time.sleep(8)  # both have started by then
    try:
        with pytest.raises(Unavailable, match="cluster"):
            cube.append(scene(1), Slow(tiny_pixels(3, TALL), seen), scheduler=address)
    finally:
        for process in crowd:
            process.kill()
            process.wait()
    assert open_tiny(tmp_path / "cubes").scenes == ()


FULL_SCENE = """
import resource, sys
from datetime import UTC, datetime
import numpy as np
from datacube import Catalog, CubeSpec, Grid, Scene, ScenePixels, find_bands, open_storage

class Made:
    def read(self, window):
        ramp = np.add.outer(np.arange(window.height) % 700, np.arange(window.width) % 500)
        random = np.random.default_rng((window.row, window.col))
        dn = ramp[np.newaxis] + random.integers(1000, 1064, (4, *ramp.shape))
        return ScenePixels(dn.astype(np.uint16), (ramp % 12).astype(np.uint8))

grid = Grid.from_origin("EPSG:32632", left=600_000, top=5_000_040, gsd_m=10, shape=(10980, 10980))
spec = CubeSpec("Full", grid, find_bands(("B02", "B03", "B04", "B08")))
cube = Catalog(open_storage(sys.argv[1])).create("full", spec)
cube.append(Scene("FULL", datetime(2024, 1, 1, tzinfo=UTC)), Made())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_full_scene_needs_less_than_4_gigabytes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_SCENE, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 4096
