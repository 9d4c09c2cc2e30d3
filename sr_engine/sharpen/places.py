"""Real scenes with 20 m bands at their own pixels, and what each of them is for.

Truth at 10 m does not exist; so everything is made twice as coarse (Wald's protocol): the guides
become 20 m, the bands 40 m, and the truth is what was measured at 20 m. Places to train on, to
choose by and to judge on are apart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import netCDF4
import numpy as np
from numpy.typing import NDArray

from datacube import Window
from datacube.errors import NotFound
from datacube.sources.raster import open_raster
from sr_engine.sharpen.network import GUIDES, SHARPENED

Values = NDArray[np.float32]
QUANTIFICATION = 10_000


@dataclass(frozen=True, eq=False)
class Image:
    """`guides` (4, 2 y, 2 x) at 10 m and `bands` (6, y, x) at 20 m, reflectance without gaps."""

    guides: Values
    bands: Values


@dataclass(frozen=True)
class Place:
    """A place by name, what it is for, and how its images are read below the data's folder."""

    name: str
    role: Literal["train", "validate", "test"]
    read: Callable[[Path], list[Image]]


def read_havel(folder: Path) -> list[Image]:
    """One date, winter, level 1C; JPEG 2000 that was recompressed with losses."""
    found = {}
    for name in (*GUIDES, *SHARPENED):
        paths = list((folder / "sentinel2/havel_l1c_jp2/IMG_DATA").glob(f"*_{name}.jp2"))
        if len(paths) != 1:
            raise NotFound(f"need one file of {name} below havel_l1c_jp2, found {len(paths)}")
        with open_raster(str(paths[0])) as file:
            found[name] = file.read(Window(0, 0, *file.header.shape)) / np.float32(QUANTIFICATION)
    return [Image(_stack(found, GUIDES), _stack(found, SHARPENED))]


def read_slovenia(folder: Path) -> list[Image]:
    """Three clear dates of summer, level 1C; 20 m bands repeated from the second row on."""
    scenes = np.load(folder / "sentinel2/slovenia_l1c_stack/REFERENCE_SCENES.npy")
    order = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11",
             "B12")  # fmt: skip
    images = []
    for scene in scenes[2:, 1:]:  # the first two are cloudy
        planes = dict(zip(order, np.moveaxis(scene, 2, 0).astype(np.float32), strict=True))
        images.append(Image(_stack(planes, GUIDES), _stack(planes, SHARPENED)[:, ::2, ::2]))
    return images


def read_sweden(folder: Path) -> list[Image]:
    """One date of early summer, level 1C, at native pixels; stored transposed."""
    path = folder / "sentinel2/dsen2_sweden_l1c/S2A_MSIL1C_20170527_T33UUB.mat"
    with netCDF4.Dataset(path) as file:
        fine, coarse = (
            np.asarray(file[name][:], np.float32).transpose(0, 2, 1) / QUANTIFICATION
            for name in ("im10", "im20")
        )
    named = dict(zip(("B04", "B03", "B02", "B08"), fine, strict=True))
    return [Image(_stack(named, GUIDES), coarse.astype(np.float32))]  # in the order of ours


def read_tervuren(folder: Path) -> list[Image]:
    """Every full ten-day composite of a year, level 2A; bands repeated from odd pixels on."""
    images = []
    with netCDF4.Dataset(folder / "sentinel2/tervuren_l2a_stack/inference_area_tevuren.nc") as file:
        planes = {
            name: np.ma.filled(file[f"S2-L2A-{name}"][:].astype(np.float32), np.nan)
            for name in (*GUIDES, *SHARPENED)
        }
    for step in range(len(planes["B02"])):
        one = {name: plane[step, 1:57, 1:61] / QUANTIFICATION for name, plane in planes.items()}
        image = Image(_stack(one, GUIDES), _stack(one, SHARPENED)[:, ::2, ::2])
        if np.isfinite(image.guides).all() and np.isfinite(image.bands).all():
            images.append(image)
    return images


PLACES = (
    Place("Havel, Germany (sentinel2/havel_l1c_jp2)", "train", read_havel),
    Place("Slovenia (sentinel2/slovenia_l1c_stack)", "validate", read_slovenia),
    Place("Skane, Sweden (sentinel2/dsen2_sweden_l1c)", "test", read_sweden),
    Place("Tervuren, Belgium (sentinel2/tervuren_l2a_stack)", "test", read_tervuren),
)


def _stack(planes: Mapping[str, NDArray[np.floating]], names: tuple[str, ...]) -> Values:
    return np.stack([planes[name] for name in names]).astype(np.float32)
