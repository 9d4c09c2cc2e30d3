"""Reading the images that the default model learns from and is judged by, as reflectance.

Every reader answers planes: one band of one image, with the size of its pixels. Folders and
traps (offsets, band orders, transposed arrays) are those of the data set that each one names.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import rasterio
from numpy.typing import NDArray

from datacube.errors import NotFound
from datacube.scene import reflectance_from_dn
from datacube.simulation import acquire, build_landscape, plan_season
from sr_engine.default.places import BANDS

Values = NDArray[np.float32]
AERIAL = ("B04", "B03", "B02", "B08")  # red, green, blue, near infrared
QUANTUM = 1 / 10_000
SIDE_PX = (208, 176)  # of a simulated landscape, 10 m pixels
SIMULATED_PASSES = (2, 5, 9)  # spring, high summer, stubble


@dataclass(frozen=True, eq=False)
class Plane:
    """One band of one image: `values` (y, x), `gsd_m` (down, across), `image` tells dates apart.

    `counts` says that the values are an aerial camera's, 0 to 1 of its range, not reflectance.
    """

    place: str
    image: str
    band: str
    values: Values
    gsd_m: tuple[float, float]
    counts: bool = False

    def rows(self, share: tuple[float, float]) -> "Plane":
        """A strip of the image from one share of its height to another."""
        first, last = (round(part * len(self.values)) for part in share)
        return replace(self, values=self.values[first:last])


def read_place(place_id: str, data: Path) -> list[Plane]:
    """All planes of a place below the folder `data`; raises NotFound where they are not."""
    if place_id.startswith("simulated_"):
        return _simulated(place_id)
    try:
        planes = _READERS[place_id](data, place_id)
    except KeyError:
        raise NotFound(f"no place {place_id!r}; there are {', '.join(_READERS)}") from None
    except (OSError, rasterio.errors.RasterioIOError) as error:
        raise NotFound(f"the images of {place_id} are not below {data}: {error}") from error
    if not planes:
        raise NotFound(f"no image of {place_id} below {data}")
    return planes


def _simulated(place_id: str) -> list[Plane]:
    """Ground truth at 2.5 m of a landscape on three days, without sky, blur or noise."""
    seed = int(place_id.removeprefix("simulated_"))
    landscape = build_landscape(seed, SIDE_PX)
    passes = plan_season(seed, truth_dates=12, psf="none")
    planes = []
    for number in SIMULATED_PASSES:
        shot = acquire(landscape, replace(passes[number], noise=False), BANDS)
        if shot.truth_dn is None:
            raise RuntimeError("the season was planned with truth for every date")
        truth = reflectance_from_dn(shot.truth_dn)
        planes += _planes(place_id, f"day {passes[number].day_of_year}", BANDS, truth, 2.5)
    return planes


def _naip_5m(data: Path, place: str) -> list[Plane]:
    planes = []
    for path in sorted((data / "hr" / "naip_5m").glob("*.tif")):
        date = path.stem.rsplit("_", 1)[-1]
        planes += _planes(place, date, AERIAL, _raster(path) / 255, 5.0, counts=True)
    return planes


def _eugene(data: Path, place: str) -> list[Plane]:
    """Averaged to 1.22 m, where its strong compression is no longer seen."""
    image = _raster(data / "hr" / "eugene_0p3m" / "autzen.jpg") / 255
    rows, columns = (size // 4 * 4 for size in image.shape[1:])
    blocks = image[:, :rows, :columns].reshape(3, rows // 4, 4, columns // 4, 4)
    return _planes(place, "flight", AERIAL[:3], blocks.mean(axis=(2, 4)), 4 * 0.3048, counts=True)


def _putnam(data: Path, place: str) -> list[Plane]:
    """On a geographic grid: degrees become metres at its latitude; its black foot is cut."""
    folder = data / "hr" / "putnam_1p3m"
    with rasterio.open(folder / "20200307aC0853900w361030n.tif") as source:
        image = source.read().astype(np.float32) / 255
        degree_m = 111_320.0
        latitude = math.radians((source.bounds.top + source.bounds.bottom) / 2)
        gsd = (source.res[0] * 110_950.0, source.res[1] * degree_m * math.cos(latitude))
    dark = (image.max(axis=0) < 0.02).mean(axis=1) > 0.02
    foot = int(np.flatnonzero(dark)[0]) if dark.any() else image.shape[1]
    planes = _planes(place, "flight", AERIAL[:3], image[:, :foot], 1.0, counts=True)
    return [replace(plane, gsd_m=gsd) for plane in planes]


def _naip_1m(data: Path, place: str) -> list[Plane]:
    folder = data / "hr" / "naip_1m"
    image = np.concatenate([_raster(folder / f"NAIP-VA-b{i}.tiff") for i in (1, 2, 3, 4)]) / 255
    return _planes(place, "flight", AERIAL, image, 1.0, counts=True)


def _naip_0p6m(data: Path, place: str) -> list[Plane]:
    """Two tiny crops, taken for 2.5 m pixels: a few dozen measured pixels each."""
    planes = []
    for path in sorted((data / "hr" / "naip_0p6m").glob("*.tif")):
        planes += _planes(place, path.stem, AERIAL, _raster(path) / 255, 2.5, counts=True)
    return planes


def _bdortho(data: Path, place: str) -> list[Plane]:
    """Two crops of 50 m, averaged to 0.4 m and taken for 2.5 m pixels."""
    planes = []
    for path in sorted((data / "hr" / "bdortho_0p2m" / "rgb").glob("*.tiff")):
        image = _raster(path)[:3]
        rows, columns = (size // 2 for size in image.shape[1:])
        image = (
            image[:, : 2 * rows, : 2 * columns].reshape(3, rows, 2, columns, 2).mean(axis=(2, 4))
        )
        planes += _planes(place, path.stem, AERIAL[:3], image / 255, 2.5, counts=True)
    return planes


def _sweden(data: Path, place: str) -> list[Plane]:
    """MATLAB 7.3 is HDF5; arrays are (band, x, y)."""
    path = data / "sentinel2" / "dsen2_sweden_l1c" / "S2A_MSIL1C_20170527_T33UUB.mat"
    with netCDF4.Dataset(path) as file:
        image = np.asarray(file["im10"][:], np.float32).transpose(0, 2, 1) * QUANTUM
    return _planes(place, "20170527", AERIAL, image, 10.0)


def _tervuren(data: Path, place: str) -> list[Plane]:
    """The composites without a gap."""
    path = data / "sentinel2" / "tervuren_l2a_stack" / "inference_area_tevuren.nc"
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        stack = np.stack([file[f"S2-L2A-{band}"][:] for band in BANDS], axis=1)
    return [
        plane
        for number, image in enumerate(stack)
        if image.min() >= 0 and image[0].mean() < 1500  # no gap, and no cloud left
        for plane in _planes(place, f"step {number}", BANDS, image * QUANTUM, 10.0)
    ]


def _flanders(data: Path, place: str) -> list[Plane]:
    """The steps that the classification calls clear all over."""
    path = data / "sentinel2" / "flanders_l2a_scl" / "bap_quintad_cdse.nc"
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        stack = np.stack([file[f"S2-L2A-{band}"][:] for band in BANDS], axis=1)
        classes = np.asarray(file["S2-L2A-SCL"][:])
    clear = ((classes >= 4) & (classes <= 7)).mean(axis=(1, 2)) > 0.999
    return [
        plane
        for number in np.flatnonzero(clear)
        if np.isfinite(stack[number]).all()
        for plane in _planes(place, f"step {number}", BANDS, stack[number] * QUANTUM, 10.0)
    ]


def _icor(data: Path, place: str) -> list[Plane]:
    """The scene as iCor corrected it for the atmosphere."""
    folder = data / "sentinel2" / "icor_l1c"
    image = np.concatenate([_raster(folder / f"ref_check_icor_S2_{band}.tif") for band in BANDS])
    return _planes(place, "20190411", BANDS, image * QUANTUM, 10.0)


def _havel(data: Path, place: str) -> list[Plane]:
    """Recompressed with loss by whoever packed it: softer, and in steps of 0.0016."""
    folder = data / "sentinel2" / "havel_l1c_jp2" / "IMG_DATA"
    image = np.concatenate([_raster(folder / f"T33UUU_20170216T102101_{b}.jp2") for b in BANDS])
    return _planes(place, "20170216", BANDS, image * QUANTUM, 10.0)


def _bolzano(data: Path, place: str) -> list[Plane]:
    """Bands B04, B03, B02, B08 and the classification, in this order."""
    image = _raster(data / "sentinel2" / "bolzano_l2a" / "S2_L2A_sample.tif")[:4]
    return _planes(place, "20220612", AERIAL, image * QUANTUM, 10.0)


def _slovenia(data: Path, place: str) -> list[Plane]:
    """Three clear scenes; all thirteen bands at 10 m in the order of their numbers."""
    folder = data / "sentinel2" / "slovenia_l1c_stack"
    scenes = np.load(folder / "REFERENCE_SCENES.npy")[2:, :, :, [1, 2, 3, 7]]
    return [
        plane
        for number, scene in enumerate(scenes)
        for plane in _planes(place, f"scene {number}", BANDS, scene.transpose(2, 0, 1), 10.0)
    ]


def _spyndex(_data: Path, place: str) -> list[Plane]:
    """A crop that comes with an installed package."""
    import spyndex  # noqa: PLC0415 - reads files when imported

    image = np.asarray(spyndex.datasets.open("sentinel"), np.float32)
    return _planes(place, "crop", BANDS, image[:4] * QUANTUM, 10.0)


_READERS: dict[str, Callable[[Path, str], list[Plane]]] = {
    "naip_5m": _naip_5m,
    "eugene_0p3m": _eugene,
    "putnam_1p3m": _putnam,
    "naip_1m": _naip_1m,
    "naip_0p6m": _naip_0p6m,
    "bdortho_0p2m": _bdortho,
    "sweden_l1c": _sweden,
    "tervuren_l2a": _tervuren,
    "flanders_l2a": _flanders,
    "icor_l2a": _icor,
    "havel_l1c": _havel,
    "bolzano_l2a": _bolzano,
    "slovenia_l1c": _slovenia,
    "spyndex_l2a": _spyndex,
}


def _raster(path: Path) -> Values:
    with rasterio.open(path) as source:
        return np.asarray(source.read(), np.float32)


def _planes(
    place: str,
    image: str,
    bands: tuple[str, ...],
    values: NDArray[Any],
    gsd_m: float,
    *,
    counts: bool = False,
) -> list[Plane]:
    return [
        Plane(place, image, band, np.asarray(plane, np.float32), (gsd_m, gsd_m), counts)
        for band, plane in zip(bands, values, strict=True)
    ]
