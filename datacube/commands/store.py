"""`srcube verify` and `srcube vacuum`: is everything there, and may the rest go."""

import json
import re
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer

from datacube.catalog import Catalog
from datacube.commands.options import DataOption, JsonOption
from datacube.cube import Cube
from datacube.errors import Damaged, InvalidInput
from datacube.settings import Settings
from datacube.store.storage import open_storage
from datacube.vacuum import vacuum as vacuum_cube
from datacube.verify import verify as verify_cube

CubeArgument = Annotated[str, typer.Argument(metavar="CUBE", help="The cube's id.")]

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def register(app: typer.Typer) -> None:
    """Add the commands that look after a store."""
    app.command()(verify)
    app.command()(vacuum)


def verify(cube: CubeArgument, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Check every chunk that the cube promises; exit 1 and name what is damaged."""
    report = verify_cube(_open(cube, data))
    if as_json:
        typer.echo(json.dumps(asdict(report) | {"sound": report.is_sound}, indent=2))
    else:
        for fault in report.faults:
            typer.echo(f"{fault.key}: {fault.what}")
        typer.echo(
            f"{cube}: {report.scenes} scenes, {report.blocks} blocks, {report.chunks} chunks "
            f"checked, {len(report.faults)} damaged"
        )
    if not report.is_sound:
        raise Damaged(
            f"{len(report.faults)} of {report.chunks} chunks of {cube} are damaged; ingest their "
            "scenes again with --replace, or restore the named keys from a copy"
        )


def vacuum(
    cube: CubeArgument,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Such as 12h, 7d or 2w.")
    ],
    data: DataOption = None,
) -> None:
    """Delete what no version of the cube reaches any more: the only command that deletes.

    Choose an age longer than any reader stays on one version and any ingest takes.
    """
    removed = vacuum_cube(_open(cube, data), older_than=parse_age(older_than))
    typer.echo(
        f"{cube}: removed {removed.files} files, {removed.bytes / 1e6:.1f} MB, "
        f"of {len(removed.slots)} ended slots and {len(removed.products)} outdated products"
    )


def parse_age(text: str) -> timedelta:
    """An age such as `36h`; raises InvalidInput."""
    found = _AGE.fullmatch(text.strip())
    if not found:
        raise InvalidInput(f"need an age such as 30m, 12h, 7d or 2w, got {text[:40]!r}")
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError as error:
        raise InvalidInput(
            f"need an age of less than 2 million years, got {text[:40]!r}"
        ) from error


def _open(cube_id: str, data: str | None) -> Cube:
    settings = Settings.from_environment(data=data)
    return Catalog(open_storage(settings.data)).open(cube_id)
