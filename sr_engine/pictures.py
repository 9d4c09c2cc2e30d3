"""Images side by side under one stretch: what a notebook shows and a person compares."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from datacube.errors import InvalidInput
from sr_engine.explain.pictures import INK, PAPER, ramp, rgb
from sr_engine.model import Reflectance

PANEL_PX, MARGIN_PX, CAPTION_PX = 320, 8, 22


def side_by_side(
    images: Mapping[str, Reflectance], bands: Sequence[str], *, panel_px: int = PANEL_PX
) -> Image.Image:
    """Images (band, y, x) by caption, each as wide as the others, pixels as squares.

    True colour where the bands have it, else the first band in grey; stretched alike, by the
    first image, so that what differs is the images and not their display. No data is black.
    Raises InvalidInput for no image.
    """
    if not images:
        raise InvalidInput("need an image to show, got none")
    first = next(iter(images.values()))
    panels = {caption: rgb(image, bands, first) for caption, image in images.items()}
    return _joined(panels, panel_px)


def maps_side_by_side(
    maps: Mapping[str, NDArray[np.floating]], highest: float, *, panel_px: int = PANEL_PX
) -> Image.Image:
    """Magnitudes (y, x) by caption on one colour ramp from 0 to `highest`; no data is 0."""
    if not maps or not highest > 0:
        raise InvalidInput(f"need a map and a highest value above 0, got {len(maps)}, {highest}")
    panels = {
        caption: ramp(np.abs(np.nan_to_num(values)) / highest) for caption, values in maps.items()
    }
    return _joined(panels, panel_px)


def _joined(panels: Mapping[str, NDArray[np.uint8]], panel_px: int) -> Image.Image:
    """Panels in a row, each scaled to one width, captions above."""
    scaled = {caption: _scaled(panel, panel_px) for caption, panel in panels.items()}
    height = max(panel.shape[0] for panel in scaled.values())
    width = len(scaled) * (panel_px + MARGIN_PX) + MARGIN_PX
    drawn = Image.new("RGB", (width, height + CAPTION_PX + MARGIN_PX), PAPER)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(13)
    for place, (caption, panel) in enumerate(scaled.items()):
        left = MARGIN_PX + place * (panel_px + MARGIN_PX)
        pen.text((left, 4), caption, INK, font)
        drawn.paste(Image.fromarray(panel), (left, CAPTION_PX))
    return drawn


def _scaled(panel: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    height = max(1, round(panel.shape[0] * width / panel.shape[1]))
    shrinks = panel.shape[1] > width
    way = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(panel, (width, height), interpolation=way), np.uint8)
