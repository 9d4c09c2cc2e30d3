"""Options that several commands share, and how their texts become values."""

import math
from typing import Annotated

import typer

from datacube.bands import CIRRUS, CLASSES, SENTINEL2
from datacube.errors import InvalidInput
from datacube.ingest.placing import Box

DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Root of the catalog: a folder or s3:// address. [SRCUBE_DATA]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
BboxOption = Annotated[
    str | None,
    typer.Option("--bbox", metavar="W,S,E,N", help="Area in degrees; give it as --bbox=W,S,E,N."),
]
ScaleOption = Annotated[
    float | None, typer.Option(help="For files that do not say: reflectance of one count.")
]
OffsetOption = Annotated[
    float | None, typer.Option(help="For files that do not say: reflectance of count 0.")
]
DateOption = Annotated[str | None, typer.Option(help="Of a cube: which date.")]

NO_BAND = "-"


def parse_bbox(text: str) -> Box:
    """Four degrees `W,S,E,N`; raises InvalidInput unless finite, in range and not inverted."""
    try:
        west, south, east, north = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"need --bbox=W,S,E,N in degrees, got {text[:80]!r}") from error
    if not all(math.isfinite(value) for value in (west, south, east, north)):
        raise InvalidInput(f"need four finite degrees for --bbox, got {text[:80]!r}")
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise InvalidInput(
            f"need W < E within -180..180 and S < N within -90..90 for --bbox, got {text[:80]!r}; "
            "an area across the antimeridian takes two cubes, one for each side"
        )
    return west, south, east, north


def parse_bands(text: str) -> tuple[str, ...]:
    """Band names `B04,B03,SCL`; `-` stands for a band of the file that is none of these."""
    names = tuple(part.strip() for part in text.split(","))
    known = {*SENTINEL2, CLASSES, CIRRUS, NO_BAND}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InvalidInput(
            f"no band {', '.join(unknown)[:80]}; there are {', '.join(sorted(known - {NO_BAND}))}"
        )
    named = [name for name in names if name != NO_BAND]
    if len(set(named)) < len(named):
        raise InvalidInput(f"need each band once, got --bands {text[:80]}")
    return names
