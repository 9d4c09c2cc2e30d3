"""Cut a scene into blocks that one filter bank serves, and gather them without a seam.

Every block is transformed at the same size, a core and a halo around it, so the linear
systems are solved once however large the scene is, and time grows with pixels. The halo is
as wide as the filters reach. Beyond the scene's edge a block sees its mirror image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datacube.window import Window

CORE_PX = 128
HALO_PX = 16  # beyond it the filters' taps are below 1e-3 of their peak


@dataclass(frozen=True)
class Layout:
    """Blocks of `core` pixels covering a raster of `scene`, transformed at `size`."""

    scene: tuple[int, int]
    core: tuple[int, int]
    size: tuple[int, int]
    halo_px: int

    def windows(self) -> Iterator[Window]:
        """The part of the scene that each block writes, row by row."""
        height, width = self.scene
        for row in range(0, height, self.core[0]):
            for col in range(0, width, self.core[1]):
                yield Window(row, col, *self.core).within(self.scene)

    def rows_and_cols(self, window: Window) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pixels, mirrored at the scene's edges, that the block around `window` reads."""
        rows = np.arange(self.size[0]) + window.row - self.halo_px
        cols = np.arange(self.size[1]) + window.col - self.halo_px
        return mirrored(rows, self.scene[0]), mirrored(cols, self.scene[1])

    def inside(self, window: Window) -> NDArray[np.bool_]:
        """Which pixels (height, width) of the block are of the scene and not mirrored."""
        rows = np.arange(self.size[0]) + window.row - self.halo_px
        cols = np.arange(self.size[1]) + window.col - self.halo_px
        height, width = self.scene
        return np.logical_and.outer((rows >= 0) & (rows < height), (cols >= 0) & (cols < width))


def plan_blocks(
    scene: tuple[int, int], *, core_px: int = CORE_PX, halo_px: int = HALO_PX
) -> Layout:
    """Divide a raster of `scene` (height, width) into equal blocks of about `core_px`."""
    core, size = [], []
    for length in scene:
        count = -(-length // core_px)
        core.append(-(-length // count))
        size.append(int(fft.next_fast_len(core[-1] + 2 * halo_px, real=True)))
    return Layout(scene, (core[0], core[1]), (size[0], size[1]), halo_px)


def mirrored(positions: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Fold `positions` into 0..length-1 at the outer pixel edges (each edge pixel twice)."""
    folded = np.mod(positions, 2 * length)
    return np.where(folded < length, folded, 2 * length - 1 - folded)
