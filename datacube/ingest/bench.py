"""Figures of ingest: speed beside odc-stac, memory of a full scene, and whether appends slow down.

Both sides read the same pixels from tiled GeoTIFFs (odc-stac from a file for each band, its
habit) and write Zarr; ours also decodes in limited processes apart, classifies, measures shifts,
verifies what it wrote and builds the coarser levels. Each side runs in a process of its own, so
that its CPU time and its peak of memory are its own, those of its children added.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window as RasterWindow

from datacube.bands import find_bands
from datacube.benchmark import Figures
from datacube.catalog import Catalog
from datacube.cube import Cube
from datacube.grid import Grid
from datacube.ingest.carry_out import Target, carry_out, plan_ingest
from datacube.scene import Scene, ScenePixels
from datacube.sources.decoding import shared_decoders
from datacube.sources.plan import Given
from datacube.store.layout import CubeSpec
from datacube.store.storage import open_storage

BANDS = ("B02", "B03", "B04", "B08")
GRID = Grid.from_origin("EPSG:32632", left=600_000, top=5_300_040, gsd_m=10, shape=(6144, 6144))
DATES = 2
FULL_PX = 10_980
APPENDS = 60


def ingest_figures(_data: Path | None) -> Figures:
    """All figures; odc-stac's is left out where it is not installed (`make bench` installs it)."""
    figures = {"append_cost_growth": append_cost_growth()}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        for day in range(DATES):
            write_scene(source / f"2024-06-{3 + 5 * day:02d}.tif", GRID, seed=day)
            split_bands(source / f"2024-06-{3 + 5 * day:02d}.tif")
        megabytes = DATES * len(BANDS) * 2 * GRID.shape[0] * GRID.shape[1] / 1e6
        ours = _measured("ours", source, Path(folder, "ours"))
        figures["ingest_mb_per_core_s"] = megabytes / ours["core_s"]
        if find_spec("odc.stac") is not None:
            theirs = _measured("odc", source, Path(folder, "theirs"))
            figures["ingest_odc_stac_mb_per_core_s"] = megabytes / theirs["core_s"]
            figures["ingest_speed_ratio_vs_odc_stac"] = theirs["core_s"] / ours["core_s"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        grid = Grid.from_origin(
            "EPSG:32632", left=600_000, top=5_300_040, gsd_m=10, shape=(FULL_PX, FULL_PX)
        )
        write_scene(source / "2024-06-03.tif", grid, seed=1)
        full = _measured("ours", source, Path(folder, "ours"))
        figures["ingest_peak_mb_full_scene"] = full["peak_mb"]
        figures["ingest_full_scene_core_s"] = full["core_s"]
    return figures


def append_cost_growth() -> float:
    """Seconds of the last tenth of many small appends over those of the first tenth."""
    shape = (256, 256)
    grid = Grid.from_origin("EPSG:32632", left=600_000, top=5_300_040, gsd_m=10, shape=shape)
    spec = CubeSpec("bench", grid, find_bands(BANDS), with_scl=False)
    random = np.random.default_rng(0)
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        cube = Cube.create(open_storage(folder), spec)
        for number in range(APPENDS):
            dn = random.integers(1, 9000, (len(BANDS), *shape), dtype=np.uint16)
            moment = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)
            started = time.process_time()
            cube = cube.append(Scene(f"bench_{number:03d}", moment), ScenePixels(dn))
            taken.append(time.process_time() - started)
    tenth = APPENDS // 10
    return float(np.median(taken[-tenth:]) / np.median(taken[:tenth]))


def split_bands(path: Path) -> None:
    """The same pixels once more, a file for each band, in a folder beside."""
    folder = path.parent / "bands"
    folder.mkdir(exist_ok=True)
    with rasterio.open(path) as file:
        profile = file.profile | {"count": 1}
        for number, band in enumerate(BANDS):
            with rasterio.open(folder / f"{path.stem}_{band}.tif", "w", **profile) as single:
                single.write(file.read(number + 1), 1)


def write_scene(path: Path, grid: Grid, seed: int) -> None:
    """A tiled GeoTIFF of smooth ground with noise, strip by strip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    height, width = grid.shape
    profile = {
        "driver": "GTiff", "count": len(BANDS), "dtype": "uint16", "height": height,
        "width": width, "crs": grid.crs, "transform": grid.transform, "nodata": 0,
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate", "zlevel": 1,
    }  # fmt: skip
    columns = 400 * np.sin(np.arange(width) / 37.0)
    with rasterio.open(path, "w", **profile) as file:
        file.descriptions = BANDS
        for row in range(0, height, 512):
            rows = min(512, height - row)
            ground = 1500 + columns + 300 * np.cos(np.arange(row, row + rows)[:, None] / 53.0)
            for band in range(len(BANDS)):
                noise = random.integers(-40, 40, (rows, width))
                file.write(
                    (ground + 100 * band + noise).astype(np.uint16),
                    band + 1,
                    window=RasterWindow(0, row, width, rows),
                )


def ingest_ours(source: Path, target: Path) -> None:
    """One side: what `srcube ingest` does."""
    catalog = Catalog(open_storage(target))
    plan = plan_ingest(catalog, [source], Target("bench"), Given(scale=1e-4, offset=0.0))
    carry_out(plan, catalog)


def ingest_odc(source: Path, target: Path) -> None:
    """The other side: odc-stac loads the same files, xarray writes them to Zarr."""
    import odc.stac  # noqa: PLC0415 (a peer that only this measurement needs)
    import pystac  # noqa: PLC0415

    items = []
    for path in sorted(source.glob("*.tif")):
        moment = datetime.fromisoformat(path.stem).replace(tzinfo=UTC)
        bbox = list(GRID.lonlat_bounds())
        west, south, east, north = bbox
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        footprint = {"type": "Polygon", "coordinates": [ring]}
        item = pystac.Item(path.stem, footprint, bbox, moment, {"proj:code": GRID.crs})
        for band in BANDS:
            one = source / "bands" / f"{path.stem}_{band}.tif"
            item.add_asset(band, pystac.Asset(str(one), media_type=pystac.MediaType.COG))
        items.append(item)
    loaded = odc.stac.load(
        items, bands=list(BANDS), crs=GRID.crs, resolution=10, chunks={"x": 512, "y": 512}
    )
    loaded.to_zarr(target, mode="w", consolidated=False)


def _measured(side: str, source: Path, target: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "datacube.ingest.bench", side, str(source), str(target)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    found: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run one side, and print what it took beyond its imports; children that decode included.

    Of memory those that are there at the end: one that idled for a minute has left.
    """
    side, source, target = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    started = time.process_time()
    {"ours": ingest_ours, "odc": ingest_odc}[side](source, target)
    core_s = time.process_time() - started
    peak_mb = sum(_peak_mb(str(pid)) for pid in ("self", *shared_decoders().pids()))
    shared_decoders().close()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    core_s += children.ru_utime + children.ru_stime
    print(json.dumps({"core_s": core_s, "peak_mb": peak_mb}))  # noqa: T201


def _peak_mb(pid: str) -> float:
    """Peak of a program's memory; `ru_maxrss` would also know the process that started it."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
