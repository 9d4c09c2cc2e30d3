"""Which test holds which item of the list of hardening, and the tests of those without another.

The items are numbered as in the list; its last, the reverse proxy, is a document. What a server
process is like is asked of `srcube serve` itself, up to the moment in which it would serve.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from datacube.settings import Settings
from server.app import LEAST_THREADS
from server.gdal import OPTIONS, SKIPPED
from server.protocol import BODY_IDLE_S, HEAD_S, LONGEST_HEAD
from tests.test_overlays import TileServer
from tests.test_safety_rows import assert_exists

ROOT = Path(__file__).parents[1]
TABLE = "test_safety_table::test_a_bad_request_is_answered_as_the_table_says"

HARDENING: dict[int, tuple[str, tuple[str, ...]]] = {
    1: ("no addresses of visitors", (f"{TABLE}[12-url]", f"{TABLE}[11-cube-dots]",
        "test_safety::test_ids_that_are_none_touch_no_file",
        "test_webapp_hostile::test_ids_of_scenes_are_names_or_refused")),
    2: ("addresses in STAC items", ("test_fetch::test_a_hostile_address_is_refused_and_no_packet_is_sent",
        "test_fetch::test_the_connection_goes_to_the_very_address_that_was_judged",
        "test_fetch::test_redirects_are_followed_three_times",
        "test_fetch::test_a_redirect_to_a_hostile_address_is_refused",
        "test_fetch::test_a_body_larger_than_allowed_is_not_taken",
        "test_fetch::test_a_body_without_an_end_is_cut_off",
        "test_fetch::test_local_files_are_read_below_the_given_folders_only")),
    3: ("GDAL pinned", ("test_safety_hardening::test_no_driver_that_follows_a_file_elsewhere_is_there",
        "test_safety_hardening::test_every_option_of_gdal_is_set",
        "test_safety_hardening::test_gdal_opens_neither_what_a_file_names_nor_an_address")),
    4: ("closed parameters of tiles", (f"{TABLE}[8-buffer-1e9]", f"{TABLE}[12-algorithm_params]",
        f"{TABLE}[12-expression-power]", f"{TABLE}[12-colormap-json]", f"{TABLE}[7-export]",
        "test_tile_styles::test_nothing_but_the_grammar_is_accepted")),
    5: ("admission", ("test_safety_admission::test_so_many_draw_at_once_so_many_wait_and_the_rest_is_sent_away",
        "test_safety_admission::test_a_hundred_equal_requests_are_one_drawing",
        "test_safety_admission::test_a_deadline_ends_the_waiting_of_the_client_but_not_the_place_of_the_thread",
        "test_safety_layers::test_a_client_beyond_its_rate_is_told_when_to_come_back",
        "test_safety_table::test_no_answer_keeps_others_waiting_and_none_takes_memory")),
    6: ("threads and connections", ("test_safety_hardening::test_threads_are_counted",
        "test_safety_hardening::test_connections_heads_and_bodies_are_bounded",
        "test_safety_hardening::test_rio_tiler_reads_nothing_for_us",
        "test_jobs_faults::test_memory_beyond_the_limit_fails_the_job_by_name")),
    7: ("errors", (f"{TABLE}[10-cube]", "test_observability::test_a_log_line_is_one_object_whatever_it_holds",
        "test_safety::test_every_answer_has_security_headers_and_an_id")),
    8: ("caching", ("test_tiles::test_etag_304_and_version",
        "test_tiles::test_a_new_scene_is_seen_at_once_and_old_urls_are_not_stale",
        "test_observability::test_numbers_count_tiles_requests_and_what_is_kept")),
    9: ("hosts, origins and pages", ("test_safety::test_a_strange_host_is_not_answered",
        "test_safety::test_pages_of_other_origins_may_not_read_or_compute",
        "test_safety::test_an_origin_that_was_named_may_read_and_no_more",
        "test_safety::test_pages_elsewhere_open_no_websocket",
        "test_safety_layers::test_the_page_may_run_its_scripts_and_nothing_else_may",
        "test_safety_pages::test_a_flood_of_websockets_stops_nobody_else",
        "test_webapp_hostile::test_every_tool_shows_hostile_words_as_words")),
    10: ("weights", ("test_models_cli::test_a_pickle_that_would_run_code_is_rejected_and_never_run",
        "test_models_cli::test_hostile_weights_are_rejected_and_nothing_is_kept",
        "test_models_cli::test_weights_that_are_missing_too_large_or_another_file_are_rejected",
        "test_security_floors::test_no_pickle_is_read_and_no_text_is_run")),
    11: ("dask", ("test_jobs_cluster::test_an_open_scheduler_elsewhere_is_refused",
         "test_jobs_cluster::test_a_scheduler_nearby_or_behind_tls_is_taken")),
}  # fmt: skip

# Runs the command up to the moment of serving, and tells what the process is like then.
PROGRAM = """
import asyncio, json, sys
import rasterio, uvicorn
from anyio import to_thread
from rasterio._env import get_gdal_config
from server.gdal import OPTIONS
from server.main import app

def opened(address):
    try:
        rasterio.open(address).close()
    except rasterio.errors.RasterioIOError:
        return False
    return True

async def within(application):
    import cv2
    async with application.router.lifespan_context(application):
        return {"limiter": int(to_thread.current_default_thread_limiter().total_tokens),
                "opencv": cv2.getNumThreads(),
                "drawing": application.state.services.renders._threads._max_workers}

def tell(server, sockets=None):
    with rasterio.Env() as environment:
        drivers = sorted(environment.drivers())
    names = ("limit_concurrency", "timeout_keep_alive", "ws_max_size", "ws_max_queue",
             "timeout_graceful_shutdown", "server_header")
    print("TOLD" + json.dumps({
        "drivers": drivers,
        "options": {name: str(get_gdal_config(name, normalize=False)) for name in OPTIONS},
        "opened": {one: opened(one) for one in sys.argv[2:]},
        "config": {name: getattr(server.config, name) for name in names},
        "protocol": server.config.http.__name__,
        **asyncio.run(within(server.config.app)),
    }))

uvicorn.Server.run = tell
app(["serve", "--data", sys.argv[1], "--port", "0"], standalone_mode=False)
"""
CONTROL = (
    "import json, rasterio, sys\nwith rasterio.Env() as environment:\n"
    "    drivers = sorted(environment.drivers())\n"
    "for one in sys.argv[1:2]:\n    rasterio.open(one).close()\n"
    "print(json.dumps(drivers))"
)
VRT = """<VRTDataset rasterXSize="8" rasterYSize="6"><VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename relativeToVRT="1">plain.tif</SourceFilename></SimpleSource>
</VRTRasterBand></VRTDataset>"""
# Drivers that ask a server, or read what a file names, whatever the build brings.
FOLLOWING = re.compile(
    r"(OGR_)?VRT|WMS|WMTS|WCS|WFS|HTTP|GTI|DERIVED|PLMOSAIC|PLSCENES|OGCAPI|OAPIF.*|STAC.*|EEDA.*|"
    r"DAAS|TMS|NGW|CSW|CARTO.*|ELASTIC.*|AMIGOCLOUD|JPIP.*|GMLAS",
    re.IGNORECASE,
)


def run_program(*arguments: str) -> str:
    """What a Python process prints, with no settings but its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SRCUBE_")}
    return subprocess.run(
        [sys.executable, "-c", *arguments], capture_output=True, text=True, timeout=120, check=True,
        env=clean | {"GDAL_HTTP_TIMEOUT": "3"},
    ).stdout  # fmt: skip


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raster, and a VRT that names it."""
    folder = tmp_path_factory.mktemp("gdal")
    with rasterio.open(
        folder / "plain.tif", "w", driver="GTiff", height=6, width=8, count=1, dtype="uint8",
        crs="EPSG:32632", transform=from_origin(600_000, 5_000_000, 10, 10),
    ) as file:  # fmt: skip
        file.write(np.arange(48, dtype=np.uint8).reshape(1, 6, 8))
    (folder / "names.vrt").write_text(VRT)
    (folder / "names.tif").write_text(VRT)
    return folder


@pytest.fixture(name="elsewhere", scope="module")
def fixture_elsewhere() -> Any:
    with TileServer().serving() as server:
        yield server


@pytest.fixture(name="told", scope="module")
def fixture_told(folder: Path, elsewhere: TileServer) -> dict[str, Any]:
    """What `srcube serve` is like, and which of some addresses GDAL opens in it."""
    addresses = [
        str(folder / "plain.tif"), str(folder / "names.vrt"), str(folder / "names.tif"), VRT,
        f"/vsicurl/{elsewhere.url}/x.tif", f"{elsewhere.url}/x.tif", f"WMS:{elsewhere.url}/?",
        f"/vsicurl_streaming/{elsewhere.url}/x.tif", f"STACIT:\"{elsewhere.url}/x.json\"",
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>{elsewhere.url}</ServerUrl></Service></GDAL_WMS>",
    ]  # fmt: skip
    said = run_program(PROGRAM, str(folder / "data"), *addresses)
    found: dict[str, Any] = json.loads(said.rpartition("TOLD")[2])
    return found


@pytest.mark.parametrize("item", sorted(HARDENING))
def test_an_item_is_held_by_tests_that_exist(item: int) -> None:
    for test in HARDENING[item][1]:
        assert_exists(test)


def test_every_item_but_the_document_is_held() -> None:
    assert set(HARDENING) == set(range(1, 12))


def test_no_driver_that_follows_a_file_elsewhere_is_there(
    told: dict[str, Any], folder: Path
) -> None:
    """Without the pins most of them are, and a VRT opens: the names are those of this build."""
    unpinned = set(json.loads(run_program(CONTROL, str(folder / "names.vrt"))))
    assert len(unpinned & set(SKIPPED)) >= 5, sorted(unpinned)
    assert {"GTiff", "JP2OpenJPEG"} <= set(told["drivers"])
    assert set(told["drivers"]) & set(SKIPPED) == set()
    assert {one for one in unpinned if FOLLOWING.fullmatch(one)} >= {"VRT", "WMS", "EEDA"}
    assert not [one for one in told["drivers"] if FOLLOWING.fullmatch(one)]


def test_every_option_of_gdal_is_set(told: dict[str, Any]) -> None:
    assert told["options"] == {name: str(value) for name, value in OPTIONS.items()}
    wanted = {
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_VRT_ENABLE_PYTHON": "NO",
        "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO", "GDAL_HTTP_TIMEOUT": "20",
        "GDAL_HTTP_CONNECTTIMEOUT": "5", "GDAL_NUM_THREADS": "1", "GDAL_CACHEMAX": "256000000",
    }  # fmt: skip
    assert wanted.items() <= told["options"].items()
    assert {"GDAL_SKIP", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS", "GDAL_MAX_DATASET_POOL_SIZE"} <= set(
        told["options"]
    )


def test_gdal_opens_neither_what_a_file_names_nor_an_address(
    told: dict[str, Any], folder: Path, elsewhere: TileServer
) -> None:
    assert len(told["opened"]) == 10
    assert [one for one, opened in told["opened"].items() if opened] == [str(folder / "plain.tif")]
    assert elsewhere.asked == []


def test_threads_are_counted(told: dict[str, Any]) -> None:
    """Those that draw are two for a core; requests of documents have as many beside them."""
    cores = os.cpu_count() or 1
    assert told["drawing"] == 2 * cores
    assert told["limiter"] == max(2 * told["drawing"], LEAST_THREADS)
    assert told["opencv"] == 1


def test_connections_heads_and_bodies_are_bounded(told: dict[str, Any]) -> None:
    settings = Settings(data="nowhere")
    assert (settings.limit_requests, settings.limit_websockets) == (512, 64)
    assert settings.limit_body_kb == 1024
    assert told["config"] == {
        # Connections that wait count too; beyond 512 requests ours says so, and when to come back.
        "limit_concurrency": 2048,
        "timeout_keep_alive": 5,
        "ws_max_size": 2**20,
        "ws_max_queue": 32,
        "timeout_graceful_shutdown": 20,
        "server_header": False,
    }
    assert told["protocol"] == "GuardedHttp"
    assert (LONGEST_HEAD, HEAD_S, BODY_IDLE_S) == (32 * 1024, 5, 60)


def test_rio_tiler_reads_nothing_for_us() -> None:
    """So that it starts no threads of its own, whatever RIO_TILER_MAX_THREADS says."""
    imported = {
        found
        for package in ("datacube", "sr_engine", "server", "webapp")
        for path in Path(__import__(package).__file__ or "").parent.rglob("*.py")
        for found in re.findall(
            r"^\s*(?:from|import) (rio_tiler[\w.]*)", path.read_text(), re.MULTILINE
        )
    }
    assert imported == {"rio_tiler.colormap"}
