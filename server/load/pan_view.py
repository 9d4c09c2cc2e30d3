"""A map that is dragged about: which tiles come into view, and where they are had.

What Leaflet and the page's tiles.js do, without a browser; tests/test_visitors.py holds it beside
what a real page asks for. Places are pixels of the world in spherical Mercator.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from server.tiles_bench import TMS

VIEW_PX = (1140, 836)  # what the sidebar and the bar leave of a screen of 1440 x 900
ZOOM, TILE_PX = 16, 256
KEPT_TILES = 2  # Leaflet's keepBuffer: tiles so far around the view are not let go
BANDED = {"lr", "sr", "truth"}  # layers whose bands are chosen
Tile = tuple[int, int]
Box = tuple[float, float, float, float]


@dataclass(eq=False)
class PanView:
    """The middle of a view `at` some place, and what is shown there: see `webapp.state`."""

    collection: dict[str, Any]
    shown: dict[str, Any]
    at: tuple[float, float]
    size: tuple[int, int] = VIEW_PX
    zoom: int = ZOOM
    _held: set[Tile] = field(default_factory=set)

    def move(self, right: float, down: float) -> None:
        """Move by so many pixels; at the rim of the collection the map turns back."""
        west, south, east, north = self.bounds
        least, most = world_px(west, north, self.zoom), world_px(east, south, self.zoom)
        x, y = self.at[0] + right, self.at[1] + down
        self.at = _folded(x, least[0], most[0]), _folded(y, least[1], most[1])

    def fresh(self) -> list[str]:
        """Addresses of the tiles that are in view now and were not held."""
        left, top, right, bottom = (edge / TILE_PX for edge in self._edges())
        seen = {
            (x, y)
            for x in range(math.floor(left), math.ceil(right))
            for y in range(math.floor(top), math.ceil(bottom))
            if self._within((x, y))
        }
        near = {
            (x, y)
            for x, y in self._held
            if math.floor(left) - KEPT_TILES <= x < math.ceil(right) + KEPT_TILES
            and math.floor(top) - KEPT_TILES <= y < math.ceil(bottom) + KEPT_TILES
        }
        new, self._held = seen - near, seen | near
        return self._addresses(new)

    def touched(self, bbox: Sequence[float]) -> list[str]:
        """Addresses of the tiles of computed layers that a changed box in degrees lies in."""
        left, top = (edge / TILE_PX for edge in world_px(bbox[0], bbox[3], self.zoom))
        right, bottom = (edge / TILE_PX for edge in world_px(bbox[2], bbox[1], self.zoom))
        tiles = {(x, y) for x, y in self._held if left <= x + 1 and x <= right
                 and top <= y + 1 and y <= bottom}  # fmt: skip
        return [one for one in self._addresses(tiles) if "/layers/lr/" not in one]

    def box(self) -> Box:
        """West, south, east and north of what is in view of the collection."""
        west, south, east, north = self.bounds
        left, top, right, bottom = self._edges()
        seen_west, seen_north = lonlat(left, top, self.zoom)
        seen_east, seen_south = lonlat(right, bottom, self.zoom)
        return (round(max(west, seen_west), 7), round(max(south, seen_south), 7),
                round(min(east, seen_east), 7), round(min(north, seen_north), 7))  # fmt: skip

    @property
    def bounds(self) -> Box:
        """Those of the collection, in degrees."""
        west, south, east, north = self.collection["extent"]["spatial"]["bbox"][0]
        return west, south, east, north

    def _edges(self) -> Box:
        (x, y), (width, height) = self.at, self.size
        left, top = math.floor(x) - width / 2, math.floor(y) - height / 2
        return left, top, left + width, top + height

    def _within(self, tile: Tile) -> bool:
        west, south, east, north = self.bounds
        left, top = world_px(west, north, self.zoom)
        right, bottom = world_px(east, south, self.zoom)
        x, y = (TILE_PX * index for index in tile)
        return left < x + TILE_PX and x < right and top < y + TILE_PX and y < bottom

    def _addresses(self, tiles: set[Tile]) -> list[str]:
        """Where the layers of both sides have these tiles, each address once."""
        found = (self._address(*drawn, tile) for tile in sorted(tiles) for drawn in self._drawn())
        return list(dict.fromkeys(found))

    def _drawn(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Layers from left to right, the measurement also beneath what is computed."""
        for side in (self.shown["left"], self.shown["right"]):
            if side["model"]:
                yield "lr", side
            yield side["layer"], side

    def _address(self, layer: str, side: dict[str, Any], tile: Tile) -> str:
        banded = layer in BANDED
        model = side["model"] if layer == side["layer"] else ""
        (known,) = [one for one in self.collection["layers"] if one["id"] == layer]
        query = {
            "datetime": side["date"],
            "model": model,
            "bands": side["bands"] if banded else "",
            "rescale": side["rescale"] if banded else "",
            "resampling": "bilinear" if self.shown["smooth"] else "nearest",
            "v": known["versions"][model],
        }
        path = f"/collections/{self.collection['id']}/layers/{layer}/tiles/{TMS.id}"
        said = urlencode({key: value for key, value in query.items() if value != ""})
        return f"{path}/{self.zoom}/{tile[0]}/{tile[1]}?{said}"


def world_px(lon: float, lat: float, zoom: int = ZOOM) -> tuple[float, float]:
    """The pixel of a place in degrees, from the upper left corner of the world."""
    across = TILE_PX * 2**zoom
    y = math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)
    return (lon / 360 + 0.5) * across, (0.5 - y) * across


def lonlat(x: float, y: float, zoom: int = ZOOM) -> tuple[float, float]:
    """The place of a pixel, in degrees."""
    across = TILE_PX * 2**zoom
    lat = math.atan(math.sinh(2 * math.pi * (0.5 - y / across)))
    return 360 * (x / across - 0.5), math.degrees(lat)


def _folded(value: float, least: float, most: float) -> float:
    """Back and forth between two ends, like a ball between walls."""
    span = most - least
    return most - abs((value - least) % (2 * span) - span)
