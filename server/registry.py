"""What the operator offers beside the cubes, from one TOML file: overlays, catalogs, a gazetteer.

A visitor chooses by id; addresses and paths stand in this file alone and never leave the server.

    [[overlay]]
    id = "ortho"
    title = "Orthophoto 2023"
    kind = "xyz"                  # or wmts, wms, cog
    address = "https://tiles.example.org/ortho/{z}/{x}/{y}.png"
    attribution = "Example Survey"
    bounds = [5.8, 47.2, 15.1, 55.1]

    [[source]]
    name = "ours"
    address = "https://stac.example.org"
    collection = "sentinel-2-l2a"
    hosts = ["data.example.org"]  # of its assets

    [places]
    address = "https://nominatim.example.org/search"  # of Nominatim's interface
    title = "OpenStreetMap"
    attribution = "Places: OpenStreetMap contributors, ODbL"
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from datacube.errors import InvalidInput
from datacube.stac.basemap import origin_of
from datacube.stac.catalogs import CATALOGS
from datacube.stac.hrefs import Policy

WORLD = (-180.0, -85.06, 180.0, 85.06)  # as far as the Web Mercator matrix reaches
MAX_ZOOM = 24
Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = Annotated[str, Field(max_length=200)]
Address = Annotated[str, Field(min_length=1, max_length=2000)]
# What a template has to hold; WMTS and XYZ name the same three numbers by other words.
NUMBERS = (
    frozenset({"z", "x", "y"}),
    frozenset({"z", "x", "-y"}),
    frozenset({"TileMatrix", "TileCol", "TileRow"}),
)


class Overlay(BaseModel):
    """A picture over the same ground: tiles of another server, or a COG beside the file.

    `bounds` are west, south, east, north in degrees. Of a WMS `layers` and `styles` are asked for;
    of a COG `bands` are drawn (one or three, by default the first), from `rescale` low to high.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id
    title: Text
    kind: Literal["xyz", "wmts", "wms", "cog"]
    address: Address
    attribution: Text = ""
    bounds: tuple[float, float, float, float] = WORLD
    basemap: bool = False
    minzoom: Annotated[int, Field(ge=0, le=MAX_ZOOM)] = 0
    maxzoom: Annotated[int, Field(ge=0, le=MAX_ZOOM)] = 20
    layers: Annotated[str, Field(max_length=500)] = ""
    styles: Annotated[str, Field(max_length=500)] = ""
    bands: Annotated[tuple[int, ...], Field(max_length=3)] = ()
    rescale: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        west, south, east, north = self.bounds
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError("need bounds west, south, east, north in degrees, west < east")
        if self.minzoom > self.maxzoom:
            raise ValueError("need minzoom <= maxzoom")
        if len(self.bands) == 2 or any(band < 1 for band in self.bands):
            raise ValueError("need one band or three, counted from 1")
        if self.rescale is not None and not self.rescale[0] < self.rescale[1]:
            raise ValueError("need rescale low < high")
        self._check_address()
        return self

    def _check_address(self) -> None:
        if self.kind == "cog":
            return
        names = frozenset(re.findall(r"\{([^}]*)\}", self.address))
        if self.kind == "wms" and (names or not self.layers):
            raise ValueError("need the plain address of a WMS, and its layers")
        if self.kind in {"xyz", "wmts"} and names not in NUMBERS:
            raise ValueError(
                "need an address with {z}, {x} and {y}, or {TileMatrix}, {TileCol} and {TileRow}"
            )

    @property
    def policy(self) -> Policy:
        """What may be asked for its tiles: the host of its address, and no other."""
        return Policy().allowing(origin_of(self.address))


class Source(BaseModel):
    """A STAC API that scenes may be searched in, and ingested from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Id
    title: Text = ""
    address: Address
    collection: Annotated[str, Field(max_length=80)] = "sentinel-2-l2a"
    hosts: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What `datacube.ingest` takes for it: the name of a known catalog, or an address."""
        return self.name if self.address == self.name else self.address


class Gazetteer(BaseModel):
    """Where places are found by name: the search of a server with Nominatim's interface.

    `pause_s` lies between two questions: the public server wants one a second at most, and no
    answers while a name is typed. One's own may be asked without.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"^[^?#{}]+$")]
    title: Text = "gazetteer"
    attribution: Text = ""
    pause_s: Annotated[float, Field(ge=0, le=5)] = 1.0

    @property
    def policy(self) -> Policy:
        """What may be asked: the host of its address, and no other."""
        return Policy().allowing(origin_of(self.address))

    def href(self, name: str, most: int, lang: str) -> str:
        """The address of a question; `name` is quoted already."""
        return f"{self.address}?format=jsonv2&limit={most}&accept-language={lang}&q={name}"


class Registry(BaseModel):
    """All that the operator offers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    overlay: tuple[Overlay, ...] = ()
    source: tuple[Source, ...] = ()
    places: Gazetteer | None = None

    @classmethod
    def load(cls, path: Path | None) -> "Registry":
        """Read the file; raises InvalidInput with the first thing that is wrong in it."""
        if path is None:
            return cls()
        try:
            found = cls.model_validate(tomllib.loads(path.expanduser().read_text("utf-8")))
            for one in found.overlay:
                if one.kind != "cog":
                    _check_policy(one)
            if found.places is not None:
                found.places.policy.check(found.places.address)
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"cannot read the registry {path}: {error}"[:300]) from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InvalidInput(f"registry {path}: {where}: {first['msg']}"[:300]) from error
        ids, names = [one.id for one in found.overlay], [one.name for one in found.source]
        if len(set(ids)) < len(ids) or len(set(names)) < len(names):
            raise InvalidInput(f"registry {path}: need a name of its own for each entry")
        return found

    @property
    def sources(self) -> dict[str, Source]:
        """Catalogs by name: those known to everybody, and the operator's before them."""
        known = {
            name: Source(name=name, title=name, address=name, collection=one.collection)
            for name, one in CATALOGS.items()
        }
        ours = {one.name: one for one in self.source}
        return ours | {name: one for name, one in known.items() if name not in ours}


def _check_policy(overlay: Overlay) -> None:
    """Raise InvalidInput for an address that could never be asked."""
    overlay.policy.check(re.sub(r"\{[^}]*\}", "0", overlay.address))
