"""`srcube ingest`: show the plan, carry it out with a progress bar, say what came of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bar
from rich.table import Table

from datacube.catalog import Catalog
from datacube.commands.options import (
    BboxOption,
    DataOption,
    JsonOption,
    OffsetOption,
    ScaleOption,
    parse_bands,
    parse_bbox,
)
from datacube.errors import InvalidInput
from datacube.ingest.carry_out import Progress, Summary, Target, carry_out, plan_scenes
from datacube.ingest.intake import Access, Intake
from datacube.ingest.shifts import SUSPECT_PX
from datacube.settings import Settings
from datacube.sources.naming import parse_interval
from datacube.sources.plan import Given
from datacube.store.storage import open_storage


def ingest(  # noqa: PLR0913, PLR0917 (a command's options are its arguments)
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="SAFE folder or zip, GeoTIFF or JPEG 2000 files or a folder of them, NetCDF, "
            "a file of STAC items, or a STAC API by name or address.",
        ),
    ],
    cube: Annotated[str, typer.Option("--cube", help="Id of the cube, made if it is not there.")],
    data: DataOption = None,
    bbox: BboxOption = None,
    when: Annotated[
        str | None,
        typer.Option("--datetime", metavar="A/B", help="Interval, or the date of undated files."),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(help="Bands to take, or of files that do not say: their names in order."),
    ] = None,
    resolution: Annotated[float | None, typer.Option(help="Pixel size in metres.")] = None,
    scale: ScaleOption = None,
    offset: OffsetOption = None,
    title: Annotated[str | None, typer.Option(help="Title of a new cube.")] = None,
    sensor_geometry: Annotated[
        bool, typer.Option("--sensor-geometry", help="Level-1B crops, which have no place.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Let a scene take the place of one of its id.")
    ] = False,
    collection: Annotated[
        str | None, typer.Option(metavar="ID", help="Of a STAC API: another collection.")
    ] = None,
    max_cloud: Annotated[
        float | None, typer.Option("--max-cloud", help="Of a STAC API: most cloud, in percent.")
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="A host that assets may come from, besides SRCUBE_ALLOW_HOSTS."
        ),
    ] = None,
    allow_files: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Where assets of STAC items may be local files."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tls://HOST:PORT", help="A Dask cluster to work on.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan, read nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take scenes into a cube, on the product's own pixels, with masks and shifts."""
    given = Given(
        parse_bands(bands) if bands else (),
        parse_interval(when) if when else None,
        scale,
        offset,
        sensor_geometry,
    )
    box = parse_bbox(bbox) if bbox else None
    target = Target(cube, box, resolution, title, replace, scheduler)
    settings = Settings.from_environment(data=data)
    hosts = (*settings.allow_hosts, *(allow_host or ()))
    access = Access(hosts, tuple(allow_files or ()), collection, max_cloud)
    catalog = Catalog(open_storage(settings.data))
    with Intake(given, box, access) as intake, _progress_bar(shown=not as_json) as report:
        plan = plan_scenes(catalog, intake.plan(sources), target, given)
        if dry_run:
            typer.echo(json.dumps(plan.document(), indent=2))
            return
        summary = carry_out(plan, catalog, report)
    if as_json:
        typer.echo(json.dumps(summary.document(), indent=2))
    else:
        _print_summary(summary)
    if not (summary.taken or summary.unchanged or summary.restated):
        first = summary.refusals[0]
        raise InvalidInput(f"no scene was taken in; {first.name} refused: {first.reason}")


@contextmanager
def _progress_bar(*, shown: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar with rate and time left on the terminal's error stream."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Bar(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("ingest", total=None)

        def report(progress: Progress) -> None:
            bar.update(
                task,
                total=max(progress.total, progress.done),  # a replaced scene is read twice
                completed=progress.done,
                description=progress.label,
            )

        yield report


def _print_summary(summary: Summary) -> None:
    table = Table(title=f"cube {summary.cube_id}, generation {summary.generation}")
    for column in ("scene", "date", "cloud %", "clear %", "shift px (y, x)"):
        table.add_column(column, no_wrap=column != "scene")
    for scene in summary.taken:
        known = scene.properties
        table.add_row(
            scene.scene_id, scene.stamp, _number(known.get("eo:cloud_cover")),
            _number(known.get("srcube:clear_percent")), _shift(known),
        )  # fmt: skip
    console = Console()
    console.print(table)
    for name in summary.unchanged:
        others = ", ".join(summary.differing.get(name, ()))
        what = f" (other {others}: kept as committed; --replace takes them over)" if others else ""
        console.print(f"already there: {name}{what}", markup=False)
    for name in summary.restated:
        console.print(f"metadata replaced: {name}", markup=False)
    for refusal in summary.refusals:
        console.print(f"refused: {refusal.name}: {refusal.reason}", markup=False)
    rate = summary.pixel_bytes / 1e6 / max(summary.seconds, 1e-9)
    console.print(
        f"{len(summary.taken)} scenes in, {len(summary.unchanged)} already there, "
        f"{len(summary.refusals)} refused; {summary.pixel_bytes / 1e6:.1f} MB of pixels in "
        f"{summary.seconds:.1f} s ({rate:.1f} MB/s)"
    )


def _number(value: Any) -> str:
    return "" if value is None else f"{value:.1f}"


def _shift(properties: Any) -> str:
    shift = properties.get("srcube:shift_px")
    if shift is None:
        return str(properties.get("srcube:shift_unknown", ""))
    suspect = max(abs(shift["y"]), abs(shift["x"])) > SUSPECT_PX
    return f"{shift['y']:+.3f}, {shift['x']:+.3f}" + (" (far: check both CRS)" if suspect else "")
