"""A STAC API and the COGs it lists, served on this machine, every request counted."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from datacube import Grid
from datacube.stac.catalogs import StacCatalog

Document = dict[str, Any]

PAGE = 2
CRS = "EPSG:32633"
BANDS = ("B02", "B03", "B04", "B08")
# Two granules side by side that share 20 columns; neither is square nor at a round place.
WEST = Grid.from_origin(CRS, left=600_010, top=5_400_020, gsd_m=10, shape=(1300, 1100))
EAST = Grid.from_origin(CRS, left=610_810, top=5_400_020, gsd_m=10, shape=(1300, 1000))
BBOX = (16.4930, 48.6970, 16.5200, 48.7070)  # on both sides of the seam


@dataclass(frozen=True)
class Sensed:
    """One overpass: its time, cloud, and how its numbers are offset and described."""

    time: str
    cloud: float
    added: int
    properties: Document


OVERPASSES = (
    Sensed("2024-06-01T10:00:31Z", 0.5, 0, {"s2:processing_baseline": "02.14"}),
    Sensed("2024-06-11T10:00:29Z", 0.2, 1000, {"s2:processing_baseline": "05.10"}),
    Sensed("2024-06-21T10:00:33Z", 0.9, 0, {"s2:processing_baseline": "05.10",
                                            "earthsearch:boa_offset_applied": True}),
    Sensed("2024-07-01T10:00:30Z", 60.0, 1000, {"s2:processing_baseline": "05.10"}),
)  # fmt: skip


def truth(grid: Grid, day: int) -> np.ndarray:
    """Reflectance x 10000 (band, y, x) on any 10 m grid: noise fixed to the ground."""
    height, width = grid.shape
    col = round((grid.transform.c - 500_000) / 10)
    row = round((5_500_000 - grid.transform.f) / 10)
    rows, cols = np.arange(row, row + height), np.arange(col, col + width)
    mixed = (rows[:, None] * 2_654_435_761 + cols[None, :] * 40_503) % 4093
    return np.stack([(mixed * (3 + band) + 97 * day) % 4093 + 1 for band in range(4)])


def classes(grid: Grid) -> np.ndarray:
    """SCL (y, x) on a 20 m grid, fixed to the ground."""
    height, width = grid.shape
    col, row = round((grid.transform.c - 500_000) / 20), round((5_500_000 - grid.transform.f) / 20)
    rows, cols = np.arange(row, row + height), np.arange(col, col + width)
    return ((rows[:, None] // 7 + cols[None, :] // 5) % 11 + 1).astype(np.uint8)


def coarse(grid: Grid) -> Grid:
    """The 20 m grid over a 10 m one."""
    height, width = grid.shape
    left, top = grid.transform.c, grid.transform.f
    shape = (height // 2, width // 2)
    return Grid.from_origin(grid.crs, left=left, top=top, gsd_m=20, shape=shape)


def write_tif(path: Path, values: np.ndarray, grid: Grid, **options: Any) -> None:
    height, width = grid.shape
    with rasterio.open(
        path, "w", driver="COG", width=width, height=height, count=1, dtype=values.dtype,
        crs=grid.crs, transform=grid.transform, compress="DEFLATE", blocksize=256,
        nodata=0, **options,
    ) as file:  # fmt: skip
        file.write(values, 1)


@dataclass
class StacServer:
    """What is served, and what was asked."""

    folder: Path
    url: str = ""
    items: list[Document] = field(default_factory=list)
    log: list[tuple[str, str, int]] = field(default_factory=list)
    loops: bool = False
    page_bodies: list[Document] = field(default_factory=list)

    @property
    def catalog(self) -> StacCatalog:
        return StacCatalog("test", self.url, "sentinel-2-l2a")

    def asked(self, prefix: str) -> list[tuple[str, str, int]]:
        return [entry for entry in self.log if entry[0].startswith(prefix)]

    def build(self) -> None:
        """Write the COGs and the items; two granules for every overpass."""
        for day, sensed in enumerate(OVERPASSES):
            for name, grid in (("W", WEST), ("E", EAST)):
                self._build_granule(f"S2A_{name}_{sensed.time[:10]}", grid, day, sensed)

    def _build_granule(self, item_id: str, grid: Grid, day: int, sensed: Sensed) -> None:
        assets: Document = {"thumbnail": {"href": "x.jpg", "type": "image/jpeg"}}
        for index, (band, plane) in enumerate(zip(BANDS, truth(grid, day), strict=True)):
            path = self.folder / f"{item_id}_{band}.tif"
            write_tif(path, (plane + sensed.added).astype(np.uint16), grid)
            key = ("blue", "green", "red", "nir")[index]
            assets[key] = self._asset(path, grid, {"name": band, "common_name": key})
        path = self.folder / f"{item_id}_SCL.tif"
        write_tif(path, classes(coarse(grid)), coarse(grid))
        assets["scl"] = self._asset(path, coarse(grid), None)
        west, south, east, north = grid.lonlat_bounds()
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        self.items.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "id": item_id,
                "collection": "sentinel-2-l2a",
                "bbox": [west, south, east, north],
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {
                    "datetime": sensed.time,
                    "eo:cloud_cover": sensed.cloud,
                    "platform": "sentinel-2a",
                    "proj:code": CRS,
                    **sensed.properties,
                },
                "links": [],
                "assets": assets,
            }
        )

    def _asset(self, path: Path, grid: Grid, band: Document | None) -> Document:
        asset: Document = {
            "href": f"{{url}}/files/{path.name}",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "proj:transform": list(grid.transform)[:6],
            "proj:shape": list(grid.shape),
        }
        return asset | ({"eo:bands": [band]} if band else {})

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def count(request: Request, call_next: Any) -> Response:
            response: Response = await call_next(request)
            size = int(response.headers.get("content-length", 0))
            self.log.append((request.url.path, request.headers.get("range", ""), size))
            return response

        @app.get("/")
        def root() -> Document:
            links = [
                {"rel": "search", "method": method, "href": f"{self.url}/search"}
                for method in ("GET", "POST")
            ]
            conforms = ["https://api.stacspec.org/v1.0.0/item-search#query"]
            return {"type": "Catalog", "id": "test", "links": links, "conformsTo": conforms}

        @app.post("/search")
        async def search(request: Request) -> JSONResponse:
            body = await request.json()
            self.page_bodies.append(body)
            first = int(body.get("token", 0))
            found = [self._item(item) for item in self.items if _answers(item, body)]
            links = []
            if first + PAGE < len(found):
                links = [{"rel": "next", "method": "POST", "href": f"{self.url}/search",
                          "merge": True, "body": {"token": first + PAGE}}]  # fmt: skip
            if self.loops:
                first = 0
                links = [{"rel": "next", "method": "GET", "href": f"{self.url}/loop"}]
            page = found[first : first + PAGE]
            return JSONResponse({"type": "FeatureCollection", "features": page, "links": links})

        @app.get("/loop")
        def loop() -> Document:
            link = {"rel": "next", "method": "GET", "href": f"{self.url}/loop"}
            items = [self._item(item) for item in self.items[:PAGE]]
            return {"type": "FeatureCollection", "features": items, "links": [link]}

        @app.get("/files/{name}")
        def file(name: str) -> Response:
            path = self.folder / name
            return FileResponse(path) if path.exists() else Response(status_code=404)

        return app

    def _item(self, item: Document) -> Document:
        assets = {
            key: {**asset, "href": asset["href"].replace("{url}", self.url)}
            for key, asset in item["assets"].items()
        }
        return {**item, "assets": assets}


def _answers(item: Document, body: Document) -> bool:
    west, south, east, north = body["bbox"]
    left, bottom, right, top = item.get("bbox", [-180, -90, 180, 90])
    first, last = body["datetime"].split("/")
    moment = item["properties"].get("datetime")
    lte = body.get("query", {}).get("eo:cloud_cover", {}).get("lte", 100)
    return (
        (left < east and west < right and bottom < north and south < top)
        and (moment is None or first <= moment <= last)
        and item["properties"]["eo:cloud_cover"] <= lte
        and item["collection"] in body["collections"]
    )


@contextmanager
def served(server: StacServer) -> Iterator[StacServer]:
    """Serve from a thread of this process until the context ends."""
    config = uvicorn.Config(server.app(), port=0, log_level="warning", lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}"
    try:
        yield server
    finally:
        running.should_exit = True
        thread.join(timeout=10)


def stamp(sensed: Sensed) -> str:
    """How files are named by the time of an overpass."""
    return datetime.fromisoformat(sensed.time).strftime("%Y%m%dT%H%M%S")
