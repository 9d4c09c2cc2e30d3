"""`srcube train sharpen20`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def register(train: typer.Typer) -> None:
    """Add the training of the 20 m bands' model to the group `train`."""
    train.command("sharpen20")(train_sharpen20)


def train_sharpen20(
    config: Annotated[Path, typer.Option(help="TOML file; see sr_engine/sharpen/configs.")],
    data: Annotated[Path, typer.Option(help="Folder of real data sets.")],
    out: Annotated[Path, typer.Option(help="Folder of the run, which goes on where it stopped.")],
) -> None:
    """Train the model that brings 20 m bands to 10 m, and measure it on other places.

    Weights and a record with settings, data, figures and digest are written to OUT.
    """
    from safetensors.torch import save_file  # noqa: PLC0415 - torch, only when asked for

    from sr_engine.sharpen.evaluation import measure, scores  # noqa: PLC0415
    from sr_engine.sharpen.model import RECORD, TENSORS  # noqa: PLC0415
    from sr_engine.sharpen.network import Sharpener  # noqa: PLC0415
    from sr_engine.sharpen.places import PLACES  # noqa: PLC0415
    from sr_engine.sharpen.training import SharpenTask, SharpenTraining  # noqa: PLC0415
    from sr_engine.threads import use_one_thread  # noqa: PLC0415
    from sr_engine.training.config import (  # noqa: PLC0415
        config_document,
        config_sha256,
        read_config,
    )
    from sr_engine.training.loop import Run, train  # noqa: PLC0415
    from sr_engine.weights import file_sha256  # noqa: PLC0415

    use_one_thread()
    settings = read_config(config, SharpenTraining)
    task = SharpenTask.from_folder(settings, data)
    run = Run(out, settings.seed, settings.loop, config_sha256(settings), typer.echo)
    network = train(task, run).cpu().eval()
    if not isinstance(network, Sharpener):
        raise TypeError(f"need a Sharpener, got {type(network).__name__}")
    save_file(network.state_dict(), out / TENSORS)
    (out / TENSORS).chmod(0o644)  # safetensors keeps them from everybody else
    table = measure(network, data)
    record = {
        "weights_sha256": file_sha256(out / TENSORS),
        "settings": asdict(settings.network),
        "training": config_document(settings),
        "training_data": "; ".join(one.name for one in PLACES if one.role == "train"),
        "rmse": table,
        "scores": [asdict(score) for score in scores(table)],
    }
    (out / RECORD).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    typer.echo(str(out / RECORD))
