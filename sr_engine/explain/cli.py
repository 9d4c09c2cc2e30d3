"""`srcube explain`: why a super-resolved place looks as it does, as a picture and as JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacube.commands.options import DataOption, DateOption, OffsetOption, ScaleOption
from datacube.errors import InvalidInput
from sr_engine.scenes.cli import opened

if TYPE_CHECKING:
    from sr_engine.explain.report import Explanation

SIZE_PX = 16


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(explain)


def explain(  # noqa: PLR0913 (a command's options are its arguments)
    source: Annotated[
        str, typer.Argument(help="A GeoTIFF or JPEG 2000 file; or the id or path of a cube.")
    ],
    *,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="X,Y", help="Middle of the window, in the source's own CRS."),
    ] = None,
    at_lonlat: Annotated[
        str | None,
        typer.Option("--at-lonlat", metavar="LON,LAT", help="The same in degrees."),
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the window in measured pixels.")] = SIZE_PX,
    model: Annotated[str, typer.Option(help="Id of a model, or of a family.")] = "default",
    method: Annotated[
        str, typer.Option(help="attribution (by gradients) or occlusion (for any model).")
    ] = "attribution",
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path(),
    datetime: DateOption = None,
    bands: Annotated[
        str | None, typer.Option(help="Names of a file's bands in order, if it does not say.")
    ] = None,
    scale: ScaleOption = None,
    offset: OffsetOption = None,
    data: DataOption = None,
) -> None:
    """Explain a window: which pixels, bands and, of a fusion, dates made it.

    Writes a PNG (input, super-resolved, attribution over the input) and a JSON with diffusion
    index, completeness and shares; coordinates are those of the source's CRS.
    """
    from sr_engine.explain.wish import Wish, explained, write  # noqa: PLC0415 - torch
    from sr_engine.registry import choose_model  # noqa: PLC0415

    wish = Wish(_place(at, at_lonlat), at is None, size, method)
    with opened(source, (bands, scale, offset), (datetime, data)) as scene:
        found = explained(scene, choose_model(model), wish)
    for path in write(found, out):
        typer.echo(str(path))
    typer.echo(_summary(found))


def _summary(found: "Explanation") -> str:
    facts = found.document
    kept = ("model", "method", "diffusion_index", "completeness_error", "shares")
    return json.dumps({name: facts[name] for name in kept if name in facts}, indent=2)


def _place(at: str | None, at_lonlat: str | None) -> tuple[float, float]:
    text = at or at_lonlat
    if text is None or (at and at_lonlat):
        raise InvalidInput("need a place: either --at X,Y in the source's CRS or --at-lonlat")
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidInput(f"need two numbers X,Y, got {text[:60]!r}") from error
    return x, y
