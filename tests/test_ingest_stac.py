"""`srcube ingest` of a STAC API, and of a file of its items, served on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from datacube import Catalog, Window, open_storage
from datacube.errors import InvalidInput
from server.main import app
from tests.stac_server import BBOX, WEST, StacServer, served, truth

# Inside the western granule, where the time of an overpass names one item only.
INNER = WEST.cropped(Window(100, 50, 90, 120))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StacServer]:
    built = StacServer(tmp_path_factory.mktemp("cogs"))
    built.build()
    with served(built) as one:
        yield one


def run(
    root: Path, source: str, *words: str, box: tuple[float, ...] = INNER.lonlat_bounds()
) -> tuple[int, str, BaseException | None]:
    bbox = ",".join(str(edge) for edge in box)
    result = CliRunner().invoke(
        app,
        ["ingest", source, "--cube", "stac", "--data", str(root), "--json", f"--bbox={bbox}",
         "--datetime", "2024-06-01/2024-06-30", *words],
    )  # fmt: skip
    return result.exit_code, result.stdout, result.exception


def check(root: Path) -> None:
    """Three dates, whatever became of the offset on the way, show the truth."""
    cube = Catalog(open_storage(root)).open("stac")
    assert [one.scene.datetime.day for one in cube.scenes] == [1, 11, 21]
    assert cube.grid.transform.a == 10
    window = Window(0, 0, *cube.grid.shape)
    for overpass, one in enumerate(cube.scenes):
        found = cube.window_dn(one.slot, ("B02", "B03", "B04", "B08"), window)
        expected = truth(cube.grid, overpass) + 1000
        np.testing.assert_array_equal(found, expected)


def test_an_api_is_searched_and_only_what_is_needed_is_read(
    server: StacServer, tmp_path: Path
) -> None:
    code, out, failure = run(tmp_path, server.catalog.url)
    assert code == 0, failure
    summary = json.loads(out)
    assert len(summary["taken"]) == 3
    check(tmp_path)
    code, out, _ = run(tmp_path, server.catalog.url)
    assert (code, len(json.loads(out)["already_there"])) == (0, 3)


def test_granules_of_one_overpass_become_one_scene_without_a_seam(
    server: StacServer, tmp_path: Path
) -> None:
    code, out, failure = run(tmp_path, server.catalog.url, box=BBOX)
    assert code == 0, failure
    assert [len(one["srcube:source_items"]) for one in json.loads(out)["taken"]] == [2, 2, 2]
    check(tmp_path)


def test_a_file_of_items_is_read_where_its_host_is_allowed(
    server: StacServer, tmp_path: Path
) -> None:
    items = tmp_path / "items.json"
    document = json.dumps({"type": "FeatureCollection", "features": server.items})
    items.write_text(document.replace("{url}", server.url))
    code, _, failure = run(tmp_path / "out", str(items))
    assert code == 1
    assert isinstance(failure, InvalidInput)
    assert "\n" not in str(failure)
    host = server.catalog.url.split("//")[1].split("/")[0]
    code, _, failure = run(tmp_path / "out", str(items), "--allow-host", host)
    assert code == 0, failure
    check(tmp_path / "out")


def test_the_operator_may_allow_a_host_for_all_commands(
    server: StacServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = tmp_path / "items.json"
    document = json.dumps({"type": "FeatureCollection", "features": server.items})
    items.write_text(document.replace("{url}", server.url))
    monkeypatch.setenv("SRCUBE_ALLOW_HOSTS", server.url.removeprefix("http://"))
    code, _, failure = run(tmp_path / "out", str(items))
    assert code == 0, failure
    check(tmp_path / "out")


def test_a_local_asset_is_refused_unless_its_folder_is_named(
    server: StacServer, tmp_path: Path
) -> None:
    item = json.loads(json.dumps(server.items[0]))
    for asset in item["assets"].values():
        asset["href"] = "file:///etc/passwd"
    path = tmp_path / "item.json"
    path.write_text(json.dumps(item))
    for words in ((), ("--allow-files", str(tmp_path))):
        code, _, failure = run(tmp_path / "out", str(path), *words)
        assert code == 1
        assert "outside the folders" in str(failure)


def test_an_api_needs_an_area_and_a_time(server: StacServer, tmp_path: Path) -> None:
    words = ["ingest", server.catalog.url, "--cube", "stac", "--data", str(tmp_path)]
    failure = CliRunner().invoke(app, words).exception
    assert isinstance(failure, InvalidInput)
    assert "--bbox and --datetime" in str(failure)
