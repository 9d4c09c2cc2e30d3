"""Commands that bring scenes in from catalogs, make composites, and hand cubes on."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from datacube.bands import CLASSES, find_bands
from datacube.catalog import Catalog
from datacube.composite import METHODS, PERIODS, CompositeSpec, make_composite
from datacube.errors import InvalidInput, NotFound
from datacube.export import FORMATS, Request, export
from datacube.scene import parse_rfc3339
from datacube.settings import Settings
from datacube.sources.naming import Interval, parse_interval
from datacube.stac.basemap import find_basemap, write_basemap
from datacube.stac.catalogs import CATALOGS, DEFAULT_CATALOG, StacCatalog, find_catalog
from datacube.stac.download import download as carry_out
from datacube.stac.download import plan_download
from datacube.stac.fetch import Fetcher
from datacube.stac.items import Item, moment_of
from datacube.stac.publish import write_documents
from datacube.stac.search import Found, Query, parse_bbox
from datacube.stac.search import search as ask
from datacube.stac.sources import nothing_found, plan_search
from datacube.store.layout import MEASUREMENT
from datacube.store.storage import open_storage

BboxOption = Annotated[str, typer.Option("--bbox", metavar="W,S,E,N", help="Area in degrees.")]
StacOption = Annotated[
    str,
    typer.Option(
        "--stac", metavar="URL", help=f"Root of a STAC API, or one of {', '.join(CATALOGS)}."
    ),
]
CollectionOption = Annotated[
    str | None, typer.Option("--collection", metavar="ID", help="Another collection of it.")
]
HostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="HOST",
        help="A host that assets may come from, besides SRCUBE_ALLOW_HOSTS; HOST:PORT may be "
        "private or plain http.",
    ),
]
DataOption = Annotated[
    str | None,
    typer.Option("--data", help="Root of the catalog: a folder or s3:// address. [SRCUBE_DATA]"),
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command()(search)
    app.command()(download)
    app.command()(composite)
    app.command(name="export")(export_command)
    app.command()(describe)


def search(  # noqa: PLR0913 (options of a command)
    *,
    bbox: BboxOption,
    interval: Annotated[
        str, typer.Option("--datetime", metavar="A/B", help="From A to B, as 2024-06-01/2024-08-31")
    ],
    max_cloud: Annotated[
        float | None, typer.Option("--max-cloud", help="Most cloud, in percent.")
    ] = None,
    stac: StacOption = DEFAULT_CATALOG,
    collection: CollectionOption = None,
    allow_host: HostOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the items as JSON.")] = False,
) -> None:
    """List the scenes that a STAC catalog has of an area."""
    query = Query(parse_bbox(bbox), parse_interval(interval), max_cloud)
    catalog = find_catalog(stac, collection)
    settings = Settings.from_environment()
    policy = catalog.policy().allowing(*settings.allow_hosts, *(allow_host or ()))
    with Fetcher(policy) as fetcher:
        found = ask(catalog, query, fetcher)
    if as_json:
        document = {"type": "FeatureCollection", "features": list(found.items)}
        typer.echo(json.dumps(document, indent=2))
    elif found.items:
        Console().print(_table(catalog, found))
    for refusal in found.refusals:
        typer.echo(f"refused {refusal.name}: {refusal.reason}", err=True)
    if not (found.items or as_json):
        raise NotFound(nothing_found(catalog, query))


def download(  # noqa: PLR0913 (options of a command)
    *,
    bbox: BboxOption,
    start: Annotated[str, typer.Option(help="First day, as 2024-06-01.")],
    end: Annotated[str, typer.Option(help="Last day.")],
    output_dir: Annotated[Path, typer.Option(help="Folder to write to.")],
    max_cloud_cover: Annotated[float, typer.Option(help="Most cloud, in percent.")] = 1.0,
    bands: Annotated[str, typer.Option(help="Bands by name.")] = "B02,B03,B04,B08",
    min_scenes: Annotated[int, typer.Option(min=1, help="Fewest dates worth having.")] = 32,
    basemap: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="An 8-bit aerial mosaic: one of SRCUBE_BASEMAPS, or a COG's path or address.",
        ),
    ] = None,
    stac: StacOption = DEFAULT_CATALOG,
    collection: CollectionOption = None,
    allow_host: HostOption = None,
) -> None:
    """Fetch a series of scenes as cropped COGs, with their STAC items beside them."""
    names = tuple(name.strip() for name in bands.split(","))
    find_bands(name for name in names if name != CLASSES)
    catalog = find_catalog(stac, collection)
    query = Query(parse_bbox(bbox), _days(start, end), max_cloud_cover)
    settings = Settings.from_environment()
    policy = catalog.policy().allowing(*settings.allow_hosts, *(allow_host or ()))
    if basemap:
        basemap, policy = find_basemap(basemap, settings.basemaps, policy)
    with Fetcher(policy) as fetcher:
        with_classes = tuple(dict.fromkeys((*names, CLASSES)))
        found = plan_search(catalog, query, with_classes, fetcher)
        plan = plan_download(found, query.bbox, with_classes, min_scenes=min_scenes)
        done = carry_out(plan, output_dir, {"SRCUBE_CATALOG": catalog.url})
        if basemap:
            write_basemap(basemap, plan.grid, output_dir / "basemap.tif", fetcher)
        traffic = fetcher.traffic
    height, width = plan.grid.shape
    typer.echo(
        f"{len(done.written)} dates of {width} x {height} px written, {len(done.unchanged)} were "
        f"there; {traffic.requests} requests, {traffic.received_bytes / 1e6:.1f} MB"
    )
    for refusal in done.refusals:
        typer.echo(f"refused {refusal.name}: {refusal.reason}", err=True)


def composite(
    cube_id: Annotated[str, typer.Argument(metavar="CUBE", help="The cube's id.")],
    period: Annotated[str, typer.Option(help=f"One of {', '.join(PERIODS)}.")] = "month",
    method: Annotated[str, typer.Option(help=f"One of {', '.join(METHODS)}.")] = "median",
    cube: Annotated[
        str | None, typer.Option("--cube", metavar="ID", help="Id of the new cube.")
    ] = None,
    data: DataOption = None,
) -> None:
    """Make cloud-free composites of a cube, as a cube of their own."""
    spec = CompositeSpec(period, method)
    catalog = Catalog(open_storage(Settings.from_environment(data=data).data))
    name = cube or f"{cube_id}-{spec.suffix()}"[:64]
    made = make_composite(catalog, cube_id, spec, target_id=name, report=typer.echo)
    typer.echo(f"cube {name}: {len(made.scenes)} composites")


def export_command(  # noqa: PLR0913 (options of a command)
    *,
    cube_id: Annotated[str, typer.Argument(metavar="CUBE", help="The cube's id.")],
    out: Annotated[Path, typer.Argument(help="A .tif or .nc file, or a folder for several dates.")],
    interval: Annotated[
        str | None, typer.Option("--datetime", metavar="T or A/B", help="Which scenes.")
    ] = None,
    bbox: Annotated[str | None, typer.Option(metavar="W,S,E,N", help="Area in degrees.")] = None,
    product: Annotated[
        str, typer.Option(help="`measurement`, or the path of a product as `info` lists it.")
    ] = MEASUREMENT,
    file_format: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")
    ] = "cog",
    planes: Annotated[
        bool, typer.Option("--planes", help="Of a product: its planes (sigma, influence, ...) too.")
    ] = False,
    data: DataOption = None,
) -> None:
    """Write scenes of a cube or a product as COG or NetCDF files, with STAC items beside them."""
    request = Request(
        product,
        parse_interval(interval) if interval else None,
        parse_bbox(bbox) if bbox else None,
        file_format,
        planes,
    )
    catalog = Catalog(open_storage(Settings.from_environment(data=data).data))
    for path in export(cube_id, catalog.open(cube_id), out, request):
        typer.echo(path)


def describe(
    cube_id: Annotated[str, typer.Argument(metavar="CUBE", help="The cube's id.")],
    out: Annotated[Path, typer.Argument(help="Folder for the documents.")],
    data: DataOption = None,
) -> None:
    """Write a cube and its products as a static STAC catalog."""
    catalog = Catalog(open_storage(Settings.from_environment(data=data).data))
    written = write_documents(cube_id, catalog.open(cube_id), out)
    typer.echo(f"{len(written)} documents, beginning at {written[0]}")


def _days(start: str, end: str) -> Interval:
    first, last = parse_rfc3339(start), parse_rfc3339(end)
    if last < first:
        raise InvalidInput(f"need --start before --end, got {start[:40]} and {end[:40]}")
    return Interval(first, last + timedelta(days=1))


def _table(catalog: StacCatalog, found: Found) -> Table:
    table = Table(title=f"{catalog.name}, {catalog.collection}: {len(found.items)} scenes")
    table.add_column("time (UTC)")
    table.add_column("id", overflow="fold")
    table.add_column("cloud %", justify="right")
    table.add_column("platform")
    for item in found.items:
        table.add_row(*_row(item))
    return table


def _row(item: Item) -> tuple[str, str, str, str]:
    properties: dict[str, Any] = item["properties"]
    cover = properties.get("eo:cloud_cover")
    text = f"{cover:.1f}" if isinstance(cover, int | float) else "?"
    moment = moment_of(item).strftime("%Y-%m-%d %H:%M:%S")
    return moment, str(item["id"]), text, str(properties.get("platform", "?"))
