"""Commands of the audit: `evaluate`, `reproduce` and `guidelines`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from datacube.commands.options import DataOption, parse_bands
from datacube.errors import InvalidInput


def register(app: typer.Typer) -> None:
    """Add this package's commands."""
    app.command()(evaluate)
    app.command()(reproduce)
    app.command()(guidelines)


def evaluate(  # noqa: PLR0913 - options
    sr: Annotated[Path, typer.Argument(metavar="SR", help="The super-resolved image.")],
    *,
    lr: Annotated[Path, typer.Option(help="The image it was made from.")],
    hr: Annotated[Path | None, typer.Option(help="The truth, on the grid of SR.")] = None,
    out: Annotated[Path | None, typer.Option(help="A page with pictures, .html.")] = None,
    bands: Annotated[
        str | None, typer.Option(help="For an LR that does not say: all its bands in order.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="For an LR that does not say: reflectance of a count.")
    ] = None,
    offset: Annotated[
        float | None, typer.Option(help="For an LR that does not say: reflectance of count 0.")
    ] = None,
) -> None:
    """Audit a super-resolved image, and bicubic of the same input beside it.

    Prints one JSON object: consistency with the input, flags, information added, the measures
    of opensr-test, and, where there is a truth, errors and the shortest period carried.
    """
    if out is not None and out.suffix.lower() not in {".html", ".htm"}:
        raise InvalidInput(f"need a name that ends in .html, got {out.name!r}")
    from datacube.sources.plan import Given  # noqa: PLC0415
    from sr_engine.audit.evaluate import evaluate as audit  # noqa: PLC0415 - torch
    from sr_engine.audit.guidelines.rules import checklist  # noqa: PLC0415
    from sr_engine.audit.pairs import read_triple  # noqa: PLC0415
    from sr_engine.audit.provenance import find_provenance  # noqa: PLC0415

    given = Given(parse_bands(bands) if bands else (), None, scale, offset)
    found = audit(read_triple(sr, lr, hr, given), find_provenance(sr))
    checked = checklist(found.document)
    typer.echo(json.dumps({**found.document, "checklist": checked}, indent=2, allow_nan=False))
    if out is not None:
        from sr_engine.audit.report import html_report  # noqa: PLC0415

        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(html_report(found, checked), "utf-8")
        typer.echo(str(out), err=True)


def reproduce(
    product: Annotated[
        str, typer.Argument(metavar="PRODUCT", help="A GeoTIFF of ours, or CUBE:product-path.")
    ],
    *,
    source: Annotated[
        str | None, typer.Option(help="Its input, where that does not lie beside it.")
    ] = None,
    tolerance: Annotated[
        int, typer.Option(min=0, help="Digital numbers (1e-4 of reflectance) that may differ.")
    ] = 1,
    blocks: Annotated[int, typer.Option(min=1, help="Of a cube: the most blocks to compute.")] = 16,
    data: DataOption = None,
) -> None:
    """Make a product again from the record it carries, and compare.

    Prints one JSON object. Exit code 0: every pixel came out again within the tolerance; 1: not.
    """
    from datacube.settings import Settings  # noqa: PLC0415
    from sr_engine.audit.reproduce import reproduce_file, reproduce_product  # noqa: PLC0415
    from sr_engine.fusion.sources import find_cube  # noqa: PLC0415

    path = Path(product)
    if path.is_file():
        root = Settings.from_environment(data=data).data
        found = reproduce_file(path, source=source, data=root, tolerance_dn=tolerance)
    else:
        cube, colon, below = product.rpartition(":")
        if not colon or source is not None:
            raise InvalidInput(
                f"{product[:200]} is no file; of a cube name the product, as "
                "field:sr/wiener-x4-..., without --source"
            )
        found = reproduce_product(
            find_cube(cube, data), below, most_blocks=blocks, tolerance_dn=tolerance
        )
    typer.echo(json.dumps(found.document(), indent=2))
    if not found.reproduced:
        raise typer.Exit(1)


def guidelines(
    out: Annotated[
        Path | None, typer.Option(help="Write them to a file, .md, with the figures beside it.")
    ] = None,
) -> None:
    """Print the guidelines: how to make super-resolution that can be accounted for."""
    from sr_engine.audit.guidelines.text import guidelines_text, write_guidelines  # noqa: PLC0415

    if out is None:
        typer.echo(guidelines_text())
        return
    for path in write_guidelines(out):
        typer.echo(str(path))
