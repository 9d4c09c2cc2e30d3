"""Search and download against a STAC API and COGs on this machine."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import typer
from typer.testing import CliRunner

from datacube import Catalog, ScenePixels, Window, open_storage
from datacube.commands import exchange as exchange_cli
from datacube.errors import InvalidInput
from datacube.ingest.carry_out import Target, carry_out, plan_scenes
from datacube.sources.naming import Interval, parse_interval
from datacube.sources.pixels import SceneReader
from datacube.sources.plan import Given
from datacube.sources.recognise import plan_source
from datacube.sources.refusals import AssetUnreadable, CrsMismatch
from datacube.stac.assets import opened
from datacube.stac.basemap import write_basemap
from datacube.stac.catalogs import StacCatalog
from datacube.stac.download import download, plan_download
from datacube.stac.errors import HrefForbidden, Unreachable
from datacube.stac.fetch import Fetcher, Limits
from datacube.stac.hrefs import Policy
from datacube.stac.search import Query, search
from datacube.stac.sources import plan_item_file, plan_items
from tests.scenes import new_cube, pixels, scene
from tests.stac_check import check_stac
from tests.stac_server import (
    BANDS,
    BBOX,
    OVERPASSES,
    WEST,
    StacServer,
    classes,
    coarse,
    served,
    stamp,
    truth,
)

JUNE = parse_interval("2024-06-01/2024-06-30")
QUICK = Limits(idle_s=15.0, attempts=2, first_pause_s=0.01)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> StacServer:
    built = StacServer(tmp_path_factory.mktemp("cogs"))
    built.build()
    return built


@pytest.fixture
def server(files: StacServer) -> Iterator[StacServer]:
    with served(StacServer(files.folder, items=list(files.items))) as one:
        yield one


@pytest.fixture
def fetcher(server: StacServer) -> Iterator[Fetcher]:
    with Fetcher(server.catalog.policy(), QUICK) as one:
        yield one


def query(interval: Interval = JUNE, max_cloud: float | None = 1) -> Query:
    return Query(BBOX, interval, max_cloud)


def run(*words: str) -> tuple[int, str, str]:
    app = typer.Typer()
    exchange_cli.register(app)
    result = CliRunner().invoke(app, list(words))
    failure = "" if result.exception is None else str(result.exception)
    return result.exit_code, result.output, failure


def test_a_search_follows_every_page(server: StacServer, fetcher: Fetcher) -> None:
    found = search(server.catalog, query(parse_interval("2024-06-01/2024-07-31"), None), fetcher)
    assert len(found.items) == 8
    assert not found.refusals
    assert [item["properties"]["datetime"] for item in found.items] == sorted(
        item["properties"]["datetime"] for item in found.items
    )
    assert [body.get("token") for body in server.page_bodies] == [None, 2, 4, 6]


def test_cloud_is_asked_of_the_api_and_judged_again(server: StacServer, fetcher: Fetcher) -> None:
    everything = parse_interval("2024-06-01/2024-07-31")
    found = search(server.catalog, query(everything, 0.5), fetcher)
    assert {item["properties"]["eo:cloud_cover"] for item in found.items} == {0.5, 0.2}
    assert server.page_bodies[0]["query"] == {"eo:cloud_cover": {"lte": 0.5}}


def test_pages_in_a_circle_end_in_an_error(server: StacServer, fetcher: Fetcher) -> None:
    server.loops = True
    with pytest.raises(Unreachable, match="repeats"):
        search(server.catalog, query(), fetcher)
    assert len(server.log) < 5


def test_an_item_without_time_or_box_is_refused_by_name(
    server: StacServer, fetcher: Fetcher
) -> None:
    timeless = {**server.items[0], "id": "TIMELESS"}
    timeless["properties"] = {**timeless["properties"], "datetime": None}
    boxless = {key: value for key, value in server.items[1].items() if key != "bbox"}
    boxless["id"] = "BOXLESS"
    server.items += [timeless, boxless]
    found = search(server.catalog, query(), fetcher)
    assert [(one.name, one.reason.split(":")[0]) for one in found.refusals] == [
        ("TIMELESS", "/properties/datetime")
    ]
    plan = plan_items(found.items, BANDS, fetcher)
    assert [(one.name, one.reason.split(":")[0]) for one in plan.refusals] == [("BOXLESS", "/bbox")]
    assert len(plan.scenes) == 6


def test_download_reads_only_the_bytes_under_the_box(
    server: StacServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    names = (*BANDS, "SCL")
    found = search(server.catalog, query(), fetcher)
    plan = plan_download(plan_items(found.items, names, fetcher), BBOX, names, min_scenes=3)
    done = download(plan, tmp_path / "out", {"SRCUBE_CATALOG": server.url})
    assert list(done.written) == [stamp(one) for one in OVERPASSES[:3]]
    height, width = plan.grid.shape
    assert height != width
    assert plan.grid.is_snapped() == WEST.is_snapped()

    for day, sensed in enumerate(OVERPASSES[:3]):
        with rasterio.open(tmp_path / "out" / f"{stamp(sensed)}.tif") as file:
            assert file.descriptions == BANDS
            assert file.transform == plan.grid.transform
            assert set(file.scales) == {1e-4}
            assert set(file.offsets) == {-0.1}
            assert file.nodata == 0
            assert file.tags()["datetime"] == sensed.time
            assert "_W_" in file.tags()["SRCUBE_SOURCE_ITEMS"]
            assert "_E_" in file.tags()["SRCUBE_SOURCE_ITEMS"]
            # Whatever was in the files, with 1000 added or without: one encoding, to the integer.
            np.testing.assert_array_equal(file.read(), truth(plan.grid, day) + 1000)
        with rasterio.open(tmp_path / "out" / f"{stamp(sensed)}_SCL.tif") as file:
            grown = coarse(plan.grid.snapped().padded(10))
            assert file.descriptions == ("SCL",)
            assert set(np.unique(file.read(1))) <= set(np.unique(classes(grown)))
        check_stac(json.loads((tmp_path / "out" / f"{stamp(sensed)}.json").read_text()))

    read = sum(size for _, _, size in server.asked("/files"))
    whole = sum(path.stat().st_size for path in server.folder.iterdir()) * 3 // 4
    assert read < 0.25 * whole
    assert all(byte_range for _, byte_range, _ in server.asked("/files"))
    assert fetcher.traffic.requests == len(server.log)
    requests = len(server.asked("/files"))
    again = download(plan, tmp_path / "out", {"SRCUBE_CATALOG": server.url})
    assert again.unchanged == done.written
    assert len(server.asked("/files")) == requests


def test_classes_lie_where_the_ground_is(
    server: StacServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    names = ("B04", "SCL")
    found = search(server.catalog, query(parse_interval("2024-06-01")), fetcher)
    plan = plan_download(plan_items(found.items, names, fetcher), BBOX, names)
    download(plan, tmp_path, {})
    with rasterio.open(tmp_path / f"{stamp(OVERPASSES[0])}_SCL.tif") as file:
        codes = file.read(1)
    rows, cols = np.indices(codes.shape)
    x = plan.grid.transform.c + (cols + 0.5) * 10
    y = plan.grid.transform.f - (rows + 0.5) * 10
    origin = coarse(WEST).transform
    expected = classes(coarse(WEST.padded(0).cropped(Window(0, 0, 1300, 2100))))
    row, col = (origin.f - y) // 20, (x - origin.c) // 20
    np.testing.assert_array_equal(codes, expected[row.astype(int), col.astype(int)])


def test_what_was_downloaded_can_be_taken_in_again(
    server: StacServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    names = (*BANDS, "SCL")
    found = search(server.catalog, query(), fetcher)
    plan = plan_download(plan_items(found.items, names, fetcher), BBOX, names)
    download(plan, tmp_path, {})
    source = plan_source(tmp_path, Given())
    assert not source.refusals
    assert [one.scene.stamp for one in source.scenes] == [one.time for one in OVERPASSES[:3]]
    with SceneReader(source.scenes[1].bands, BANDS, plan.grid, with_scl=True) as reader:
        read = reader.read(Window(0, 0, *plan.grid.shape))
    np.testing.assert_array_equal(read.dn, truth(plan.grid, 1) + 1000)


def test_an_api_is_a_source_for_ingest(
    server: StacServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    found = search(server.catalog, query(), fetcher)
    source = plan_items(found.items, (*BANDS, "SCL"), fetcher)
    catalog = Catalog(open_storage(tmp_path))
    given = Given(bands=BANDS)
    plan = plan_scenes(catalog, source, Target("field", bbox=BBOX), given)
    summary = carry_out(plan, catalog)
    cube = catalog.open("field")
    assert [one.scene.stamp for one in cube.scenes] == [one.time for one in OVERPASSES[:3]]
    assert len(summary.taken) == 3
    for day, one in enumerate(cube.scenes):
        dn = cube.window_dn(one.slot, BANDS, Window(0, 0, *cube.grid.shape))
        np.testing.assert_array_equal(dn, truth(cube.grid, day) + 1000)


def test_a_file_of_items_is_a_source_of_local_rasters(server: StacServer) -> None:
    local = json.loads(json.dumps(server.items).replace("{url}/files/", "./"))
    path = server.folder / "items.json"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": local}))
    with Fetcher(Policy()) as fetcher:
        forbidden = plan_item_file(path, BANDS, fetcher)
        assert {one.code for one in forbidden.refusals} == {"HrefForbidden"}
        assert not forbidden.scenes
    with Fetcher(Policy().below(server.folder)) as fetcher:
        plan = plan_item_file(path, (*BANDS, "SCL"), fetcher)
        assert len(plan.scenes) == 8
        with SceneReader(plan.scenes[2].bands, BANDS, WEST, with_scl=True) as reader:
            read = reader.read(Window(70, 33, 40, 60))
    path.unlink()
    np.testing.assert_array_equal(read.dn, truth(WEST, 1)[:, 70:110, 33:93] + 1000)
    assert not server.log


def test_a_hostile_href_is_refused_and_the_rest_is_read(
    server: StacServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    hostile = ("file:///etc/passwd", "http://169.254.169.254/x.tif", "/vsicurl/http://x/a.tif",
               "https://elsewhere.example/a.tif")  # fmt: skip
    for index, href in enumerate(hostile):
        assets = {**server.items[0]["assets"]}
        assets["red"] = {**assets["red"], "href": href}
        server.items.append({**server.items[0], "id": f"HOSTILE{index}", "assets": assets})
    found = search(server.catalog, query(), fetcher)
    source = plan_items(found.items, BANDS, fetcher)
    assert sorted(one.name for one in source.refusals) == [f"HOSTILE{n}" for n in range(4)]
    assert {one.code for one in source.refusals} == {"HrefForbidden"}
    plan = plan_download(source, BBOX, BANDS)
    assert len(download(plan, tmp_path, {}).written) == 3


def test_a_file_that_lies_elsewhere_than_its_item_says_is_not_believed(
    server: StacServer, fetcher: Fetcher
) -> None:
    found = search(server.catalog, query(), fetcher)
    item = json.loads(json.dumps(found.items[0]))
    item["assets"]["red"]["proj:transform"][2] += 5
    plan = plan_items([item], ("B04",), fetcher)
    with (
        pytest.raises(CrsMismatch, match="neither"),
        SceneReader(plan.scenes[0].bands, ("B04",), WEST, with_scl=False) as reader,
    ):
        reader.read(Window(0, 0, 5, 5))


def test_what_is_no_raster_is_unreadable_whatever_its_name(
    server: StacServer, fetcher: Fetcher
) -> None:
    whole = next(server.folder.glob("*_B04.tif")).read_bytes()
    bad = {
        "text.tif": b"no raster at all" * 10,
        "vrt.tif": b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>",
        "cut.tif": whole[: len(whole) // 3],
        "head.tif": whole[:100],
        "empty.tif": b"",
    }
    for name, data in bad.items():
        (server.folder / name).write_bytes(data)
        try:
            with (
                pytest.raises((AssetUnreadable, Unreachable)),
                opened(f"{server.url}/files/{name}", fetcher) as raster,
            ):
                raster.read(Window(0, 0, *raster.header.shape))
        finally:
            (server.folder / name).unlink()


def test_a_server_that_fails_on_the_way_gives_an_error_and_no_pixels(
    server: StacServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    path = tmp_path / "moving.tif"
    path.write_bytes(next(server.folder.glob("*_B04.tif")).read_bytes())
    server.folder = tmp_path
    with opened(f"{server.url}/files/moving.tif", fetcher) as raster:
        path.unlink()
        with pytest.raises(Unreachable):
            raster.read(Window(900, 900, 100, 100))


def test_a_date_that_fails_is_listed_and_the_others_are_written(
    server: StacServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    found = search(server.catalog, query(), fetcher)
    for item in found.items:
        if "2024-06-11" in item["id"]:
            item["assets"]["red"]["href"] = f"{server.url}/files/none.tif"
    plan = plan_download(plan_items(found.items, ("B04",), fetcher), BBOX, ("B04",))
    done = download(plan, tmp_path, {})
    assert done.written == (stamp(OVERPASSES[0]), stamp(OVERPASSES[2]))
    assert [(one.name, one.code) for one in done.refusals] == [
        (stamp(OVERPASSES[1]), "Unreachable")
    ]
    assert not list(tmp_path.glob(f"*{stamp(OVERPASSES[1])}*"))
    with pytest.raises(Unreachable):
        download(replace(plan, passes=plan.passes[1:2]), tmp_path, {})


def test_a_basemap_covers_the_same_ground(fetcher: Fetcher, tmp_path: Path) -> None:
    fine = WEST.cropped(Window(300, 400, 120, 90)).refined(4)
    height, width = fine.shape
    colours = np.random.default_rng(2).integers(1, 255, (3, height, width), dtype=np.uint8)
    with rasterio.open(
        tmp_path / "aerial.tif", "w", driver="GTiff", width=width, height=height, count=3,
        dtype="uint8", crs=fine.crs, transform=fine.transform,
    ) as file:  # fmt: skip
        file.write(colours)
    grid = WEST.cropped(Window(310, 405, 50, 70))
    with Fetcher(Policy().below(tmp_path)) as local:
        source = str(tmp_path / "aerial.tif")
        target = write_basemap(source, grid, tmp_path / "out" / "basemap.tif", local)
    assert target.shape == (200, 280)
    with rasterio.open(tmp_path / "out" / "basemap.tif") as file:
        np.testing.assert_array_equal(file.read(), colours[:, 40:240, 20:300])
    with pytest.raises(HrefForbidden):
        write_basemap(str(tmp_path / "aerial.tif"), grid, tmp_path / "b.tif", fetcher)


def test_too_few_dates_are_refused_before_anything_is_read(
    server: StacServer, fetcher: Fetcher
) -> None:
    found = search(server.catalog, query(), fetcher)
    source = plan_items(found.items, BANDS, fetcher)
    with pytest.raises(InvalidInput, match=r"3 dates.*32.*--max-cloud-cover"):
        plan_download(source, BBOX, BANDS, min_scenes=32)
    assert not server.asked("/files")


def test_commands_search_and_download(server: StacServer, tmp_path: Path) -> None:
    box = ",".join(map(str, BBOX))
    days = ("--datetime", "2024-06-01/2024-07-31")
    status, text, _ = run("search", "--bbox", box, *days, "--stac", server.url, "--json")
    assert status == 0
    assert len(json.loads(text)["features"]) == 8
    status, text, _ = run("search", "--bbox", box, *days, "--stac", server.url, "--max-cloud", "10")
    assert status == 0
    assert "6 scenes" in text
    status, text, _ = run(
        "download", "--bbox", box, "--start", "2024-06-01", "--end", "2024-06-30",
        "--stac", server.url, "--min-scenes", "3", "--output-dir", str(tmp_path / "out"),
    )  # fmt: skip
    assert status == 0
    assert text.startswith("3 dates")
    assert len(list((tmp_path / "out").glob("*.tif"))) == 6


def test_commands_say_in_one_line_what_is_wrong(server: StacServer, tmp_path: Path) -> None:
    days = ("--datetime", "2024-06-01/2024-06-30")
    for box in ("nan,1,2,3", "3,1,2,4", "1,2,3", "a,b,c,d", "1,2,inf,4", "179,1,-179,2"):
        _, _, failure = run("search", "--bbox", box, *days, "--stac", server.url)
        assert failure.startswith("need a bbox")
        assert "\n" not in failure
    assert not server.log
    box = ",".join(map(str, BBOX))
    for wrong, reason in (
        (("--datetime", "2024-06-30/2024-06-01"), "earlier"),
        (("--datetime", "yesterday"), "need a time"),
        ((*days, "--max-cloud", "101"), "0 to 100"),
        ((*days, "--stac", "ftp://example.org"), "STAC API"),
        (("--datetime", "2020-06-01/2020-06-30", "--stac", server.url), "no scene"),
        ((*days, "--stac", "http://127.0.0.1:9"), "did not answer"),
        ((*days, "--stac", f"{server.url}/files/none"), "status"),
    ):
        status, _, failure = run("search", "--bbox", box, *wrong)
        assert status == 1
        assert reason in failure
        assert "\n" not in failure
    _, _, failure = run(
        "download", "--bbox", box, "--start", "2024-06-01", "--end", "2024-06-30", "--bands",
        "B04,B99", "--output-dir", str(tmp_path), "--stac", server.url,
    )  # fmt: skip
    assert "B99" in failure


def test_an_api_that_is_none_is_unreachable(server: StacServer) -> None:
    (server.folder / "page.html").write_text("<html>")
    (server.folder / "list.json").write_text("[1]")
    (server.folder / "deep.json").write_text("[" * 100_000)
    (server.folder / "none.json").write_text('{"links": [{"rel": "self"}]}')
    with Fetcher(server.catalog.policy(), QUICK) as fetcher:
        for name in ("page.html", "list.json", "deep.json", "none.json"):
            catalog = StacCatalog("x", f"{server.url}/files/{name}", "c")
            with pytest.raises(Unreachable):
                search(catalog, query(), fetcher)
            (server.folder / name).unlink()


def test_commands_make_composites_and_export_them(tmp_path: Path) -> None:
    cube = new_cube(tmp_path, (40, 31))
    for day in (3, 9):
        clear = np.full((40, 31), 4, np.uint8)
        cube = cube.append(scene(day), ScenePixels(pixels(day, (40, 31)).dn, clear))
    data = ("--data", str(tmp_path))
    status, text, failure = run("composite", "field", "--method", "geomedian", *data)
    assert (status, failure) == (0, "")
    assert "field-month-geomedian: 1 composites" in text
    out = tmp_path / "out.tif"
    status, text, failure = run("export", "field-month-geomedian", str(out), *data)
    assert (status, text.strip()) == (0, str(out))
    with rasterio.open(out) as file:
        assert "Composite" in file.tags()["TIFFTAG_IMAGEDESCRIPTION"]
    for words, reason in (
        (("composite", "none"), "none"),
        (("composite", "field", "--period", "week"), "week"),
        (("export", "field", str(out), "--product", "sr/none"), "sr/none"),
        (("export", "field", str(out), "--format", "gif"), "gif"),
        (("export", "field", str(out), "--bbox", "1,2,3"), "bbox"),
    ):
        status, _, failure = run(*words, *data)
        assert status == 1
        assert reason in failure
        assert "\n" not in failure
