"""The answer to a request for a map tile, whatever is drawn in it: its tag, its caching, the queue.

What is to be drawn comes as a `Drawing`: one layer of a cube, or the difference of two.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import morecantile
from fastapi import Path, Request, Response
from fastapi.concurrency import run_in_threadpool

from datacube import Cube
from server.clients import gone
from server.ogc.matrix_sets import TileOutOfMatrix, check_in_matrix, crs_text, matrix_set
from server.reader import Frame
from server.services import Services
from server.tile_data import DATA_MEDIA

MEDIA = {"webp": "image/webp", "png": "image/png", "jpeg": "image/jpeg", **DATA_MEDIA}
MAX_ZOOM = 24

Drawn = tuple[bytes, bool] | None


@dataclass(frozen=True)
class Drawing:
    """What a tile shows of a layer, not drawn yet.

    `version` is what tiles depend on besides what is asked of them (`layer_list.version_of`),
    `asked_version` the one that the request was made for, if it names one, `asked` the rest of it;
    `draw` gives the encoded tile and whether it is final, None where there is nothing to show.
    """

    layer_id: str
    media: str
    version: str
    asked_version: str | None
    asked: tuple[object, ...]
    draw: Callable[[Frame], Drawn]

    def etag(self, frame: Frame) -> str:
        """A strong tag from all that a final tile depends on: data, model, drawing, request."""
        parts = (self.version, self.layer_id, frame, self.asked)
        return f'"{hashlib.blake2b(repr(parts).encode(), digest_size=12).hexdigest()}"'

    def cache_control(self, *, final: bool) -> str:
        """Only a final tile of a named version never changes."""
        if not final:
            return "no-store"
        if self.asked_version == self.version:
            return "public, max-age=31536000, immutable"
        return "no-cache"


@dataclass(frozen=True)
class Address:
    """Which tile of which layer of which cube."""

    cube_id: str
    layer_id: str
    tms_id: str
    tile: morecantile.Tile

    def frame(self, size_px: int) -> Frame:
        """Its edges on the ground; raises TileOutOfMatrix."""
        tms = matrix_set(self.tms_id)
        if self.tile.z > tms.maxzoom:
            raise TileOutOfMatrix(f"{tms.id} ends at level {tms.maxzoom}, got {self.tile.z}")
        matrix = tms.tileMatrices[self.tile.z]
        check_in_matrix(self.tile, (matrix.matrixWidth, matrix.matrixHeight))
        left, bottom, right, top = tms.xy_bounds(self.tile)
        return Frame(crs_text(self.tms_id), (left, bottom, right, top), size_px)


async def address_of(
    cube_id: str,
    layer_id: str,
    tms_id: str,
    z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
    x: int,
    y: int,
) -> Address:
    """The tile that a path names; a coroutine, which costs no change of threads."""
    return Address(cube_id, layer_id, tms_id, morecantile.Tile(x, y, z))


async def answer_tile(
    request: Request,
    services: Services,
    place: tuple[Address, int],
    find: Callable[[Cube], Drawing],
) -> Response:
    """Draw what `find` finds in a cube, unless the client has it; `place` is where and how wide."""
    address, size_px = place

    def found() -> tuple[Drawing, Frame]:
        return find(services.catalog.open(address.cube_id)), address.frame(size_px)

    # In a folder this takes some ten microseconds, less than a change of threads.
    local = services.catalog.storage.locks
    drawing, frame = found() if local else await run_in_threadpool(found)
    etag = drawing.etag(frame)
    # Only final tiles carry an ETag, so whoever returns one holds what we would draw again.
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"etag": etag})

    def draw() -> Drawn:
        with services.metrics.tile_seconds.labels(drawing.layer_id).time():
            return drawing.draw(frame)

    fresh = False
    drawn = None
    while not fresh:
        drawn, began_since = await services.renders.run(etag, draw, gone(request))
        # What was begun before we asked may lack a block that has come since, unless it is final.
        fresh = began_since or (drawn is not None and drawn[1])
    if drawn is None:
        return Response(status_code=204, headers={"cache-control": "no-store"})
    data, final = drawn
    headers = {
        "cache-control": drawing.cache_control(final=final),
        "x-srcube-complete": str(final).lower(),
    }
    if final:
        headers["etag"] = etag
    return Response(data, media_type=drawing.media, headers=headers)
