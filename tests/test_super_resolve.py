"""Whole scenes: the model's own pixels wherever they are cut, whatever comes in, after a kill."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from datacube import Catalog, ScenePixels, Window, open_storage
from datacube.errors import Conflict, InvalidInput, NotFound
from datacube.scene import dn_from_reflectance, reflectance_from_dn
from datacube.sources.naming import parse_interval
from datacube.sources.plan import Given
from datacube.store.layout import PlaneSpec
from sr_engine.blocks import predict_window
from sr_engine.gaps import filled
from sr_engine.model import Model, PatchModel, Reflectance
from sr_engine.registry import choose_model, find_model, find_patch_model
from sr_engine.scenes import blocks as scene_blocks
from sr_engine.scenes import companions
from sr_engine.scenes.cli import _date
from sr_engine.scenes.companions import MadeBlock
from sr_engine.scenes.partial import open_partial
from sr_engine.scenes.peak import full_scene_peak_mb
from sr_engine.scenes.run import recipe_key, super_resolve
from sr_engine.scenes.source import CubeScene, open_file
from tests.rasters import BANDS, grid, numbers, write_tif
from tests.scenes import new_cube, pixels, scene
from tests.test_cli import SRCUBE, srcube

STATED = Given(scale=1e-4, offset=0.0)


def run(source: Path, out: Path, model: str = "wiener-x2", **options: Any) -> list[Path]:
    known = options.pop("known", STATED)
    with open_file(source, known) as opened:
        return super_resolve(opened, find_model(model), out, **options)


def read(path: Path) -> NDArray[np.uint16]:
    with rasterio.open(path) as file:
        found: NDArray[np.uint16] = file.read()
    return found


def whole(model: PatchModel, image: Reflectance) -> NDArray[np.uint16]:
    """The oracle: the model over everything at once, as cubes have it."""
    halo = model.card.halo_px
    rim = ((0, 0), (2 * halo, 2 * halo), (2 * halo, 2 * halo))
    padded = np.pad(image, rim, constant_values=np.nan)
    seen = filled(padded, halo)[:, halo:-halo, halo:-halo]
    fine = model.predict(seen, BANDS).reflectance
    missing = np.isnan(image).repeat(model.card.factor, 1).repeat(model.card.factor, 2)
    return dn_from_reflectance(np.where(missing, np.nan, fine))


def reflectance(counts: NDArray[np.uint16]) -> Reflectance:
    return np.where(counts == 0, np.nan, counts * np.float32(1e-4)).astype(np.float32)


def test_a_file_comes_out_as_a_cog_that_says_what_it_is(tmp_path: Path) -> None:
    counts = numbers(3)
    counts[:, 20:26, 31:35] = 0
    source = write_tif(tmp_path / "in.tif", counts, grid(), BANDS)
    (out,) = run(source, tmp_path / "new" / "out.tif")
    np.testing.assert_array_equal(
        read(out), whole(find_patch_model("wiener-x2"), reflectance(counts))
    )
    with rasterio.open(out) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.crs == "EPSG:32632"
        assert file.transform == grid().refined(2).transform
        assert file.descriptions == BANDS
        assert set(file.scales) == {1e-4}
        assert set(file.offsets) == {-0.1}
        assert file.nodata == 0
        facts = json.loads(file.tags()["SRCUBE_PROVENANCE"])
    assert facts["model_card"] == find_model("wiener-x2").card.document()
    assert facts["source"]["file"] == "in.tif"
    assert facts["inferred"] is True
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.tif"]


def test_blocks_of_a_scene_join_without_a_seam(tmp_path: Path) -> None:
    counts = numbers(5, (300, 530))
    counts[:, 250:262, 255:259] = 0  # a gap across the corner of four blocks
    source = write_tif(tmp_path / "in.tif", counts, grid((300, 530)), BANDS)
    seen: list[tuple[int, int]] = []
    (out,) = run(source, tmp_path / "out.tif", "wiener-x4", report=lambda *told: seen.append(told))
    assert seen[-1] == (6, 6)
    ours, theirs = read(out), whole(find_patch_model("wiener-x4"), reflectance(counts))
    np.testing.assert_array_equal(ours == 0, theirs == 0)
    # the same float operations in arrays of other sizes: at most the last digit is another
    assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert (ours != theirs).mean() < 1e-3


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    model=st.sampled_from(["wiener-x2", "bicubic-x4"]),
)
def test_any_size_from_one_pixel_up_is_taken(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, model: str
) -> None:
    folder = tmp_path_factory.mktemp("small")
    counts = numbers(height * 16 + width, (9, 11))[:, :height, :width].copy()
    source = write_tif(folder / "in.tif", counts, grid((height, width)), BANDS)
    (out,) = run(source, folder / "out.tif", model)
    np.testing.assert_array_equal(read(out), whole(find_patch_model(model), reflectance(counts)))


def test_pixels_without_a_place_stay_without_one(tmp_path: Path) -> None:
    counts = numbers(3)
    source = write_tif(tmp_path / "in.tif", counts, grid(), BANDS, crs=None, transform=None)
    (out,) = run(source, tmp_path / "out.tif")
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        file = rasterio.open(out)
    with file:
        assert file.crs is None
        assert file.transform.is_identity
        assert file.shape == (180, 140)


def test_real_numbers_are_reflectance_and_extremes_never_wrap(tmp_path: Path) -> None:
    image = (numbers(7, (40, 33)) * 1e-4).astype(np.float32)
    image[0, 5, 5], image[1, 9, 9], image[2, 3, 4], image[3, 8, 8] = -0.9, 70.0, np.nan, np.inf
    source = write_tif(tmp_path / "in.tif", image, grid((40, 33)), BANDS, nodata=None)
    (out,) = run(source, tmp_path / "out.tif", "bicubic-x2", known=Given())
    fine = read(out)
    image[3, 8, 8] = np.nan
    np.testing.assert_array_equal(fine, whole(find_patch_model("bicubic-x2"), image))
    assert fine[0, 10:12, 10:12].max() == 1  # below what can be stored: the lowest number
    assert fine[1, 18:20, 18:20].min() == 65535
    assert (fine[2, 6:8, 8:10] == 0).all()
    assert (fine[3, 16:18, 16:18] == 0).all()


@pytest.mark.parametrize(
    ("values", "names", "known", "model", "text"),
    [
        (numbers(1), BANDS, Given(), "wiener-x2", "--scale 0.0001"),
        (numbers(1), BANDS, Given(scale=1e-4), "wiener-x2", "--offset"),
        (numbers(1), BANDS, Given(scale=1.0, offset=0.0), "wiener-x2", "above 2"),
        (numbers(1).astype(np.float32), BANDS, Given(), "wiener-x2", "above 2"),
        (numbers(1), None, STATED, "wiener-x2", "--bands"),
        (numbers(1), ("B05", "B06", "B07", "B11"), STATED, "wiener-x2", "B05, B06, B07, B11"),
        (numbers(1), BANDS, Given(("B12",), None, 1e-4, 0.0), "wiener-x2", "no B12"),
        (numbers(1), BANDS, STATED, "fusion-x2", "several dates"),
        (numbers(1).astype(np.uint8), BANDS, STATED, "wiener-x2", "8-bit"),
    ],
)
def test_what_a_model_was_not_made_for_is_refused_before_anything_is_written(
    tmp_path: Path, values: NDArray[Any], names: Any, known: Given, model: str, text: str
) -> None:
    source = write_tif(tmp_path / "in.tif", values, grid(), names)
    with pytest.raises(InvalidInput, match=text):
        run(source, tmp_path / "out.tif", model, known=known)
    assert not (tmp_path / "out.tif").exists()


def test_bands_can_be_chosen_and_others_are_left_out(tmp_path: Path) -> None:
    names = ("B08", "B11", "B03", "SCL")
    source = write_tif(tmp_path / "in.tif", numbers(2), grid(), names)
    (out,) = run(source, tmp_path / "all.tif", "bicubic-x2")
    with rasterio.open(out) as file:
        assert file.descriptions == ("B08", "B03")
    known = Given(("B03",), None, 1e-4, 0.0)
    (one,) = run(source, tmp_path / "one.tif", "bicubic-x2", known=known)
    np.testing.assert_array_equal(read(one)[0], read(out)[1])


class Stopped(Exception):
    pass


def stop_after(blocks: int) -> Any:
    def report(done: int, _total: int) -> None:
        if done == blocks:
            raise Stopped

    return report


def made_blocks(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.block")}


def test_an_interrupted_run_goes_on_with_what_is_done(tmp_path: Path) -> None:
    source = write_tif(tmp_path / "in.tif", numbers(4, (300, 530)), grid((300, 530)), BANDS)
    (undisturbed,) = run(source, tmp_path / "whole.tif", "bicubic-x4")
    out, folder = tmp_path / "out.tif", tmp_path / ".out.tif.partial"
    with pytest.raises(Stopped):
        run(source, out, "bicubic-x4", report=stop_after(4))
    kept = made_blocks(folder)
    assert len(kept) == 4
    assert not out.exists()
    (folder / "0-256.block").write_bytes(b"damaged in the meantime")
    with pytest.raises(Stopped):
        run(source, out, "bicubic-x4", report=stop_after(6))
    later = made_blocks(folder)
    assert {name: later[name] for name in kept if name != "0-256.block"} == {
        name: kept[name] for name in kept if name != "0-256.block"
    }
    run(source, out, "bicubic-x4")
    np.testing.assert_array_equal(read(out), read(undisturbed))
    assert not folder.exists()


def test_another_input_or_model_starts_anew(tmp_path: Path) -> None:
    first = write_tif(tmp_path / "in.tif", numbers(4, (300, 270)), grid((300, 270)), BANDS)
    out, folder = tmp_path / "out.tif", tmp_path / ".out.tif.partial"
    with pytest.raises(Stopped):
        run(first, out, "wiener-x4", report=stop_after(3))
    assert len(made_blocks(folder)) == 3
    with pytest.raises(Stopped):
        run(first, out, "bicubic-x4", report=stop_after(1))
    assert len(made_blocks(folder)) == 1
    changed = numbers(4, (300, 270))
    changed[2, 299, 269] += 1
    write_tif(first, changed, grid((300, 270)), BANDS)
    with pytest.raises(Stopped):
        run(first, out, "bicubic-x4", report=stop_after(0))
    assert not made_blocks(folder)
    with open_file(first, STATED) as opened:
        bands = scene_blocks.bands_for(opened, find_model("bicubic-x4"))
        none = companions.Extras()
        keys = {
            recipe_key(scene_blocks.Recipe(opened, find_model(name), bands[:count], none))
            for name in ("bicubic-x4", "bicubic-x2")
            for count in (3, 4)
        }
    assert len(keys) == 4


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    source = write_tif(tmp_path / "in.tif", numbers(4), grid(), BANDS)
    out = tmp_path / "out.tif"
    with (
        open_partial(out, "another's", layers=4, factor=2),
        pytest.raises(Conflict, match="another process"),
    ):
        run(source, out)


def test_a_killed_process_leaves_nothing_half_done_and_the_next_one_finishes(
    tmp_path: Path,
) -> None:
    shape = (520, 600)
    source = write_tif(tmp_path / "in.tif", numbers(9, shape), grid(shape), BANDS)
    out, folder = tmp_path / "out.tif", tmp_path / ".out.tif.partial"
    command = [str(SRCUBE), "super-resolve", str(source), str(out), "--model", "wiener-x4",
               "--scale", "0.0001", "--offset", "0"]  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if "SRCUBE_" not in key}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(made_blocks(folder)) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    assert not out.exists()
    kept = made_blocks(folder)
    assert 2 <= len(kept) <= 9
    seen: list[dict[str, int]] = []
    run(source, out, "wiener-x4", report=lambda *_told: seen.append(made_blocks(folder)))
    assert {name: seen[-1][name] for name in kept} == kept
    (undisturbed,) = run(source, tmp_path / "whole.tif", "wiener-x4")
    np.testing.assert_array_equal(read(out), read(undisturbed))


@pytest.mark.parametrize("model", ["wiener-x2", "fusion-x2"])
def test_a_date_of_a_cube_comes_out_as_its_layer_would(tmp_path: Path, model: str) -> None:
    cube = new_cube(tmp_path, (61, 47))
    for day in (3, 8):
        shot = ScenePixels(numbers(day, (61, 47)), np.full((61, 47), 4, np.uint8))
        cube = cube.append(scene(day), shot)
    shown = cube.scenes[1]
    paths = super_resolve(
        CubeScene(cube, shown), find_model(model), tmp_path / "out.tif",
        extras=tuple(plane.name for plane in find_model(model).planes),
    )  # fmt: skip
    made = predict_window(cube, find_model(model), shown.slot, Window(0, 0, 61, 47))
    np.testing.assert_array_equal(read(paths[0]), dn_from_reflectance(made.reflectance))
    for path, plane in zip(paths[1:], find_model(model).planes, strict=True):
        assert path.name == f"out_{plane.name}.tif"
        np.testing.assert_array_equal(read(path)[0], plane.encode(made.planes[plane.name]))
        with rasterio.open(path) as file:
            assert file.scales == (plane.scale_factor,)
            assert file.tags()["datetime"] == "2024-01-08T10:30:00Z"


def test_of_a_cube_with_several_dates_one_has_to_be_chosen(tmp_path: Path) -> None:
    cube = new_cube(tmp_path)
    for day in (3, 8):
        cube = cube.append(scene(day), pixels(day))
    with pytest.raises(InvalidInput, match="2 dates"):
        _date(cube, None)
    with pytest.raises(NotFound, match="2024-01-03"):
        _date(cube, parse_interval("2024-01-04"))
    assert _date(cube, parse_interval("2024-01-08")).scene.scene_id == "S2X_08"


class Contrast:
    """A companion: fine pixel minus the mean of measured ones around it, of the first band."""

    halo_px = 3
    needs = ("influence",)
    planes = (PlaneSpec("contrast", "difference to the surroundings", "1", 1e-4),)

    def tell(self, block: MadeBlock) -> Mapping[str, Reflectance]:
        size = 2 * self.halo_px + 1
        first = np.nan_to_num(block.measured[0])
        around = np.lib.stride_tricks.sliding_window_view(first, (size, size)).mean(axis=(2, 3))
        around = around.repeat(block.factor, axis=0).repeat(block.factor, axis=1)
        rim = self.halo_px * block.factor
        fine = block.prediction.reflectance[0, rim:-rim, rim:-rim]
        told = np.abs(fine - around) + block.prediction.planes["influence"][rim:-rim, rim:-rim]
        return {"contrast": told.astype(np.float32)}


def make_contrast(_model: Model) -> Contrast:
    return Contrast()


def test_a_companion_tells_the_same_however_the_scene_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "tests.test_super_resolve:make_contrast"
    monkeypatch.setitem(companions.COMPANIONS, "contrast", place)
    source = write_tif(tmp_path / "in.tif", numbers(6, (200, 261)), grid((200, 261)), BANDS)
    image, told = run(source, tmp_path / "cut.tif", "bicubic-x4", extras=("contrast",))
    assert told.name == "cut_contrast.tif"
    monkeypatch.setattr(scene_blocks, "STRIP_PX", 4096)
    with open_file(source, STATED) as opened:
        model = find_model("bicubic-x4")
        extras = companions.find_extras(("contrast",), model)
        recipe = scene_blocks.Recipe(opened, model, BANDS, extras)
        (window,) = recipe.windows()
        at_once = recipe.make(window)
    cut = np.concatenate([read(image), read(told)]).astype(int)
    assert np.abs(cut - at_once).max() <= 1  # the last digit of float32
    assert cut[4].std() > 1


def test_what_cannot_be_told_yet_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(companions.COMPANIONS, "later", "sr_engine.not_written:make")
    source = write_tif(tmp_path / "in.tif", numbers(6), grid(), BANDS)
    with pytest.raises(InvalidInput, match="later is not there yet"):
        run(source, tmp_path / "out.tif", extras=("later",))
    with pytest.raises(InvalidInput, match="influence"):
        run(source, tmp_path / "out.tif", extras=("beauty",))


def test_command_writes_what_it_names_and_fails_in_one_line(tmp_path: Path) -> None:
    counts = numbers(3)
    source = write_tif(tmp_path / "in.tif", counts, grid(), BANDS)
    out = tmp_path / "out.tif"
    told = ("--scale", "0.0001", "--offset", "0")
    default = find_patch_model(choose_model("default", 2).card.id)
    plane = default.planes[0].name
    answer = srcube("super-resolve", str(source), str(out), *told, "--factor", "2", "--with", plane)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [str(out), str(tmp_path / f"out_{plane}.tif")]
    assert not answer.stderr
    np.testing.assert_array_equal(read(out), whole(default, reflectance(counts)))
    failing: list[tuple[str, ...]] = [
        ("super-resolve", str(source), str(out), *told, "--with", "beauty"),
        ("super-resolve", str(source), str(source), *told),
        ("super-resolve", str(source), str(out), *told, "--factor", "3"),
        ("super-resolve", str(source), str(out), "--datetime", "2024-01-01"),
        ("super-resolve", "nowhere", str(out), "--data", str(tmp_path)),
        ("super-resolve", str(source), str(tmp_path / "out.png"), *told),
    ]
    answer = srcube(*failing[0])
    assert answer.returncode == 2
    assert answer.stderr.startswith("srcube: ")
    assert answer.stderr.count("\n") == 1
    for arguments in failing[1:]:
        with pytest.raises((InvalidInput, NotFound)):
            _run_command(*arguments)


def _run_command(*arguments: str) -> None:
    import server.main  # noqa: PLC0415

    server.main.app(list(arguments), standalone_mode=False)


def test_a_cube_is_named_by_its_id_or_its_folder(tmp_path: Path) -> None:
    new_cube(tmp_path, (40, 30)).append(
        scene(4), ScenePixels(numbers(4, (40, 30)), np.full((40, 30), 4, np.uint8))
    )
    for name, more in (("field", ["--data", str(tmp_path)]), (str(tmp_path / "field.zarr"), [])):
        out = tmp_path / "out.tif"
        _run_command("super-resolve", name, str(out), "--model", "bicubic", "--factor", "2", *more)
        cube = Catalog(open_storage(tmp_path)).open("field")
        dn = cube.window_dn(0, BANDS, Window(0, 0, 40, 30))
        expected = whole(find_patch_model("bicubic-x2"), reflectance_from_dn(dn))
        np.testing.assert_array_equal(read(out), expected)
        out.unlink()


def test_memory_of_a_scene_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    found = full_scene_peak_mb(300, model="bicubic", folder=tmp_path)
    assert 100 < found < 1500
    assert not list(tmp_path.iterdir())


@pytest.mark.long
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_scene(tmp_path: Path) -> None:
    small, large = (
        full_scene_peak_mb(size, model="bicubic", folder=tmp_path) for size in (2000, 4000)
    )
    assert large < 1.1 * small + 64


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_whole_tile_takes_less_than_four_gigabytes(tmp_path: Path) -> None:
    assert full_scene_peak_mb(folder=tmp_path) < 4000
