"""Desktop programs connect: GDAL, in a process of its own, reads our pixels by WMTS and by XYZ.

The server's own GDAL may have these drivers switched off, hence the other process.
"""

import io
import json
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element

import defusedxml.ElementTree  # type: ignore[import-untyped]
import httpx
import numpy as np
import pytest
from morecantile import Tile
from numpy.typing import NDArray
from PIL import Image

from server.ogc.matrix_sets import matrix_set
from server.ogc.wmts import NAMESPACES, capabilities
from tests.scenes import new_cube

SPACES = {"wmts": NAMESPACES[""], "ows": NAMESPACES["ows"]}
TMS = matrix_set("WebMercatorQuad")
ZOOM = 16
READ = """
import json, sys
import numpy as np, rasterio
from rasterio.windows import from_bounds
source, bounds, out = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
with rasterio.open(source) as dataset:
    window = from_bounds(*bounds, transform=dataset.transform)
    np.save(out, dataset.read(window=window, out_shape=(dataset.count, 256, 256)))
    print(json.dumps({"driver": dataset.driver, "crs": dataset.crs.to_epsg()}))
"""


@pytest.fixture(name="place")
def fixture_place(live_server: str) -> Tile:
    """The tile in the middle of the simulated collection."""
    found = httpx.get(f"{live_server}/collections/simulated").json()["extent"]["spatial"]["bbox"]
    west, south, east, north = found[0]
    return TMS.tile((west + east) / 2, (south + north) / 2, ZOOM)


def read_by_gdal(
    source: str, place: Tile, out: Path
) -> tuple[dict[str, object], NDArray[np.uint8]]:
    """What GDAL says of a source, and its pixels (y, x, band) of one tile."""
    done = subprocess.run(
        [sys.executable, "-c", READ, source, json.dumps(list(TMS.xy_bounds(place))), str(out)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), np.moveaxis(np.load(out), 0, -1)


def parsed(document: bytes) -> Element:
    return cast("Element", defusedxml.ElementTree.fromstring(document))


def our_tile(url: str, place: Tile, **asked: str) -> NDArray[np.uint8]:
    path = f"{url}/collections/simulated/layers/lr/tiles/{TMS.id}/{place.z}/{place.x}/{place.y}"
    answer = httpx.get(path, params={"format": "png", **asked}, timeout=30)
    assert answer.status_code == 200
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def test_gdal_reads_our_pixels_by_wmts(live_server: str, place: Tile, tmp_path: Path) -> None:
    address = f"{live_server}/collections/simulated/WMTSCapabilities.xml"
    source = f"WMTS:{address},layer=lr,tilematrixset={TMS.id},tilematrix={ZOOM}"
    facts, found = read_by_gdal(source, place, tmp_path / "wmts.npy")
    assert facts == {"driver": "WMTS", "crs": 3857}
    np.testing.assert_array_equal(found[..., :3], our_tile(live_server, place))


def test_gdal_reads_our_pixels_by_xyz(live_server: str, place: Tile, tmp_path: Path) -> None:
    """The template that QGIS and leafmap take, in GDAL's own clothing."""
    asked = (
        "?format=png&datetime="
        + httpx.get(f"{live_server}/collections/simulated").json()["scenes"][0]["datetime"]
    )
    template = f"{live_server}/collections/simulated/layers/lr/tiles/{TMS.id}/"
    half = 20037508.342789244
    source = (
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>{template}${{z}}/${{x}}/${{y}}{escape(asked)}"
        f"</ServerUrl></Service><DataWindow><UpperLeftX>-{half}</UpperLeftX>"
        f"<UpperLeftY>{half}</UpperLeftY><LowerRightX>{half}</LowerRightX>"
        f"<LowerRightY>-{half}</LowerRightY><TileLevel>{ZOOM}</TileLevel><TileCountX>1</TileCountX>"
        "<TileCountY>1</TileCountY><YOrigin>top</YOrigin></DataWindow><Projection>EPSG:3857"
        "</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY>"
        "<BandsCount>3</BandsCount></GDAL_WMS>"
    )
    facts, found = read_by_gdal(source, place, tmp_path / "xyz.npy")
    assert facts == {"driver": "WMS", "crs": 3857}
    expected = our_tile(live_server, place, datetime=asked.rpartition("=")[2])
    np.testing.assert_array_equal(found, expected)


def test_capabilities_name_layers_dates_and_matrix_sets(live_server: str) -> None:
    answer = httpx.get(f"{live_server}/collections/simulated/WMTSCapabilities.xml", timeout=30)
    assert answer.headers["content-type"].startswith("application/xml")
    root = parsed(answer.content)
    collection = httpx.get(f"{live_server}/collections/simulated").json()
    layers = {
        one.findtext("ows:Identifier", namespaces=SPACES): one
        for one in root.iterfind("wmts:Contents/wmts:Layer", SPACES)
    }
    expected = {
        f"{layer['id']}.{model}" if model else layer["id"]
        for layer in collection["layers"]
        if layer["id"] != "difference"  # has no address without its operands
        for model in layer["models"] or [""]
    }
    assert set(layers) == expected
    times = [one.text for one in layers["lr"].iterfind("wmts:Dimension/wmts:Value", SPACES)]
    assert times == [one["datetime"] for one in collection["scenes"]]
    default = layers["lr"].findtext("wmts:Dimension/wmts:Default", namespaces=SPACES)
    assert default == collection["default_datetime"]
    sets = [one.text for one in layers["lr"].iterfind("wmts:TileMatrixSetLink/wmts:TileMatrixSet",
                                                      SPACES)]  # fmt: skip
    defined = [
        one.findtext("ows:Identifier", namespaces=SPACES)
        for one in root.iterfind("wmts:Contents/wmts:TileMatrixSet", SPACES)
    ]
    assert sets == defined
    assert TMS.id in sets


def test_every_template_of_the_capabilities_is_answered(live_server: str, place: Tile) -> None:
    answer = httpx.get(f"{live_server}/collections/simulated/WMTSCapabilities.xml", timeout=30)
    root = parsed(answer.content)
    moment = httpx.get(f"{live_server}/collections/simulated").json()["default_datetime"]
    drawn = 0
    for one in root.iterfind("wmts:Contents/wmts:Layer/wmts:ResourceURL", SPACES):
        template = one.attrib["template"]
        variables = {"TileMatrixSet": TMS.id, "TileMatrix": place.z, "Time": moment}
        for name, value in {**variables, "TileCol": place.x, "TileRow": place.y}.items():
            template = template.replace(f"{{{name}}}", str(value))
        tile = httpx.get(template, timeout=30)
        assert tile.status_code in {200, 204}, template
        if tile.status_code == 200:
            drawn += 1
            assert tile.headers["content-type"] == one.attrib["format"]
    assert drawn >= 6  # measured and truth in three formats; nothing was inferred yet


def test_an_empty_cube_has_capabilities_without_layers(tmp_path: Path) -> None:
    cube = new_cube(tmp_path)
    root = parsed(capabilities("http://here", "field", cube))
    assert root.find("wmts:Contents", SPACES) is not None
    assert not root.findall("wmts:Contents/wmts:Layer", SPACES)


def test_the_tilejson_template_is_what_leafmap_and_qgis_fill_in(
    live_server: str, place: Tile
) -> None:
    """Leafmap hands a TileJSON's first template to Leaflet, which knows {z}, {x}, {y} alone."""
    address = f"{live_server}/collections/simulated/layers/lr/{TMS.id}/tilejson.json"
    document = httpx.get(address, params={"format": "png"}).json()
    (template,) = document["tiles"]
    assert template.count("{") == template.count("}") == 3
    url = template.format(z=place.z, x=place.x, y=place.y)
    found = np.asarray(Image.open(io.BytesIO(httpx.get(url).content)).convert("RGB"))
    np.testing.assert_array_equal(found, our_tile(live_server, place))
    assert document["minzoom"] <= ZOOM <= document["maxzoom"]
