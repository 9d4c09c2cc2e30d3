"""Statistics of a polygon: what its pixels hold, date by date, band maths across layers included.

Every parameter is counted on its own pixels, those whose centres lie in the polygon. Where one
parameter is taken from another, both are on the finer of their grids: each coarse pixel stands for
the fine ones in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import shapely
from fastapi import APIRouter, Depends, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from datacube import Cube, Window
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput
from server.clients import gone
from server.ogc.coverage import parameter_document
from server.ogc.edr_query import Coords, geometry, scenes_at, window_of_polygon
from server.ogc.sampling import MAX_READS, Parameter, chosen
from server.problems import TooLarge
from server.services import Services, services_of

MAX_PIXELS = 16_000_000  # read for one answer
MAX_PARAMETERS = 12
BINS = 24
PERCENTILES = (5, 25, 50, 75, 95)
DIGITS = 6  # significant, of every figure told

router = APIRouter()
Document = dict[str, Any]
Values = NDArray[np.float32]
Inside = NDArray[np.bool_]


class ZonalQuery(BaseModel):
    """What may be asked for; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    coords: Coords
    parameter_name: Annotated[
        str,
        Field(alias="parameter-name", max_length=1_000, description="lr.B04,sr.wiener-x4.NDVI"),
    ]
    minus: Annotated[
        str | None, Field(max_length=100, description="a parameter to take from each of the others")
    ] = None
    moment: Annotated[
        str | None, Field(alias="datetime", max_length=80, description="instant or interval")
    ] = None


@dataclass(frozen=True)
class Zone:
    """A polygon on a cube: the measured pixels around it, and itself in the cube's CRS."""

    cube: Cube
    window: Window
    polygon: shapely.Geometry

    def inside(self, factor: int) -> Inside:
        """Pixels (y, x) of the grid `factor` times finer whose centres lie in the polygon."""
        grid = self.cube.grid.refined(factor).cropped(self.window.scaled(factor))
        y, x = grid.centres()
        shapely.prepare(self.polygon)
        return np.asarray(shapely.contains_xy(self.polygon, *np.meshgrid(x, y)), np.bool_)

    def pixels(self, factor: int) -> int:
        """How many pixels of that grid have to be read."""
        return self.window.height * self.window.width * factor**2


@dataclass(frozen=True)
class Term:
    """A parameter, or the difference of two."""

    parameter: Parameter
    minus: Parameter | None = None

    @property
    def parts(self) -> tuple[Parameter, ...]:
        """The parameters that have to be read."""
        return (self.parameter,) if self.minus is None else (self.parameter, self.minus)

    @property
    def factor(self) -> int:
        """That of the grid it is counted on."""
        return max(one.factor for one in self.parts)

    def read(self, zone: Zone, slot: int) -> Values:
        """Values (y, x) of the zone's window on its grid; NaN where either has none."""
        found = [_finer(one, zone, slot, self.factor) for one in self.parts]
        return found[0] if len(found) == 1 else found[0] - found[1]


@router.get("/collections/{cube_id}/zonal")
async def zonal(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    cube_id: str,
    query: Annotated[ZonalQuery, Query()],
) -> Document:
    """Statistics and histogram of the pixels in a POLYGON, for each parameter and date.

    `pixels` are those with their centre in the polygon, `count` those of them that have a value;
    the standard deviation is that of the pixels (divided by `count`). The bins of a date's
    histograms are the same for all parameters. Figures are null where nothing is there.
    """

    def count() -> Document:
        return zonal_document(services.catalog.open(cube_id), query)

    key = ("zonal", cube_id, query.model_dump_json())
    found, _ = await services.renders.run(key, count, gone(request))
    return found


def zonal_document(cube: Cube, query: ZonalQuery) -> Document:
    """All figures of a polygon; raises what an EDR query at it would, and TooLarge."""
    asked_for = geometry(query.coords, ["Polygon", "MultiPolygon"])
    zone = Zone(cube, *window_of_polygon(cube, asked_for))
    scenes, terms = scenes_at(cube, query.moment), _terms(cube, query)
    _check_cost(zone, len(scenes), terms)
    masks = {factor: zone.inside(factor) for factor in {term.factor for term in terms}}
    return {
        "window": [zone.window.row, zone.window.col, zone.window.height, zone.window.width],
        "minus": query.minus,
        "parameters": {
            term.parameter.name: {
                **parameter_document(term.parameter),
                "factor": term.factor,
                "pixels": int(masks[term.factor].sum()),
            }
            for term in terms
        },
        "percentiles": list(PERCENTILES),
        "dates": [_date_document(zone, one, terms, masks) for one in scenes],
    }


def _terms(cube: Cube, query: ZonalQuery) -> tuple[Term, ...]:
    asked = chosen(cube, query.parameter_name)
    if len(asked) > MAX_PARAMETERS:
        raise InvalidInput(f"need at most {MAX_PARAMETERS} parameters, got {len(asked)}")
    if query.minus is None:
        return tuple(Term(one) for one in asked)
    (minus,) = chosen(cube, query.minus.partition(",")[0])
    for one in asked:
        if max(one.factor, minus.factor) % min(one.factor, minus.factor):
            raise InvalidInput(f"the pixels of {one.name} and {minus.name} do not fit together")
    return tuple(Term(one, minus) for one in asked)


def _check_cost(zone: Zone, dates: int, terms: Sequence[Term]) -> None:
    """Raise TooLarge for what one request may not read; nothing was read yet."""
    parts = [(part, term.factor) for term in terms for part in term.parts]
    counts = (
        ("pixels", dates * sum(zone.pixels(f) * part.reads for part, f in parts), MAX_PIXELS),
        ("reads", dates * sum(part.reads for part, _ in parts), MAX_READS),
    )
    for what, count, limit in counts:
        if count > limit:
            raise TooLarge(
                f"{count} {what} are more than the {limit} of one request; ask for fewer dates "
                "(datetime), fewer parameters (parameter-name) or a smaller polygon"
            )


def _finer(parameter: Parameter, zone: Zone, slot: int, factor: int) -> Values:
    """A parameter's values on a grid `factor` times finer than the measured one."""
    values = parameter.read(zone.cube, slot, zone.window.scaled(parameter.factor))
    ratio = factor // parameter.factor
    return values if ratio == 1 else values.repeat(ratio, axis=0).repeat(ratio, axis=1)


def _date_document(
    zone: Zone, scene: CommittedScene, terms: Sequence[Term], masks: dict[int, Inside]
) -> Document:
    """Figures by parameter of one date, and the edges of the bins that they share."""
    values = {}
    for term in terms:
        found = term.read(zone, scene.slot)[masks[term.factor]]
        values[term.parameter.name] = found[np.isfinite(found)]
    edges = _edges(list(values.values()))
    return {
        "datetime": scene.scene.stamp,
        "edges": _told(edges),
        "figures": {name: _figures(one, edges) for name, one in values.items()},
    }


def _edges(values: Sequence[Values]) -> NDArray[np.float64]:
    """Edges of bins over the range of all values; none where there are no values."""
    there = [one for one in values if one.size]
    if not there:
        return np.zeros(0)
    low, high = float(min(one.min() for one in there)), float(max(one.max() for one in there))
    return np.asarray(np.histogram_bin_edges(np.zeros(0), BINS, (low, high)), np.float64)


def _figures(values: Values, edges: NDArray[np.float64]) -> Document:
    names = ("min", "max", "mean", "std")
    if values.size == 0:
        nothing = dict.fromkeys((*names, "percentiles", "histogram"))
        return {"count": 0, **nothing}
    exact = values.astype(np.float64)
    found = _told([exact.min(), exact.max(), exact.mean(), exact.std()])
    return {
        "count": int(values.size),
        **dict(zip(names, found, strict=True)),
        "percentiles": _told(np.percentile(exact, PERCENTILES)),
        "histogram": np.histogram(exact, edges)[0].tolist(),
    }


def _told(values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [float(f"{one:.{DIGITS}g}") for one in values]
