"""The table of layers: what each shows, which models make it, how its legend reads."""

import hashlib
from dataclasses import dataclass
from typing import Any

from datacube import Cube
from server.render import FLAG_COLOURS
from sr_engine.blocks import bands_made
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
    Quality,
)
from sr_engine.registry import DEFAULT_MODEL, family_of, find_model, models
from sr_engine.trust.calibration import calibration_of, calibration_or_none
from sr_engine.trust.domain import Acquisition, abstention

TRUTH = "truth"
SENSOR_LEVEL, FOR_SENSOR_LEVEL = "L1B", "rec"  # bands not registered; the family made for them
TRUE_COLOUR = ("B04", "B03", "B02")
DRAWING_VERSION = 1  # raised when the same pixels are drawn differently


@dataclass(frozen=True)
class Layer:
    """One thing to look at. `variable` is of a product, empty for the measurement.

    `kind` keeps measured and inferred apart for a viewer: measured, inferred, explanation,
    uncertainty, audit, truth, classes or difference. `units`, `low`, `high` and `colormap` make
    the legend.
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
    def banded(self) -> bool:
        """Whether its pixels are reflectance in bands, to choose from and to compute with."""
        return self.variable in {"", "reflectance"} and self.kind != "classes"

    @property
    def flagged(self) -> bool:
        """Whether it holds bit masks, which are never interpolated and drawn by flag."""
        return self.variable in PLANES and bool(PLANES[self.variable].flags)

    @property
    def models(self) -> tuple[str, ...]:
        """Ids of the models that make it, the default first."""
        if not self.by_model:
            return ()
        return tuple(name for name, model in models().items() if makes(model, self))

    @property
    def default_model(self) -> str | None:
        """The model to take where none is named."""
        makers = self.models
        return DEFAULT_MODEL if DEFAULT_MODEL in makers else next(iter(makers), None)

    def models_for(self, cube: Cube) -> tuple[str, ...]:
        """Those of them that can take the cube's bands; for level 1B the one made for it first.

        An interval is offered only by models that are calibrated for the cube's level.
        """
        held = {band.name for band in cube.bands}
        fit = [name for name in self.models if set(find_model(name).card.bands) <= held]
        if self.variable == SCALE.name:
            taken = Acquisition.of_cube(cube)
            fit = [name for name in fit if abstention(find_model(name).card, taken) is None]
        if cube.attributes["processing:level"] == SENSOR_LEVEL:
            fit.sort(key=lambda name: family_of(name) != FOR_SENSOR_LEVEL)
        return tuple(fit)

    def document(self, cube: Cube) -> dict[str, Any]:
        """The layer as `/collections/{id}` lists it for a cube; `bands` are those of each model."""
        fit = self.models_for(cube)
        legend = {
            "min": self.low,
            "max": self.high,
            "units": self.units,
            "colormap": self.colormap,
        }
        found = {
            "id": self.id,
            "title": self.title,
            "kind": self.kind,
            "models": list(fit),
            "default_model": next(iter(fit), None),
            "versions": {
                name: version_of(cube, self, find_model(name) if name else None)
                for name in (fit if self.by_model else ("",))
            },
            "legend": legend if self.colormap else _flag_legend() if self.flagged else None,
        }
        if self.by_model and self.banded:
            found["bands"] = {name: list(bands_made(cube, find_model(name))) for name in fit}
        return found


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
            high=10.0,
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

# What two layers differ by. It is drawn as the others are, and asked for with two operands:
# so it is in no list of layers that have an address without any (WMTS, STAC, EDR, tilesets).
DIFFERENCE = Layer(
    "difference",
    "Difference of two layers",
    "difference",
    "difference",
    units="difference of an index, or of reflectance",
    low=-0.2,
    high=0.2,
    colormap="rdbu",
)


def makes(model: Model, layer: Layer) -> bool:
    """Whether the layer can be had of a model; an interval is told only where it is calibrated."""
    planes = (*model.planes, *AUDIT_PLANES)
    if layer.variable == SALIENCY.name:
        return isinstance(model, DifferentiableModel)
    if layer.variable == SCALE.name and calibration_or_none(model.card) is None:
        return False
    return layer.variable in {"reflectance", *(plane.name for plane in planes)}


def version_of(cube: Cube, layer: Layer, model: Model | None) -> str:
    """What tiles of a layer depend on besides what is asked of them.

    Another text where the cube, its scenes, the model's numbers, its calibration or the drawing
    are others, so that an address with this in it may be kept for ever.
    """
    commit = cube.root.commit
    calibrated = model is not None and layer.variable == SCALE.name
    parts = (
        commit.uid,
        commit.generation,
        model.card.key if model else "",
        calibration_of(model.card).sha256 if model and calibrated else "",
        DRAWING_VERSION,
    )
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def _flag_legend() -> dict[str, Any]:
    return {
        "classes": [
            {
                "value": value,
                "name": "clean" if value == Quality.COMPUTED else str(Quality(value).name).lower(),
                "title": title,
                "color": "#{:02x}{:02x}{:02x}".format(*colour[:3]),
            }
            for value, (title, colour) in FLAG_COLOURS.items()
        ]
    }
