"""The layers of a cube: what each shows, where its pixels come from, how it is drawn."""

from dataclasses import dataclass
from typing import Any

from datacube import Cube, Product
from datacube.errors import InvalidInput, NotFound
from server.reader import (
    Frame,
    Pixels,
    ProductLayer,
    Resampling,
    read_classes,
    read_product,
    read_scene,
)
from server.render import FLAG_COLOURS, Stretch
from sr_engine.blocks import product_path
from sr_engine.model import DifferentiableModel, Model
from sr_engine.planes import (
    AUDIT_PLANES,
    CONSISTENCY,
    INFLUENCE,
    PLANES,
    QUALITY,
    REACH,
    SALIENCY,
    SCALE,
    SIGMA,
)
from sr_engine.registry import DEFAULT_MODEL, family_of, find_model, models
from sr_engine.trust.calibration import calibration_of, calibration_or_none

TRUTH = "truth"
SENSOR_LEVEL, FOR_SENSOR_LEVEL = "L1B", "rec"  # bands not registered; the family made for them
TRUE_COLOUR = ("B04", "B03", "B02")


@dataclass(frozen=True)
class Layer:
    """One thing to look at. `variable` is of a product, empty for the measurement.

    `kind` keeps measured and inferred apart for a viewer: measured, inferred, explanation,
    uncertainty, audit, truth or classes. `units`, `low`, `high` and `colormap` make the legend.
    """

    id: str
    title: str
    kind: str
    variable: str = ""
    units: str = "reflectance"
    low: float = 0.0
    high: float = 0.3
    colormap: str | None = None

    @property
    def by_model(self) -> bool:
        """Whether a model has to be named to see it."""
        return self.kind in {"inferred", "explanation", "uncertainty", "audit"}

    @property
    def flagged(self) -> bool:
        """Whether it holds bit masks, which are never interpolated and drawn by flag."""
        return self.variable in PLANES and bool(PLANES[self.variable].flags)

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models that make it, the default first."""
        if not self.by_model:
            return ()
        return tuple(name for name, model in models().items() if _makes(model, self))

    @property
    def default_model(self) -> str | None:
        """The model to take where none is named."""
        makers = self.models
        return DEFAULT_MODEL if DEFAULT_MODEL in makers else next(iter(makers), None)

    def models_for(self, cube: Cube) -> tuple[str, ...]:
        """Those of them that can take the cube's bands; for level 1B the one made for it first."""
        held = {band.name for band in cube.bands}
        fit = [name for name in self.models if set(find_model(name).card.bands) <= held]
        if cube.attributes["processing:level"] == SENSOR_LEVEL:
            fit.sort(key=lambda name: family_of(name) != FOR_SENSOR_LEVEL)
        return tuple(fit)

    def document(self, cube: Cube) -> dict[str, Any]:
        """The layer as `/collections/{id}` lists it for a cube."""
        fit = self.models_for(cube)
        legend = {
            "min": self.low,
            "max": self.high,
            "units": self.units,
            "colormap": self.colormap,
        }
        return {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "models": list(fit),
            "default_model": next(iter(fit), None),
            "legend": legend if self.colormap else _flag_legend() if self.flagged else None,
        }


LAYERS = {
    layer.id: layer
    for layer in (
        Layer("lr", "Sentinel-2, 10 m pixels", "measured"),
        Layer("sr", "Super-resolved", "inferred", "reflectance"),
        Layer(
            "influence",
            "Influence: how strongly neighbours changed a pixel",
            "explanation",
            INFLUENCE.name,
            units="reflectance",
            high=0.15,
            colormap="magma",
        ),
        Layer(
            "reach",
            "Reach: how far that influence comes from",
            "explanation",
            REACH.name,
            units="m",
            low=8.0,
            high=40.0,
            colormap="viridis",
        ),
        Layer(
            SALIENCY.name,
            "Saliency: over how many pixels a detail's causes are spread",
            "explanation",
            SALIENCY.name,
            units="diffusion index, 0: one pixel, 100: all seen alike",
            high=15.0,
            colormap="viridis",
        ),
        Layer(
            "sigma",
            "Uncertainty: posterior standard deviation",
            "uncertainty",
            SIGMA.name,
            units="reflectance",
            high=0.03,
            colormap="viridis",
        ),
        Layer(
            "interval",
            "Uncertainty: half of the calibrated 90 % interval",
            "uncertainty",
            SCALE.name,
            units="reflectance",
            high=0.1,
            colormap="viridis",
        ),
        Layer(
            "consistency",
            "Consistency: what the sensor would have measured, minus what it did",
            "audit",
            CONSISTENCY.name,
            units="standard deviations of the sensor's noise",
            high=6.0,
            colormap="magma",
        ),
        Layer("quality", "Quality flags, the most serious one shown", "audit", QUALITY.name),
        Layer(TRUTH, "Truth (simulated), 2.5 m", "truth", "reflectance"),
        Layer("scl", "Scene classification", "classes", units="class"),
    )
}


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
    """Layers that a cube can show."""
    hidden = set()
    if TRUTH not in cube.root.commit.products:
        hidden.add(TRUTH)
    if not cube.has_scl:
        hidden.add("scl")
    return tuple(layer for layer in LAYERS.values() if layer.id not in hidden)


def find_layer(cube: Cube, layer_id: str) -> Layer:
    """A layer of the cube by id; raises NotFound naming those there are."""
    known = {layer.id: layer for layer in layers_of(cube)}
    if layer_id not in known:
        raise NotFound(f"no layer {layer_id[:40]!r} here; the layers are {', '.join(known)}")
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
    if not _makes(model, layer):
        raise InvalidInput(
            f"{model.card.id} does not make layer {layer.id}; "
            f"the models that do are {', '.join(layer.models)}"
        )
    return model


def _makes(model: Model, layer: Layer) -> bool:
    """Whether the layer can be had of a model; an interval is told only where it is calibrated."""
    planes = (*model.planes, *AUDIT_PLANES)
    if layer.variable == SALIENCY.name:
        return isinstance(model, DifferentiableModel)
    if layer.variable == SCALE.name and calibration_or_none(model.card) is None:
        return False
    return layer.variable in {"reflectance", *(plane.name for plane in planes)}


def _flag_legend() -> dict[str, Any]:
    return {
        "classes": [
            {"value": value, "title": title, "color": "#{:02x}{:02x}{:02x}".format(*colour[:3])}
            for value, (title, colour) in FLAG_COLOURS.items()
        ]
    }
