"""A model as a STAC item of its own, in the words of the mlm extension."""

from importlib.metadata import version
from typing import Any

from datacube.bands import SENTINEL2
from datacube.stac.describe import MLM, STAC_VERSION, band_documents, model_properties
from sr_engine.card import ModelCard

FIRST_LIGHT, NO_END = "2015-06-27T00:00:00Z", "9999-12-31T23:59:59Z"  # of Sentinel-2's images
EARTH = [-180.0, -90.0, 180.0, 90.0]


def model_item(card: ModelCard) -> dict[str, Any]:
    """The item of a model that any scene may be given to: everywhere, at any time.

    One that takes any 10 m band lists all four. Its asset names the weights by their digest;
    the card itself is among the properties.
    """
    bands = list(card.bands) or [band.name for band in SENTINEL2.values() if band.gsd_m == 10]
    west, south, east, north = EARTH
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [MLM],
        "id": card.id,
        "bbox": EARTH,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            **model_properties(card.document(), bands),
            "title": card.title,
            "datetime": None,
            "start_datetime": FIRST_LIGHT,
            "end_datetime": NO_END,
            "license": card.licence,
            "srcube:card": card.full_document(),
            "srcube:software": f"srcube {version('srcube')}",
        },
        "links": [],
        "assets": {
            "weights": {
                "href": f"urn:sha256:{card.weights_sha256}",
                "title": "Weights, or the settings they follow from, by their digest",
                "type": "application/octet-stream",
                "roles": ["mlm:model"],
                "mlm:artifact_type": "srcube.card",
                "bands": band_documents(bands),  # which the names in mlm:input refer to
            }
        },
    }
