"""`srcube register`, and `srcube experiment l1b-indices`."""

from pathlib import Path
from typing import Annotated

import typer

from datacube.commands.options import parse_bands


def register(app: typer.Typer) -> None:
    """Add the command `register` to `app`."""
    app.command("register")(register_command)


def register_experiments(experiments: typer.Typer) -> None:
    """Add this package's experiment to the group `experiment`."""
    experiments.command("l1b-indices")(indices_command)


def register_command(
    source: Annotated[Path, typer.Argument(metavar="IN", help="GeoTIFF of a level 1B image.")],
    out: Annotated[Path, typer.Argument(help="GeoTIFF to write: the same, aligned.")],
    *,
    reference: Annotated[str, typer.Option(help="Band that stays where it is.")] = "B03",
    flow: Annotated[
        Path | None, typer.Option(help="Also write the flows here: dx and dy of each band, px.")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(help="Of a file that does not say: all its bands in order.")
    ] = None,
    csr: Annotated[
        Path | None, typer.Option(help="A published CSR checkpoint instead of ours.")
    ] = None,
) -> None:
    """Align the bands B02, B03, B04 and B08 of a file to one of them.

    Numbers, calibration and CRS, if there is one, stay as they are; what was moved is
    interpolated by cubic splines and never wraps.
    """
    from datacube.sources.plan import Given  # noqa: PLC0415
    from sr_engine.l1b.published import load_published_csr  # noqa: PLC0415 - torch
    from sr_engine.l1b.register import register_file  # noqa: PLC0415
    from sr_engine.l1b.shipped import load_csr  # noqa: PLC0415
    from sr_engine.threads import use_one_thread  # noqa: PLC0415

    use_one_thread()
    network = load_csr() if csr is None else load_published_csr(csr)
    given = Given(bands=parse_bands(bands) if bands else ())
    for written in register_file(
        source, out, network, reference=reference, flow_out=flow, given=given, report=_report
    ):
        typer.echo(str(written))


def indices_command(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    size: Annotated[int, typer.Option(help="Side of the simulated scene, in 10 m pixels.")] = 256,
    seed: Annotated[int, typer.Option(help="Seed of the simulated landscape.")] = 3001,
) -> None:
    """What band alignment does to NDVI and NDWI at edges: before and after, against truth."""
    from sr_engine.l1b.indices import run  # noqa: PLC0415 - torch, only when asked for
    from sr_engine.threads import use_one_thread  # noqa: PLC0415

    use_one_thread()
    run(folder, size, seed, typer.echo)


def _report(done: int, total: int) -> None:
    if total > 1:
        typer.echo(f"window {done} of {total}", err=True)
