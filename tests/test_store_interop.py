"""What others make of our cubes: rio-tiler's GeoZarr reader, rio-tiler on xarray, GDAL."""

import importlib
import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from rasterio.crs import CRS
from rio_tiler.io import XarrayReader

from datacube import Cube, Product
from datacube.store.layout import MEASUREMENT
from datacube.store.pyramid import halved_classes, halved_dn
from tests.scenes import scene
from tests.stores import BANDS, PRODUCT, open_tiny, tiny_block, tiny_cube, tiny_pixels

SHAPE = (600, 301)
UTM = CRS.from_epsg(32632)
WINDOW = (slice(20, 50), slice(10, 40))  # and where it lies, from the grid's corner and 10 m:
BOUNDS = (600_010 + 100, 5_000_020 - 500, 600_010 + 400, 5_000_020 - 200)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cube with two scenes, three levels and a block of a product."""
    folder = tmp_path_factory.mktemp("interop")
    cube = tiny_cube(folder, shape=SHAPE)
    for day in (1, 2):
        cube = cube.append(scene(day), tiny_pixels(day, SHAPE))
    product = Product.ensure(cube, PRODUCT)
    product.write_block(0, (1, 0), tiny_block(product, (1, 0), 5))
    return folder / "tiny.zarr"


def layout_of(cube: Cube) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = cube.root.attributes["multiscales"]["layout"]
    return entries


def test_the_root_lists_inferred_levels_after_the_measured_ones(root: Path) -> None:
    layout = layout_of(open_tiny(root.parent))
    assert [entry["asset"] for entry in layout] == [
        "measurement/r10m",
        "measurement/r20m",
        "measurement/r40m",
        "sr/tiny-0/r5m",
    ]
    assert layout[-1]["derived_from"] == "measurement/r10m"
    assert layout[-1]["transform"]["scale"] == [0.5, 0.5]
    assert layout[-1]["spatial:shape"] == [1200, 602]
    document = json.loads((root / "zarr.json").read_text())
    for entry in layout:
        node = document["consolidated_metadata"]["metadata"][f"{entry['asset']}/reflectance"]
        assert node["shape"][-2:] == entry["spatial:shape"]
    measured = document["consolidated_metadata"]["metadata"][MEASUREMENT]["attributes"]
    assert [one["asset"] for one in measured["multiscales"]["layout"]] == ["r10m", "r20m", "r40m"]


@pytest.mark.parametrize("group", [None, MEASUREMENT])
def test_rio_tilers_geozarr_reader_finds_level_and_place(root: Path, group: str | None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is experimental
        reader = importlib.import_module("rio_tiler.experimental.zarr").GroupReader
    expected = tiny_pixels(2, SHAPE).scl
    assert expected is not None
    with reader(zarr.open_group(root, mode="r", path=group)) as opened:
        assert opened.crs == UTM
        place = {"variables": "scl", "dst_crs": UTM, "bounds_crs": UTM}
        fine = opened.part(BOUNDS, **place)
        np.testing.assert_array_equal(fine.data[1], expected[WINDOW])
        coarse = opened.part(BOUNDS, height=15, width=15, **place)
        np.testing.assert_array_equal(coarse.data[1], halved_classes(expected)[10:25, 5:20])
        # Its arrays have at most three axes: (time, band, y, x) is refused, never misread.
        with pytest.raises(ValueError, match="4D"):
            opened.part(BOUNDS, **{**place, "variables": "reflectance"})


def test_rio_tiler_reads_reflectance_through_plain_xarray(root: Path) -> None:
    plain = xr.open_zarr(root, group="measurement/r10m", mask_and_scale=False)
    with XarrayReader(plain.reflectance.isel(time=1).rio.write_crs(UTM)) as reader:
        part = reader.part(BOUNDS, dst_crs=UTM, bounds_crs=UTM)
    np.testing.assert_array_equal(part.data, tiny_pixels(2, SHAPE).dn[:, *WINDOW])


READ_BY_GDAL = """
import sys
import numpy as np
import rasterio
assert tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2]) >= (3, 12)
for level in ("r10m", "r20m"):
    name = f'ZARR:"{sys.argv[1]}":/measurement/{level}/reflectance'
    with rasterio.open(name) as file:
        print(file.crs.to_epsg(), *tuple(file.transform)[:6], file.nodata)
        np.save(f"{sys.argv[2]}/{level}.npy", file.read())
"""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_gdal_reads_the_same_numbers_at_the_same_place(root: Path, tmp_path: Path) -> None:
    """In an environment of its own, with Python 3.12: GDAL 3.12 comes with rasterio 1.5.

    `TEST_GDAL_PYTHON` names a Python that has it; otherwise one is made, from the network.
    """
    python = os.environ.get("TEST_GDAL_PYTHON") or made_environment(tmp_path)
    command = [python, "-c", READ_BY_GDAL, str(root), str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    expected = [tiny_pixels(day, SHAPE).dn for day in (1, 2)]
    both = np.concatenate(expected)  # GDAL makes bands of time and band
    assert len(both) == 2 * len(BANDS)
    np.testing.assert_array_equal(np.load(tmp_path / "r10m.npy"), both)
    np.testing.assert_array_equal(np.load(tmp_path / "r20m.npy"), halved_dn(both))
    for line, gsd in zip(said, ("10.0", "20.0"), strict=True):
        place = [gsd, "0.0", "600010.0", "0.0", f"-{gsd}", "5000020.0"]
        assert line.split() == ["32632", *place, "0.0"]


def made_environment(folder: Path) -> str:
    """A virtual environment with rasterio 1.5 or newer; fails saying what is missing."""
    python = shutil.which("python3.12") or shutil.which("python3.13")
    assert python, "need python3.12 on the PATH, or TEST_GDAL_PYTHON"
    subprocess.run([python, "-m", "venv", str(folder / "gdal")], check=True)
    made = str(folder / "gdal/bin/python")
    subprocess.run([made, "-m", "pip", "install", "-q", "rasterio>=1.5"], check=True)
    return made
