"""What one side shows, as the browser and a link know it: a plain mapping of words.

A link is somebody else's: what it asks for is checked against what exists, and what does not is
named, so that the page can say so and show the rest.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from webapp.catalog import BandPreset, Collection, Scene
from webapp.difference import DIFFERENCE, DIVERGING, Difference, check_difference

SIDES = ("left", "right")
LOCKS = ("date", "look")
# Colour maps offered for an index; the first is what the server takes where none is named.
COLORMAPS = (
    "rdylgn", "viridis", "cividis", "magma", "turbo", "rdbu", "brbg", "ylgn", "blues", "greys",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """How pixels are drawn: three bands, or an index by a colour map; one of them is empty.

    `rescale` is "low,high"; empty, an index is drawn over its usual range.
    """

    bands: str = ""
    index: str = ""
    colormap: str = ""
    rescale: str = ""

    @classmethod
    def of(cls, preset: BandPreset | None) -> Self:
        """A preset as it is meant; without one, what the server thinks fit."""
        if preset is None:
            return cls()
        return cls(bands=preset.bands_query, rescale=preset.rescale_query)


@dataclass(frozen=True, slots=True)
class SideState:
    """A layer, its model (empty where it needs none), a date and a look.

    A difference has what it is of instead of a look; the look is kept for other layers.
    """

    layer: str
    model: str
    date: str
    look: Look
    difference: Difference | None = None

    def document(self) -> dict[str, str]:
        """As the browser takes it."""
        words = {"layer": self.layer, "model": self.model, "date": self.date}
        return words | (self.difference.document() if self.difference else asdict(self.look))


@dataclass(frozen=True, slots=True)
class Index:
    """A spectral index that the server computes, and the bands that it needs."""

    name: str
    title: str
    bands: tuple[str, ...]


def indices_of(collection: Collection, documents: Sequence[Mapping[str, Any]]) -> dict[str, Index]:
    """Those that can be had of a collection's bands, by name."""
    known = (Index(one["name"], one["title"], tuple(one["bands"])) for one in documents)
    return {one.name: one for one in known if set(one.bands) <= set(collection.bands)}


@dataclass(frozen=True)
class Checked:
    """What of a side of a link can be shown, and the words of it that cannot."""

    side: SideState
    gone: tuple[str, ...]


def check_side(
    wanted: Mapping[str, str], usual: SideState, collection: Collection, indices: Sequence[str]
) -> Checked:
    """Take from a link what exists, and the rest from what is `usual`."""
    gone: list[str] = []
    layer = collection.layer(wanted.get("layer", ""))
    if layer is None:
        gone += _named(wanted, "layer")
        layer = collection.layer(usual.layer)
    elif layer.kind == DIFFERENCE:
        return _checked_difference(wanted, usual, collection, indices)
    models = layer.models if layer else ()
    model = wanted.get("model", "")
    if model not in models:
        gone += _named(wanted, "model")
        model = usual.model if usual.model in models else next(iter(models), "")
    date = wanted.get("date", "")
    if date not in {scene.datetime for scene in collection.scenes}:
        gone += _named(wanted, "date")
        date = usual.date
    look, unfit = _checked_look(wanted, usual.look, collection, indices)
    side = SideState(layer.id if layer else "", model, date, look)
    return Checked(side, (*gone, *unfit))


def _checked_difference(
    wanted: Mapping[str, str], usual: SideState, collection: Collection, indices: Sequence[str]
) -> Checked:
    found, gone = check_difference(wanted, collection, indices)
    date = wanted.get("date", "")
    if date not in {scene.datetime for scene in collection.scenes}:
        gone += _named(wanted, "date")
        date = usual.date
    if wanted.get("colormap", "") in DIVERGING:
        found = replace(found, colormap=wanted["colormap"])
    else:
        gone += _named(wanted, "colormap")
    if rising(wanted.get("rescale", "")):
        found = replace(found, rescale=wanted["rescale"])
    else:
        gone += _named(wanted, "rescale")
    return Checked(SideState(wanted["layer"], "", date, usual.look, found), tuple(gone))


def _checked_look(
    wanted: Mapping[str, str], usual: Look, collection: Collection, indices: Sequence[str]
) -> tuple[Look, list[str]]:
    presets = {preset.bands_query: Look.of(preset) for preset in collection.presets()}
    gone: list[str] = []
    if wanted.get("index", "") in indices:
        look = Look(index=wanted["index"], colormap=COLORMAPS[0])
    elif wanted.get("bands", "") in presets:
        look = presets[wanted["bands"]]
    else:
        gone += [*_named(wanted, "index"), *_named(wanted, "bands")]
        look = usual
    if wanted.get("colormap") in COLORMAPS and look.index:
        look = replace(look, colormap=wanted["colormap"])
    elif wanted.get("colormap") not in {"", None, *COLORMAPS}:
        gone += _named(wanted, "colormap")
    if rising(wanted.get("rescale", "")):
        look = replace(look, rescale=wanted["rescale"])
    else:
        gone += _named(wanted, "rescale")
    return look, gone


def rising(text: str) -> bool:
    """Whether it is "low,high", two finite numbers that the server would take."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        return False
    return math.isfinite(low) and math.isfinite(high) and low < high and len(text) <= 40


def _named(wanted: Mapping[str, str], key: str) -> Iterator[str]:
    if wanted.get(key):
        yield wanted[key][:40]


def scene_label(scene: Scene, words: Mapping[str, str]) -> str:
    """A date in a list, with its cloud cover where that is known."""
    if scene.cloud_cover is None:
        return words["scene_no_cloud"].format(date=scene.date)
    return words["scene"].format(date=scene.date, cloud=round(scene.cloud_cover))
