"""Files as an ingest meets them: written by a function, non-square, without symmetry."""

import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from scipy import ndimage

from datacube import Grid

SHAPE = (90, 70)
BANDS = ("B02", "B03", "B04", "B08")


def grid(shape: tuple[int, int] = SHAPE, *, gsd_m: float = 10, crs: str = "EPSG:32632") -> Grid:
    """A grid on the product's own pixels, off the origin of anything."""
    return Grid.from_origin(crs, left=600_020, top=5_000_060, gsd_m=gsd_m, shape=shape)


def numbers(seed: int, shape: tuple[int, int] = SHAPE, bands: int = 4) -> NDArray[np.uint16]:
    """Smooth random numbers (band, y, x) between 1000 and 5000, the bands alike but not equal."""
    random = np.random.default_rng(seed)
    ground = ndimage.gaussian_filter(random.normal(size=shape), 2)
    own = ndimage.gaussian_filter(random.normal(size=(bands, *shape)), (0, 2, 2))
    texture = ground / np.ptp(ground) + 0.2 * own / np.ptp(own)
    return np.asarray(np.rint(3000 + 2000 * texture), np.uint16)


def clear_classes(shape: tuple[int, int] = SHAPE) -> NDArray[np.uint8]:
    """Vegetation and bare ground."""
    classes = np.full(shape, 4, np.uint8)
    classes[: shape[0] // 3] = 5
    return classes


def write_tif(
    path: Path,
    values: NDArray[Any],
    at: Grid,
    names: Sequence[str] | None = None,
    **profile: Any,
) -> Path:
    """Write (band, y, x) as a GeoTIFF; `names` become descriptions."""
    settings: dict[str, Any] = {
        "driver": "GTiff", "count": len(values), "height": values.shape[1],
        "width": values.shape[2], "dtype": values.dtype, "crs": at.crs,
        "transform": at.transform, "nodata": 0, **profile,
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # some files are to have no place
        with rasterio.open(path, "w", **settings) as file:
            file.write(values)
            if names:
                file.descriptions = tuple(names)
    return path


def write_scene(
    folder: Path, day: int, values: NDArray[Any] | None = None, classes: Any = None
) -> Path:
    """A GeoTIFF of four bands and its classes, dated in its name."""
    folder.mkdir(exist_ok=True)
    values = numbers(day) if values is None else values
    classes = clear_classes(values.shape[1:]) if classes is None else classes
    stack = np.concatenate([values, classes[np.newaxis].astype(values.dtype)])
    name = f"field_202406{day:02d}T101559.tif"
    return write_tif(folder / name, stack, grid(values.shape[1:]), (*BANDS, "SCL"))


@dataclass(frozen=True)
class Product:
    """What a SAFE product's metadata is to say."""

    level: str = "1C"
    baseline: str | None = "05.10"
    offsets: Mapping[int, int] | None = None
    prolog: str = ""
    quantification: int = 10_000
    tile: str = "32TPS"

    @property
    def name(self) -> str:
        done = self.baseline or "00.00"
        return f"S2B_MSIL{self.level}_20240620T101559_N0510_R065_T{self.tile}_{done}.SAFE"

    def metadata(self) -> str:
        """`MTD_MSIL??.xml`, as far as it matters."""
        offset, quantity = ("RADIO_ADD_OFFSET", "QUANTIFICATION_VALUE")
        if self.level == "2A":
            offset, quantity = ("BOA_ADD_OFFSET", "BOA_QUANTIFICATION_VALUE")
        listed = "".join(
            f'<{offset} band_id="{band}">{value}</{offset}>'
            for band, value in (self.offsets or {}).items()
        )
        baseline = (
            f"<PROCESSING_BASELINE>{self.baseline}</PROCESSING_BASELINE>" if self.baseline else ""
        )
        return f"""<?xml version="1.0" encoding="UTF-8"?>{self.prolog}
<n1:Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product.xsd">
<PRODUCT_START_TIME>2024-06-20T10:15:59.024Z</PRODUCT_START_TIME>
<PRODUCT_URI>{self.name}</PRODUCT_URI>
<PROCESSING_LEVEL>Level-{self.level}</PROCESSING_LEVEL>{baseline}
<SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME>
<{quantity} unit="none">{self.quantification}</{quantity}>{listed}
<Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
<Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment></n1:Product>"""


OFFSETS = dict.fromkeys(range(13), -1000)


def write_safe(
    folder: Path, product: Product, images: Mapping[str, tuple[NDArray[Any], Grid]]
) -> Path:
    """A SAFE folder; `images` by the end of their file name (`B04`, `R20m/SCL_20m`).

    Images are JPEG 2000, lossless.
    """
    root = folder / product.name
    inside = root / "GRANULE/L_T32TPS/IMG_DATA"
    inside.mkdir(parents=True)
    (root / f"MTD_MSIL{product.level}.xml").write_text(product.metadata())
    for name, (values, at) in images.items():
        target = inside / name
        target = target.with_name(f"T32TPS_20240620T101559_{target.name}.jp2")
        target.parent.mkdir(exist_ok=True)
        lossless = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES", "nodata": None}
        write_tif(target, values[np.newaxis], at, **lossless)
        Path(f"{target}.aux.xml").unlink(missing_ok=True)
    return root


def zipped(folder: Path) -> Path:
    """The folder as a zip beside it."""
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, path.relative_to(folder.parent))
    return target


def moved(at: Grid, *, x: float = 0.0, y: float = 0.0) -> Grid:
    """The grid displaced by metres."""
    return Grid(at.crs, Affine.translation(x, y) @ at.transform, at.shape)
