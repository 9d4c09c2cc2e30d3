"""The difference of two layers as a GeoTIFF, on the cube's own pixels or whole parts of them.

Each operand comes to the grid of the file as it does in a file of its own: by repeating its pixels.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from numpy.typing import NDArray
from pydantic import Field

from datacube import Cube, Window
from datacube.cog import RasterSpec, write_cog
from datacube.export import STAMP, tags_of
from datacube.layer import provenance, sentence_of
from datacube.provenance import TAG
from datacube.scene import reflectance_from_dn
from server.clients import gone
from server.differences import Difference, DifferenceQuery, Operands, find_difference, title_of
from server.downloads import GEOTIFF, ExportQuery, Wanted, find_wanted, repeated, sent
from server.expressions import MAX_LENGTH
from server.layer_list import DIFFERENCE
from server.services import Services, services_of

router = APIRouter()


class DifferenceExportQuery(ExportQuery, Operands):
    """What may be asked of a file of a difference; one of the last three says of what."""

    index: Annotated[str | None, Field(max_length=20, description="NDVI, of spyndex")] = None
    expression: Annotated[
        str | None, Field(max_length=MAX_LENGTH, description="(B08-B04)/(B08+B04)")
    ] = None
    bands: Annotated[str | None, Field(max_length=40, description="a single one: B08")] = None

    def difference_query(self) -> DifferenceQuery:
        """The same wish of a map tile."""
        asked = self.model_dump(exclude={"bbox", "grid"}, exclude_none=True)
        return DifferenceQuery(**asked)


@dataclass(frozen=True)
class DifferenceFile:
    """A file to make: the two operands, on one grid."""

    difference: Difference
    operands: tuple[Wanted, Wanted]

    @property
    def name(self) -> str:
        """A name for the file that says what is in it."""
        first, second = self.operands
        moment = first.scene.scene.datetime.strftime(STAMP)
        made = f"{first.view.layer.id}-minus-{second.view.layer.id}"
        return f"{first.layer.cube_id}-{DIFFERENCE.id}-{made}-{moment}.tif"

    def read(self, window: Window) -> NDArray[np.float32]:
        """Differences (1, y, x) of a window of the file, NaN where there is none."""
        first, second = (self._values(one, window) for one in self.operands)
        return (first - second)[np.newaxis]

    def spec(self) -> RasterSpec:
        """What the file holds, and what its tags say of both operands."""
        first, second = self.operands
        about = [provenance(one.layer, one.scene) for one in self.operands]
        told = title_of(self.difference)
        # Never a measurement, whatever it is made of: `inferred` keeps it from being ingested.
        facts = about[0] | {
            "layer": DIFFERENCE.id, "inferred": True, "difference": told,
            "minuend": about[0], "subtrahend": about[1],
        }  # fmt: skip
        sentences = (sentence_of(one.layer, one.scene) for one in self.operands)
        tags = tags_of(first.layer, first.scene, facts) | {
            TAG: json.dumps(facts, sort_keys=True),
            "TIFFTAG_IMAGEDESCRIPTION": f"{told}. " + ", minus ".join(sentences),
            "srcube_layer": DIFFERENCE.title,
            "subtrahend_datetime": second.scene.scene.stamp,
        }
        grid = first.layer.grid.refined(first.repeats)
        return RasterSpec(grid, (told,), "float32", scale=1.0, offset=0.0, nodata=np.nan, tags=tags)

    def _values(self, one: Wanted, window: Window) -> NDArray[np.float32]:
        dn = repeated(one.layer.reader(one.scene.slot), one.repeats)(window)
        reflectance: Mapping[str, NDArray[np.float32]] = dict(
            zip(one.bands, reflectance_from_dn(dn), strict=True)
        )
        return self.difference.values_of(
            {name: reflectance[name] for name in self.difference.quantity.bands}
        )


@router.get(
    f"/collections/{{cube_id}}/layers/{DIFFERENCE.id}/export.tif",
    response_class=Response,
    responses={200: {"description": "a cloud-optimised GeoTIFF", "content": {GEOTIFF: {}}}},
)
async def difference_tif(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    cube_id: str,
    query: Annotated[DifferenceExportQuery, Query()],
) -> Response:
    """The difference of two layers of a view as a GeoTIFF of float32, NaN where there is none.

    Without `grid` the pixels are those of the finer operand; those of the coarser are repeated.
    """

    def make() -> tuple[bytes, str]:
        wanted = find_file(services.catalog.open(cube_id), cube_id, query)
        return encoded(wanted), wanted.name

    key = ("difference-export", cube_id, query.model_dump_json())
    (data, name), _ = await services.renders.run(key, make, gone(request))
    return sent(data, name)


def find_file(cube: Cube, cube_id: str, query: DifferenceExportQuery) -> DifferenceFile:
    """What a request asks for; raises what a file of either operand would, and InvalidInput."""
    difference = find_difference(cube, query.difference_query())
    parts = query.grid or difference.finer.factor

    def operand(layer_id: str, model: str | None, moment: str | None) -> Wanted:
        asked = ExportQuery(moment=moment, model=model, bbox=query.bbox, grid=parts)
        return find_wanted(cube, (cube_id, layer_id), asked)

    first = operand(query.minuend, query.model, query.moment)
    moment = query.subtrahend_moment or query.moment
    second = operand(query.subtrahend, query.subtrahend_model, moment)
    for one in (first, second):
        one.require(difference.quantity.bands)
    return DifferenceFile(difference, (first, second))


def encoded(wanted: DifferenceFile) -> bytes:
    """The file's bytes."""
    with tempfile.TemporaryDirectory(prefix="srcube-export-") as folder:
        path = Path(folder) / "difference.tif"
        write_cog(path, wanted.spec(), wanted.read)
        return path.read_bytes()
