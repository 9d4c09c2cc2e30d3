"""Which pixels show the ground: from the scene classification, or from a cloud detector.

Codes are those of Sentinel-2's scene classification (SCL). Where a product brings none and has
the ten bands that s2cloudless needs, its answer is written in the same codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.cube import Cube
from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.scene import NO_DATA_DN, reflectance_from_dn
from datacube.window import Window

NO_CLASS, SHADOW, UNCLASSIFIED, CLOUD = 0, 3, 7, 9
CLEAR_CLASSES = (2, 4, 5, 6, 7, 11)  # dark, vegetation, bare, water, unclassified, snow
CLOUD_CLASSES = (8, 9, 10)  # medium and high probability, thin cirrus
DILATION_PX = 3  # clouds fade over more than the classification's 20 m
STRIP_PX = 512

DETECTOR_BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")
DETECTOR_THRESHOLD = 0.4  # of the cloud probability; the package's own default
DETECTOR_GSD_M = 60.0  # of large scenes; small ones (2048 px) are looked at in 20 m


class Classified(Protocol):
    """A scene whose classes or bands can be read in windows."""

    grid: Grid
    bands: tuple[str, ...]
    with_scl: bool

    def classes(self, window: Window) -> NDArray[np.uint8]:
        """Scene classification (y, x)."""

    def band(self, name: str, window: Window) -> NDArray[np.uint16]:
        """One band (y, x)."""


@dataclass(frozen=True)
class MaskSummary:
    """Pixels of a scene on a cube's grid; `clear` and `cloud` are None without classes."""

    pixels: int
    valid: int
    clear: int | None = None
    cloud: int | None = None

    def properties(self) -> dict[str, Any]:
        """What is recorded with the scene, in percent.

        Cloud is of the valid pixels, as in a catalog; valid and clear are of the cube's grid.
        """
        found: dict[str, Any] = {"srcube:valid_percent": _percent(self.valid, self.pixels)}
        if self.clear is not None and self.cloud is not None:
            found["eo:cloud_cover"] = _percent(self.cloud, self.valid)
            found["srcube:clear_percent"] = _percent(self.clear, self.pixels)
            found["srcube:cloudy"] = 2 * self.clear < self.valid
        return found


def clear_mask(classes: NDArray[np.uint8], *, dilation_px: int = DILATION_PX) -> NDArray[np.bool_]:
    """Where (y, x) the ground is seen: no cloud or shadow within `dilation_px`."""
    clear = np.isin(classes, CLEAR_CLASSES)
    hidden = np.isin(classes, (*CLOUD_CLASSES, SHADOW))
    return clear & ~dilated(hidden, dilation_px)


def dilated(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """The mask (y, x) grown by a disk."""
    if radius_px < 1 or not mask.any():
        return mask
    offsets = np.arange(-radius_px, radius_px + 1)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius_px**2).astype(np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disk), dtype=np.bool_)


def summarise(scene: Classified) -> MaskSummary:
    """Count a scene's valid, clear and cloudy pixels, strip by strip."""
    height, width = scene.grid.shape
    valid = clear = cloud = 0
    for row in range(0, height, STRIP_PX):
        strip = Window(row, 0, min(STRIP_PX, height - row), width)
        if not scene.with_scl:
            valid += int((scene.band(scene.bands[0], strip) != NO_DATA_DN).sum())
            continue
        rim = strip.grown(DILATION_PX).within(scene.grid.shape)
        classes = scene.classes(rim)
        inner = slice(strip.row - rim.row, strip.row - rim.row + strip.height)
        valid += int((classes[inner] != NO_CLASS).sum())
        cloud += int(np.isin(classes[inner], CLOUD_CLASSES).sum())
        clear += int(clear_mask(classes)[inner].sum())
    if not scene.with_scl:
        return MaskSummary(height * width, valid)
    return MaskSummary(height * width, valid, clear, cloud)


def pixel_clear_fraction(cube: Cube, window: Window, *, level: int = 0) -> NDArray[np.float32]:
    """Share of the cube's scenes (y, x) in which each pixel is clear; 0 without scenes.

    Raises InvalidInput for a cube without classes.
    """
    if not cube.has_scl:
        raise InvalidInput("the cube holds no scene classification to tell what is clear")
    if not cube.scenes:
        return np.zeros(_size(window), np.float32)
    shape = cube.levels[level].shape
    rim = window.grown(DILATION_PX).within(shape)
    rows, cols = Window(window.row - rim.row, window.col - rim.col, *_size(window)).slices
    clear = [
        clear_mask(cube.window_scl(one.slot, rim, level=level))[rows, cols] for one in cube.scenes
    ]
    fraction: NDArray[np.float32] = np.mean(clear, axis=0, dtype=np.float32)
    return fraction


def can_detect(bands: Mapping[str, object]) -> bool:
    """Whether s2cloudless is installed and has the bands it needs."""
    return set(DETECTOR_BANDS) <= set(bands) and find_spec("s2cloudless") is not None


def detector_grid(grid: Grid) -> Grid:
    """The coarser grid on which clouds are looked for: they are no matter of single pixels."""
    gsd_m = DETECTOR_GSD_M if max(grid.shape) > 2048 else DETECTOR_GSD_M / 3
    return grid.coarsened(max(1, round(gsd_m / grid.gsd_m)))


def detect_clouds(dn: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Classes (y, x) from the ten `DETECTOR_BANDS` (band, y, x), top of the atmosphere.

    Cloud is 9, everything else 7 (unclassified), 0 where a band has no data. The detector is
    s2cloudless (Sentinel Hub), a gradient-boosted classifier of single pixels.
    """
    from s2cloudless.cloud_detector import (  # noqa: PLC0415 (optional, and slow to import)
        S2PixelCloudDetector,
    )

    reflectance = np.moveaxis(reflectance_from_dn(dn), 0, -1)
    empty = np.isnan(reflectance).any(axis=-1)
    detector = S2PixelCloudDetector(
        threshold=DETECTOR_THRESHOLD, average_over=2, dilation_size=1, all_bands=False
    )
    cloud = detector.get_cloud_masks(np.nan_to_num(reflectance)[np.newaxis])[0].astype(bool)
    classes = np.where(cloud, CLOUD, UNCLASSIFIED)
    return np.where(empty, NO_CLASS, classes).astype(np.uint8)


def _size(window: Window) -> tuple[int, int]:
    return window.height, window.width


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
