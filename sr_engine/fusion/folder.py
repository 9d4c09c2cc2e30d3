"""Read a folder of GeoTIFFs named by date, and write what they fuse to.

`20250401.tif` is a date; `20250401_SCL.tif` beside it, on the same pixels or pixels twice
as large, is its scene classification. Values keep the file's unit; a scale and an offset
that the file states are applied.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from datacube.bands import SENTINEL2, Band, find_bands
from datacube.errors import InvalidInput, NotFound
from datacube.grid import Grid
from datacube.provenance import PSF, TAG
from datacube.window import Window
from sr_engine.audit.provenance import provenance
from sr_engine.card import ModelCard, settings_sha256
from sr_engine.fusion.blocks import HALO_PX
from sr_engine.fusion.settings import FusionResult
from sr_engine.weights import file_sha256

Image = NDArray[np.float32]
HIDDEN = (0, 1, 3, 8, 9, 10)  # SCL: no data, defective, shadow, cloud (medium, high), cirrus


@dataclass(frozen=True)
class Choice:
    """Which dates and which part: the `n_obs` clearest, from `first` to `last` (YYYYMMDD).

    `crop_px` is the side of the square in the middle; None takes all.
    """

    n_obs: int = 8
    crop_px: int | None = None
    first: str = "00000000"
    last: str = "99999999"

    def __post_init__(self) -> None:
        if self.n_obs < 1 or (self.crop_px is not None and self.crop_px < 16):
            raise InvalidInput(
                f"need at least one date and a crop of at least 16 px, got {self.n_obs} and "
                f"{self.crop_px}"
            )


@dataclass(frozen=True)
class DateStack:
    """`observations` (date, band, y, x), NaN where masked, of `dates` on one `grid`.

    `origin` says where they come from, as far as that is known.
    """

    observations: Image
    bands: tuple[Band, ...]
    dates: tuple[str, ...]
    grid: Grid
    origin: Mapping[str, Any] = field(default_factory=dict)


def read_folder(folder: Path, choice: Choice) -> DateStack:
    """Read the chosen dates of `folder`, in order of time.

    Raises NotFound where there is no such date, InvalidInput where a file's grid or bands
    are not those of the first.
    """
    if not folder.is_dir():
        raise NotFound(f"{folder} is not a folder; give one of GeoTIFFs named like 20250401.tif")
    names = re.compile(r"\d{8}\.tiff?", re.IGNORECASE)
    paths = sorted(path for path in folder.iterdir() if names.fullmatch(path.name))
    paths = [path for path in paths if choice.first <= path.stem <= choice.last]
    if not paths:
        raise NotFound(
            f"no GeoTIFF named like 20250401.tif between {choice.first} and {choice.last} "
            f"in {folder}"
        )
    grid, bands = _described(paths[0])
    window = middle(grid.shape, choice.crop_px)
    clear = {path: _seen(path, grid, window).mean() for path in paths}
    chosen = sorted(sorted(paths, key=lambda path: -clear[path])[: choice.n_obs])
    dates = [_read(path, grid, bands, window) for path in chosen]
    origin = {"sha256": {path.stem: file_sha256(path) for path in chosen}}
    stems = tuple(path.stem for path in chosen)
    return DateStack(np.stack(dates), bands, stems, grid.cropped(window), origin)


def write_cog(path: Path, result: FusionResult, stack: DateStack) -> None:
    """Write reflectance and standard deviation as a cloud-optimised GeoTIFF with its tags."""
    grid = stack.grid.refined(result.factor)
    profile = {
        "driver": "COG",
        "dtype": "float32",
        "count": 2 * len(stack.bands),
        "height": grid.shape[0],
        "width": grid.shape[1],
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": float("nan"),
        "compress": "deflate",
        "predictor": 3,
    }
    with rasterio.open(path, "w", **profile) as out:
        out.write(np.concatenate([result.reflectance, result.sigma]))
        for i, band in enumerate(stack.bands):
            out.set_band_description(i + 1, band.name)
            out.set_band_description(i + 1 + len(stack.bands), f"{band.name}_sigma")
        out.update_tags(**result_tags(result, stack))


def result_tags(result: FusionResult, stack: DateStack) -> dict[str, str]:
    """Origin, dates, shifts found, reasons for leaving out, and every setting, as JSON strings."""
    return {
        TAG: json.dumps(_record(result, stack), sort_keys=True),
        "SRCUBE_NOTE": "inferred, not measured; a finer grid is not a finer resolution",
        "SRCUBE_ORIGIN": json.dumps(dict(stack.origin)),
        "SRCUBE_MODEL": f"fusion x{result.factor}",
        "SRCUBE_DATES": json.dumps(list(stack.dates)),
        "SRCUBE_SHIFTS_PX": json.dumps(np.round(result.shifts_px, 4).tolist()),
        "SRCUBE_USED": json.dumps(result.used.tolist()),
        "SRCUBE_REASONS": json.dumps(list(result.reasons)),
        "SRCUBE_SETTINGS": json.dumps(result.settings.as_tags()),
    }


def _record(result: FusionResult, stack: DateStack) -> dict[str, Any]:
    settings = {"method": "fuse", "factor": result.factor, **result.settings.as_tags()}
    card = ModelCard(
        id=f"fuse-x{result.factor}",
        title=f"Fusion of dates x{result.factor}",
        description="Posterior mean of one date from several, as `srcube fuse` was asked for it.",
        factor=result.factor,
        halo_px=HALO_PX,
        dates=len(stack.dates),
        psf=PSF,
        weights_sha256=settings_sha256(settings),
        settings=settings,
    )
    digests = stack.origin.get("sha256", {})
    inputs = [
        {"id": date, "datetime": date, "processing_baseline": None, "sha256": digests.get(date)}
        for date, used in zip(stack.dates, result.used, strict=True)
        if used
    ]
    names = [band.name for band in stack.bands]
    return provenance(card, names, inputs=inputs, made={"source": dict(stack.origin)})


def _described(path: Path) -> tuple[Grid, tuple[Band, ...]]:
    with rasterio.open(path) as source:
        if source.crs is None:
            raise InvalidInput(f"{path.name} has no CRS; assign one before fusing")
        names = [name for name in source.descriptions if name in SENTINEL2]
        if not names:
            raise InvalidInput(
                f"{path.name} describes its bands as {list(source.descriptions)}; "
                f"need band descriptions among {', '.join(SENTINEL2)}"
            )
        return Grid(source.crs.to_string(), source.transform, source.shape), find_bands(names)


def middle(shape: tuple[int, int], crop_px: int | None) -> Window:
    """A square of `crop_px` in the middle of a raster; None takes all of it."""
    height, width = (length if crop_px is None else min(length, crop_px) for length in shape)
    return Window((shape[0] - height) // 2, (shape[1] - width) // 2, height, width)


def _seen(path: Path, grid: Grid, window: Window) -> NDArray[np.bool_]:
    """Where the classification, if there is one, shows ground."""
    beside = path.with_name(f"{path.stem}_SCL{path.suffix}")
    if not beside.exists():
        return np.ones((window.height, window.width), dtype=np.bool_)
    with rasterio.open(beside) as source:
        classes = source.read(1)
    if classes.shape != grid.shape:
        height, width = grid.shape
        classes = classes.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    if classes.shape != grid.shape:
        raise InvalidInput(
            f"{beside.name} has {classes.shape[0]}x{classes.shape[1]} px (doubled) for an image "
            f"of {grid.shape[0]}x{grid.shape[1]}; need the same pixels or pixels twice as large"
        )
    return np.asarray(~np.isin(classes[window.slices], HIDDEN), dtype=np.bool_)


def _read(path: Path, grid: Grid, bands: tuple[Band, ...], window: Window) -> Image:
    with rasterio.open(path) as source:
        if (
            source.crs is None
            or Grid(source.crs.to_string(), source.transform, source.shape) != grid
        ):
            raise InvalidInput(
                f"{path.name} is not on the grid of the first date ({grid.shape[0]}x"
                f"{grid.shape[1]} px at {grid.transform.c:g}, {grid.transform.f:g} in {grid.crs}); "
                "resample it first"
            )
        missing = [band.name for band in bands if band.name not in source.descriptions]
        if missing:
            raise InvalidInput(f"{path.name} lacks {', '.join(missing)} of the first date")
        indices = [source.descriptions.index(band.name) + 1 for band in bands]
        values = source.read(
            indices,
            masked=True,
            window=(
                (window.row, window.row + window.height),
                (window.col, window.col + window.width),
            ),
        )
        scale = np.array([source.scales[i - 1] for i in indices], dtype=np.float32)
        offset = np.array([source.offsets[i - 1] for i in indices], dtype=np.float32)
    image = values.astype(np.float32).filled(np.nan) * scale[:, None, None]
    image = image + offset[:, None, None]
    return np.where(_seen(path, grid, window), image, np.float32(np.nan)).astype(np.float32)
