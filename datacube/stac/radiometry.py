"""What the numbers of an asset mean, from what its item says; refused where it does not say.

Since processing baseline 04.00 (25 January 2022) ESA adds 1000 to every number, and catalogs
differ in whether they took that away again and in whether they say so. A wrong guess is a shift
of 0.1 in reflectance, so nothing is guessed: contradiction is refused like silence.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from datacube.scene import SCALE_FACTOR
from datacube.sources.radiometry import BASELINE_OFFSET, FIRST_BASELINE_WITH_OFFSET, Calibration
from datacube.sources.refusals import RadiometryUnknown

BASELINE_PROPERTIES = (
    "s2:processing_baseline",
    "sentinel:processing_baseline",
    "sentinel2:processing_baseline",
    "processing:version",
)
PRODUCT_NAMES = ("s2:product_uri", "s2:product_id", "sentinel:product_id", "sentinel2:product_uri")
APPLIED_FLAGS = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
# Earth Search's first collections carry items that deny the correction though it was made, as
# comparison with ESA's files has shown: there a "no" is not believed, a "yes" is.
UNRELIABLE_DENIALS = {"sentinel-2-l2a", "sentinel-s2-l2a-cogs"}
WAY_OUT = "give --scale and --offset, or take the item from another catalog"


def calibration_of(item: Mapping[str, Any], asset: Mapping[str, Any]) -> Calibration:
    """What one asset's numbers mean; raises RadiometryUnknown.

    In order: a statement that the offset was taken away already, then the asset's own scale and
    offset, then the processing baseline; the latter two must not contradict each other.
    """
    properties = item["properties"]
    baseline = baseline_of(item)
    scale, offset, no_data = _declared(asset)
    scale = scale or SCALE_FACTOR
    applied = _applied(properties)
    collection = str(item.get("collection") or "")
    if applied or "harmoni" in collection:
        return Calibration(scale, 0.0, no_data)
    expects_offset = baseline is not None and baseline >= FIRST_BASELINE_WITH_OFFSET
    if applied is False and expects_offset and collection in UNRELIABLE_DENIALS:
        raise RadiometryUnknown(
            f"{item['id']}: collection {collection} says that the offset is still in the numbers, "
            f"which is known to be wrong for some of its items; {WAY_OUT}, such as "
            "sentinel-2-c1-l2a"
        )
    if offset is not None:
        if baseline is not None and (offset != 0) != expects_offset:
            raise RadiometryUnknown(
                f"{item['id']}: the asset says offset {offset}, processing baseline "
                f"{baseline[0]:02d}.{baseline[1]:02d} says otherwise; {WAY_OUT}"
            )
        return Calibration(scale, offset, no_data)
    if baseline is None:
        raise RadiometryUnknown(
            f"{item['id']}: neither offset nor processing baseline is stated; {WAY_OUT}"
        )
    return Calibration(scale, BASELINE_OFFSET if expects_offset else 0.0, no_data)


def baseline_of(item: Mapping[str, Any]) -> tuple[int, int] | None:
    """The processing baseline as (4, 0), from properties or the product's name; None if unsaid.

    Raises RadiometryUnknown where two places say different baselines.
    """
    properties = item["properties"]
    texts = [str(properties.get(name, "")) for name in BASELINE_PROPERTIES]
    found = {match for text in texts if (match := re.fullmatch(r"0?(\d{1,2})\.(\d{2})", text))}
    said = {(int(match[1]), int(match[2])) for match in found}
    if not said:
        names = [str(properties.get(name, "")) for name in PRODUCT_NAMES] + [str(item["id"])]
        named = [match for name in names if (match := re.search(r"_N(\d{2})(\d{2})_", name))]
        said = {(int(match[1]), int(match[2])) for match in named}
    if len(said) > 1:
        raise RadiometryUnknown(f"{item['id']}: contradicting baselines {sorted(said)}; {WAY_OUT}")
    return next(iter(said), None)


def _declared(asset: Mapping[str, Any]) -> tuple[float | None, float | None, float]:
    """Scale, offset and no-data number of the asset, where the raster extension keeps them."""
    places = [asset]
    for key in ("raster:bands", "bands"):
        bands = asset.get(key)
        if isinstance(bands, list) and len(bands) == 1 and isinstance(bands[0], Mapping):
            places.append(bands[0])

    def stated(*names: str) -> float | None:
        values = [place[name] for place in places for name in names if name in place]
        return _number(values[0]) if values else None

    scale, offset = stated("raster:scale", "scale"), stated("raster:offset", "offset")
    if scale is not None and not 0 < scale < 1:
        raise RadiometryUnknown(f"need a scale between 0 and 1, got {scale}; {WAY_OUT}")
    no_data = stated("nodata")
    if offset is not None and not np.isfinite(offset):
        raise RadiometryUnknown(f"need a finite offset, got {offset}; {WAY_OUT}")
    return scale, offset, 0.0 if no_data is None else no_data


def _applied(properties: Mapping[str, Any]) -> bool | None:
    values = [properties[name] for name in APPLIED_FLAGS if name in properties]
    if any(not isinstance(value, bool) for value in values) or len(set(values)) > 1:
        raise RadiometryUnknown(f"need one true or false for {APPLIED_FLAGS}, got {values}")
    return values[0] if values else None


def _number(value: Any) -> float:
    if value == "nan":  # as JSON has to write it; only a no-data number can be that
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise RadiometryUnknown(f"need a finite number for scale and offset, got {value!r}")
    return float(value)
