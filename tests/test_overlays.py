"""Overlays: only what the operator registered is asked for, and only pictures come back."""

import io
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import morecantile
import numpy as np
import pytest
import rasterio
from fastapi.testclient import TestClient
from PIL import Image
from rasterio.transform import from_origin

from datacube.errors import InvalidInput
from datacube.settings import Settings
from server.app import create_app
from server.registry import Registry

TMS = morecantile.tms.get("WebMercatorQuad")
TILE = TMS.tile(11.3, 46.5, 12)
PATH = f"WebMercatorQuad/{TILE.z}/{TILE.x}/{TILE.y}"


@dataclass
class TileServer:
    """A server of tiles somewhere else, which keeps what it was asked for."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    body: bytes = b""
    media: str = "image/png"
    status: int = 200
    location: str = ""

    @contextmanager
    def serving(self) -> Iterator["TileServer"]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                self.send_response(outer.status)
                self.send_header("content-type", outer.media)
                self.send_header("content-length", str(len(outer.body)))
                if outer.location:
                    self.send_header("location", outer.location)
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                del format, args

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield self
        server.shutdown()
        server.server_close()
        thread.join()


def picture(size: tuple[int, int] = (256, 256), image_format: str = "PNG") -> bytes:
    """Red in the upper left quarter, blue elsewhere."""
    image = Image.new("RGB", size, (0, 0, 220))
    image.paste((220, 0, 0), (0, 0, size[0] // 2, size[1] // 2))
    out = io.BytesIO()
    image.save(out, image_format)
    return out.getvalue()


def entry(overlay_id: str, kind: str, address: str, *more: str) -> str:
    words = [f'id = "{overlay_id}"', f'title = "Overlay {overlay_id}"', f'kind = "{kind}"',
             f'address = "{address}"', *more]  # fmt: skip
    return "\n".join(["[[overlay]]", *words, ""])


def write_cog(path: Path, *, dtype: str = "uint8") -> None:
    """Degrees as pixels: 100 rows by 200 columns, brighter to the east, one band."""
    values = np.tile(np.linspace(20, 240, 200), (100, 1)).astype(dtype)
    with rasterio.open(
        path, "w", driver="GTiff", height=100, width=200, count=1, dtype=dtype,
        crs="EPSG:4326", transform=from_origin(11.2, 46.6, 0.001, 0.002),
    ) as file:  # fmt: skip
        file.write(values, 1)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[TileServer]:
    with TileServer().serving() as server:
        yield server


@pytest.fixture(scope="module")
def client(elsewhere: TileServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("registry")
    write_cog(folder / "relief.tif")
    (folder / "registry.toml").write_text(
        entry("plain", "xyz", elsewhere.url + "/t/{z}/{x}/{y}.png", 'attribution = "Somebody"')
        + entry("south", "xyz", elsewhere.url + "/s/{z}/{x}/{-y}.png",
                "bounds = [11.0, 46.0, 12.0, 47.0]", "maxzoom = 14", "basemap = true")
        + entry("matrix", "wmts", elsewhere.url + "/w?M={TileMatrix}&R={TileRow}&C={TileCol}")
        + entry("drawn", "wms", elsewhere.url + "/map?key=1", 'layers = "a,b"')
        + entry("relief", "cog", "relief.tif", "maxzoom = 16")
    )  # fmt: skip
    settings = Settings(data=str(folder / "cubes"), registry=folder / "registry.toml")
    with TestClient(create_app(settings), base_url="http://localhost") as running:
        yield running


@pytest.fixture(autouse=True)
def fresh(elsewhere: TileServer) -> None:
    elsewhere.asked.clear()
    elsewhere.body, elsewhere.media, elsewhere.status = picture(), "image/png", 200
    elsewhere.location = ""


def tile(client: TestClient, overlay_id: str, path: str = PATH) -> Any:
    return client.get(f"/overlays/{overlay_id}/tiles/{path}")


def test_the_list_tells_what_there_is_and_no_address(
    client: TestClient, elsewhere: TileServer
) -> None:
    answer = client.get("/overlays")
    found = {one["id"]: one for one in answer.json()["overlays"]}
    assert list(found) == ["plain", "south", "matrix", "drawn", "relief"]
    assert found["plain"]["attribution"] == "Somebody"
    assert found["south"]["basemap"]
    assert found["south"]["bounds"] == [11.0, 46.0, 12.0, 47.0]
    assert urlsplit(elsewhere.url).netloc not in answer.text
    assert "relief.tif" not in answer.text


@pytest.mark.parametrize(
    ("overlay_id", "expected"),
    [
        ("plain", f"/t/{TILE.z}/{TILE.x}/{TILE.y}.png"),
        ("south", f"/s/{TILE.z}/{TILE.x}/{2**TILE.z - 1 - TILE.y}.png"),
        ("matrix", f"/w?M={TILE.z}&R={TILE.y}&C={TILE.x}"),
    ],
)
def test_tiles_come_through_this_server_drawn_anew(
    client: TestClient, elsewhere: TileServer, overlay_id: str, expected: str
) -> None:
    answer = tile(client, overlay_id)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/webp"
    assert elsewhere.asked == [expected]
    image = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), np.int16)
    assert image.shape == (256, 256, 3)
    assert image[60, 60, 0] - image[60, 60, 2] > 120  # the quarter that is red
    assert image[60, 200, 2] - image[60, 200, 0] > 120
    assert image[200, 60, 2] - image[200, 60, 0] > 120


def test_a_wms_is_asked_for_the_ground_of_the_tile(
    client: TestClient, elsewhere: TileServer
) -> None:
    assert tile(client, "drawn").status_code == 200
    asked = {name: one[0] for name, one in parse_qs(urlsplit(elsewhere.asked[0]).query).items()}
    assert (asked["key"], asked["REQUEST"], asked["LAYERS"]) == ("1", "GetMap", "a,b")
    box = [float(edge) for edge in asked["BBOX"].split(",")]
    assert box == pytest.approx(list(TMS.xy_bounds(TILE)), abs=1e-3)


def test_a_cog_shows_its_ground_where_it_lies(client: TestClient, elsewhere: TileServer) -> None:
    answer = tile(client, "relief")
    assert answer.status_code == 200
    image = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"), np.int16)
    west, south, east, north = TMS.bounds(TILE)
    lon, lat = west + 0.75 * (east - west), (south + north) / 2
    assert 11.2 < lon < 11.4
    assert 46.4 < lat < 46.6
    expected = 20 + (lon - 11.2) / 0.2 * 220
    assert image[128, 192, 0] == pytest.approx(expected, abs=6)
    assert (image[128, 192, :3].std(), image[128, 192, 3]) == (pytest.approx(0, abs=2), 255)
    far = TMS.tile(20.0, 40.0, 12)
    assert tile(client, "relief", f"WebMercatorQuad/12/{far.x}/{far.y}").status_code == 204
    assert not elsewhere.asked


def test_nothing_is_asked_outside_what_is_registered(
    client: TestClient, elsewhere: TileServer
) -> None:
    far = TMS.tile(20.0, 40.0, 12)
    assert tile(client, "south", f"WebMercatorQuad/12/{far.x}/{far.y}").status_code == 204
    deep = TMS.tile(11.3, 46.5, 15)
    assert tile(client, "south", f"WebMercatorQuad/15/{deep.x}/{deep.y}").status_code == 204
    assert tile(client, "plain", "WebMercatorQuad/3/8/0").status_code == 404
    assert tile(client, "nobody").status_code == 404
    assert tile(client, "plain", "WebMercatorQuad/25/0/0").status_code == 422
    refused = client.get(f"/overlays/plain/tiles/{PATH}?url=http://127.0.0.1/")
    assert refused.status_code == 422
    assert not elsewhere.asked


def lies_about_media(server: TileServer) -> None:
    server.media = "text/html"


def sends_html(server: TileServer) -> None:
    server.body = b"<html>not a picture</html>"


def is_too_large(server: TileServer) -> None:
    server.body = picture((2000, 2000))


def is_too_long(server: TileServer) -> None:
    server.body = picture() + bytes(3 * 1024 * 1024)


def is_cut_off(server: TileServer) -> None:
    server.body = picture()[:200]


def is_another_format(server: TileServer) -> None:
    server.body = picture(image_format="TIFF")


def is_broken(server: TileServer) -> None:
    server.status = 500


def leads_inside(server: TileServer) -> None:
    server.status, server.location = 302, "http://169.254.169.254/latest/meta-data"


@pytest.mark.parametrize(
    "fault",
    [lies_about_media, sends_html, is_too_large, is_too_long, is_cut_off, is_another_format,
     is_broken, leads_inside],
)  # fmt: skip
def test_what_is_no_small_picture_is_refused_in_one_line(
    client: TestClient, elsewhere: TileServer, fault: Callable[[TileServer], None]
) -> None:
    fault(elsewhere)
    answer = tile(client, "plain")
    assert answer.status_code == 503
    assert "retry-after" in answer.headers
    document = answer.json()
    assert document["code"] == "UpstreamSilent"
    assert "\n" not in document["detail"]
    assert "127.0.0.1" not in document["detail"]
    assert len(elsewhere.asked) == 1


def test_a_tile_that_is_not_there_is_no_fault(client: TestClient, elsewhere: TileServer) -> None:
    elsewhere.status = 404
    assert tile(client, "plain").status_code == 204


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (entry("a", "xyz", "https://maps.example.org/{z}/{x}.png"), "{z}, {x} and {y}"),
        (entry("a", "xyz", "http://maps.example.org/{z}/{x}/{y}.png") * 2, "name of its own"),
        (entry("a", "xyz", "ftp://maps.example.org/{z}/{x}/{y}.png"), "https://"),
        (entry("a", "wms", "https://maps.example.org/"), "layers"),
        (entry("A b", "xyz", "https://maps.example.org/{z}/{x}/{y}"), "id"),
        (entry("a", "xyz", "https://x.org/{z}/{x}/{y}", "bounds = [9, 1, 2, 3]"), "bounds"),
        (entry("a", "xyz", "https://x.org/{z}/{x}/{y}", "opacity = 1"), "opacity"),
        (entry("a", "cog", "../secret.tif"), "below the registry's folder"),
        (entry("a", "cog", "missing.tif"), "no GeoTIFF"),
        (entry("a", "cog", "vrt.tif"), "no GeoTIFF"),
        (entry("a", "cog", "float.tif"), "rescale"),
        ("[[overlay", "cannot read"),
    ],
)
def test_a_wrong_registry_stops_the_server_with_one_line(
    tmp_path: Path, text: str, said: str
) -> None:
    write_cog(tmp_path / "float.tif", dtype="float32")
    (tmp_path / "vrt.tif").write_text(
        '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1">'
        "<SimpleSource><SourceFilename>/etc/hostname</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )
    registry = tmp_path / "registry.toml"
    registry.write_text(text)
    with pytest.raises(InvalidInput) as refused:
        create_app(Settings(data=str(tmp_path / "cubes"), registry=registry))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_sources_are_the_known_catalogs_and_the_operators(tmp_path: Path) -> None:
    path = tmp_path / "registry.toml"
    path.write_text('[[source]]\nname = "ours"\naddress = "http://127.0.0.1:9/stac"\n')
    sources = Registry.load(path).sources
    assert list(sources) == ["ours", "earth-search", "planetary-computer", "cdse"]
    assert sources["ours"].place == "http://127.0.0.1:9/stac"
    assert sources["cdse"].place == "cdse"


def test_a_cog_is_drawn_also_where_gdal_has_its_drivers_skipped(tmp_path: Path) -> None:
    write_cog(tmp_path / "relief.tif")
    (tmp_path / "r.toml").write_text(entry("relief", "cog", "relief.tif"))
    script = (
        "from pathlib import Path\nimport morecantile\n"
        "from server.gdal import pin_gdal, refuse_open_drivers\npin_gdal()\n"
        "from server.overlays import load_overlays\n"
        f"found = load_overlays(Path({str(tmp_path / 'r.toml')!r}))\n"
        "refuse_open_drivers()\n"
        f"image = found.sources['relief'].read(morecantile.Tile({TILE.x}, {TILE.y}, {TILE.z}))\n"
        "print(image.shape, int(image[..., 3].any()))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout.strip() == "(256, 256, 4) 1", ran.stderr[-500:]
