"""A label map one draws on in metres.

Origin at the upper left corner of the area of interest, x to the right, y down; a margin
around the area is drawn too, because the instrument's blur and jitter reach into it.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.simulation.phenology import Parcels

FINE_M = 1.25
FINE_PER_PX = 8  # fine pixels per 10 m pixel
MARGIN_PX = 16  # 10 m pixels on every side
MARGIN_M = 10.0 * MARGIN_PX

Points = NDArray[np.float64]  # (n, 2): x, y in metres
_SUBPIXEL_BITS = 4


class Canvas:
    """Labels under construction: shapes are warped gently, so that nothing is ruled."""

    def __init__(self, shape: tuple[int, int], warp_m: float) -> None:
        height, width = ((side + 2 * MARGIN_PX) * FINE_PER_PX for side in shape)
        self.labels: NDArray[np.uint16] = np.zeros((height, width), np.uint16)
        self.kinds: list[str] = []
        self.days: list[float] = []
        self.gains: list[float] = []
        self.angles: list[float] = []
        self._warp_m = warp_m
        self.label("meadow")

    def label(self, kind: str, *, days: float = 0.0, gain: float = 1.0, angle: float = 0.0) -> int:
        """A new label: what grows there, how early, how bright, and the direction of its rows."""
        if len(self.kinds) > np.iinfo(np.uint16).max:
            raise OverflowError("a label map holds 65536 labels; draw a smaller landscape")
        self.kinds.append(kind)
        self.days.append(days)
        self.gains.append(gain)
        self.angles.append(angle)
        return len(self.kinds) - 1

    def parcels(self) -> Parcels:
        """The legend of what has been drawn."""
        return Parcels(tuple(self.kinds), np.array(self.days), np.array(self.gains))

    def warped(self, points: Points) -> Points:
        """Where the warp takes points: two long waves, at most a tenth of shear."""
        x, y = points[:, 0], points[:, 1]
        dx = np.sin(y / 167 + 0.6) + 0.6 * np.sin(y / 71 + x / 390 + 2.1)
        dy = np.sin(x / 181 + 1.7) + 0.6 * np.sin(x / 77 - y / 410 + 0.3)
        return points + self._warp_m * np.stack([dx, dy], axis=1)

    def polygon(self, points: Points, label: int, *, warp: bool = True) -> None:
        """Fill a polygon; long sides are bent by the warp."""
        ring = self.warped(densified(points)) if warp else points
        cv2.fillPoly(self.labels, [self._fixed(ring)], label, shift=_SUBPIXEL_BITS)

    def line(self, points: Points, width_m: float, label: int, *, warp: bool = True) -> None:
        """Draw a line of a width (rounded to whole fine pixels, at least one)."""
        path = self.warped(densified(points, closed=False)) if warp else points
        width = max(round(width_m / FINE_M), 1)
        cv2.polylines(
            self.labels, [self._fixed(path)], False, label, thickness=width, shift=_SUBPIXEL_BITS
        )

    def discs(
        self,
        points: Points,
        radii_m: NDArray[np.float64],
        labels: NDArray[np.int64],
        *,
        warp: bool = True,
    ) -> None:
        """Fill circles, one label each; they stay circles under the warp."""
        centres = self._fixed(self.warped(points) if warp else points).tolist()
        radii = np.round(radii_m / FINE_M * 2**_SUBPIXEL_BITS).astype(int).tolist()
        for centre, radius, label in zip(centres, radii, labels.tolist(), strict=True):
            cv2.circle(self.labels, centre, radius, label, thickness=-1, shift=_SUBPIXEL_BITS)

    def rectangle(self, ring: Points, label: int) -> None:
        """Fill an upright, unwarped rectangle whose sides fall on whole fine pixels."""
        low, high = (np.round((ring + MARGIN_M) / FINE_M).astype(int)[[0, 2]]).tolist()
        self.labels[low[1] : high[1], low[0] : high[0]] = label

    def at(self, points: Points, *, warp: bool = True) -> NDArray[np.uint16]:
        """Labels under points; points outside are read at the nearest edge."""
        spots = self.warped(points) if warp else points
        height, width = self.labels.shape
        columns, rows = (np.floor((spots + MARGIN_M) / FINE_M).astype(int)).T
        under = self.labels[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
        return np.asarray(under)

    def kind_mask(self, *kinds: str) -> NDArray[np.bool_]:
        """For each label so far, whether it is of one of the kinds."""
        return np.isin(np.array(self.kinds), kinds)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        """Fixed-point pixel coordinates as OpenCV wants them: integers are pixel centres."""
        pixels = (points + MARGIN_M) / FINE_M - 0.5
        return np.asarray(np.round(pixels * 2**_SUBPIXEL_BITS), np.int32)


def densified(points: Points, *, closed: bool = True, step_m: float = 25.0) -> Points:
    """The same path with a vertex at least every `step_m`."""
    ends = np.roll(points, -1, axis=0) if closed else points[1:]
    pieces = []
    for start, end in zip(points, ends, strict=False):
        count = max(math.ceil(float(np.hypot(*(end - start))) / step_m), 1)
        fraction = np.arange(count)[:, None] / count
        pieces.append(start + fraction * (end - start))
    if not closed:
        pieces.append(points[-1:])
    return np.concatenate(pieces)
