"""Overlays that the operator has registered: what there is, and their map tiles.

A page may load nothing from elsewhere, so tiles of other servers come through this one: asked by
the checked client, of the registered host alone, bounded in bytes and seconds, and drawn anew, so
that what leaves is a picture whatever it was that came.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Annotated, Any

import morecantile
from fastapi import APIRouter, Depends, Path, Request, Response

from datacube.errors import NotFound
from datacube.stac.fetch import Fetcher
from server.admission import RenderLimits, RenderQueue
from server.clients import gone
from server.ogc.matrix_sets import check_in_matrix, matrix_set
from server.overlay_sources import MATRIX, REMOTE, CogSource, TileSource
from server.registry import MAX_ZOOM, Overlay, Registry
from server.render import encode

router = APIRouter(tags=["overlays"])
Document = dict[str, Any]

AT_ONCE, WAITING = 8, 64  # questions to other servers
CACHE = "public, max-age=3600"


@dataclass
class Overlays:
    """Every overlay there is, and the queue of questions to other servers."""

    registry: Registry
    sources: dict[str, TileSource | CogSource]
    fetchers: list[Fetcher]
    queue: RenderQueue = field(
        default_factory=lambda: RenderQueue(RenderLimits(AT_ONCE, WAITING, 2 * REMOTE.idle_s))
    )

    @classmethod
    def of(cls, registry: Registry, folder: FilePath) -> "Overlays":
        """Look at every overlay; raises InvalidInput for a file that cannot be shown."""
        sources: dict[str, TileSource | CogSource] = {}
        fetchers: list[Fetcher] = []
        for one in registry.overlay:
            if one.kind == "cog":
                sources[one.id] = CogSource(one, folder)
                continue
            fetchers.append(Fetcher(one.policy, REMOTE))
            sources[one.id] = TileSource(one, fetchers[-1])
        return cls(registry, sources, fetchers)

    def find(self, overlay_id: str) -> Overlay:
        """An overlay by its id; raises NotFound."""
        for one in self.registry.overlay:
            if one.id == overlay_id:
                return one
        raise NotFound("no such overlay; /overlays lists those there are")

    def close(self) -> None:
        """End threads and connections."""
        self.queue.close()
        for fetcher in self.fetchers:
            fetcher.close()


def load_overlays(path: FilePath | None) -> Overlays:
    """The overlays of a registry file; raises InvalidInput for one that is wrong."""
    folder = (path or FilePath()).expanduser().parent
    return Overlays.of(Registry.load(path), folder)


async def overlays_of(request: Request) -> Overlays:
    """The overlays of the application that answers a request."""
    found: Overlays = request.app.state.overlays
    return found


Overlays_ = Annotated[Overlays, Depends(overlays_of)]


@router.get("/overlays")
def overlay_list(overlays: Overlays_) -> Document:
    """What can be drawn over the map, chosen by id; addresses are not told."""
    return {
        "overlays": [_document(one) for one in overlays.registry.overlay],
        "links": [{"rel": "self", "href": "/overlays"}],
    }


@router.get(
    f"/overlays/{{overlay_id}}/tiles/{MATRIX}/{{z}}/{{x}}/{{y}}",
    response_class=Response,
    responses={
        200: {"content": {"image/webp": {}}},
        204: {"description": "inside the matrix, but there is nothing to show"},
    },
)
async def overlay_tile(
    request: Request,
    overlays: Overlays_,
    overlay_id: str,
    z: Annotated[int, Path(ge=0, le=MAX_ZOOM)],
    x: int,
    y: int,
) -> Response:
    """A map tile of an overlay, 256 or 512 pixels wide as its server has them."""
    overlay = overlays.find(overlay_id)
    tile = morecantile.Tile(x, y, z)
    check_in_matrix(tile, (2**z, 2**z))
    if not _touches(overlay, tile):
        return Response(status_code=204, headers={"cache-control": CACHE})
    own = overlay.kind == "cog"
    queue = request.app.state.services.renders if own else overlays.queue
    drawing = _drawing(overlays.sources[overlay_id], tile)
    data, _ = await queue.run(("overlay", overlay_id, tile), drawing, gone(request))
    if data is None:
        return Response(status_code=204, headers={"cache-control": CACHE})
    return Response(data, media_type="image/webp", headers={"cache-control": CACHE})


def _drawing(source: TileSource | CogSource, tile: morecantile.Tile) -> Callable[[], bytes | None]:
    def draw() -> bytes | None:
        image = source.read(tile)
        if image is None or not image[..., 3].any():
            return None
        return encode(image, "webp")

    return draw


def _touches(overlay: Overlay, tile: morecantile.Tile) -> bool:
    """Whether a tile shows ground that the operator registered the overlay for."""
    if not overlay.minzoom <= tile.z <= overlay.maxzoom:
        return False
    west, south, east, north = overlay.bounds
    edges = matrix_set(MATRIX).bounds(tile)
    return bool(
        edges.left < east and west < edges.right and edges.bottom < north and south < edges.top
    )


def _document(one: Overlay) -> Document:
    return {
        "id": one.id,
        "title": one.title,
        "kind": one.kind,
        "attribution": one.attribution,
        "bounds": list(one.bounds),
        "basemap": one.basemap,
        "minzoom": one.minzoom,
        "maxzoom": one.maxzoom,
        "tiles": f"/overlays/{one.id}/tiles/{MATRIX}/{{z}}/{{x}}/{{y}}",
    }
