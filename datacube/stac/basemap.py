"""An aerial mosaic over the same ground, for comparison: from a COG that the operator names."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datacube.cog import RasterSpec, write_cog
from datacube.grid import Grid
from datacube.sources.refusals import CrsMismatch
from datacube.sources.warping import choose_method, source_gsd, warped
from datacube.stac.assets import opened
from datacube.stac.fetch import Fetcher
from datacube.window import Window

MAX_SIDE_PX = 8192
COLOURS = 3
NAMES = ("red", "green", "blue")


def write_basemap(source: str, grid: Grid, path: Path, fetcher: Fetcher) -> Grid:
    """Crop an 8-bit mosaic to the ground of `grid`, on a whole refinement of its pixels.

    The pixels are as near to the mosaic's own as fits into 8192 a side. Returns the grid
    written; raises CrsMismatch where the mosaic is not placed or not made of 8-bit numbers.
    """
    with opened(source, fetcher) as raster:
        dtype = raster.header.dtypes[0]
        if dtype != "uint8":
            raise CrsMismatch(f"need a mosaic of 8-bit numbers, got {dtype}")
        place = raster.grid
        finest = max(1, round(grid.gsd_m / source_gsd(place, grid)))
        target = grid.refined(max(1, min(finest, MAX_SIDE_PX // max(grid.shape))))
        names = NAMES[: min(raster.header.count, COLOURS)]
        method = choose_method(place, target)

        def read(window: Window) -> NDArray[np.uint8]:
            planes = [
                warped(
                    lambda part, index=index: raster.read(part, index=index),  # type: ignore[misc]
                    place,
                    target.cropped(window),
                    method,
                )
                for index in range(1, len(names) + 1)
            ]
            return np.stack(planes).astype(np.uint8)

        tags = {"SRCUBE_BASEMAP": Path(source.partition("?")[0]).name, "SRCUBE_RESAMPLING": method}
        write_cog(path, RasterSpec(target, names, "uint8", physical=False, tags=tags), read)
    return target
