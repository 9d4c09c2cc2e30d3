"""`srcube calibrate`."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add this package's command to `app`."""
    app.command()(calibrate)


def calibrate(
    data: Annotated[Path, typer.Option(help="Folder of real data sets.")],
    model: Annotated[str, typer.Option(help="Model to calibrate.")] = "default",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; default the one srcube reads.")
    ] = None,
) -> None:
    """Calibrate a model's intervals at places kept for that, and judge them at others.

    The model has to tell a scale for each band. Which place is for what is written in one
    module, sr_engine/default/places.py; nothing is fitted to the places of the test.
    """
    from sr_engine.registry import find_patch_model  # noqa: PLC0415 - torch, only when asked for
    from sr_engine.threads import use_one_thread  # noqa: PLC0415
    from sr_engine.trust.calibration import CALIBRATIONS, write_calibration  # noqa: PLC0415
    from sr_engine.trust.protocol import calibrated  # noqa: PLC0415

    use_one_thread()
    made = calibrated(find_patch_model(model), data)
    for name, value in (made.figures or {}).items():
        typer.echo(f"{name:32} {value:.3f}")
    typer.echo(str(write_calibration(made, out or CALIBRATIONS)))
