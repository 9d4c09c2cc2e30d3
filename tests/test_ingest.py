"""From files to a committed cube: what goes in comes out, and what cannot go in is named."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from datacube import Catalog, Cube, Grid, ScenePixels, Window, open_storage
from datacube.commands.options import parse_bands, parse_bbox
from datacube.errors import Conflict, InvalidInput
from datacube.ingest.carry_out import IngestPlan, Progress, Summary, Target, carry_out, plan_ingest
from datacube.ingest.placing import Box
from datacube.sources.naming import parse_interval
from datacube.sources.plan import Given
from server.main import app
from tests.rasters import (
    BANDS,
    OFFSETS,
    SHAPE,
    Product,
    clear_classes,
    grid,
    moved,
    numbers,
    write_safe,
    write_scene,
    write_tif,
)

SAID = Given(scale=1e-4, offset=0.0)
TARGET = Target("field")
WHOLE = Window(0, 0, *SHAPE)


def planned(root: Path, source: Path, given: Given = SAID, target: Target = TARGET) -> IngestPlan:
    return plan_ingest(Catalog(open_storage(root)), [source], target, given)


def taken(
    root: Path, source: Path, given: Given = SAID, target: Target = TARGET
) -> tuple[Cube, Summary]:
    """Take a source into the cube `field` of a catalog at `root`."""
    catalog = Catalog(open_storage(root))
    summary = carry_out(plan_ingest(catalog, [source], target, given), catalog)
    return catalog.open(target.cube_id), summary


def dn_of(cube: Cube, scene_id: str) -> NDArray[np.uint16]:
    """All bands of one scene."""
    (slot,) = [one.slot for one in cube.scenes if one.scene.scene_id == scene_id]
    names = tuple(band.name for band in cube.bands)
    return cube.window_dn(slot, names, Window(0, 0, *cube.grid.shape))


def test_ten_metre_pixels_come_out_bit_for_bit(tmp_path: Path) -> None:
    for day in (3, 9):
        write_scene(tmp_path / "in", day)
    cube, summary = taken(tmp_path / "out", tmp_path / "in")
    assert (cube.grid, cube.generation, len(summary.taken)) == (grid(), 2, 2)
    assert [band.name for band in cube.bands] == list(BANDS)
    for day in (3, 9):
        found = dn_of(cube, f"field_202406{day:02d}T101559")
        np.testing.assert_array_equal(found, numbers(day) + 1000)
    np.testing.assert_array_equal(cube.window_scl(0, WHOLE), clear_classes())
    assert summary.pixel_bytes == 2 * 9 * math.prod(SHAPE)
    assert "srcube:resampling" not in cube.scenes[0].scene.properties


def test_what_an_ingest_says_of_a_scene_is_kept_with_it(tmp_path: Path) -> None:
    classes = clear_classes()
    classes[:45] = 9
    write_scene(tmp_path / "in", 3)
    write_scene(tmp_path / "in", 9, classes=classes)
    cube, summary = taken(tmp_path / "out", tmp_path / "in")
    clear, cloudy = (one.scene.properties for one in cube.scenes)
    assert clear["eo:cloud_cover"] == 0
    assert cloudy["eo:cloud_cover"] == 50
    assert cloudy["srcube:valid_percent"] == 100
    assert cloudy["srcube:clear_percent"] == round(100 * 42 / 90, 2)
    assert cloudy["srcube:cloudy"] is True
    assert summary.document()["taken"][0]["id"] == "field_20240603T101559"


def test_a_plan_says_what_would_happen_and_changes_nothing(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    (tmp_path / "in/20240605_B04.tif").write_bytes(b"broken")
    document = planned(tmp_path / "out", tmp_path / "in").document()
    assert not (tmp_path / "out").exists()
    assert document["shape"] == list(SHAPE)
    assert [one["id"] for one in document["scenes"]] == ["field_20240603T101559"]
    assert [one["code"] for one in document["refused"]] == ["AssetUnreadable"]
    json.dumps(document)


def test_a_scene_that_is_there_changes_nothing(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    taken(tmp_path / "out", tmp_path / "in")
    before = (tmp_path / "out/field.zarr/zarr.json").read_bytes()
    cube, summary = taken(tmp_path / "out", tmp_path / "in")
    assert (cube.generation, summary.taken) == (1, ())
    assert summary.unchanged == ("field_20240603T101559",)
    assert (tmp_path / "out/field.zarr/zarr.json").read_bytes() == before


def test_other_content_under_one_id_is_refused_unless_it_replaces(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    taken(tmp_path / "out", tmp_path / "in")
    write_scene(tmp_path / "in", 3, numbers(33))
    cube, summary = taken(tmp_path / "out", tmp_path / "in")
    assert [one.code for one in summary.refusals] == [Conflict.code]
    np.testing.assert_array_equal(dn_of(cube, "field_20240603T101559"), numbers(3) + 1000)
    cube, summary = taken(tmp_path / "out", tmp_path / "in", target=replace(TARGET, replace=True))
    assert (len(cube.scenes), len(summary.taken), cube.generation) == (1, 1, 2)
    np.testing.assert_array_equal(dn_of(cube, "field_20240603T101559"), numbers(33) + 1000)


def test_other_metadata_of_the_same_pixels_is_told_and_replaced_on_demand(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    cube, _ = taken(tmp_path / "out", tmp_path / "in")
    one = cube.scenes[0].scene
    older = {**one.properties, "eo:cloud_cover": 50.0, "note": "as it was said before"}
    window = Window(0, 0, *SHAPE)
    pixels = ScenePixels(cube.window_dn(0, BANDS, window), cube.window_scl(0, window))
    cube = cube.append(replace(one, properties=older), pixels, replace=True)
    _, summary = taken(tmp_path / "out", tmp_path / "in")
    assert summary.generation == cube.generation
    assert summary.differing == {one.scene_id: ("eo:cloud_cover", "note")}
    assert summary.document()["other_metadata"] == {one.scene_id: ["eo:cloud_cover", "note"]}
    cube, summary = taken(tmp_path / "out", tmp_path / "in", target=replace(TARGET, replace=True))
    assert (summary.restated, summary.taken) == ((one.scene_id,), ())
    assert cube.scenes[0].scene.properties == one.properties
    np.testing.assert_array_equal(dn_of(cube, one.scene_id), numbers(3) + 1000)


def test_a_damaged_file_is_refused_and_the_others_go_in(tmp_path: Path) -> None:
    for day in (3, 6, 9):
        write_scene(tmp_path / "in", day)
    short = tmp_path / "in/field_20240606T101559.tif"
    short.write_bytes(short.read_bytes()[:20_000])
    values = np.concatenate([numbers(7), clear_classes()[np.newaxis]])
    torn = tmp_path / "in/field_20240607T101559.tif"
    write_tif(torn, values, grid(), (*BANDS, "SCL"), compress="deflate")
    data = bytearray(torn.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = b"\xff" * 4000
    torn.write_bytes(data)
    cube, summary = taken(tmp_path / "out", tmp_path / "in")
    assert [one.scene.datetime.day for one in cube.scenes] == [3, 9]
    assert {refusal.name[-13:-7]: refusal.code for refusal in summary.refusals} == {
        "240606": "AssetUnreadable", "240607": "AssetUnreadable",
    }  # fmt: skip
    assert "truncated or damaged" in summary.refusals[-1].reason
    assert not list((tmp_path / "out/field.zarr/measurement").rglob("c/2/*"))


def test_an_all_cloud_scene_stays_flagged_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    write_scene(tmp_path / "in", 6, classes=np.full(SHAPE, 9, np.uint8))
    write_scene(tmp_path / "in", 9, np.zeros((4, *SHAPE), np.uint16), np.zeros(SHAPE, np.uint8))
    cube, summary = taken(tmp_path / "out", tmp_path / "in")
    assert [one.scene.datetime.day for one in cube.scenes] == [3, 6]
    cloudy = cube.scenes[1].scene.properties
    assert (cloudy["srcube:clear_percent"], cloudy["eo:cloud_cover"]) == (0, 100)
    assert "clear" in cloudy["srcube:shift_unknown"]
    assert ["no data" in one.reason for one in summary.refusals] == [True]


def test_only_cloud_is_taken_in_without_a_reference(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 6, classes=np.full(SHAPE, 9, np.uint8))
    cube, _ = taken(tmp_path / "out", tmp_path / "in")
    assert "srcube:shift_px" not in cube.scenes[0].scene.properties


def test_a_missing_band_is_refused_and_no_other_takes_its_place(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    write_tif(
        tmp_path / "in/field_20240606T101559.tif", numbers(6), grid(), ("B02", "B03", "B05", "SCL")
    )
    _, summary = taken(tmp_path / "out", tmp_path / "in", replace(SAID, bands=BANDS))
    (refusal,) = summary.refusals
    assert refusal.code == "BandMissing"
    assert "B04, B08" in refusal.reason


def test_a_scene_of_another_place_is_refused_with_both_places(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    far = replace_crs(grid(), "EPSG:32652")
    values = np.concatenate([numbers(6), clear_classes()[np.newaxis]])
    write_tif(tmp_path / "in/field_20240606T101559.tif", values, far, (*BANDS, "SCL"))
    _, summary = taken(tmp_path / "out", tmp_path / "in")
    (refusal,) = summary.refusals
    assert refusal.code == "CrsMismatch"
    assert "check its CRS" in refusal.reason


def test_a_box_cuts_the_cube_on_the_products_own_pixels(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    inner = Window(20, 30, 25, 15)
    west, south, east, north = grid().cropped(inner).lonlat_bounds()
    box: Box = (west + 1e-5, south + 1e-5, east - 1e-5, north - 1e-5)
    target = replace(TARGET, bbox=box)
    cube, _ = taken(tmp_path / "out", tmp_path / "in", target=target)
    origin = cube.grid.transform
    row, col = (
        round((grid().transform.f - origin.f) / 10),
        round((origin.c - grid().transform.c) / 10),
    )
    assert cube.grid == grid().cropped(Window(row, col, *cube.grid.shape))
    assert abs(row - 20) <= 1
    assert abs(col - 30) <= 1
    shown = Window(row, col, *cube.grid.shape).slices
    found = dn_of(cube, "field_20240603T101559")
    np.testing.assert_array_equal(found, numbers(3)[:, *shown] + 1000)
    again, summary = taken(tmp_path / "out", tmp_path / "in", target=target)
    assert (again.generation, len(summary.unchanged)) == (1, 1)
    part: Box = (box[0], box[1], (box[0] + box[2]) / 2, box[3])
    with pytest.raises(InvalidInput, match="another --cube"):
        planned(tmp_path / "out", tmp_path / "in", target=replace(TARGET, bbox=part))
    with pytest.raises(InvalidInput, match="does not touch"):
        planned(tmp_path / "out", tmp_path / "in", target=Target("b", bbox=(50, 10, 51, 11)))


@pytest.mark.parametrize(
    "text", ["nan,45,10,46", "11,45,10,46", "10,46,11,45", "10,45,11", "a,b,c,d", "10,45,inf,46",
             "170,-10,-170,10", "0,45,200,46", "10,45,10,46"],
)  # fmt: skip
def test_a_box_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--bbox"):
        parse_bbox(text)


def test_band_names_are_checked() -> None:
    assert parse_bands("B04, B8A,-,SCL") == ("B04", "B8A", "-", "SCL")
    for bad in ("B4", "B04,B04", "red", ""):
        with pytest.raises(InvalidInput):
            parse_bands(bad)


def test_coarser_bands_are_resampled_only_if_asked_for_and_this_is_recorded(
    tmp_path: Path,
) -> None:
    at20 = grid((45, 35), gsd_m=20)
    images = {
        "R10m/B04_10m": (numbers(3)[2], grid()),
        "R20m/B11_20m": (numbers(4, (45, 35))[0], at20),
        "R20m/SCL_20m": (clear_classes((45, 35)), at20),
    }
    write_safe(tmp_path / "in", Product("2A", offsets=OFFSETS), images)
    cube, _ = taken(tmp_path / "out", tmp_path / "in", Given())
    assert [band.name for band in cube.bands] == ["B04"]
    assert cube.scenes[0].scene.properties["srcube:resampling"] == {"SCL": "nearest"}
    both, _ = taken(tmp_path / "out", tmp_path / "in", Given(bands=("B11", "B04")), Target("both"))
    assert [band.name for band in both.bands] == ["B04", "B11"]
    recorded = both.scenes[0].scene.properties["srcube:resampling"]
    assert recorded == {"B11": "cubic", "SCL": "nearest"}
    coarse, _ = taken(tmp_path / "out", tmp_path / "in", Given(), Target("coarse", gsd_m=20))
    mean = numbers(3)[2].reshape(45, 2, 35, 2).mean(axis=(1, 3))
    found = dn_of(coarse, coarse.scenes[0].scene.scene_id)[0]
    assert coarse.grid.shape == (45, 35)
    assert np.abs(found - mean).max() <= 0.5 + 1e-6


def test_levels_and_cubes_of_another_kind_do_not_mix(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    taken(tmp_path / "out", tmp_path / "in")
    images = {name: (numbers(3)[0], grid()) for name in BANDS}
    write_safe(tmp_path / "l1c", Product(offsets=OFFSETS), images)
    with pytest.raises(InvalidInput, match="level L1C"):
        planned(tmp_path / "out", tmp_path / "l1c", Given())
    write_tif(tmp_path / "bare_20240607.tif", numbers(7), grid(), BANDS)
    with pytest.raises(InvalidInput, match="no SCL"):
        planned(tmp_path / "out", tmp_path / "bare_20240607.tif")
    with pytest.raises(InvalidInput, match="--resolution"):
        planned(tmp_path / "out", tmp_path / "in", target=replace(TARGET, gsd_m=20))


def test_scenes_of_partly_different_places_make_a_cube_that_holds_both(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    values = np.concatenate([numbers(6), clear_classes()[np.newaxis]])
    beside = moved(grid(), x=300, y=-200)
    write_tif(tmp_path / "in/field_20240606T101559.tif", values, beside, (*BANDS, "SCL"))
    cube, _ = taken(tmp_path / "out", tmp_path / "in")
    assert cube.grid == grid((110, 100))
    found = dn_of(cube, "field_20240606T101559")
    np.testing.assert_array_equal(found[:, 20:, 30:], numbers(6) + 1000)
    assert not found[:, :20].any()
    assert not found[:, :, :30].any()


def test_of_two_files_of_one_time_and_place_the_second_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("smac", "icor"):
        write_tif(folder / f"{name}_20240620.tif", numbers(4), grid(), BANDS)
    cube, summary = taken(tmp_path / "out", folder)
    (refusal,) = summary.refusals
    assert {refusal.name, cube.scenes[0].scene.scene_id} == {"smac_20240620", "icor_20240620"}
    assert cube.scenes[0].scene.scene_id in refusal.reason


def test_granules_side_by_side_are_one_scene_and_the_newer_processing_wins(tmp_path: Path) -> None:
    west, east = grid(), moved(grid(), x=600)
    values = {"west": numbers(4), "east": numbers(5)}
    images = {"B04": (values["west"][2], west)}
    old = Product(baseline="02.09", offsets={})
    write_safe(tmp_path / "old", replace(old, tile="32TPS"), {"B04": (numbers(9)[2], west)})
    write_safe(tmp_path / "west", Product(offsets=OFFSETS), images)
    write_safe(
        tmp_path / "east", Product(offsets=OFFSETS, tile="32TQS"),
        {"B04": (values["east"][2], east)},
    )  # fmt: skip
    catalog = Catalog(open_storage(tmp_path / "out"))
    sources = [tmp_path / name for name in ("east", "old", "west")]
    summary = carry_out(plan_ingest(catalog, sources, TARGET, Given()), catalog)
    cube = catalog.open("field")
    (scene,) = cube.scenes
    assert len(scene.scene.properties["srcube:source_items"]) == 2
    (refusal,) = summary.refusals
    assert refusal.name.endswith("T32TPS_02.09")
    assert cube.grid == grid((90, 130))
    found = dn_of(cube, scene.scene.scene_id)[0]
    np.testing.assert_array_equal(found[:, :60], values["west"][2][:, :60])
    np.testing.assert_array_equal(found[:, 70:], values["east"][2][:, 10:])
    one_of_them = {values["west"][2][0, 65], values["east"][2][0, 5]}
    assert found[0, 65] in one_of_them


def test_crops_in_sensor_geometry_are_one_to_a_cube(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("00", "01"):
        write_tif(folder / f"{name}.tif", numbers(4), grid(), crs=None, transform=None)
    given = Given(BANDS, parse_interval("2020-01-01"), sensor_geometry=True)
    with pytest.raises(InvalidInput, match="its own --cube"):
        planned(tmp_path / "out", folder, given)
    cube, _ = taken(tmp_path / "out", folder / "00.tif", given)
    assert cube.attributes["georeference"] == "sensor"
    assert "not registered" in cube.attributes["notice"]
    assert "srcube:shift_px" not in cube.scenes[0].scene.properties
    np.testing.assert_array_equal(dn_of(cube, "00"), numbers(4) + 1000)


def test_progress_is_told_in_bytes_and_reaches_its_total(tmp_path: Path) -> None:
    for day in (3, 9):
        write_scene(tmp_path / "in", day)
    catalog = Catalog(open_storage(tmp_path / "out"))
    seen: list[tuple[int, int]] = []

    def report(progress: Progress) -> None:
        seen.append((progress.done, progress.total))

    carry_out(planned(tmp_path / "out", tmp_path / "in"), catalog, report)
    assert seen[-1][0] == seen[-1][1] > 0
    assert seen == sorted(seen)


def test_the_command_takes_in_says_so_and_fails_with_one_line(tmp_path: Path) -> None:
    write_scene(tmp_path / "in", 3)
    options = ["--cube", "field", "--data", str(tmp_path / "out"), "--json"]
    said = ["--scale", "0.0001", "--offset", "0"]
    run = CliRunner().invoke(app, ["ingest", str(tmp_path / "in"), *options, *said])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["taken"][0]["id"] == "field_20240603T101559"
    shown = CliRunner().invoke(app, ["info", "field", "--data", str(tmp_path / "out"), "--json"])
    facts = json.loads(shown.stdout)
    assert facts["bytes"]["total"] == sum(
        path.stat().st_size for path in (tmp_path / "out/field.zarr").rglob("*") if path.is_file()
    )
    assert facts["chunks"]["measurement/r10m/reflectance"] == [1, 1, 512, 512]
    assert facts["scenes"][0]["shift_px"] == {"y": 0.0, "x": 0.0}
    failed = CliRunner().invoke(app, ["ingest", str(tmp_path / "in"), *options])
    assert isinstance(failed.exception, InvalidInput)
    assert "--scale" in str(failed.exception)
    assert "\n" not in str(failed.exception)


def replace_crs(at: Grid, crs: str) -> Grid:
    return Grid(crs, at.transform, at.shape)
