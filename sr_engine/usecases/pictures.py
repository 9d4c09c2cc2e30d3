"""Pictures of a use case: panels with their names, and outlines of what was drawn."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw

from datacube.demo import BANDS
from datacube.window import Window
from sr_engine.usecases.objects import Mask
from sr_engine.usecases.rivals import Rival

Picture = NDArray[np.uint8]

SHOWN = tuple(BANDS.index(name) for name in ("B04", "B03", "B02"))
BRIGHTEST = 0.25  # reflectance that is shown as white
GAMMA = 0.7
GAP_PX, TITLE_PX = 4, 16
PAPER = (255, 255, 255)
HIT, MISSED, FALSE = (0, 114, 178), (240, 228, 66), (213, 94, 0)  # Okabe and Ito 2008


@dataclass(frozen=True)
class View:
    """Which part of a 2.5 m image is shown, and how many times enlarged."""

    window: Window
    enlarged: int = 1

    def of(self, pixels: Picture) -> Picture:
        """That part of an image (y, x, 3)."""
        part = pixels[self.window.slices]
        return part.repeat(self.enlarged, axis=0).repeat(self.enlarged, axis=1)


def natural(rival: Rival) -> Picture:
    """Red, green and blue as one would see them, (y, x, 3)."""
    shown = np.clip(rival.image[list(SHOWN)] / BRIGHTEST, 0, 1) ** GAMMA
    return np.asarray((shown * 255).astype(np.uint8).transpose(1, 2, 0))


def judged(mask: Mask, truth: Mask, region: Mask | None = None) -> Picture:
    """What was hit (blue), missed (yellow) and wrongly drawn (orange), on white, (y, x, 3)."""
    picture = np.full((*mask.shape, 3), 255, np.uint8)
    seen = np.ones(mask.shape, np.bool_) if region is None else region
    for chosen, colour in ((mask & truth, HIT), (truth & ~mask, MISSED), (mask & ~truth, FALSE)):
        picture[chosen & seen] = colour
    return picture


def marked(pixels: Picture, mask: Mask, colour: tuple[int, int, int] = MISSED) -> Picture:
    """A picture with the pixels of a mask in one colour."""
    picture = pixels.copy()
    picture[mask] = colour
    return picture


def panels(pictures: Mapping[str, Picture], view: View, columns: int = 4) -> Pillow.Image:
    """Pictures of one shape side by side, each under its name; notebooks show the result."""
    cut = {name: view.of(one) for name, one in pictures.items()}
    height, width = next(iter(cut.values())).shape[:2]
    rows = -(-len(cut) // columns)
    step_x, step_y = width + GAP_PX, height + TITLE_PX + GAP_PX
    sheet = Pillow.new("RGB", (min(columns, len(cut)) * step_x - GAP_PX, rows * step_y), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (name, pixels) in enumerate(cut.items()):
        left, top = (number % columns) * step_x, (number // columns) * step_y
        pen.text((left + 1, top + 2), name, fill=(0, 0, 0))
        sheet.paste(Pillow.fromarray(pixels), (left, top + TITLE_PX))
    return sheet
