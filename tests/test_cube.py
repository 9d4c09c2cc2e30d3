"""A cube must give back what was committed, to us and to plain readers of Zarr."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rioxarray  # noqa: F401 (registers the accessor)
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from datacube import Cube, Window, open_storage
from datacube.errors import Conflict, Damaged, InvalidInput, NotFound
from datacube.scene import dn_from_reflectance, reflectance_from_dn
from datacube.store import storage
from datacube.store.appending import write_scene
from datacube.store.conventions import CONVENTIONS
from datacube.store.pyramid import halved_classes, halved_dn
from datacube.verify import verify
from tests.scenes import BANDS, SHAPE, new_cube, pixels, scene, small_grid


def filled_cube(root: Path) -> Cube:
    cube = new_cube(root)
    for day in (9, 2, 5):  # out of order on purpose
        cube = cube.append(scene(day), pixels(day))
    return cube


def test_the_dataset_is_ordered_by_time_and_holds_the_pixels(tmp_path: Path) -> None:
    dataset = filled_cube(tmp_path).dataset()
    assert dataset.scene_id.values.tolist() == ["S2X_02", "S2X_05", "S2X_09"]
    assert dataset.reflectance.dims == ("time", "band", "y", "x")
    assert dataset.reflectance.dtype == np.float32
    expected = reflectance_from_dn(pixels(5).dn)
    np.testing.assert_allclose(dataset.reflectance.sel(time="2024-01-05")[0], expected, atol=1e-6)
    np.testing.assert_array_equal(dataset.scl[1], pixels(5).scl)
    assert dataset.reflectance.sel(band="B08").shape == (3, *SHAPE)


def test_plain_xarray_and_plain_zarr_read_the_same_numbers(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    plain = xr.open_zarr(tmp_path / "field.zarr", group="measurement/r10m").sortby("time")
    ours = cube.dataset()
    np.testing.assert_allclose(plain.reflectance, ours.reflectance, atol=1e-6)
    np.testing.assert_array_equal(plain.x, ours.x)
    assert plain.rio.crs.to_epsg() == 32632
    assert plain.rio.transform() == cube.grid.transform
    array = zarr.open_array(tmp_path / "field.zarr/measurement/r10m/reflectance", mode="r")
    np.testing.assert_array_equal(array[1], pixels(2).dn)


def test_the_root_document_follows_the_geozarr_conventions(tmp_path: Path) -> None:
    filled_cube(tmp_path)
    root = json.loads((tmp_path / "field.zarr/zarr.json").read_text())
    nodes = root["consolidated_metadata"]["metadata"]
    attributes = nodes["measurement"]["attributes"]
    uuids = {convention["uuid"] for convention in attributes["zarr_conventions"]}
    assert uuids == {convention["uuid"] for convention in CONVENTIONS}
    assert attributes["proj:code"] == "EPSG:32632"
    layout = attributes["multiscales"]["layout"]
    assert [entry["asset"] for entry in layout] == ["r10m", "r20m"]
    assert layout[0]["spatial:transform"] == list(small_grid().transform)[:6]
    assert layout[1]["derived_from"] == "r10m"
    for path, document in nodes.items():
        child = json.loads((tmp_path / "field.zarr" / path / "zarr.json").read_text())
        assert child == document


def test_every_window_of_every_level_is_what_was_written(tmp_path: Path) -> None:
    cube = new_cube(tmp_path, (700, 530)).append(scene(3), pixels(3, (700, 530)))
    dn = pixels(3, (700, 530)).dn
    for level, grid in enumerate(cube.levels):
        assert grid.shape == dn.shape[1:]
        window = Window(grid.shape[0] // 3, grid.shape[1] // 5, grid.shape[0] // 2, 100)
        found = cube.window_dn(0, ("B08", "B02"), window, level=level)
        np.testing.assert_array_equal(found, dn[[3, 0]][:, *window.slices])
        dn = halved_dn(dn)


def test_appending_the_same_scene_twice_changes_nothing(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    before = (tmp_path / "field.zarr/zarr.json").read_bytes()
    again = cube.append(scene(5), pixels(5))
    assert (tmp_path / "field.zarr/zarr.json").read_bytes() == before
    assert again.generation == cube.generation


def test_other_pixels_under_one_id_are_refused_unless_they_replace(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    with pytest.raises(Conflict, match="S2X_05"):
        cube.append(scene(5), pixels(55))
    replaced = cube.append(scene(5), pixels(55), replace=True)
    assert len(replaced.scenes) == 3
    slot = replaced.scene_at(scene(5).datetime).slot
    window = Window(0, 0, *SHAPE)
    np.testing.assert_array_equal(replaced.window_dn(slot, BANDS, window), pixels(55).dn)
    old = cube.scene_at(scene(5).datetime).slot
    np.testing.assert_array_equal(cube.window_dn(old, BANDS, window), pixels(5).dn)


def test_what_is_said_of_a_scene_is_replaced_on_demand_and_its_pixels_stay(tmp_path: Path) -> None:
    cube = new_cube(tmp_path).append(scene(5), pixels(5))
    chunks = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("c/*/*") if path.is_file()}
    other = replace(scene(5), properties={"eo:cloud_cover": 7.0, "box": (1, 2)})
    kept = cube.append(other, pixels(5))
    assert kept.generation == cube.generation
    assert kept.scenes[0].scene.cloud_cover == 7.5
    said = cube.append(other, pixels(5), replace=True)
    assert said.generation == cube.generation + 1
    assert said.scenes[0].scene.properties == {"eo:cloud_cover": 7.0, "box": [1, 2]}
    assert said.scenes[0].slot == 0
    assert verify(said).is_sound
    assert chunks == {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("c/*/*") if path.is_file()
    }
    assert said.append(other, pixels(5), replace=True).generation == said.generation


def test_another_time_under_one_id_is_other_content(tmp_path: Path) -> None:
    cube = new_cube(tmp_path).append(scene(5), pixels(5))
    later = replace(scene(5), datetime=scene(6).datetime)
    with pytest.raises(Conflict, match="other time"):
        cube.append(later, pixels(5))
    moved = cube.append(later, pixels(5), replace=True)
    assert [one.scene.stamp for one in moved.scenes] == [scene(6).stamp]
    assert moved.scenes[0].slot == 1
    assert verify(moved).is_sound


def test_a_reader_stays_on_its_generation(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    cube.append(scene(20), pixels(20))
    assert cube.dataset().sizes["time"] == 3
    assert Cube.open(cube.storage).dataset().sizes["time"] == 4


def test_a_cube_that_another_writer_holds_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cube = new_cube(tmp_path)
    monkeypatch.setattr(storage, "LOCK_WAIT_S", 0.1)
    with cube.storage.exclusive(), pytest.raises(Conflict, match="busy"):
        cube.append(scene(1), pixels(1))
    assert len(cube.append(scene(1), pixels(1)).scenes) == 1


def test_a_root_document_with_one_digit_changed_is_damage(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    root = tmp_path / "field.zarr/zarr.json"
    text = root.read_text()
    root.write_text(text.replace("600010.0", "600011.0", 1))
    with pytest.raises(Damaged, match="checksum"):
        Cube.open(cube.storage)
    root.write_text(text)
    assert Cube.open(cube.storage).grid == cube.grid


def test_chunks_without_a_commit_are_invisible(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    before = cube.dataset().compute()
    write_scene(cube.slot_writer(3, scene(7)), pixels(7))
    after = Cube.open(cube.storage).dataset().compute()
    xr.testing.assert_identical(before, after)
    assert Cube.open(cube.storage).append(scene(8), pixels(8)).dataset().sizes["time"] == 4


def test_a_damaged_or_missing_chunk_is_an_error_and_never_a_pixel(tmp_path: Path) -> None:
    cube = filled_cube(tmp_path)
    chunk = tmp_path / "field.zarr/measurement/r10m/reflectance/c/0/2/0/0"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 0x10
    chunk.write_bytes(bytes(data))
    with pytest.raises(Damaged, match="checksum"):
        cube.window_dn(0, ("B04",), Window(0, 0, 5, 5))
    chunk.unlink()
    with pytest.raises(Damaged, match="missing"):
        Cube.open(cube.storage).window_dn(0, ("B04",), Window(0, 0, 5, 5))
    with pytest.raises(Damaged, match="missing"):
        Cube.open(cube.storage).dataset().reflectance.compute()


def test_pixels_that_do_not_fit_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    cube = new_cube(tmp_path)
    files = sorted(tmp_path.rglob("*"))
    good = pixels(1)
    for bad in (
        replace(good, dn=good.dn[:, :-1]),
        replace(good, dn=good.dn.astype(np.int32)),
        replace(good, scl=None),
    ):
        with pytest.raises(InvalidInput):
            cube.append(scene(1), bad)
    assert sorted(tmp_path.rglob("*")) == files


def test_what_is_no_cube_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Cube.open(open_storage(tmp_path))
    (tmp_path / "zarr.json").write_text('{"zarr_format": 3}')
    with pytest.raises(Damaged):
        Cube.open(open_storage(tmp_path))


@given(values=npst.arrays(np.uint16, npst.array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_a_coarser_pixel_is_the_mean_of_what_is_there(values: np.ndarray) -> None:
    halved = halved_dn(values)
    masked = np.where(values == 0, np.nan, values.astype(float))
    for row, col in np.ndindex(halved.shape):
        quad = masked[2 * row : 2 * row + 2, 2 * col : 2 * col + 2]
        expected = 0 if np.isnan(quad).all() else np.nanmean(quad)
        assert abs(halved[row, col] - expected) <= 0.5


@given(values=npst.arrays(np.uint8, (4, 6), elements=st.integers(0, 3)))
def test_a_coarser_class_is_the_most_frequent_one(values: np.ndarray) -> None:
    for (row, col), chosen in np.ndenumerate(halved_classes(values)):
        counts = np.bincount(values[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].ravel())
        assert counts[chosen] == counts.max()


@given(values=npst.arrays(np.uint16, 20))
def test_numbers_survive_the_way_to_reflectance_and_back(values: np.ndarray) -> None:
    np.testing.assert_array_equal(dn_from_reflectance(reflectance_from_dn(values)), values)


def test_reflectance_out_of_range_is_clipped_not_wrapped() -> None:
    extremes = np.array([-5.0, -0.05, 9.0, np.nan])
    assert dn_from_reflectance(extremes).tolist() == [1, 500, 65535, 0]
