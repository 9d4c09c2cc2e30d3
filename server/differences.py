"""The difference of two layers of a cube: one quantity of the first minus the same of the second.

Both are read in the same frame, so that they are registered by construction; where one of them has
no value, there is no difference. What is told is that of the values, never of the colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from datacube import Cube
from datacube.errors import InvalidInput
from server.expressions import Formula, find_index, parse
from server.layer_list import DIFFERENCE
from server.layers import View, layers_of
from server.reader import Frame, Resampling
from server.render import encode, index_rgba
from server.tile_answers import MEDIA, Drawing, Drawn
from server.tile_data import DATA_MEDIA, encode_values, values_of
from server.tiles import TileQuery, colormap_of, find_view, style_of

Values = NDArray[np.float32]
LayerId = Annotated[str, Field(min_length=1, max_length=40)]


class Operands(BaseModel):
    """What is subtracted from what; `datetime` and `model` beside it are of the minuend."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    minuend: Annotated[LayerId, Field(description="layer to subtract from: sr")]
    subtrahend: Annotated[LayerId, Field(description="layer that is subtracted: lr")]
    subtrahend_model: Annotated[
        str | None, Field(max_length=80, description="its model, where one makes it")
    ] = None
    subtrahend_moment: Annotated[
        str | None,
        Field(
            alias="subtrahend_datetime",
            max_length=40,
            description="its date; without, that of the minuend",
        ),
    ] = None


class DifferenceQuery(TileQuery, Operands):
    """What may be asked of a tile of a difference; anything else is refused by name.

    One of `index`, `expression` and `bands` (a single one) says of what.
    """


@dataclass(frozen=True)
class Difference:
    """A quantity, named `of_what`, of two views of a cube: the first minus the second."""

    minuend: View
    subtrahend: View
    quantity: Formula
    of_what: str

    @property
    def finer(self) -> View:
        """The operand with the smaller pixels."""
        return max(self.minuend, self.subtrahend, key=lambda view: view.factor)

    @property
    def version(self) -> str:
        """The versions of both operands: tiles depend on either."""
        return f"{self.minuend.version}-{self.subtrahend.version}"

    def values(self, frame: Frame, resampling: Resampling) -> tuple[Values, bool] | None:
        """Differences (y, x), NaN where there is none, and whether nothing is still missing.

        None where one of the two has nothing to show in the frame.
        """
        bands = self.quantity.bands
        found: list[Values] = []
        complete = True
        for view in (self.minuend, self.subtrahend):
            pixels = view.read(bands, frame, resampling)
            if pixels is None:
                return None
            found.append(self.values_of(dict(zip(bands, values_of(view, pixels), strict=True))))
            complete = complete and pixels.complete
        return found[0] - found[1], complete

    def values_of(self, reflectance: Mapping[str, Values]) -> Values:
        """The quantity of one operand, NaN where it is not finite."""
        values = self.quantity.of(reflectance)
        return np.where(np.isfinite(values), values, np.float32(np.nan))


def find_difference(cube: Cube, query: DifferenceQuery) -> Difference:
    """The two views that a request names, and of what; raises NotFound and InvalidInput."""
    second = query.model_copy(
        update={
            "model": query.subtrahend_model,
            "moment": query.subtrahend_moment or query.moment,
        }
    )
    minuend = find_view(cube, query.minuend, query)
    subtrahend = find_view(cube, query.subtrahend, second)
    for view in (minuend, subtrahend):
        if not view.layer.banded:
            raise InvalidInput(
                f"layer {view.layer.id} has no bands to compute with; "
                f"those that have are {', '.join(operands_of(cube))}"
            )
    quantity = quantity_of(cube, query)
    return Difference(minuend, subtrahend, quantity, query.index or quantity.text)


def quantity_of(cube: Cube, query: TileQuery) -> Formula:
    """The index, expression or band to subtract; raises InvalidInput unless one is named."""
    names = tuple(band.name for band in cube.bands)
    asked = (query.index, query.expression, query.bands)
    if sum(one is not None for one in asked) != 1:
        raise InvalidInput("need one of index, expression and bands to tell the difference of")
    if query.index is not None:
        return find_index(query.index, names)
    if query.bands is not None and query.bands not in names:
        raise InvalidInput(f"need a single band of {', '.join(names)}, got bands={query.bands}")
    return parse(str(query.expression or query.bands), names)


def draw_difference(found: Difference, query: DifferenceQuery, frame: Frame) -> Drawn:
    """An encoded tile and whether it is final; None where there is nothing to show."""
    read = found.values(frame, query.resampling)
    if read is None or not np.isfinite(read[0]).any():
        return None
    values, complete = read
    if query.format in DATA_MEDIA:
        names = (title_of(found),)
        return encode_values(values[np.newaxis], names, frame, query.format), complete
    span = query.stretch() or (DIFFERENCE.low, DIFFERENCE.high)
    image = index_rgba(values, span, colormap_of(query) or str(DIFFERENCE.colormap))
    return encode(image, query.format), complete


def drawing_of_difference(cube: Cube, query: DifferenceQuery) -> Drawing:
    """The difference that a request names, as something to draw."""
    found = find_difference(cube, query)
    operands = tuple(
        (view.layer.id, view.slot, view.model.card.id if view.model else "")
        for view in (found.minuend, found.subtrahend)
    )
    return Drawing(
        DIFFERENCE.id, MEDIA[query.format], found.version, query.v, (operands, style_of(query)),
        lambda frame: draw_difference(found, query, frame),
    )  # fmt: skip


def title_of(found: Difference) -> str:
    """What was subtracted from what, in a line."""
    made = [
        view.layer.id + (f".{view.model.card.id}" if view.model else "")
        for view in (found.minuend, found.subtrahend)
    ]
    return f"{found.of_what}: {made[0]} minus {made[1]}"


def operands_of(cube: Cube) -> tuple[str, ...]:
    """Ids of the layers that can be subtracted from one another."""
    return tuple(layer.id for layer in layers_of(cube) if layer.banded)


def difference_document(cube: Cube) -> dict[str, Any]:
    """The difference as `/collections/{id}` lists it among the layers, with its operands.

    Its version is that of the first operand, a dash, and that of the second.
    """
    document = DIFFERENCE.document(cube) | {"operands": list(operands_of(cube))}
    del document["versions"]
    return document
