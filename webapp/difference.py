"""The difference of two layers as a side shows it: what minus what, and of which value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from webapp.catalog import Collection

DIFFERENCE = "difference"  # the layer's kind, and its id
# Colour maps offered, with their middle at no difference; the first is what the server takes.
DIVERGING = ("rdbu", "brbg", "piyg", "puor", "rdylbu", "coolwarm")
USUAL_RANGE = "-0.2,0.2"
FIRST_INDEX = "NDVI"


@dataclass(frozen=True, slots=True)
class Operand:
    """A layer with bands, and its model where one makes it."""

    layer: str = ""
    model: str = ""

    @property
    def key(self) -> str:
        """What tells it apart in a list."""
        return f"{self.layer}:{self.model}"

    @classmethod
    def of_key(cls, key: str) -> Self:
        """Read back what `key` wrote."""
        layer, _, model = key.partition(":")
        return cls(layer, model)


@dataclass(frozen=True, slots=True)
class Difference:
    """What is subtracted from what; either `index` or `band` says of which value.

    `date` is that of what is subtracted, empty for the side's own; `rescale` is "low,high", empty
    for the usual range.
    """

    minuend: Operand
    subtrahend: Operand
    date: str = ""
    index: str = ""
    band: str = ""
    colormap: str = DIVERGING[0]
    rescale: str = ""

    def document(self) -> dict[str, str]:
        """As the browser takes it: `model` is of what is subtracted from."""
        return {
            "model": self.minuend.model,
            "minuend": self.minuend.layer,
            "subtrahend": self.subtrahend.layer,
            "subtrahend_model": self.subtrahend.model,
            "subtrahend_date": self.date,
            "bands": self.band,
            "index": self.index,
            "colormap": self.colormap,
            "rescale": self.rescale or USUAL_RANGE,
        }


def operands_of(collection: Collection) -> tuple[Operand, ...]:
    """Everything that can be subtracted: each layer with bands, once for each of its models."""
    offered = next((one.operands for one in collection.layers if one.kind == DIFFERENCE), ())
    layers = [layer for layer in collection.layers if layer.id in offered]
    return tuple(Operand(layer.id, model) for layer in layers for model in layer.models or ("",))


def usual_difference(collection: Collection, indices: Sequence[str]) -> Difference:
    """Super-resolved minus measured, where there are both; of NDVI, where it can be had."""
    operands = operands_of(collection)
    kinds = {layer.id: layer.kind for layer in collection.layers}
    plain = next((one for one in operands if kinds[one.layer] == "measured"), operands[0])
    made = next((one for one in operands if kinds[one.layer] == "inferred"), plain)
    if not indices:
        return Difference(made, plain, band=collection.bands[0])
    return Difference(made, plain, index=FIRST_INDEX if FIRST_INDEX in indices else indices[0])


def check_difference(
    wanted: Mapping[str, str], collection: Collection, indices: Sequence[str]
) -> tuple[Difference, list[str]]:
    """Take from a link what exists, and the rest from what is usual; and the words of it gone."""
    usual, gone = usual_difference(collection, indices), list[str]()
    minuend = Operand(wanted.get("minuend", ""), wanted.get("model", ""))
    subtrahend = Operand(wanted.get("subtrahend", ""), wanted.get("subtrahend_model", ""))
    operands = operands_of(collection)
    if minuend not in operands:
        gone += _lost(minuend, operands)
        minuend = usual.minuend
    if subtrahend not in operands:
        gone += _lost(subtrahend, operands)
        subtrahend = usual.subtrahend
    date = wanted.get("subtrahend_date", "")
    if date not in {"", *(scene.datetime for scene in collection.scenes)}:
        gone.append(date[:40])
        date = ""
    index, band = wanted.get("index", ""), wanted.get("bands", "")
    if not (index in indices or (not index and band in collection.bands)):
        gone += [one[:40] for one in (index, band) if one]
        index, band = usual.index, usual.band
    found = Difference(minuend, subtrahend, date, index, "" if index else band)
    return found, gone


def _lost(wanted: Operand, known: Sequence[Operand]) -> Iterator[str]:
    """The word of an operand that is not there: its model where the layer is, else the layer."""
    there = wanted.layer in {one.layer for one in known}
    word = wanted.model if there else wanted.layer
    if word:
        yield word[:40]
