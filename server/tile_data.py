"""A map tile as numbers instead of a picture: NumPy's own format, or a GeoTIFF of its frame.

Values are in the layer's units, float32, NaN where there is none.
"""

import io

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds

from datacube.scene import reflectance_from_dn
from server.layers import View
from server.reader import Frame, Pixels
from sr_engine.planes import PLANES

DATA_MEDIA = {"tif": "image/tiff; application=geotiff", "npy": "application/x-npy"}
Values = NDArray[np.float32]


def values_of(view: View, pixels: Pixels) -> Values:
    """Values (band, y, x); classes and flags as their codes."""
    dn = np.moveaxis(pixels.dn, -1, 0)
    plane = PLANES.get(view.layer.variable)
    if plane is not None and not plane.flags:
        values = (dn.astype(np.float32) - 1) * np.float32(plane.scale_factor)
    elif plane is not None or view.layer.kind == "classes":
        values = dn.astype(np.float32)
    else:
        values = reflectance_from_dn(dn)
    values[:, ~pixels.valid] = np.nan
    return values


def encode_values(values: Values, names: tuple[str, ...], frame: Frame, data_format: str) -> bytes:
    """The bytes of a tile (band, y, x) in one of the formats of `DATA_MEDIA`."""
    if data_format == "npy":
        out = io.BytesIO()
        np.save(out, np.ascontiguousarray(values), allow_pickle=False)
        return out.getvalue()
    count, height, width = values.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=count, height=height, width=width, dtype="float32",
            nodata=np.nan, crs=frame.crs, transform=from_bounds(*frame.bounds, width, height),
            compress="deflate", predictor=3,
        ) as dataset:  # fmt: skip
            dataset.write(values)
            dataset.descriptions = names if len(names) == count else ("",) * count
        return bytes(memory.read())
