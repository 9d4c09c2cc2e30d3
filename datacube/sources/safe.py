"""Sentinel-2 products as ESA delivers them: SAFE, levels 1C and 2A, a folder or a zip.

Everything that matters is in the product's metadata and is taken from there: time, baseline,
quantification, offset per band, no data. File names only tell which band an image is.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

from datacube.bands import CLASSES, band_in
from datacube.errors import InvalidInput
from datacube.scene import Scene, parse_rfc3339
from datacube.sources.archive import Archive
from datacube.sources.naming import scene_id_of
from datacube.sources.plan import BandSource, PlannedScene
from datacube.sources.radiometry import QUANTIFICATION, Calibration, baseline_calibration
from datacube.sources.raster import RasterBand, open_raster
from datacube.sources.refusals import AssetUnreadable, DateUnknown

METADATA = ("MTD_MSIL1C.xml", "MTD_MSIL2A.xml")
IMAGES = ("IMG_DATA/*.jp2", "IMG_DATA/*/*.jp2")

# Place of each band in the lists of the metadata (`band_id`), after the product specification.
BAND_IDS = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12",
)  # fmt: skip


@dataclass(frozen=True)
class _Metadata:
    """What the product's own metadata says."""

    name: str
    moment: datetime
    level: str
    baseline: str | None
    quantification: float
    offsets: dict[str, float]
    no_data: float
    properties: dict[str, Any]

    def calibration(self, band: str) -> Calibration:
        """Calibration of one band; raises RadiometryUnknown where the metadata does not tell."""
        if band == CLASSES:
            return Calibration()
        if band in self.offsets:
            scale = 1 / self.quantification
            return Calibration(scale, self.offsets[band] * scale, self.no_data)
        found = baseline_calibration(self.baseline, no_data=self.no_data)
        if found.offset or self.quantification != QUANTIFICATION:
            raise AssetUnreadable(
                f"{self.name} is of baseline {self.baseline} but lists no offset for {band}"
            )
        return found


def plan_product(archive: Archive) -> PlannedScene:
    """Plan the one scene of a product.

    Raises AssetUnreadable where it is no such product or holds several granules, and what
    reading metadata and headers raises.
    """
    found = archive.find(*METADATA)
    if len(found) != 1:
        raise AssetUnreadable(
            f"{archive.name} holds {len(found)} of {' or '.join(METADATA)}; need exactly one"
        )
    metadata = _read_metadata(archive.read_xml(found[0]), archive.name)
    base = str(PurePosixPath(found[0]).parent)
    images = [name for name in archive.find(*IMAGES) if base == "." or name.startswith(base + "/")]
    granules = {name.split("/GRANULE/")[-1].split("/")[0] for name in images}
    if len(granules) > 1:
        raise AssetUnreadable(
            f"{archive.name} holds {len(granules)} granules; give the product of one"
        )
    bands: dict[str, BandSource] = {}
    for name in images:
        band = band_in(PurePosixPath(name).stem)
        if band is not None:
            source = _band(archive.members[name], metadata.calibration(band))
            held = bands.get(band)
            if held is None or source.grid.gsd_m < held.grid.gsd_m:
                bands[band] = source
    if not bands:
        raise AssetUnreadable(f"{archive.name} has metadata but no images")
    scene = Scene(metadata.name, metadata.moment, metadata.properties)
    return PlannedScene(scene, bands, metadata.level)


def _band(path: str, calibration: Calibration) -> RasterBand:
    with open_raster(path) as file:
        return RasterBand(path, 1, file.grid, calibration)


def _read_metadata(root: Element, name: str) -> _Metadata:
    product = scene_id_of((_text(root, "PRODUCT_URI") or name).removesuffix(".SAFE"))
    stated = _text(root, "PRODUCT_START_TIME")
    if stated is None:
        raise DateUnknown(f"{name} does not say when it was sensed")
    level = (_text(root, "PROCESSING_LEVEL") or "").replace("Level-", "L")
    if level not in {"L1C", "L2A"}:
        raise InvalidInput(f"need a product of level L1C or L2A, {name} says {level[:20]!r}")
    quantification = _text(
        root, "QUANTIFICATION_VALUE" if level == "L1C" else "BOA_QUANTIFICATION_VALUE"
    )
    tag = "RADIO_ADD_OFFSET" if level == "L1C" else "BOA_ADD_OFFSET"
    baseline = _text(root, "PROCESSING_BASELINE")
    return _Metadata(
        name=product,
        moment=parse_rfc3339(stated),
        level=level,
        baseline=baseline,
        quantification=_number(quantification, name, default=QUANTIFICATION),
        offsets=_offsets(root, tag, name),
        no_data=_special_value(root, "NODATA", name),
        properties=_properties(root, product, baseline),
    )


def _properties(root: Element, product: str, baseline: str | None) -> dict[str, Any]:
    tile = re.search(r"_T(\d{2}[A-Z]{3})_", product)
    found = {
        "platform": (_text(root, "SPACECRAFT_NAME") or "").lower() or None,
        "s2:processing_baseline": baseline,
        "s2:product_uri": _text(root, "PRODUCT_URI"),
        "grid:code": f"MGRS-{tile[1]}" if tile else None,
        "srcube:product_cloud_cover": _text(root, "Cloud_Coverage_Assessment"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _offsets(root: Element, tag: str, name: str) -> dict[str, float]:
    offsets = {}
    for element in root.iter():
        if _local(element) == tag:
            index = element.get("band_id", "")
            if not (index.isdigit() and int(index) < len(BAND_IDS)):
                raise AssetUnreadable(f"{name} lists an offset for band_id={index[:10]!r}")
            offsets[BAND_IDS[int(index)]] = _number(element.text, name)
    return offsets


def _special_value(root: Element, wanted: str, name: str) -> float:
    for element in root.iter():
        if _local(element) == "Special_Values":
            values = {_local(child): (child.text or "").strip() for child in element}
            if values.get("SPECIAL_VALUE_TEXT") == wanted:
                return _number(values.get("SPECIAL_VALUE_INDEX"), name)
    return 0.0


def _number(text: str | None, name: str, default: float | None = None) -> float:
    if text is None and default is not None:
        return default
    try:
        return float(text or "")
    except ValueError as error:
        raise AssetUnreadable(f"{name} has {text!r} in its metadata, not a number") from error


def _text(root: Element, tag: str) -> str | None:
    for element in root.iter():
        if _local(element) == tag:
            return (element.text or "").strip() or None
    return None


def _local(element: Element) -> str:
    return element.tag.rsplit("}", 1)[-1]
