"""The layers of a cube: where their pixels come from, and how they are drawn."""

from dataclasses import dataclass

from datacube import Cube, Product
from datacube.errors import InvalidInput, NotFound
from server.layer_list import (
    LAYERS,
    SENSOR_LEVEL,
    TRUE_COLOUR,
    TRUTH,
    Layer,
    makes,
    version_of,
)
from server.reader import (
    Frame,
    Pixels,
    ProductLayer,
    Resampling,
    read_classes,
    read_product,
    read_scene,
)
from server.render import Stretch
from sr_engine.blocks import product_path
from sr_engine.model import Model
from sr_engine.planes import PLANES, SCALE
from sr_engine.registry import DEFAULT_MODEL, find_model
from sr_engine.trust.calibration import calibration_of
from sr_engine.trust.domain import Acquisition, refuse_outside

__all__ = [
    "LAYERS", "SENSOR_LEVEL", "TRUE_COLOUR", "TRUTH", "Layer", "View", "find_layer", "layers_of",
    "model_of", "version_of",
]  # fmt: skip


@dataclass(frozen=True)
class View:
    """A layer of a cube at one date, made by one model where a model makes it."""

    cube: Cube
    layer: Layer
    slot: int
    model: Model | None = None

    @property
    def product(self) -> Product | None:
        """The product that holds the layer; None if nothing of it was computed yet."""
        path = self.product_path
        if path is None or path not in self.cube.root.commit.products:
            return None
        product = Product.open(self.cube, path)
        # A product of before there was an audit has no planes for it.
        return product if self.layer.variable in product.variables else None

    @property
    def version(self) -> str:
        """What its tiles depend on besides what is asked of them, see `version_of`."""
        return version_of(self.cube, self.layer, self.model)

    @property
    def factor(self) -> int:
        """How many times finer than the measurement the layer's pixels are."""
        if self.layer.kind == "truth" and self.product is not None:
            return self.product.factor
        return self.model.card.factor if self.model else 1

    @property
    def product_path(self) -> str | None:
        """Group of the layer's product, None for the measurement."""
        if self.layer.kind == "truth":
            return TRUTH
        return product_path(self.cube, self.model) if self.model else None

    def read(self, bands: tuple[str, ...], frame: Frame, resampling: Resampling) -> Pixels | None:
        """Pixels of the layer in a frame; None where there is nothing."""
        if self.layer.kind == "measured":
            return read_scene(self.cube, self.slot, bands, frame, resampling)
        if self.layer.kind == "classes":
            return read_classes(self.cube, self.slot, frame)
        if self.layer.variable == SCALE.name and self.model:
            refuse_outside(self.model.card, Acquisition.of_cube(self.cube, self.slot))
        product = self.product
        if product is None:
            return None
        places: tuple[int, ...] = ()
        if self.layer.variable == "reflectance":
            missing = set(bands) - set(product.bands)
            if missing:
                raise InvalidInput(
                    f"{product.path} has no {', '.join(sorted(missing))}; it has "
                    f"{', '.join(product.bands)}"
                )
            places = tuple(product.bands.index(band) for band in bands)
        layer = ProductLayer(product, self.layer.variable, places)
        how: Resampling = "nearest" if self.layer.flagged else resampling
        return read_product(layer, self.slot, frame, how)

    def stretch(self, rescale: tuple[float, float] | None) -> Stretch:
        """How to draw it: its own range, or the one asked for."""
        low, high = rescale or (self.layer.low, self.layer.high)
        if not self.layer.colormap:
            return Stretch(low, high)
        scale = PLANES[self.layer.variable].scale_factor
        if self.layer.variable == SCALE.name and self.model:
            scale *= calibration_of(self.model.card).over_bands()
        return Stretch(low, high, scale, -scale, self.layer.colormap)


def layers_of(cube: Cube) -> tuple[Layer, ...]:
    """Layers that a cube can show: intervals only where a model is calibrated for its level."""
    return tuple(
        layer for layer in _held(cube) if layer.variable != SCALE.name or layer.models_for(cube)
    )


def find_layer(cube: Cube, layer_id: str) -> Layer:
    """A layer of the cube by id; raises NotFound naming those there are.

    One that abstains is found, and says why when it is read.
    """
    known = {layer.id: layer for layer in _held(cube)}
    if layer_id not in known:
        listed = ", ".join(layer.id for layer in layers_of(cube))
        raise NotFound(f"no layer {layer_id[:40]!r} here; the layers are {listed}")
    return known[layer_id]


def model_of(layer: Layer, model_id: str | None) -> Model | None:
    """The model that a layer needs, or None; raises InvalidInput for one it has no use for."""
    if not layer.by_model:
        if model_id is not None:
            raise InvalidInput(
                f"layer {layer.id} is not made by a model, got model={model_id[:40]!r}"
            )
        return None
    model = find_model(model_id or layer.default_model or DEFAULT_MODEL)
    if not makes(model, layer):
        raise InvalidInput(
            f"{model.card.id} does not make layer {layer.id}; "
            f"the models that do are {', '.join(layer.models)}"
        )
    return model


def _held(cube: Cube) -> tuple[Layer, ...]:
    hidden = set()
    if TRUTH not in cube.root.commit.products:
        hidden.add(TRUTH)
    if not cube.has_scl:
        hidden.add("scl")
    return tuple(layer for layer in LAYERS.values() if layer.id not in hidden)
