"""`srcube super-resolve`: a file or a date of a cube in, a COG out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacube.commands.options import DataOption, DateOption, OffsetOption, ScaleOption, parse_bands
from datacube.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from datacube import Cube
    from datacube.cube import CommittedScene
    from datacube.sources.naming import Interval
    from sr_engine.scenes.source import SceneSource


def register(app: typer.Typer) -> None:
    """Add this module's command."""
    app.command("super-resolve")(super_resolve_command)


def super_resolve_command(  # noqa: PLR0913 - options
    source: Annotated[
        str, typer.Argument(metavar="IN", help="GeoTIFF or JPEG 2000 file; or a cube.")
    ],
    out: Annotated[Path, typer.Argument(help="Cloud-optimised GeoTIFF to write.")],
    *,
    model: Annotated[
        str, typer.Option(help="Id of a model, or of a family: default, rec ... (srcube models)")
    ] = "default",
    factor: Annotated[int | None, typer.Option(help="How many times finer, as 2 or 4.")] = None,
    extras: Annotated[
        str, typer.Option("--with", help="More to write: planes of the model, interval, audit.")
    ] = "",
    bands: Annotated[
        str | None,
        typer.Option(help="Bands to take, or of a file that does not say: all in its order."),
    ] = None,
    scale: ScaleOption = None,
    offset: OffsetOption = None,
    level: Annotated[
        str | None, typer.Option(help="Of a file that does not say: L2A, L1C or L1B.")
    ] = None,
    datetime: DateOption = None,
    data: DataOption = None,
) -> None:
    """Super-resolve a whole file, or one date of a cube, into a COG on a finer grid.

    The same command goes on where an earlier run was interrupted. A finer grid is not a finer
    resolution: the tags say what made the pixels, and with what limits.
    """
    if Path(source).exists() and out.exists() and out.samefile(source):
        raise InvalidInput("IN and OUT are one file; choose another OUT")
    if level not in {None, "L2A", "L1C", "L1B"}:
        raise InvalidInput(f"need --level L2A, L1C or L1B, got {level!r}"[:80])
    from sr_engine.registry import choose_model  # noqa: PLC0415 - torch, only when asked for
    from sr_engine.scenes.run import super_resolve  # noqa: PLC0415

    chosen = choose_model(model, factor)
    names = tuple(name.strip() for name in extras.split(",") if name.strip())
    where = (datetime, data)
    with opened(source, (bands, scale, offset), where, level) as scene, _bar() as report:
        for written in super_resolve(scene, chosen, out, extras=names, report=report):
            typer.echo(str(written))


@contextmanager
def opened(
    source: str,
    stated: tuple[str | None, float | None, float | None],
    where: tuple[str | None, str | None],
    level: str | None = None,
) -> "Iterator[SceneSource]":
    """The file, or the cube's date; raises InvalidInput for options that the other one takes."""
    from datacube.sources.naming import parse_interval  # noqa: PLC0415
    from datacube.sources.plan import Given  # noqa: PLC0415
    from sr_engine.fusion.sources import find_cube  # noqa: PLC0415
    from sr_engine.scenes.source import CubeScene, open_file  # noqa: PLC0415

    (bands, scale, offset), (datetime, data) = stated, where
    if Path(source).is_file():
        if datetime is not None:
            raise InvalidInput("--datetime chooses among the dates of a cube; a file has one")
        given = Given(parse_bands(bands) if bands else (), None, scale, offset)
        with open_file(Path(source), given, level) as scene:
            yield scene
        return
    if not (bands is None and scale is None and offset is None and level is None):
        raise InvalidInput(
            f"--bands, --scale, --offset and --level are of a file, and {source} is none"
        )
    cube = find_cube(source, data)
    yield CubeScene(cube, _date(cube, parse_interval(datetime) if datetime else None))


def _date(cube: "Cube", interval: "Interval | None") -> "CommittedScene":
    """The one date meant; raises NotFound for none, InvalidInput for several."""
    found = [one for one in cube.scenes if interval is None or interval.holds(one.scene.datetime)]
    stamps = [one.scene.stamp for one in found or cube.scenes]
    if not found:
        held = f"it holds {stamps[0]} to {stamps[-1]}" if stamps else "it is empty"
        raise NotFound(f"the cube has no scene at that --datetime; {held}")
    if len(found) > 1:
        raise InvalidInput(
            f"{len(found)} dates are meant, {stamps[0]} to {stamps[-1]}; choose one, as "
            f"--datetime {stamps[0]}"
        )
    return found[0]


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A bar on the error stream where that is a terminal; nothing of it stays."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("blocks", total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield report
