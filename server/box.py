"""A part of one date of a cube, as a request names it: box, datetime and model, all optional."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from datacube import Cube, Window
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput
from datacube.scene import parse_rfc3339
from server.tiles import default_scene_slot


class BoxQuery(BaseModel):
    """What may be asked of it; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    moment: Annotated[str | None, Field(alias="datetime", max_length=40)] = None
    model: Annotated[str | None, Field(max_length=80)] = None
    bbox: Annotated[
        str | None,
        Field(max_length=120, description="west,south,east,north in degrees; all of it without"),
    ] = None

    def window(self, cube: Cube) -> Window:
        """The box on the measured grid, pixels that it touches included; raises InvalidInput."""
        if self.bbox is None:
            return Window(0, 0, *cube.grid.shape)
        try:
            west, south, east, north = (float(part) for part in self.bbox.split(","))
        except ValueError as error:
            raise InvalidInput(f"need bbox=west,south,east,north, got {self.bbox!r}") from error
        return cube.grid.window_of(lonlat_bbox=(west, south, east, north))

    def scene(self, cube: Cube) -> CommittedScene:
        """The date that is named, else the one to show first; raises NotFound."""
        if self.moment is not None:
            return cube.scene_at(parse_rfc3339(self.moment))
        slot = default_scene_slot(cube)
        return next(one for one in cube.scenes if one.slot == slot)
