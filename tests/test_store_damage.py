"""Damage is an error, never a pixel; `verify` names it. Only `vacuum` deletes, and only garbage."""

import os
import random
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fastapi import FastAPI
from fastapi.testclient import TestClient

from datacube import Cube, Product, Window
from datacube.errors import Conflict, Damaged, Gone, InvalidInput, NotFound
from datacube.store.appending import write_scene
from datacube.store.commit import Root, amend
from datacube.vacuum import vacuum
from datacube.verify import verify
from server.problems import install_handlers
from tests import crashes
from tests.crashes import LATER_S
from tests.scenes import scene
from tests.stores import PRODUCT, SERIES, SHAPE, Seen, open_tiny, seen, tiny_block, tiny_pixels

NOW = timedelta(0)


def full_cube(root: Path) -> Cube:
    """Two scenes, a superseded one, a product with a block of it and of a live one."""
    for work in (
        crashes.create,
        crashes.append_first,
        crashes.declare,
        crashes.write_block,
        crashes.replace,
        crashes.write_block,
        crashes.append,
    ):
        work(root)
    return open_tiny(root)


def everything(root: Path) -> Seen:
    """All that readers of pixels and of coordinates get."""
    cube = open_tiny(root)
    found = seen(cube)
    for level in range(len(cube.levels)):
        dataset = cube.dataset(level=level)
        found[f"grid {level}"] = f"{dataset.x.values.tolist()} {dataset.y.values.tolist()}"
        found[f"times {level}"] = str(dataset.time.values.tolist())
    return found


def hurt(path: Path, chance: random.Random) -> str:
    """Flip a bit of a file, cut it, or delete it."""
    data = bytearray(path.read_bytes())
    kind = chance.choice(["flip", "cut", "delete"])
    if kind == "delete":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(data[: chance.randrange(len(data))])
    else:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
    return kind


def hurt_often(root: Path, times: int) -> dict[str, int]:
    """Damage one file at a time; counts what came of it. Fails for a wrong pixel."""
    full_cube(root)
    whole = everything(root)
    cube = root / "tiny.zarr"
    files = [  # all that our readers read: slot 0 is superseded, other documents are for others
        path
        for path in sorted(cube.rglob("*"))
        if path.is_file() and "/c/" in path.as_posix() and "/c/0/" not in path.as_posix()
    ]
    files = [path for path in files if not {"time", "superseded"} & set(path.parts)]
    files += [cube / "zarr.json"] * 5
    chance = random.Random(5)  # noqa: S311 (damage, not secrets)
    counts = {"error": 0, "harmless": 0}
    for _ in range(times):
        path = chance.choice(files)
        data = path.read_bytes()
        kind = hurt(path, chance)
        key = path.relative_to(root / "tiny.zarr").as_posix()
        try:
            found = everything(root)
        except (Damaged, NotFound):
            counts["error"] += 1
            if key != "zarr.json":
                assert key in {fault.key for fault in verify(open_tiny(root)).faults}
        else:
            counts["harmless"] += 1
            assert found.items() <= whole.items(), f"{kind} of {key} gave wrong pixels"
            assert len(found) == len(whole) or "_blocks/" in key
        path.write_bytes(data)
    assert everything(root) == whole
    return counts


def test_damaged_files_never_become_pixels(tmp_path: Path) -> None:
    assert hurt_often(tmp_path, 60)["error"] > 10


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_1000_damaged_files_never_become_pixels(tmp_path: Path) -> None:
    print(hurt_often(tmp_path, 1000))  # noqa: T201


def test_a_sound_cube_is_found_sound(tmp_path: Path) -> None:
    report = verify(full_cube(tmp_path))
    assert (report.scenes, report.blocks) == (2, 1)
    assert report.chunks == 2 * (3 + 3) + 2
    assert report.is_sound
    assert report.lagging == []


def test_a_whole_chunk_in_the_wrong_place_is_found(tmp_path: Path) -> None:
    cube = full_cube(tmp_path)
    folder = tmp_path / "tiny.zarr/measurement/r10m/reflectance/c/1"
    (folder / "1/0/0").write_bytes((folder / "0/0/0").read_bytes())
    found = {fault.key for fault in verify(cube).faults}
    assert "measurement/r10m" in found
    assert "measurement/r20m/reflectance/c/1/1/0/0" in found


def test_plain_readers_see_which_slot_is_superseded(tmp_path: Path) -> None:
    full_cube(tmp_path)
    plain = xr.open_zarr(tmp_path / "tiny.zarr", group="measurement/r10m")
    assert plain.superseded.values.tolist() == [1, 0, 0]
    valid = plain.isel(time=np.flatnonzero(plain.superseded == 0))
    assert valid.time.dt.day.values.tolist() == [1, 2]


def test_a_reader_of_what_was_vacuumed_is_told_so_and_never_shown_fill_values(
    tmp_path: Path,
) -> None:
    cube = full_cube(tmp_path)
    old = Cube(cube.storage, cube.root)
    app = FastAPI()
    install_handlers(app)

    @app.get("/pixels")
    def pixels(slot: int) -> list[int]:
        dn = old.window_dn(slot, ("B04",), Window(0, 0, *SHAPE))
        return [int(dn.min()), int(dn.max())]

    with TestClient(app) as client:
        before = client.get("/pixels?slot=0")
        assert before.status_code == 200
        vacuum(cube, older_than=NOW, now=LATER_S * 10)
        gone = client.get("/pixels?slot=0")
        assert (gone.status_code, gone.json()["code"]) == (410, "Gone")
        assert gone.headers["cache-control"] == "no-store"
        assert client.get("/pixels?slot=1").status_code == 200
        live = tmp_path / "tiny.zarr/measurement/r10m/reflectance/c/1"
        for path in live.rglob("*"):
            if path.is_file():
                path.unlink()  # lost, and not vacuumed
        assert client.get("/pixels?slot=1").status_code == 500


def test_vacuum_removes_what_is_superseded_and_nothing_else(tmp_path: Path) -> None:
    cube = full_cube(tmp_path)
    old = Cube(cube.storage, cube.root)
    whole = everything(tmp_path)
    done = vacuum(cube, older_than=NOW, now=LATER_S * 10)
    assert done.slots == (0,)
    assert done.files == 6 + 3  # chunks of two levels; a block's two chunks and its record
    assert everything(tmp_path) == whole
    assert verify(open_tiny(tmp_path)).is_sound
    assert vacuum(cube, older_than=NOW, now=LATER_S * 10).files == 0
    with pytest.raises(Gone, match="replaced"):
        old.window_dn(0, ("B04",), Window(0, 0, *SHAPE))
    plain = xr.open_zarr(tmp_path / "tiny.zarr", group="measurement/r10m")
    assert plain.time.dt.day.values.tolist() == [1, 1, 2]


@pytest.mark.parametrize("now", [0.0, None])
def test_vacuum_spares_the_young_and_whatever_a_clock_says(
    tmp_path: Path, now: float | None
) -> None:
    cube = full_cube(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert vacuum(cube, older_than=timedelta(hours=1), now=now).files == 0
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(InvalidInput, match="age"):
        vacuum(cube, older_than=timedelta(seconds=-1))


def test_vacuum_counts_from_when_a_scene_was_superseded(tmp_path: Path) -> None:
    crashes.create(tmp_path)
    crashes.append_first(tmp_path)
    cube = open_tiny(tmp_path)
    last_week = scene(1).datetime.timestamp()
    for path in tmp_path.rglob("c/0/**/*"):
        if path.is_file():
            os.utime(path, (last_week, last_week))
    cube = cube.append(scene(1), tiny_pixels(11), replace=True)
    assert vacuum(cube, older_than=timedelta(hours=1)).slots == ()
    in_two_hours = cube.root.commit.ended["0"] + 7200
    assert vacuum(cube, older_than=timedelta(hours=1), now=in_two_hours).slots == (0,)


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def with_series(root: Path) -> tuple[str, str]:
    """Products of two generations of a cube with two dates: their paths."""
    for work in (
        crashes.create,
        crashes.append_first,
        crashes.write_series_block,
        crashes.append,
        crashes.write_series_block,
    ):
        work(root)
    return f"{SERIES}-g1", f"{SERIES}-g2"


def test_a_product_of_fewer_dates_goes_once_it_is_old(tmp_path: Path) -> None:
    old, new = with_series(tmp_path)
    cube = open_tiny(tmp_path)
    assert set(cube.root.commit.products) == {old, new}
    assert set(cube.root.commit.ended) == {old}
    assert vacuum(cube, older_than=timedelta(hours=1)).products == ()
    whole = {name: seen for name, seen in everything(tmp_path).items() if not name.startswith(old)}
    later = cube.root.commit.ended[old] + 7200
    done = vacuum(cube, older_than=timedelta(hours=1), now=later)
    assert done.products == (old,)
    assert done.files > 4
    assert everything(tmp_path) == whole
    after = open_tiny(tmp_path)
    assert after.generation == cube.generation
    assert (after.root.commit.products, dict(after.root.commit.ended)) == ((new,), {})
    assets = [one["asset"] for one in after.root.attributes["multiscales"]["layout"]]
    assert any(one.startswith(f"{new}/") for one in assets)
    assert not any(one.startswith(f"{old}/") for one in assets)
    assert files_below(tmp_path / "tiny.zarr" / old) == []
    assert verify(after).is_sound
    assert verify(after).lagging == []
    assert vacuum(after, older_than=NOW, now=LATER_S * 10).files == 0


def test_what_a_stale_job_added_to_a_product_that_is_gone_goes_too(tmp_path: Path) -> None:
    old, _ = with_series(tmp_path)
    stale = Product.open(open_tiny(tmp_path), old)
    vacuum(stale.cube, older_than=NOW, now=LATER_S * 10)
    stale.write_block(0, (1, 0), tiny_block(stale, (1, 0), 3))
    folder = tmp_path / "tiny.zarr" / old
    assert len(files_below(folder)) == 3  # chunks of two levels, and the block's record
    assert vacuum(stale.cube, older_than=timedelta(hours=1)).files == 0
    assert vacuum(stale.cube, older_than=NOW, now=LATER_S * 10).files == 3
    assert files_below(folder) == []


def test_what_crashed_writers_left_is_vacuumed(tmp_path: Path) -> None:
    cube = full_cube(tmp_path)
    whole = everything(tmp_path)
    write_scene(cube.slot_writer(3, scene(7)), tiny_pixels(7))
    stray = tmp_path / "tiny.zarr/measurement/.0.abc.partial"
    stray.write_bytes(b"half")
    record = tmp_path / "tiny.zarr" / PRODUCT.path / "reflectance_blocks/c/1/1/0"
    record.unlink()  # as if the block's writer had died before it recorded the block
    del whole[next(name for name in whole if name.endswith("(1, 0) 0"))]
    del whole[next(name for name in whole if name.endswith("(1, 0) 1"))]
    done = vacuum(cube, older_than=NOW, now=LATER_S * 10)
    assert done.slots == (0, 3)
    assert not stray.exists()
    assert not list((tmp_path / "tiny.zarr" / PRODUCT.path).rglob("c/1/0/1/*"))
    assert everything(tmp_path) == whole
    block = Product.open(open_tiny(tmp_path), PRODUCT.path)
    assert not block.has_block(1, (1, 0))
    crashes.write_block(tmp_path)
    assert verify(open_tiny(tmp_path)).is_sound


def test_a_writer_whose_slot_was_vacuumed_cannot_commit_it(tmp_path: Path) -> None:
    cube = full_cube(tmp_path)
    slot = cube._free_slot(cube.root, quick=False)
    digest = write_scene(cube.slot_writer(slot, scene(7)), tiny_pixels(7))
    assert slot in vacuum(cube, older_than=NOW, now=LATER_S * 10).slots

    def commit(current: Root) -> Root:
        late = type(current.commit.scenes["S2X_01"])(slot, scene(7).stamp, digest)
        return current.changed(current.commit.with_scene("S2X_07", late))

    with pytest.raises(Conflict, match="vacuumed"):
        amend(cube.storage, commit)
    assert "S2X_07" not in open_tiny(tmp_path).root.commit.scenes
