"""Pictures of an explanation: the input, what was made of it, and where that came from."""

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from datacube import Window
from datacube.bands import find_bands
from sr_engine.explain.case import Case
from sr_engine.model import Reflectance

Picture = NDArray[np.uint8]  # (y, x, 3)
PANEL_PX = 320
MARGIN_PX = 12
LINE_PX = 18
GAMMA = 0.7
RAMP = cv2.COLORMAP_INFERNO
PAPER, INK, FAINT = (255, 255, 255), (30, 34, 38), (110, 116, 122)


def rgb(image: Reflectance, bands: Sequence[str], like: Reflectance) -> Picture:
    """True colour where the bands have it, else the first band in grey.

    Stretched alike in all three from 1 to 96 % of `like`, so that several pictures can share one
    stretch and colours stay what they are; brightened for the dark greens of summer.
    """
    names = [band.common_name for band in find_bands(bands)]
    true = {"red", "green", "blue"} <= set(names)
    places = [names.index(name) for name in ("red", "green", "blue")] if true else [0, 0, 0]
    low, high = np.nanpercentile(like[places], (1, 96))
    level = np.clip((image[places] - low) / max(float(high - low), 1e-6), 0, 1) ** GAMMA
    return np.ascontiguousarray((np.nan_to_num(level) * 255).astype(np.uint8).transpose(1, 2, 0))


def heat(values: NDArray[np.floating]) -> tuple[Picture, NDArray[np.float32]]:
    """Colours of magnitudes (y, x) and how strongly to lay them on, 0..1.

    By the square root, so that a pixel with a hundredth of the largest part still shows.
    """
    magnitude = np.abs(np.nan_to_num(values)).astype(np.float32)
    level = np.sqrt(magnitude / max(float(magnitude.max()), 1e-30))
    return ramp(level), np.clip(level * 1.6, 0, 0.92).astype(np.float32)


def ramp(level: NDArray[np.floating]) -> Picture:
    """The colour ramp at levels 0..1."""
    numbers = np.ascontiguousarray((np.clip(level, 0, 1) * 215 + 40).astype(np.uint8))
    coloured = cv2.applyColorMap(np.atleast_2d(numbers), RAMP)
    return np.asarray(cv2.cvtColor(coloured, cv2.COLOR_BGR2RGB), np.uint8)


def overlay(base: Picture, values: NDArray[np.floating]) -> Picture:
    """Magnitudes (y, x) in colour over a picture turned grey."""
    grey = (base.mean(axis=2, keepdims=True) * 0.6).repeat(3, axis=2)
    colours, weight = heat(values)
    mixed = grey * (1 - weight[..., None]) + colours * weight[..., None]
    return np.asarray(mixed, np.uint8)


def panels(case: Case, fine: Reflectance, values: NDArray[np.floating]) -> Mapping[str, Picture]:
    """The pictures of a case: `input` and `attribution` of all that was seen, `sr` of the window.

    `values` (y, x) are of the patch; pixels without data are black.
    """
    seen = np.where(case.missing, np.float32(np.nan), case.patch)
    source = rgb(seen, case.bands, case.patch)
    return {
        "input": source,
        "sr": rgb(fine, case.bands, case.patch),
        "attribution": overlay(source, values),
    }


def png(picture: Picture) -> bytes:
    """A picture as a PNG file."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", optimize=True)
    return out.getvalue()


def sheet(
    pictures: Mapping[str, Picture],
    captions: Mapping[str, str],
    inner: Window,
    notes: Sequence[str],
) -> Image.Image:
    """All pictures side by side with captions, the window outlined, a legend and notes below.

    `inner` is the window as seen from the pictures of the whole patch.
    """
    count = len(pictures)
    width = count * PANEL_PX + (count + 1) * MARGIN_PX
    foot = 2 * LINE_PX + len(notes) * LINE_PX + 2 * MARGIN_PX
    drawn = Image.new("RGB", (width, PANEL_PX + LINE_PX + MARGIN_PX + foot), PAPER)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(13)
    for place, (name, picture) in enumerate(pictures.items()):
        left = MARGIN_PX + place * (PANEL_PX + MARGIN_PX)
        pen.text((left, 6), captions[name], INK, font)
        drawn.paste(Image.fromarray(enlarged(picture)), (left, LINE_PX + MARGIN_PX))
        if name != "sr":
            _outline(pen, picture, inner, (left, LINE_PX + MARGIN_PX))
    top = PANEL_PX + LINE_PX + 2 * MARGIN_PX
    scale = ramp(np.linspace(0, 1, PANEL_PX)[None].repeat(10, axis=0))
    drawn.paste(Image.fromarray(scale), (width - PANEL_PX - MARGIN_PX, top))
    pen.text((width - PANEL_PX - MARGIN_PX, top + 14), "no part", FAINT, font)
    pen.text((width - MARGIN_PX, top + 14), "largest part (root scale)", FAINT, font, anchor="ra")
    for line, note in enumerate(notes):
        pen.text((MARGIN_PX, top + line * LINE_PX), note, INK, font)
    return drawn


def enlarged(picture: Picture) -> Picture:
    """Fitted into a square panel, pixels as squares, the rest paper."""
    height, width = picture.shape[:2]
    scale = PANEL_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    out = np.full((PANEL_PX, PANEL_PX, 3), 255, np.uint8)
    out[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_NEAREST)
    return out


def _outline(
    pen: ImageDraw.ImageDraw, picture: Picture, inner: Window, corner: tuple[int, int]
) -> None:
    scale = PANEL_PX / max(picture.shape[:2])
    left, top = corner[0] + inner.col * scale, corner[1] + inner.row * scale
    box = (left, top, left + inner.width * scale - 1, top + inner.height * scale - 1)
    pen.rectangle(box, outline=(0, 220, 255), width=2)
