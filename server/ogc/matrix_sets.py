"""Tile matrix sets and colour maps: the closed lists that tile requests choose from."""

from functools import lru_cache
from typing import Annotated, Any

import morecantile
from fastapi import APIRouter, Path, Request, Response
from morecantile import TileMatrixSet
from rio_tiler.colormap import cmap

from datacube.errors import NotFound
from server.ogc.answers import HTML_TOO, Document, Format, answer, base_url, link

router = APIRouter(tags=["tile matrix sets"])

# Those of morecantile whose tiles are all 256 px wide and whose levels are numbered from 0; the
# first five are listed for a cube, all are drawn.
NAMES = (
    "WebMercatorQuad",
    "WorldCRS84Quad",
    "WGS1984Quad",
    "WorldMercatorWGS84Quad",
    "EuropeanETRS89_LAEAQuad",
    "CanadianNAD83_LCC",
    "NZTM2000Quad",
    "LINZAntarticaMapTilegrid",
    "UPSArcticWGS84Quad",
    "UPSAntarcticWGS84Quad",
)
TILING_SCHEME = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"
LISTED = NAMES[:5]
MatrixSetId = Annotated[str, Path(max_length=60)]


@lru_cache(maxsize=len(NAMES))
def _loaded(tms_id: str) -> TileMatrixSet:
    return morecantile.tms.get(tms_id)


def matrix_set(tms_id: str) -> TileMatrixSet:
    """A tile matrix set by its OGC id; raises NotFound."""
    if tms_id not in NAMES:
        known = ", ".join(NAMES)
        raise NotFound(f"no tile matrix set {tms_id[:40]!r}; there are {known}")
    return _loaded(tms_id)


class TileOutOfMatrix(NotFound):
    """A tile that its matrix does not have."""

    code = "TileOutOfMatrix"


def check_in_matrix(tile: morecantile.Tile, size: tuple[int, int]) -> None:
    """Raise TileOutOfMatrix unless a matrix of `size` (columns, rows) has the tile."""
    if not (0 <= tile.x < size[0] and 0 <= tile.y < size[1]):
        raise TileOutOfMatrix(
            f"tile {tile.z}/{str(tile.x)[:20]}/{str(tile.y)[:20]} lies outside its matrix of "
            f"{size[0]} x {size[1]}"
        )


@lru_cache(maxsize=len(NAMES))
def crs_text(tms_id: str) -> str:
    """The CRS of a matrix set as PROJ takes it, with x before y."""
    crs = matrix_set(tms_id).crs
    authority = crs.to_epsg()
    return f"EPSG:{authority}" if authority else str(crs.to_wkt())


@router.get("/tileMatrixSets", responses=HTML_TOO)
def tile_matrix_sets(request: Request, f: Format = None) -> Response:
    """Every tile matrix set that tiles are drawn in."""
    base = base_url(request)
    listed = []
    for name in NAMES:
        tms = matrix_set(name)
        own = link(TILING_SCHEME, f"{base}/tileMatrixSets/{name}", title=f"Definition of {name}")
        listed.append({"id": name, "title": tms.title or name, "uri": str(tms.uri), "links": [own]})
    document = {"title": "Tile matrix sets", "tileMatrixSets": listed}
    links = {"links": [link("self", f"{base}/tileMatrixSets"), link("root", f"{base}/")]}
    return answer(request, document | links, f)


@router.get("/tileMatrixSets/{tms_id}", responses=HTML_TOO)
def tile_matrix_set(request: Request, tms_id: MatrixSetId, f: Format = None) -> Response:
    """The definition of a tile matrix set, as OGC 17-083r4 encodes it."""
    found = matrix_set(tms_id).model_dump(mode="json", exclude_none=True, by_alias=True)
    return answer(request, found, f)


@router.get("/colorMaps", tags=["colour maps"])
def colour_maps(request: Request) -> Document:
    """Names of the colour maps that a tile may be drawn with."""
    base = base_url(request)
    listed = [{"id": name, "links": [link("self", f"{base}/colorMaps/{name}")]}
              for name in cmap.list()]  # fmt: skip
    return {"colorMaps": listed, "links": [link("self", f"{base}/colorMaps")]}


@router.get("/colorMaps/{name}", tags=["colour maps"])
def colour_map(name: Annotated[str, Path(max_length=60)]) -> dict[str, list[int]]:
    """The 256 colours of a map, red, green, blue and opacity."""
    if name not in cmap.list():
        raise NotFound(f"no colour map {name[:40]!r}; /colorMaps lists those there are")
    colours: Any = cmap.get(name)
    return {str(index): list(colours[index]) for index in range(256)}
