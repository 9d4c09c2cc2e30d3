"""Each kind of source says what it holds, and refuses what it cannot know or must not open."""

import pickle
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.shutil import copy as copy_raster

from datacube import Window
from datacube.bands import SENTINEL2, band_in
from datacube.errors import InvalidInput
from datacube.scene import SCENE_ID
from datacube.sources.naming import parse_interval, scene_id_of, time_in
from datacube.sources.pixels import SceneReader
from datacube.sources.plan import Given, PlannedScene, SourcePlan
from datacube.sources.recognise import plan_source
from tests.rasters import (
    BANDS,
    OFFSETS,
    SHAPE,
    Product,
    clear_classes,
    grid,
    numbers,
    write_safe,
    write_scene,
    write_tif,
    zipped,
)

SAID = Given(scale=1e-4, offset=0.0)
WHOLE = Window(0, 0, *SHAPE)


def only(plan: SourcePlan) -> PlannedScene:
    """The one scene of a plan that refused nothing."""
    assert [refusal.reason for refusal in plan.refusals] == []
    (scene,) = plan.scenes
    return scene


def refused(plan: SourcePlan) -> tuple[str, str]:
    """Code and reason of the one refusal of a plan without scenes."""
    assert plan.scenes == ()
    (refusal,) = plan.refusals
    assert "\n" not in refusal.reason
    return refusal.code, refusal.reason


@given(
    st.sampled_from(sorted(SENTINEL2)), st.sampled_from(["{}", "S2-L2A-{}", "T32_{}_10m", "x.{}"])
)
def test_a_band_is_recognised_by_its_name(name: str, pattern: str) -> None:
    assert band_in(pattern.format(name)) == name
    assert band_in(pattern.format(name.lower())) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [("red", "B04"), ("nir", "B08"), ("B4", "B04"), ("SCL", "SCL"), ("B10", "B10"), ("B13", None),
     ("TCI", None), ("B04_B08_ratio", None), ("AB04", None), ("", None), ("B8", "B08")],
)  # fmt: skip
def test_a_text_names_one_band_or_none(text: str, name: str | None) -> None:
    assert band_in(text) == name


@pytest.mark.parametrize(
    ("name", "moment"),
    [("T33_20170216T102101_B02", datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC)),
     ("exe_2024-06-02_12-21-19", datetime(2024, 6, 2, tzinfo=UTC)),
     ("20250401_SCL", datetime(2025, 4, 1, tzinfo=UTC)),
     ("v20261399_20200229", datetime(2020, 2, 29, tzinfo=UTC)),
     ("20210229", None), ("120240620", None), ("S2_L2A_sample", None)],
)  # fmt: skip
def test_a_date_is_found_in_a_name_and_a_number_is_none(name: str, moment: datetime | None) -> None:
    assert time_in(name) == moment


def test_an_interval_includes_its_last_day_and_may_be_open() -> None:
    interval = parse_interval("2024-06-01/2024-06-03")
    assert interval.holds(datetime(2024, 6, 3, 23, 59, tzinfo=UTC))
    assert not interval.holds(datetime(2024, 6, 4, tzinfo=UTC))
    assert parse_interval("../2024-06-03").holds(datetime(1999, 1, 1, tzinfo=UTC))
    assert parse_interval("2024-06-03/..").holds(datetime(2999, 1, 1, tzinfo=UTC))
    assert parse_interval("2024-06-03").instant == datetime(2024, 6, 3, tzinfo=UTC)
    for bad in ("2024-06-03/2024-06-01", "soon", "2024-06-03/soon"):
        with pytest.raises(InvalidInput):
            parse_interval(bad)


@given(st.text(max_size=200))
def test_any_text_gives_a_valid_scene_id(text: str) -> None:
    assert SCENE_ID.fullmatch(scene_id_of(text))


def test_files_that_differ_in_the_band_they_name_are_one_scene(tmp_path: Path) -> None:
    values = numbers(1)
    for index, name in enumerate(BANDS):
        write_tif(tmp_path / f"20250401_{name}.tif", values[index : index + 1], grid())
    write_tif(tmp_path / "20250401_SCL.tif", clear_classes()[np.newaxis], grid())
    write_tif(tmp_path / "20250403_B04.tif", values[:1], grid())
    plan = plan_source(tmp_path, SAID)
    assert [one.scene.scene_id for one in plan.scenes] == ["20250401", "20250403"]
    assert set(plan.scenes[0].bands) == {*BANDS, "SCL"}
    reader = SceneReader(plan.scenes[0].bands, ("B08", "B02"), grid(), with_scl=True)
    found = reader.read(WHOLE)
    np.testing.assert_array_equal(found.dn, values[[3, 0]] + 1000)
    np.testing.assert_array_equal(found.scl, clear_classes())


def test_a_stack_and_its_companion_mask_are_one_scene(tmp_path: Path) -> None:
    write_tif(tmp_path / "20250401.tif", numbers(1), grid(), BANDS)
    write_tif(tmp_path / "20250401_SCL.tif", clear_classes()[np.newaxis], grid())
    assert set(only(plan_source(tmp_path, SAID)).bands) == {*BANDS, "SCL"}


def test_bands_are_taken_by_description_in_whichever_order(tmp_path: Path) -> None:
    values = numbers(2)
    names = ("nir", "B2", "angle", "red")
    path = write_tif(tmp_path / "20250401.tif", values, grid(), names)
    planned = only(plan_source(path, SAID))
    assert planned.reflective == ("B02", "B04", "B08")
    reader = SceneReader(planned.bands, ("B02", "B04", "B08"), grid(), with_scl=False)
    np.testing.assert_array_equal(reader.read(WHOLE).dn, values[[1, 3, 0]] + 1000)


def test_a_file_that_says_nothing_is_refused_naming_each_option(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "sample.tif", numbers(2), grid())
    names = ("B08", "B02", "B03", "B04")
    assert "--bands" in refused(plan_source(path, SAID))[1]
    assert "--bands" in refused(plan_source(path, Given(bands=names[:3])))[1]
    code, reason = refused(plan_source(path, Given(bands=names)))
    assert (code, "--offset" in reason) == ("RadiometryUnknown", True)
    code, reason = refused(plan_source(path, Given(bands=names, scale=1e-4, offset=0)))
    assert (code, "--datetime" in reason) == ("DateUnknown", True)
    given = Given(names, parse_interval("2024-06-20"), 1e-4, 0.0)
    planned = only(plan_source(path, given))
    assert planned.scene.stamp == "2024-06-20T00:00:00Z"
    reader = SceneReader(planned.bands, BANDS, grid(), with_scl=False)
    np.testing.assert_array_equal(reader.read(WHOLE).dn, numbers(2)[[1, 2, 3, 0]] + 1000)


def test_scale_and_offset_in_the_file_are_enough(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "20250401.tif", numbers(2), grid(), BANDS)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4,) * 4, (-0.1,) * 4
    planned = only(plan_source(path, Given()))
    reader = SceneReader(planned.bands, BANDS, grid(), with_scl=False)
    np.testing.assert_array_equal(reader.read(WHOLE).dn, numbers(2))


def test_dates_outside_the_interval_are_left_out(tmp_path: Path) -> None:
    for day in (3, 9, 20):
        write_scene(tmp_path, day)
    given = Given(interval=parse_interval("2024-06-04/2024-06-09"), scale=1e-4, offset=0.0)
    assert only(plan_source(tmp_path, given)).scene.stamp == "2024-06-09T10:15:59Z"


@pytest.mark.parametrize(
    "content", [b"", b"no raster at all", b"II*\x00garbage", b"\x89HDF\r\n\x1a\n" + bytes(99),
                b"<VRTDataset rasterXSize='9' rasterYSize='9'></VRTDataset>"],
)  # fmt: skip
def test_a_file_that_is_no_raster_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "20250401_B04.tif"
    path.write_bytes(content)
    assert refused(plan_source(path, SAID))[0] == "AssetUnreadable"


def test_a_vrt_renamed_tif_never_opens_what_it_names(tmp_path: Path) -> None:
    original = write_tif(tmp_path / "canary.tif", numbers(1), grid(), BANDS)
    folder = tmp_path / "given"
    folder.mkdir()
    copy_raster(original, folder / "20250401.tif", driver="VRT")
    assert refused(plan_source(folder, SAID))[0] == "AssetUnreadable"


def test_a_raster_without_a_place_is_refused(tmp_path: Path) -> None:
    turned = grid().transform @ grid().transform.rotation(3)
    local = 'LOCAL_CS["a field",UNIT["metre",1]]'
    profiles: dict[str, dict[str, Any]] = {
        "none": {"crs": None},
        "turned": {"transform": turned},
        "local": {"crs": local},
        "nowhere": {"transform": None},
    }
    for name, profile in profiles.items():
        path = write_tif(tmp_path / f"{name}_20250401.tif", numbers(1), grid(), BANDS, **profile)
        code, reason = refused(plan_source(path, SAID))
        assert code == "CrsMismatch", name
        assert name in reason


def test_eight_bits_and_complex_numbers_are_refused(tmp_path: Path) -> None:
    for dtype in ("uint8", "complex64"):
        values = (numbers(1) // 32).astype(dtype)
        path = write_tif(tmp_path / f"20250401_{dtype}.tif", values, grid(), BANDS)
        assert refused(plan_source(path, SAID))[0] == "AssetUnreadable"


def test_absurd_sizes_are_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    sparse = {"SPARSE_OK": "TRUE", "tiled": True, "compress": "deflate", "dtype": "uint16"}
    settings = {"driver": "GTiff", "crs": "EPSG:32632", "transform": grid().transform, **sparse}
    profiles: dict[str, dict[str, Any]] = {
        "wide": {
            "count": 1,
            "width": 90_000,
            "height": 100_000,
            "blockxsize": 2048,
            "blockysize": 2048,
        },
        "deep": {"count": 1000, "width": 64, "height": 64},
        "block": {"count": 1, "width": 16, "height": 16, "blockxsize": 16384, "blockysize": 16384},
    }
    for name, profile in profiles.items():
        path = tmp_path / f"20250401_B04_{name}.tif"
        with rasterio.open(path, "w", **{**settings, **profile}):
            pass
        assert path.stat().st_size < 300_000
        assert refused(plan_source(path, SAID))[0] == "AssetTooLarge", name


def test_a_band_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    write_tif(tmp_path / "20250401.tif", numbers(1), grid(), BANDS)
    write_tif(tmp_path / "20250401_B04.tif", numbers(1)[:1], grid())
    assert "twice" in refused(plan_source(tmp_path, SAID))[1]


def test_an_empty_folder_and_a_missing_path_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidInput, match="a SOURCE is"):
            plan_source(path, SAID)
    (tmp_path / "notes.txt").write_text("20250401")
    with pytest.raises(InvalidInput, match="no kind"):
        plan_source(tmp_path / "notes.txt", SAID)


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize(("offsets", "shift"), [(OFFSETS, 0), ({}, 1000)])
def test_a_level_1c_product_is_read_with_its_own_offset(
    tmp_path: Path, *, as_zip: bool, offsets: dict[int, int], shift: int
) -> None:
    values = numbers(5)
    product = Product(baseline="05.10" if offsets else "02.09", offsets=offsets)
    folder = write_safe(tmp_path, product, {"B02": (values[0], grid()), "B08": (values[3], grid())})
    planned = only(plan_source(zipped(folder) if as_zip else folder, Given()))
    assert planned.level == "L1C"
    assert planned.scene.scene_id == product.name.removesuffix(".SAFE")
    assert planned.scene.stamp == "2024-06-20T10:15:59Z"
    assert planned.scene.properties["grid:code"] == "MGRS-32TPS"
    with SceneReader(planned.bands, ("B02", "B08"), grid(), with_scl=False) as reader:
        found = reader.read(Window(10, 20, 30, 40))
    np.testing.assert_array_equal(found.dn, values[[0, 3], 10:40, 20:60] + shift)


def test_a_level_2a_product_is_read_at_the_finest_pixels_of_each_band(tmp_path: Path) -> None:
    fine, coarse = numbers(6), numbers(7, (45, 35))
    classes = clear_classes((45, 35))
    at20 = grid((45, 35), gsd_m=20)
    images = {
        "R10m/B04_10m": (fine[2], grid()),
        "R20m/B04_20m": (coarse[2], at20),
        "R20m/B11_20m": (coarse[0], at20),
        "R20m/SCL_20m": (classes, at20),
    }
    folder = write_safe(tmp_path, Product("2A", offsets=OFFSETS), images)
    planned = only(plan_source(tmp_path, Given()))
    assert folder.parent == tmp_path
    assert {name: band.grid.gsd_m for name, band in planned.bands.items()} == {
        "B04": 10, "B11": 20, "SCL": 20,
    }  # fmt: skip
    with SceneReader(planned.bands, ("B04", "B11"), grid(), with_scl=True) as reader:
        assert reader.methods == {"B04": "none", "B11": "cubic", "SCL": "nearest"}
        found = reader.read(WHOLE)
    np.testing.assert_array_equal(found.dn[0], fine[2])
    assert found.scl is not None
    np.testing.assert_array_equal(found.scl, classes.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(
    ("product", "code"),
    [
        (Product(baseline="05.10"), "AssetUnreadable"),
        (Product(baseline=None), "RadiometryUnknown"),
        (Product(level="9Z"), "AssetUnreadable"),
        (Product(prolog='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "XmlForbidden"),
        (Product(prolog='<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'), "XmlForbidden"),
        (Product(prolog="<open>"), "AssetUnreadable"),
    ],
)
def test_metadata_that_tells_too_little_or_does_harm_is_refused(
    tmp_path: Path, product: Product, code: str
) -> None:
    folder = write_safe(tmp_path, product, {"B02": (numbers(1)[0], grid())})
    assert refused(plan_source(folder, Given()))[0] == code


@pytest.mark.parametrize(
    "name", ["../../evil.jp2", "/etc/evil", "a/../../evil", "..\\evil", "C:evil"]
)
def test_a_zip_with_names_that_leave_it_is_refused(tmp_path: Path, name: str) -> None:
    folder = write_safe(tmp_path, Product(offsets=OFFSETS), {"B02": (numbers(1)[0], grid())})
    archive = zipped(folder)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"evil")
    assert refused(plan_source(archive, Given()))[0] == "ArchiveForbidden"


def test_a_zip_bomb_and_a_file_that_is_no_zip_are_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("MTD_MSIL1C.xml", bytes(10_000_000))
    assert refused(plan_source(bomb, Given()))[0] == "ArchiveForbidden"
    other = tmp_path / "other.zip"
    other.write_bytes(b"no zip")
    assert refused(plan_source(other, Given()))[0] == "AssetUnreadable"


def write_netcdf(path: Path, *, south_up: bool = False, **left_out: bool) -> np.ndarray:
    """Three dates of two bands and classes; returns the numbers (time, band, y, x)."""
    values = np.stack([numbers(seed, bands=2) for seed in (1, 2, 3)]).astype(np.int16)
    values[1, :, :7, :9] = -1
    classes = np.broadcast_to(clear_classes().astype(np.int16), (3, *SHAPE))
    y, x = grid().centres()
    times = np.array(["2024-06-01", "2024-06-11", "2024-06-21"], "datetime64[ns]")
    attributes = {"grid_mapping": "crs", "_FillValue": np.int16(-1)}
    dims = ("t", "y", "x")
    dataset = xr.Dataset(
        {
            "S2-L2A-B04": (dims, values[:, 0], attributes),
            "S2-L2A-B08": (dims, values[:, 1], attributes),
            "S2-L2A-SCL": (dims, classes, {"grid_mapping": "crs"}),
            "slope": (("y", "x"), np.zeros(SHAPE)),
            "crs": ((), 0, {} if left_out.get("crs") else {"crs_wkt": CRS(32632).to_wkt()}),
        },
        {"t": times, "y": y, "x": x},
    )
    if left_out.get("bands"):
        dataset = dataset[["slope", "crs"]]
    (dataset.isel(y=slice(None, None, -1)) if south_up else dataset).to_netcdf(path)
    return values


@pytest.mark.parametrize("south_up", [False, True])
def test_each_time_of_a_netcdf_file_is_a_scene(tmp_path: Path, *, south_up: bool) -> None:
    path = tmp_path / "stack.nc"
    values = write_netcdf(path, south_up=south_up)
    plan = plan_source(path, SAID)
    assert [one.scene.scene_id for one in plan.scenes] == [
        "stack_20240601T000000", "stack_20240611T000000", "stack_20240621T000000",
    ]  # fmt: skip
    for planned, expected in zip(plan.scenes, values, strict=True):
        assert planned.bands["B04"].grid == grid()
        with SceneReader(planned.bands, ("B04", "B08"), grid(), with_scl=True) as reader:
            found = reader.read(Window(3, 5, 40, 30))
        shown = expected[:, 3:43, 5:35]
        np.testing.assert_array_equal(found.dn, np.where(shown == -1, 0, shown + 1000))
        assert found.scl is not None
        np.testing.assert_array_equal(found.scl, clear_classes()[3:43, 5:35])


def test_a_netcdf_file_that_says_too_little_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stack.nc"
    write_netcdf(path)
    assert refused(plan_source(path, Given()))[0] == "RadiometryUnknown"
    write_netcdf(tmp_path / "a.nc", crs=True)
    assert refused(plan_source(tmp_path / "a.nc", SAID))[0] == "CrsMismatch"
    write_netcdf(tmp_path / "b.nc", bands=True)
    assert refused(plan_source(tmp_path / "b.nc", SAID))[0] == "BandMissing"
    data = path.read_bytes()
    (tmp_path / "c.nc").write_bytes(data[: len(data) // 3])
    assert refused(plan_source(tmp_path / "c.nc", SAID))[0] == "AssetUnreadable"


def test_a_level_1b_crop_keeps_its_counts_and_has_no_place(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "02.tif", numbers(4), grid(), crs=None, transform=None)
    given = Given(BANDS, parse_interval("2020-01-01"), sensor_geometry=True)
    planned = only(plan_source(path, given))
    assert (planned.level, planned.georeference) == ("L1B", "sensor")
    at = planned.bands["B02"].grid
    with SceneReader(planned.bands, BANDS, at, with_scl=False) as reader:
        np.testing.assert_array_equal(reader.read(WHOLE).dn, numbers(4) + 1000)
    placed = write_tif(tmp_path / "03.tif", numbers(4), grid())
    assert "without --sensor-geometry" in refused(plan_source(placed, given))[1]


def test_a_reader_serves_several_threads_and_another_process_and_is_closed_by_one(
    tmp_path: Path,
) -> None:
    planned = only(plan_source(write_scene(tmp_path / "in", 3), SAID))
    windows = [Window(row, col, 30, 35) for row in (0, 30, 60) for col in (0, 35)]
    with SceneReader(planned.bands, BANDS, grid(), with_scl=True) as reader:
        with ThreadPoolExecutor(3) as pool:
            parts = list(pool.map(reader.read, windows))
        copy: SceneReader = pickle.loads(pickle.dumps(reader))  # noqa: S301 (our own bytes)
    for window, part in zip(windows, parts, strict=True):
        np.testing.assert_array_equal(part.dn, numbers(3)[:, *window.slices] + 1000)
    with copy:
        np.testing.assert_array_equal(copy.read(WHOLE).dn, numbers(3) + 1000)
