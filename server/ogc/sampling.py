"""Values of a cube and its products at places: what EDR queries read, checked before any read.

A parameter is one band of the measurement or of a product, or one plane. Its values come from
its own pixels, never resampled: each place takes the pixel it lies in. An index is asked for where
a band would be (`lr.NDVI`) and is computed of the bands of that pixel.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datacube import Cube, Grid, Product, Window
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput
from datacube.scene import reflectance_from_dn
from server.expressions import Formula, find_index
from server.layers import TRUTH, Layer, layers_of, model_of
from server.problems import TooLarge
from server.reader import ProductLayer, assembled
from server.trust_figures import LEVEL, UNTOLD
from sr_engine.blocks import product_path
from sr_engine.model import Model
from sr_engine.planes import BAND_SCALES, PLANES, QUALITY, SCALE
from sr_engine.trust.calibration import calibration_of

MAX_VALUES = 300_000  # numbers in one answer
MAX_READS = 1_000  # windows read for one answer
CELL_PX = 512  # places of a path are read together where they lie in one such cell

Values = NDArray[np.float32]


@dataclass(frozen=True)
class Parameter:
    """What can be asked for by name: `lr.B04`, `sr.wiener-x4.B04`, `sigma.fusion-x4`, `scl`.

    `times` turns the scale that a model tells into half of an interval; 1 for all others.
    """

    name: str
    layer: Layer
    band: str | None = None
    product: Product | None = None
    formula: Formula | None = None
    times: float = 1.0

    @property
    def reads(self) -> int:
        """How many arrays have to be read for it."""
        if self.formula is not None:
            return len(self.formula.bands)
        return 2 if self.layer.variable == SCALE.name else 1

    @property
    def factor(self) -> int:
        """How much finer than the measured pixels its own are."""
        return self.product.factor if self.product else 1

    def grid(self, cube: Cube) -> Grid:
        """The grid of its pixels."""
        return cube.grid.refined(self.factor)

    def read(self, cube: Cube, slot: int, window: Window) -> Values:
        """Values (y, x) in a window of its grid, which lies inside; NaN where there are none."""
        if self.formula is not None:
            bands = {one: replace(self, band=one, formula=None) for one in self.formula.bands}
            found = self.formula.of({n: one.read(cube, slot, window) for n, one in bands.items()})
            return np.where(np.isfinite(found), found, np.float32(np.nan))
        if self.layer.kind == "classes":
            return cube.window_scl(slot, window).astype(np.float32)
        if self.product is None:
            dn = cube.window_dn(slot, (str(self.band),), window)[0]
        elif self.layer.variable == SCALE.name:
            return self._half_width(self.product, slot, window)
        else:
            places = (self.product.bands.index(self.band),) if self.band else ()
            layer = ProductLayer(self.product, self.layer.variable, places)
            dn = assembled(layer, slot, window, 0)[0][0]
        return reflectance_from_dn(dn) if self.band else _plane(self.layer.variable, dn)

    def _half_width(self, product: Product, slot: int, window: Window) -> Values:
        """Half of the interval; none where the pixel lies outside what was calibrated."""
        variable = BAND_SCALES[self.band].name if self.band else SCALE.name
        dn = assembled(ProductLayer(product, variable, ()), slot, window, 0)[0][0]
        values = _plane(variable, dn) * np.float32(self.times)
        if QUALITY.name in product.variables:
            masks = assembled(ProductLayer(product, QUALITY.name, ()), slot, window, 0)[0][0]
            values[masks & UNTOLD > 0] = np.nan
        return values


def parameters_of(cube: Cube) -> dict[str, Parameter]:
    """Every parameter of which the cube holds anything, by name."""
    return {one.name: one for layer in layers_of(cube) for one in _of_layer(cube, layer)}


def _of_layer(cube: Cube, layer: Layer) -> Iterator[Parameter]:
    if layer.kind == "measured":
        for measured in cube.bands:
            yield Parameter(f"{layer.id}.{measured.name}", layer, measured.name)
    elif layer.kind == "classes":
        yield Parameter(layer.id, layer)
    for name, path, model in _paths(cube, layer):
        if path not in cube.root.commit.products:
            continue
        product = Product.open(cube, path)
        if layer.variable not in product.variables:
            continue
        if layer.variable == SCALE.name and model is not None:
            yield from _intervals(name, layer, product, model)
            continue
        if layer.variable != "reflectance":
            yield Parameter(name, layer, None, product)
            continue
        for band in product.bands:
            yield Parameter(f"{name}.{band}", layer, band, product)


def _intervals(name: str, layer: Layer, product: Product, model: Model) -> Iterator[Parameter]:
    """The interval over all bands, and that of each band that it was calibrated for."""
    calibration = calibration_of(model.card)
    yield Parameter(name, layer, None, product, times=calibration.over_bands(LEVEL))
    for band, times in calibration.multipliers[LEVEL].items():
        if band in BAND_SCALES and BAND_SCALES[band].name in product.variables:
            yield Parameter(f"{name}.{band}", layer, band, product, times=times)


def _paths(cube: Cube, layer: Layer) -> Iterator[tuple[str, str, Model | None]]:
    """Name of a layer by each model that makes it, the product that holds it, and the model."""
    if layer.kind == TRUTH:
        yield layer.id, TRUTH, None
    for model_id in layer.models_for(cube):
        model = model_of(layer, model_id)
        if model is not None:
            yield f"{layer.id}.{model_id}", product_path(cube, model), model


def chosen(cube: Cube, text: str | None) -> tuple[Parameter, ...]:
    """The parameters named, or all; raises InvalidInput naming those there are."""
    known = parameters_of(cube)
    if text is None:
        return tuple(known.values())
    names = list(dict.fromkeys(text.split(",")))
    known |= {name: one for name in names if (one := _index_of(known, name)) is not None}
    unknown = [name for name in names if name not in known]
    if unknown:
        listed = ", ".join(known)
        raise InvalidInput(f"no parameter {unknown[0][:60]!r} here; there are {listed[:400]}")
    return tuple(known[name] for name in names)


def _index_of(known: Mapping[str, Parameter], name: str) -> Parameter | None:
    """`lr.NDVI`, where there are `lr.B04` and `lr.B08`; raises InvalidInput for no such index."""
    source, _, index = name.rpartition(".")
    bands = {
        one.band: one
        for one in known.values()
        if one.name == f"{source}.{one.band}" and one.layer.variable in {"", "reflectance"}
    }
    if name in known or not bands:
        return None
    formula = find_index(index, tuple(str(band) for band in bands))
    return replace(next(iter(bands.values())), name=name, band=None, formula=formula)


def by_grid(parameters: Sequence[Parameter]) -> dict[int, tuple[Parameter, ...]]:
    """Parameters that share a grid, by its factor."""
    factors = sorted({one.factor for one in parameters})
    return {factor: tuple(one for one in parameters if one.factor == factor) for factor in factors}


def check_cost(*, values: int, reads: int) -> None:
    """Raise TooLarge for what would be too much for one request; nothing was read yet."""
    for what, count, limit in (("values", values, MAX_VALUES), ("reads", reads, MAX_READS)):
        if count > limit:
            raise TooLarge(
                f"{count} {what} are more than the {limit} of one request; ask for fewer dates "
                "(datetime), fewer parameters (parameter-name) or less ground"
            )


def windows_values(
    cube: Cube, scenes: Sequence[CommittedScene], parameter: Parameter, window: Window
) -> Values:
    """Values (time, y, x) of a window of the measured grid, on the parameter's own grid."""
    own = window.scaled(parameter.factor)
    return np.stack([parameter.read(cube, one.slot, own) for one in scenes])


def places_values(
    cube: Cube,
    scenes: Sequence[CommittedScene],
    parameter: Parameter,
    places: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Values:
    """Values (time, place) at (rows, cols) of the measured grid, all inside it."""
    rows, cols = (np.floor(axis * parameter.factor).astype(int) for axis in places)
    out = np.full((len(scenes), rows.size), np.nan, np.float32)
    for cell in cells_of(rows, cols):
        row, col = rows[cell], cols[cell]
        top, left = int(row.min()), int(col.min())
        window = Window(top, left, int(row.max()) - top + 1, int(col.max()) - left + 1)
        for index, one in enumerate(scenes):
            values = parameter.read(cube, one.slot, window)
            out[index, cell] = values[row - top, col - left]
    return out


def cells_of(rows: NDArray[np.int_], cols: NDArray[np.int_]) -> list[NDArray[np.int_]]:
    """Indices of the places that lie in one cell together."""
    cells = np.stack([rows // CELL_PX, cols // CELL_PX])
    _, inverse = np.unique(cells, axis=1, return_inverse=True)
    return [np.flatnonzero(inverse == number) for number in range(int(inverse.max()) + 1)]


def _plane(variable: str, dn: NDArray[np.uint16]) -> Values:
    """A plane in its units; a plane of flags as the bits that are stored."""
    spec = PLANES[variable]
    values = dn.astype(np.float32)
    if not getattr(spec, "flags", ()):
        values = (values - 1) * np.float32(spec.scale_factor)
    values[dn == 0] = np.nan
    return values
