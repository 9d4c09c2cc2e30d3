"""`srcube train default`."""

from pathlib import Path
from typing import Annotated

import typer


def register(train: typer.Typer) -> None:
    """Add the default model's training to the group `train`."""
    train.command("default")(train_default)


def train_default(
    config: Annotated[Path, typer.Option(help="TOML file; see sr_engine/default/configs.")],
    data: Annotated[Path, typer.Option(help="Folder of real data sets.")],
    out: Annotated[Path, typer.Option(help="Folder of the run, which goes on where it stopped.")],
) -> None:
    """Train the default model on sharp aerial images, simulated ground and Sentinel-2 itself.

    Weights, their ONNX twin and a record with settings, data, figures and digests are written
    to OUT when the last step is done.
    """
    from sr_engine.training.config import (  # noqa: PLC0415 - torch, only when asked for
        config_sha256,
        need_extras,
        read_config,
    )

    need_extras()
    from sr_engine.default.packing import finish  # noqa: PLC0415
    from sr_engine.default.training import DefaultTask, DefaultTraining  # noqa: PLC0415
    from sr_engine.threads import use_one_thread  # noqa: PLC0415
    from sr_engine.training.loop import Run, train  # noqa: PLC0415

    use_one_thread()
    settings = read_config(config, DefaultTraining)
    typer.echo(f"reading and recording the images below {data}")
    task = DefaultTask.from_folder(settings, data)
    run = Run(out, settings.seed, settings.loop, config_sha256(settings), typer.echo)
    module = train(task, run)
    typer.echo(f"measuring, and writing to {out}")
    for path in finish(module, settings, data, out):
        typer.echo(str(path))
