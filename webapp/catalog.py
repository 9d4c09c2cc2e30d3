"""What the page knows of a collection, read from the documents of the HTTP interface.

Only what the controls need; the map itself works on the documents as they came.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class BandPreset:
    """Three bands for red, green and blue, and the reflectance range stretched over 0..255."""

    key: str
    bands: tuple[str, str, str]
    low: float
    high: float

    @property
    def bands_query(self) -> str:
        """The `bands` parameter of a tile request."""
        return ",".join(self.bands)

    @property
    def rescale_query(self) -> str:
        """The `rescale` parameter of a tile request."""
        return f"{self.low:g},{self.high:g}"


# Most land stays below 0.25 in the visible; vegetation reaches 0.5 in the near infrared.
PRESETS = (
    BandPreset("preset_true", ("B04", "B03", "B02"), 0, 0.25),
    BandPreset("preset_nir", ("B08", "B04", "B03"), 0, 0.5),
    BandPreset("preset_swir", ("B12", "B8A", "B04"), 0, 0.45),
    BandPreset("preset_agriculture", ("B11", "B08", "B02"), 0, 0.45),
)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of a collection; `models` is empty unless it comes from a model.

    `operands` are the layers that a difference can be made of, empty for any other.
    """

    id: str
    title: str
    kind: str
    models: tuple[str, ...]
    operands: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read one entry of a collection's `layers`."""
        models, operands = (tuple(document.get(key, ())) for key in ("models", "operands"))
        return cls(document["id"], document["title"], document["kind"], models, operands)


@dataclass(frozen=True, slots=True)
class Scene:
    """One date: `cloud_cover` in percent, None where it is not known, and the ids of its layers."""

    datetime: str
    cloud_cover: float | None
    layers: tuple[str, ...] = ()

    @property
    def date(self) -> str:
        """The day, as YYYY-MM-DD."""
        return self.datetime[:10]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read one entry of a collection's `scenes`."""
        shown = tuple(document.get("layers", ()))
        return cls(document["datetime"], document.get("cloud_cover"), shown)


@dataclass(frozen=True, slots=True)
class Collection:
    """One collection: its layers, its scenes in order of time and the date to open on."""

    id: str
    title: str
    description: str
    bands: tuple[str, ...]
    layers: tuple[Layer, ...]
    scenes: tuple[Scene, ...]
    default_datetime: str

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a collection document; a default date that is no scene's becomes the last one."""
        scenes = tuple(map(Scene.from_json, document["scenes"]))
        default = document.get("default_datetime", "")
        if scenes and default not in {scene.datetime for scene in scenes}:
            default = scenes[-1].datetime
        return cls(
            id=document["id"],
            title=document["title"],
            description=document.get("description", ""),
            bands=tuple(band["name"] for band in document.get("bands", ())),
            layers=tuple(map(Layer.from_json, document["layers"])),
            scenes=scenes,
            default_datetime=default,
        )

    def layer(self, layer_id: str) -> Layer | None:
        """The layer of that id, None where the collection has none."""
        return next((layer for layer in self.layers if layer.id == layer_id), None)

    def opening_layers(self, *, newcomer: bool = False) -> tuple[Layer, Layer]:
        """What the page opens on: the measurement on the left, super-resolved on the right.

        A newcomer sees super-resolved against the truth, where the opening date has one.
        """
        first = next((layer for layer in self.layers if layer.kind == "measured"), self.layers[0])
        second = next((layer for layer in self.layers if layer.kind == "inferred"), first)
        truth = next((layer for layer in self.layers if layer.kind == "truth"), None)
        opening = next((one for one in self.scenes if one.datetime == self.default_datetime), None)
        if newcomer and truth and opening and truth.id in opening.layers:
            return second, truth
        return first, second

    def presets(self) -> tuple[BandPreset, ...]:
        """The band presets whose bands the collection has."""
        return tuple(preset for preset in PRESETS if set(preset.bands) <= set(self.bands))


def showable(documents: Sequence[Mapping[str, Any]]) -> dict[str, Collection]:
    """Read the collections that have something to show, by id, in the order given."""
    collections = map(Collection.from_json, documents)
    return {each.id: each for each in collections if each.scenes and each.layers}
