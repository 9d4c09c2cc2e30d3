"""Half a pixel is the most repeated mistake of this field: from a file to a map tile, none.

An asymmetric target at a known place goes through a source file, ingest, the cube's levels and
the tile route of the real application, and is looked for where it must be.
"""

import asyncio
import io
from pathlib import Path
from typing import Any

import httpx
import morecantile
import numpy as np
import pytest
from affine import Affine
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image
from pyproj import Transformer

from datacube import Catalog, Grid, Window, open_storage
from datacube.ingest.carry_out import Target, carry_out, plan_ingest
from datacube.settings import Settings
from datacube.sources.naming import parse_interval
from datacube.sources.plan import Given
from server.app import create_app
from server.render import GAMMA
from tests.rasters import OFFSETS, Product, write_safe, write_tif
from tests.spots import GROUND, blob, centre_px

TMS = morecantile.tms.get("WebMercatorQuad")
TOLERANCE_PX = 0.05  # of the source's pixels of 10 m
ZOOM = 14  # 6.7 m a pixel here
LOW, HIGH = 0.05, 2.6  # reflectance drawn as 0 and 255
SAID = Given(interval=parse_interval("2024-06-20"), scale=1e-4, offset=-0.1, bands=("B08",))


def place() -> tuple[float, float]:
    """Degrees: near the middle of a map tile, off it by parts of a pixel."""
    bounds = TMS.bounds(TMS.tile(10.31, 45.17, ZOOM))
    return 0.47 * bounds.left + 0.53 * bounds.right, 0.55 * bounds.bottom + 0.45 * bounds.top


def around(lon: float, lat: float, crs: str, gsd_m: float, side: int) -> Grid:
    """A snapped, non-square grid that holds the place well inside."""
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    left = gsd_m * round(x / gsd_m - 0.45 * side)
    top = gsd_m * round(y / gsd_m + 0.52 * side)
    return Grid.from_origin(crs, left=left, top=top, gsd_m=gsd_m, shape=(side, side + 21))


def ingested(root: Path, source: Path, gsd_m: float | None = None, given: Given = SAID) -> None:
    catalog = Catalog(open_storage(root))
    carry_out(plan_ingest(catalog, [source], Target("spot", gsd_m=gsd_m), given), catalog)


def drawn(root: Path, z: int, *, resampling: str = "bilinear", size: str = "") -> float:
    """How far the target is drawn from its place, in source pixels of 10 m.

    What is expected is the target as the tile's own pixels would sample it.
    """
    lon, lat = place()
    at = TMS.tile(lon, lat, z)
    query = f"bands=B08&rescale={LOW},{HIGH}&format=png&resampling={resampling}"
    url = f"/collections/spot/layers/lr/tiles/WebMercatorQuad/{z}/{at.x}/{at.y}{size}?{query}"
    answer = asyncio.run(answered(create_app(Settings(data=str(root))), url))
    assert answer.status_code == 200, answer.text
    grey = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))[..., 0]
    bounds = TMS.xy_bounds(at)
    step = (bounds.right - bounds.left) / len(grey)
    transform = Affine(step, 0, bounds.left, 0, -step, bounds.top)
    tile = Grid("EPSG:3857", transform, (len(grey), len(grey)))
    numbers = (LOW + (grey / 255) ** (1 / GAMMA) * (HIGH - LOW) + 0.1) * 10_000
    row, col = centre_px(above_ground(numbers), tile, lon, lat)
    true_row, true_col = centre_px(above_ground(blob(tile, lon, lat)), tile, lon, lat)
    metres = step * np.cos(np.radians(lat))
    return float(np.hypot(row - true_row, col - true_col) * metres / 10)


async def answered(app: FastAPI, url: str) -> httpx.Response:
    """One request to the application, without a network."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(url)


def above_ground(image: NDArray[Any]) -> NDArray[np.uint16]:
    """The target without the ground around it, whose grey levels would pull at its centre."""
    return np.where(image > GROUND + 300, image, GROUND).astype(np.uint16)


@pytest.mark.parametrize(("z", "size"), [(13, ""), (14, ""), (14, "@2x"), (15, "")])
@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
def test_a_geotiff_is_drawn_where_it_lies(
    tmp_path: Path, z: int, size: str, resampling: str
) -> None:
    lon, lat = place()
    at = around(lon, lat, "EPSG:32632", 10, 150)
    path = write_tif(tmp_path / "spot.tif", blob(at, lon, lat)[np.newaxis], at, ("B08",))
    ingested(tmp_path / "out", path)
    assert drawn(tmp_path / "out", z, size=size, resampling=resampling) < TOLERANCE_PX


def test_the_coarser_levels_lie_where_the_finest_does(tmp_path: Path) -> None:
    lon, lat = place()
    at = around(lon, lat, "EPSG:32632", 10, 1100)
    path = write_tif(tmp_path / "spot.tif", blob(at, lon, lat)[np.newaxis], at, ("B08",))
    ingested(tmp_path / "out", path)
    for z in (12, 11):  # levels of 20 and 40 m, tiles of 27 and 54 m a pixel
        assert drawn(tmp_path / "out", z) < TOLERANCE_PX * 2 ** (14 - z)


@pytest.mark.parametrize(
    ("crs", "gsd_m", "cube_gsd_m"),
    [("EPSG:32633", 10, None), ("EPSG:32632", 20, 10), ("EPSG:32632", 60, 10),
     ("EPSG:3035", 10, None), ("EPSG:32632", 5, 10)],
)  # fmt: skip
def test_a_resampled_source_is_drawn_where_it_lies(
    tmp_path: Path, crs: str, gsd_m: float, cube_gsd_m: float | None
) -> None:
    lon, lat = place()
    at = around(lon, lat, crs, gsd_m, round(2000 / gsd_m))
    path = write_tif(tmp_path / "spot.tif", blob(at, lon, lat)[np.newaxis], at, ("B08",))
    ingested(tmp_path / "out", path, cube_gsd_m)
    assert drawn(tmp_path / "out", 14) < TOLERANCE_PX


def test_a_neighbouring_zone_in_one_cube_is_drawn_where_it_lies(tmp_path: Path) -> None:
    lon, lat = place()
    first = around(lon, lat, "EPSG:32632", 10, 150)
    second = around(lon, lat, "EPSG:32633", 10, 200)
    flat = np.full((1, *first.shape), GROUND, np.uint16)
    write_tif(tmp_path / "20240620.tif", blob(second, lon, lat)[np.newaxis], second, ("B08",))
    path = write_tif(tmp_path / "spot.tif", flat, first, ("B08",))
    ingested(tmp_path / "out", path)
    said = Given(scale=1e-4, offset=-0.1)
    path.unlink()
    ingested(tmp_path / "out", tmp_path / "20240620.tif", given=said)
    cube = Catalog(open_storage(tmp_path / "out")).open("spot")
    assert cube.grid == first
    (slot,) = [one.slot for one in cube.scenes if one.scene.scene_id == "20240620"]
    image = cube.window_dn(slot, ("B08",), Window(0, 0, *first.shape))[0]
    found, true = (centre_px(one, first, lon, lat) for one in (image, blob(first, lon, lat)))
    assert np.hypot(found[0] - true[0], found[1] - true[1]) < TOLERANCE_PX


def test_a_safe_product_is_drawn_where_it_lies(tmp_path: Path) -> None:
    lon, lat = place()
    at = around(lon, lat, "EPSG:32632", 10, 150)
    write_safe(tmp_path / "in", Product(offsets=OFFSETS), {"B08": (blob(at, lon, lat), at)})
    ingested(tmp_path / "out", tmp_path / "in", given=Given())
    assert drawn(tmp_path / "out", 14) < TOLERANCE_PX
