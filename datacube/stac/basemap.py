"""An aerial mosaic over the same ground, for comparison: from a COG that the operator names."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from datacube.cog import RasterSpec, write_cog
from datacube.errors import InvalidInput
from datacube.grid import Grid
from datacube.sources.refusals import CrsMismatch
from datacube.sources.warping import choose_method, source_gsd, warped
from datacube.stac.assets import opened
from datacube.stac.fetch import Fetcher
from datacube.stac.hrefs import PORTS, Policy
from datacube.window import Window

MAX_SIDE_PX = 8192
COLOURS = 3
NAMES = ("red", "green", "blue")


def find_basemap(text: str, named: Mapping[str, str], policy: Policy) -> tuple[str, Policy]:
    """Where a mosaic is that a user names, and the policy under which it may be read.

    `text` is one of the operator's names, whose host is allowed by that, or a path, or an address
    of an allowed host. Raises InvalidInput for a path where nothing is.
    """
    source = named.get(text, text)
    if "://" in source:
        return source, policy.allowing(origin_of(source)) if text in named else policy
    path = Path(source).expanduser()
    if not path.is_file():
        names = ", ".join(named) or "none is set in SRCUBE_BASEMAPS"
        raise InvalidInput(
            f"need a basemap's name ({names}), or the path or address of a COG; got {text[:80]!r}"
        )
    return str(path), policy.below(path.parent)


def origin_of(address: str) -> str:
    """What to allow for an operator's own address: private or plain http too, if it has a port."""
    place = urlsplit(address)
    if place.scheme == "https" and place.port is None:
        return place.hostname or ""
    return f"{place.hostname}:{place.port or PORTS.get(place.scheme, 0)}"


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
