"""What is asked of a process that computes blocks: where, when, by which model, what along."""

from typing import Annotated, Literal, get_args

import shapely
from pydantic import BaseModel, ConfigDict, Field

from datacube import Cube, Grid
from datacube.errors import InvalidInput
from server.jobs.area import Area
from server.layers import find_layer, model_of
from server.strict_json import Number
from sr_engine.planes import SCALE
from sr_engine.trust.domain import Acquisition, refuse_outside

MOST_RINGS, MOST_VERTICES = 8, 1000  # of a polygon, and of each of its rings

# Layers beside the image by their ids. All but saliency come with every block; it costs about
# five times the image, and is computed only where it is named.
Along = Literal["influence", "reach", "sigma", "interval", "consistency", "quality", "saliency"]
ALONG: tuple[str, ...] = get_args(Along)

Degrees = Annotated[Number, Field(ge=-180, le=180)]
Position = Annotated[list[Degrees], Field(min_length=2, max_length=2)]
Ring = Annotated[list[Position], Field(min_length=4, max_length=MOST_VERTICES)]


class Polygon(BaseModel):
    """A polygon of GeoJSON (RFC 7946): rings of [longitude, latitude], the first the outer one."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["Polygon"]
    coordinates: Annotated[list[Ring], Field(min_length=1, max_length=MOST_RINGS)]

    def geometry(self) -> shapely.Polygon:
        """The polygon; raises InvalidInput for one that surrounds nothing, or crosses itself."""
        if any(ring[0] != ring[-1] for ring in self.coordinates):
            raise InvalidInput("need closed rings: the last position of each repeats the first")
        outer, *holes = self.coordinates
        found = shapely.Polygon(outer, holes)
        if max(abs(lat) for ring in self.coordinates for _, lat in ring) > 90:
            raise InvalidInput("need [longitude, latitude] with latitudes within -90..90")
        if not found.is_valid or found.area == 0:
            why = shapely.is_valid_reason(found).split("[")[0]
            raise InvalidInput(f"need a polygon that surrounds an area, got: {why.lower()}"[:200])
        return found


class ViewInputs(BaseModel):
    """A box or a polygon in degrees of one scene of a cube, and the model to use."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    collection: Annotated[str, Field(max_length=64)]
    moment: Annotated[
        str | None, Field(alias="datetime", max_length=40, description="default: the clearest")
    ] = None
    model: Annotated[str | None, Field(max_length=80)] = None
    bbox: Annotated[
        list[Number] | None,
        Field(min_length=4, max_length=4, description="west, south, east, north in degrees"),
    ] = None
    polygon: Annotated[
        Polygon | None,
        Field(description="instead of bbox: blocks that it does not touch are not computed"),
    ] = None
    products: Annotated[
        list[Along],
        Field(
            max_length=len(ALONG),
            description="layers to compute along; all but saliency come with every block",
        ),
    ] = []

    def area(self, grid: Grid) -> Area:
        """The place on a cube's grid; raises InvalidInput where none or two are named."""
        if self.bbox is not None and self.polygon is None:
            west, south, east, north = self.bbox
            return Area.of_bbox(grid, (west, south, east, north))
        if self.polygon is not None and self.bbox is None:
            return Area.of_polygon(grid, self.polygon.geometry())
        got = "both" if self.bbox is not None else "neither"
        raise InvalidInput(f"need one of bbox and polygon, got {got}")

    def variables(self, cube: Cube, model_id: str) -> tuple[str, ...]:
        """The variables that hold the products; raises InvalidInput for what a model lacks."""
        layers = [find_layer(cube, name) for name in self.products]
        for layer in layers:
            model = model_of(layer, model_id)
            if layer.variable == SCALE.name and model is not None:
                refuse_outside(model.card, Acquisition.of_cube(cube))
        return tuple(sorted({layer.variable for layer in layers}))
