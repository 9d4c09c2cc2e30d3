"""A cube in a bucket: the same promises, kept by conditional writes instead of a lock."""

import multiprocessing
import pickle
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from datacube import CubeSpec, Product, Scene, ScenePixels, Window, find_bands, open_storage
from datacube.cube import Cube
from datacube.errors import Conflict, NotFound, Unavailable
from datacube.store.commit import ROOT_KEY
from datacube.vacuum import vacuum
from datacube.verify import verify
from tests.s3 import FaultyProxy, environment, new_bucket, s3_server
from tests.scenes import scene, small_grid
from tests.stores import PRODUCT, Windows, open_tiny, seen, tiny_block, tiny_cube, tiny_pixels

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.test_s3_store"])
FAULTS = ("refused", "reset", "stalled", "truncated", "error", "denied", "lost")


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    """Port of the S3 server, which the environment names."""
    with s3_server() as port, environment(port):
        yield port


def small_cube(address: str | Path) -> Cube:
    """The least cube there is: one level, one band, one chunk."""
    spec = CubeSpec("Small", small_grid((7, 5)), find_bands(("B04",)), with_scl=False, chunk_px=16)
    return Cube.create(open_storage(address), spec)


def write_scenes(address: str, port: int, writer: int, count: int) -> None:
    """Append scenes of this writer's own, opening the cube anew for each."""
    with environment(port):
        for number in range(count):
            one = Scene(f"W{writer}_{number}", scene(1 + writer).datetime)
            dn = np.full((1, 7, 5), 100 * writer + number + 1, np.uint16)
            Cube.open(open_storage(address)).append(one, ScenePixels(dn))


def write_at_once(address: str, writers: int, count: int, *, port: int = 0) -> None:
    """Append from many processes at once; fails unless every scene is there as it was given."""
    small_cube(address)
    crowd = [
        CONTEXT.Process(target=write_scenes, args=(address, port, writer, count))
        for writer in range(writers)
    ]
    for process in crowd:
        process.start()
    for process in crowd:
        process.join()
    assert [process.exitcode for process in crowd] == [0] * writers
    cube = Cube.open(open_storage(address))
    assert cube.generation == writers * count
    assert len({one.slot for one in cube.scenes}) == writers * count
    numbers = {
        one.scene.scene_id: int(cube.window_dn(one.slot, ("B04",), Window(0, 0, 7, 5))[0, 6, 4])
        for one in cube.scenes
    }
    assert numbers == {
        f"W{writer}_{number}": 100 * writer + number + 1
        for writer in range(writers)
        for number in range(count)
    }
    report = verify(cube)
    assert (report.faults, report.lagging) == ([], [])


def test_8_writers_lose_no_commit_on_a_local_disk(tmp_path: Path) -> None:
    write_at_once(str(tmp_path), 8, 3)


def test_8_writers_lose_no_commit_in_a_bucket(server: int) -> None:
    write_at_once(f"{new_bucket(server)}/small.zarr", 8, 2, port=server)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_8_writers_lose_none_of_200_commits_locally(tmp_path: Path) -> None:
    write_at_once(str(tmp_path), 8, 25)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_8_writers_lose_none_of_200_commits_in_a_bucket(server: int) -> None:
    write_at_once(f"{new_bucket(server)}/small.zarr", 8, 25, port=server)


def test_a_bucket_holds_what_a_folder_holds(server: int, tmp_path: Path) -> None:
    bucket = new_bucket(server)
    found = []
    for root in (tmp_path, bucket):
        tiny_cube(root)
        cube = open_tiny(root).append(scene(1), tiny_pixels(1))
        cube = cube.append(scene(2), Windows(tiny_pixels(2)))
        cube.append(scene(1), tiny_pixels(11), replace=True)
        product = Product.ensure(open_tiny(root), PRODUCT)
        slot = product.cube.scenes[0].slot
        product.write_block(slot, (1, 0), tiny_block(product, (1, 0), 5))
        assert verify(open_tiny(root)).is_sound
        found.append(seen(open_tiny(root)))
        done = vacuum(product.cube, older_than=timedelta(0), now=time.time() + 3600)
        assert len(done.slots) == 1
        assert seen(open_tiny(root)) == found[0]
    assert found[0] == found[1]
    assert len(found[0]) == 6


def test_a_storage_sent_to_another_process_is_the_same_place(server: int) -> None:
    bucket = new_bucket(server)
    inside = open_storage(bucket).inside("a").inside("b")
    inside.write("key", b"bytes")
    assert pickle.loads(pickle.dumps(inside)).read("key") == b"bytes"  # noqa: S301 (our own)
    assert open_storage(bucket).read("a/b/key") == b"bytes"
    assert open_storage(bucket).folders() == ["a"]
    assert [entry.key for entry in inside.entries()] == ["key"]
    inside.remove("key")
    inside.remove("key")
    assert inside.read("key") is None


def test_a_key_that_somebody_replaced_is_not_published(server: int) -> None:
    storage = open_storage(new_bucket(server))
    first = storage.publish("key", b"1", expected=None)
    with pytest.raises(Conflict):
        storage.publish("key", b"2", expected=None)
    second = storage.publish("key", b"2", expected=first)
    with pytest.raises(Conflict):
        storage.publish("key", b"3", expected=first)
    assert storage.read_versioned("key") == (b"2", second)


def test_a_bucket_that_is_not_there_is_an_error(server: int) -> None:
    new_bucket(server)
    with pytest.raises((Unavailable, NotFound)):
        open_tiny("s3://no-such-bucket-here")


def small_pixels(number: int) -> ScenePixels:
    """Pixels of the small cube, in part without data."""
    dn = np.full((1, 7, 5), number, np.uint16)
    dn[0, 2:, :3] = 0
    return ScenePixels(dn)


def numbers(cube: Cube) -> list[int]:
    """The pixel of each scene of a small cube, by time."""
    window = Window(0, 0, 7, 5)
    return [int(cube.window_dn(one.slot, ("B04",), window)[0, 0, 4]) for one in cube.scenes]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_store_ends_in_success_or_an_error_of_ours(server: int, fault: str) -> None:
    bucket = new_bucket(server)
    with FaultyProxy(server) as proxy, environment(proxy.port):
        reader = cube = small_cube(bucket).append(scene(1), small_pixels(7))
        with proxy.failing(fault):
            started = time.monotonic()
            with pytest.raises(Unavailable):
                numbers(reader)
            assert time.monotonic() - started <= 20
            started = time.monotonic()
            with pytest.raises(Unavailable):
                cube.append(scene(2), small_pixels(8))
            assert time.monotonic() - started <= 20
        assert numbers(Cube.open(open_storage(bucket))) == [7]
        again = cube.append(scene(2), small_pixels(8))
        assert numbers(again) == [7, 8]
        assert verify(again).is_sound


@pytest.mark.parametrize("skipped", [0, 1], ids=["claim of a slot", "commit"])
@pytest.mark.parametrize("fault", ["lost", "reset", "error", "stalled"])
def test_a_commit_whose_answer_is_lost_is_applied_exactly_once(
    server: int, fault: str, skipped: int
) -> None:
    bucket = new_bucket(server)
    with FaultyProxy(server) as proxy, environment(proxy.port):
        cube = small_cube(bucket)
        put = f"PUT /{bucket.removeprefix('s3://')}/{ROOT_KEY} "
        with proxy.failing(fault, only=put, skip=skipped, times=1):
            try:
                cube = cube.append(scene(1), small_pixels(7))
            except Unavailable:
                assert fault != "lost", "what was applied must be acknowledged"
                assert len(Cube.open(open_storage(bucket)).scenes) == 0
                cube = cube.append(scene(1), small_pixels(7))
        assert proxy.times == 0, "the fault never struck"
        assert cube.generation == 1
        newest = Cube.open(open_storage(bucket))
        assert newest.root.commit == cube.root.commit
        assert numbers(newest) == [7]
        assert verify(newest).is_sound
