"""The record of what a model made: kept in files' tags, in cubes, in STAC items."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from datacube.errors import InvalidInput
from datacube.provenance import SCHEMA, TAG, Record, psf_record, software_record
from sr_engine.card import ModelCard


def provenance(
    card: ModelCard,
    bands: Sequence[str],
    *,
    inputs: Sequence[Mapping[str, Any]] = (),
    calibration: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
) -> Record:
    """Everything known of how pixels came to be, as JSON holds it.

    `inputs` are the images: each its id, time, processing baseline and digest, None where one is
    not known. `calibration` names the set that intervals were calibrated on. `made` is what else
    the command that made them tells.
    """
    return {
        "schema": SCHEMA,
        **software_record(),
        "inferred": True,
        "model": card.id,
        "weights_sha256": card.weights_sha256,
        "model_card": card.document(),
        "bands": list(bands),
        "factor": card.factor,
        "psf": psf_record(bands),
        "settings": dict(card.settings),
        "calibration": None if calibration is None else dict(calibration),
        "inputs": [dict(one) for one in inputs],
        **(made or {}),
    }


def read_provenance(path: Path) -> Record:
    """The record in a GeoTIFF's tags; raises InvalidInput for a file without one."""
    found = find_provenance(path)
    if found is None:
        raise InvalidInput(
            f"{path.name} carries no record of its making (tag {TAG}); it was not written by srcube"
        )
    return found


def find_provenance(path: Path) -> Record | None:
    """The record in a GeoTIFF's tags, if there is one; raises InvalidInput for no image."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # tags are all that is wanted
            with rasterio.open(path) as file:
                text = file.tags().get(TAG)
    except rasterio.errors.RasterioIOError as error:
        raise InvalidInput(f"{path.name} is no image that can be read: {error}"[:300]) from error
    try:
        found = json.loads(text or "")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
