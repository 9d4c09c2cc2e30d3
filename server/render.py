"""From digital numbers to an encoded picture, by look-up tables."""

import io
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rio_tiler.colormap import cmap

from datacube.scene import ADD_OFFSET, SCALE_FACTOR
from server.reader import Pixels
from sr_engine.planes import Quality

WEBP_QUALITY = 85
GAMMA = 0.8  # lifts the dark greens of summer; of the picture only, never of the numbers

# Colours of Sentinel-2's scene classification, after ESA's Level-2A product definition.
SCL_COLOURS = {
    0: (0, 0, 0, 0),
    1: (255, 0, 0, 255),
    2: (47, 47, 47, 255),
    3: (100, 50, 0, 255),
    4: (0, 160, 0, 255),
    5: (255, 230, 90, 255),
    6: (0, 0, 255, 255),
    7: (128, 128, 128, 255),
    8: (192, 192, 192, 255),
    9: (255, 255, 255, 255),
    10: (100, 200, 255, 255),
    11: (255, 150, 255, 255),
}

# Quality flags by value, the most serious first: a pixel is drawn in the first one that it has.
FLAG_COLOURS = {
    int(Quality.SATURATED): ("saturated input near", (214, 39, 40, 255)),
    int(Quality.INPUT_CLOUDY): ("cloud or shadow in the input", (240, 240, 240, 255)),
    int(Quality.OUT_OF_DOMAIN): ("out of the model's domain", (148, 103, 189, 255)),
    int(Quality.INCONSISTENT): ("inconsistent with the input", (255, 127, 14, 255)),
    int(Quality.NO_DATA_NEAR): ("no data near", (127, 127, 127, 255)),
    int(Quality.INTERVAL_WIDER_THAN_GAIN): ("interval wider than gain", (31, 119, 180, 255)),
    int(Quality.COMPUTED): ("nothing against it", (23, 90, 60, 255)),
}


@dataclass(frozen=True)
class Stretch:
    """Values shown darkest and brightest, in the variable's units, and how it is stored."""

    low: float
    high: float
    scale_factor: float = SCALE_FACTOR
    add_offset: float = ADD_OFFSET
    colormap: str | None = None


def rgba(pixels: Pixels, stretch: Stretch) -> NDArray[np.uint8]:
    """An image (y, x, 4): three bands as they are, one as grey or by its colour map."""
    image = rgb(pixels, stretch)
    alpha = pixels.valid.astype(np.uint8) * np.uint8(255)
    if image.shape[-1] == 4:  # a colour map brings its own opacity
        image[..., 3][~pixels.valid] = 0
        return image
    return np.asarray(cv2.merge([*cv2.split(image), alpha]), np.uint8)


def rgb(pixels: Pixels, stretch: Stretch) -> NDArray[np.uint8]:
    """The colours alone, (y, x, 3), or (y, x, 4) where a colour map has opacity in it."""
    table = _table(stretch)
    if stretch.colormap is not None:
        return np.take(table, pixels.dn[..., 0], axis=0)
    image = np.take(table, pixels.dn)
    if image.shape[-1] == 3:
        return image
    return np.asarray(cv2.merge([image[..., 0]] * 3), np.uint8)


def picture(pixels: Pixels, stretch: Stretch) -> NDArray[np.uint8]:
    """What to encode: without an alpha channel where every pixel is valid."""
    whole = bool(pixels.valid.all())
    return rgb(pixels, stretch) if whole else rgba(pixels, stretch)


def index_rgba(
    values: NDArray[np.float32], span: tuple[float, float], colormap: str
) -> NDArray[np.uint8]:
    """An image (y, x, 4) of values between the ends of `span`; none where they are not finite."""
    low, high = span
    here = np.isfinite(values)
    level = (np.where(here, values, low) - low) / (high - low)
    image = _colours(colormap)[np.rint(np.clip(level, 0, 1) * 255).astype(np.uint8)]
    image[..., 3][~here] = 0
    return image


def class_rgba(pixels: Pixels) -> NDArray[np.uint8]:
    """An image (y, x, 4) of scene classes."""
    image = _class_table()[np.minimum(pixels.dn[..., 0], len(SCL_COLOURS) - 1)]
    image[..., 3][~pixels.valid] = 0
    return image


def flag_rgba(pixels: Pixels) -> NDArray[np.uint8]:
    """An image (y, x, 4) of quality flags."""
    image = _flag_table()[np.minimum(pixels.dn[..., 0], 127)]
    image[..., 3][~pixels.valid] = 0
    return image


def encode(image: NDArray[np.uint8], image_format: str) -> bytes:
    """Encode RGB(A) as `webp` (lossy, its fastest method), `png`, or `jpeg` (without alpha)."""
    out = io.BytesIO()
    alpha = image.shape[-1] == 4
    if alpha and (image_format == "jpeg" or bool((image[..., 3] == 255).all())):
        image = np.ascontiguousarray(image[..., :3])
    picture = Image.fromarray(image)
    if image_format == "webp":
        picture.save(out, "WEBP", method=0, quality=WEBP_QUALITY)
    elif image_format == "png":
        picture.save(out, "PNG", compress_level=1)
    else:
        picture.save(out, "JPEG", quality=90)
    return out.getvalue()


@lru_cache(maxsize=64)
def _table(stretch: Stretch) -> NDArray[np.uint8]:
    """Grey level, or colour, of each of the 65,536 numbers."""
    values = np.arange(65_536) * stretch.scale_factor + stretch.add_offset
    level = (values - stretch.low) / (stretch.high - stretch.low)
    grey: NDArray[np.uint8] = np.rint(np.clip(level, 0, 1) ** GAMMA * 255).astype(np.uint8)
    if stretch.colormap is None:
        return grey
    return _colours(stretch.colormap)[grey]


@lru_cache(maxsize=64)
def _colours(colormap: str) -> NDArray[np.uint8]:
    """The 256 colours of a map by its name, (256, 4)."""
    return np.array([cmap.get(colormap)[index] for index in range(256)], np.uint8)


@lru_cache(maxsize=1)
def _class_table() -> NDArray[np.uint8]:
    return np.array([SCL_COLOURS[code] for code in range(len(SCL_COLOURS))], np.uint8)


@lru_cache(maxsize=1)
def _flag_table() -> NDArray[np.uint8]:
    """Colour of each mask: that of its most serious flag, none for 0."""
    table = np.zeros((128, 4), np.uint8)
    for value, (_, colour) in reversed(FLAG_COLOURS.items()):
        table[(np.arange(128) & value) > 0] = colour
    return table
