"""Align the bands of a file to one of them by CSR's flow: `srcube register`.

Windows are read with a rim, aligned and written one by one, so that a file of any size takes the
memory of a window. Numbers stay in the file's own type and calibration; the reference band is
copied as it is.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetWriter
from rasterio.windows import Window as RasterWindow
from scipy import ndimage

from datacube.cog import SUFFIXES
from datacube.errors import InvalidInput
from datacube.sources.geotiff import band_names
from datacube.sources.plan import Given
from datacube.sources.raster import Header, RasterFile, open_raster
from datacube.sources.refusals import BandMissing
from datacube.window import Window
from sr_engine.gaps import filled
from sr_engine.l1b.align import band_flows
from sr_engine.l1b.flow_network import FlowNetwork
from sr_engine.l1b.views import BANDS

Image = NDArray[np.float32]
Report = Callable[[int, int], None]
WINDOW_PX, RIM_PX = 512, 192  # multiples of CSR's coarsest grid
CONVENTION = (
    "band at p + (dx, dy) shows what the reference shows at p; pixels, x to the right, y down"
)


@dataclass(frozen=True)
class Alignment:
    """What is aligned: indices (from 1) of the bands by name, and which one stays."""

    header: Header
    indices: dict[str, int]
    reference: str

    @property
    def moved(self) -> tuple[str, ...]:
        """Bands to align."""
        return tuple(name for name in self.indices if name != self.reference)

    def no_data(self, name: str) -> float | None:
        """The number that means no data; NaN where the file's type has it and it says nothing."""
        index = self.indices[name] - 1
        stated = self.header.no_data[index]
        floating = np.dtype(self.header.dtypes[index]).kind == "f"
        return float("nan") if stated is None and floating else stated


def register_file(  # noqa: PLR0913 - the command's own
    source: Path,
    out: Path,
    network: FlowNetwork,
    *,
    reference: str = "B03",
    flow_out: Path | None = None,
    given: Given | None = None,
    report: Report = lambda _done, _total: None,
) -> list[Path]:
    """Write `source` with its bands aligned to `reference`, and the flows where asked for.

    Each file appears whole or not at all. Raises BandMissing where the reference or any other of
    B02 B03 B04 B08 is not there, InvalidInput for a name that no file of the kind can have.
    """
    targets = [out, *([flow_out] if flow_out else [])]
    for target in targets:
        if target.suffix.lower() not in SUFFIXES:
            raise InvalidInput(f"need names that end in .tif, got {target.name!r}")
        if target.exists() and source.exists() and target.samefile(source):
            raise InvalidInput(f"IN and {target.name} are one file; choose another")
    with open_raster(str(source)) as file:
        plan = plan_alignment(file.header, source, reference, given or Given())
        partial = [target.with_name(f".{target.name}.part") for target in targets]
        try:
            _write(file, plan, network, partial, report)
            for here, there in zip(partial, targets, strict=True):
                here.replace(there)
        finally:
            for here in partial:
                here.unlink(missing_ok=True)
    return targets


def plan_alignment(header: Header, source: Path, reference: str, given: Given) -> Alignment:
    """Which bands are aligned to which; see `register_file`."""
    names = band_names(header, source, given)
    indices = {name: names.index(name) + 1 for name in BANDS if name in names}
    if reference not in indices or len(indices) < 2:
        raise BandMissing(
            f"{source.name} has {', '.join(indices) or 'none'} of {', '.join(BANDS)}; need "
            f"{reference} and another of them, named by descriptions or by --bands"
        )
    return Alignment(header, indices, reference)


def aligned(
    network: FlowNetwork, images: Image, names: tuple[str, ...], reference: str
) -> tuple[Image, Image]:
    """`images` (band, y, x; NaN: no data) on the reference, by cubic splines, and their flows.

    Flows are (band, 2, y, x) as (dx, dy). The reference comes back as it is.
    """
    missing = np.isnan(images)
    whole = filled(images, RIM_PX)
    with torch.inference_mode():
        flows = band_flows(network, torch.from_numpy(whole)[None], names, reference)[0].numpy()
    rows, columns = np.mgrid[: images.shape[1], : images.shape[2]]
    moved = images.copy()
    for index, name in enumerate(names):
        if name == reference:
            continue
        places = [rows + flows[index, 1], columns + flows[index, 0]]
        moved[index] = ndimage.map_coordinates(whole[index], places, order=3, mode="nearest")
        if missing[index].any():
            gone = missing[index].astype(np.float32)
            hidden = ndimage.map_coordinates(gone, places, order=1, mode="nearest") > 1e-3
            moved[index][hidden] = np.nan
    return moved, flows


def encoded(values: Image, dtype: str, no_data: float | None) -> NDArray[Any]:
    """Numbers of a type: rounded and clipped, never wrapped; NaN becomes the no-data number.

    What is data never becomes that number by rounding. Without one, NaN becomes the lowest.
    """
    kind = np.dtype(dtype)
    if kind.kind == "f":
        empty = np.nan if no_data is None else no_data
        return np.where(np.isnan(values), empty, values).astype(kind)
    limits = np.iinfo(kind)
    numbers = np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max)
    if no_data is not None:
        beside = no_data + 1 if no_data < limits.max else no_data - 1
        numbers = np.where(numbers == no_data, beside, numbers)
    empty = limits.min if no_data is None else no_data
    return np.where(np.isnan(values), empty, numbers).astype(kind)


def _write(
    file: RasterFile, plan: Alignment, network: FlowNetwork, paths: list[Path], report: Report
) -> None:
    windows = list(_windows(plan.header.shape))
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        # Level 1B has no place on Earth, and rasterio would say so of every file.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        image = stack.enter_context(rasterio.open(paths[0], "w", **_profile(plan, None)))
        _describe(image, plan)
        flows = None
        if len(paths) > 1:
            flows = stack.enter_context(rasterio.open(paths[1], "w", **_profile(plan, "float32")))
            names = [f"{name}_{axis}" for name in plan.moved for axis in ("dx", "dy")]
            for index, name in enumerate(names, start=1):
                flows.set_band_description(index, name)
            flows.update_tags(SRCUBE_FLOW=CONVENTION, SRCUBE_REFERENCE=plan.reference)
        for done, window in enumerate(windows):
            report(done, len(windows))
            _align(file, plan, network, window, (image, flows))
        report(len(windows), len(windows))


def _align(
    file: RasterFile,
    plan: Alignment,
    network: FlowNetwork,
    window: Window,
    outputs: tuple[DatasetWriter, DatasetWriter | None],
) -> None:
    """One window of all bands."""
    seen = window.grown(RIM_PX).within(plan.header.shape)
    inner = Window(window.row - seen.row, window.col - seen.col, window.height, window.width)
    place = RasterWindow(window.col, window.row, window.width, window.height)
    names = tuple(plan.indices)
    recorded = np.stack([_values(file, plan, name, seen) for name in names])
    moved, flows = aligned(network, recorded, names, plan.reference)
    for number, (name, index) in enumerate(plan.indices.items(), start=1):
        if name == plan.reference:
            outputs[0].write(file.read(window, index=index), number, window=place)
            continue
        values = moved[number - 1][inner.slices]
        numbers = encoded(values, plan.header.dtypes[index - 1], plan.no_data(name))
        outputs[0].write(numbers, number, window=place)
        if outputs[1] is not None:
            first = 2 * plan.moved.index(name) + 1
            flow = flows[number - 1][:, *inner.slices]
            outputs[1].write(flow, [first, first + 1], window=place)


def _values(file: RasterFile, plan: Alignment, name: str, window: Window) -> Image:
    """A band's numbers as float32, NaN where there is no data."""
    values = file.read(window, index=plan.indices[name]).astype(np.float32)
    no_data = plan.no_data(name)
    if no_data is not None:
        values[values == np.float32(no_data)] = np.nan
    return values


def _windows(shape: tuple[int, int]) -> Iterator[Window]:
    for row in range(0, shape[0], WINDOW_PX):
        for col in range(0, shape[1], WINDOW_PX):
            yield Window(row, col, WINDOW_PX, WINDOW_PX).within(shape)


def _profile(plan: Alignment, dtype: str | None) -> dict[str, Any]:
    """What rasterio creates a file with: the bands of `plan`, or flows of the moved ones."""
    header = plan.header
    height, width = header.shape
    place = {"crs": header.crs, "transform": header.transform} if header.crs else {}
    own = header.dtypes[plan.indices[plan.reference] - 1]
    return {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": len(plan.indices) if dtype is None else 2 * len(plan.moved),
        "dtype": dtype or own,
        "nodata": header.no_data[plan.indices[plan.reference] - 1] if dtype is None else None,
        "tiled": True,
        "blockxsize": WINDOW_PX,
        "blockysize": WINDOW_PX,
        "compress": "deflate",
        "BIGTIFF": "IF_SAFER",
        **place,
    }


def _describe(image: DatasetWriter, plan: Alignment) -> None:
    header = plan.header
    for number, name in enumerate(plan.indices, start=1):
        image.set_band_description(number, name)
    image.scales = [header.scales[index - 1] for index in plan.indices.values()]
    image.offsets = [header.offsets[index - 1] for index in plan.indices.values()]
    tags = {"SRCUBE_REGISTERED_TO": plan.reference, "SRCUBE_FLOW": CONVENTION}
    image.update_tags(**tags, **({"datetime": header.datetime} if header.datetime else {}))
