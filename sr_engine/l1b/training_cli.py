"""`srcube train csr` and `srcube train rec`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datacube.simulation.detectors import DetectorPair
    from sr_engine.l1b.flow_network import FlowNetwork
    from sr_engine.l1b.views import Image, SimulatedPairs

ConfigOption = Annotated[Path, typer.Option(help="TOML file; see sr_engine/l1b/configs.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the run, which goes on where it stopped.")]
PairsOption = Annotated[
    Path | None,
    typer.Option(help="Folder of real pairs, NAME_left.tif and NAME_right.tif; else simulated."),
]


def register(train: typer.Typer) -> None:
    """Add the trainings of this package to the group `train`."""
    train.command("csr")(train_csr)
    train.command("rec")(train_rec)


def train_csr(config: ConfigOption, out: OutOption, pairs: PairsOption = None) -> None:
    """Train the flow network on pairs of detector views; no true flow is shown to it."""
    from sr_engine.l1b.finish import finish_csr  # noqa: PLC0415 - torch, only when asked for
    from sr_engine.l1b.train_csr import CsrConfig, CsrTask  # noqa: PLC0415
    from sr_engine.l1b.views import PairPatches  # noqa: PLC0415
    from sr_engine.training.config import config_sha256, need_extras, read_config  # noqa: PLC0415
    from sr_engine.training.loop import Run, train  # noqa: PLC0415

    need_extras()
    _one_thread()
    settings = read_config(config, CsrConfig)
    views, name = _views(pairs, settings.pairs)
    task = CsrTask(settings, PairPatches(views), _judged(settings.validation, truth=False))
    fingerprint = f"{config_sha256(settings)} on {name}"
    network = train(task, Run(out, settings.seed, settings.loop, fingerprint, typer.echo))
    for path in finish_csr(network, settings, name, out):
        typer.echo(str(path))


def train_rec(config: ConfigOption, out: OutOption, pairs: PairsOption = None) -> None:
    """Train the super-resolving network on pairs of detector views; no sharp truth is shown."""
    from sr_engine.l1b.finish import finish_rec  # noqa: PLC0415 - torch, only when asked for
    from sr_engine.l1b.flowing import ExamplePatches, with_flows  # noqa: PLC0415
    from sr_engine.l1b.train_rec import RecConfig, RecTask, judge_of  # noqa: PLC0415
    from sr_engine.training.config import config_sha256, need_extras, read_config  # noqa: PLC0415
    from sr_engine.training.loop import Run, train  # noqa: PLC0415

    need_extras()
    _one_thread()
    settings = read_config(config, RecConfig)
    csr = _csr(settings.csr)
    views, name = _views(pairs, settings.pairs)
    typer.echo(f"finding the flows of {len(views)} pairs")
    examples = [with_flows(csr, one) for one in views]
    judged = _judged(settings.validation, truth=True)
    validation = [(with_flows(csr, pair.views), judge_of(pair)) for pair in judged]
    task = RecTask(settings, ExamplePatches(examples), validation)
    fingerprint = f"{config_sha256(settings)} on {name}"
    network = train(task, Run(out, settings.seed, settings.loop, fingerprint, typer.echo))
    for path in finish_rec(network, settings, name, out):
        typer.echo(str(path))


def _views(folder: Path | None, settings: "SimulatedPairs") -> "tuple[list[Image], str]":
    """What is trained on, and what to call it."""
    from sr_engine.l1b.views import read_pairs, simulated  # noqa: PLC0415

    if folder is not None:
        return read_pairs(folder), folder.name
    typer.echo(f"simulating {settings.places * settings.per_place} pairs")
    return [pair.views for pair in simulated(settings)], "simulated"


def _judged(settings: "SimulatedPairs", *, truth: bool) -> "list[DetectorPair]":
    from sr_engine.l1b.views import simulated  # noqa: PLC0415

    return list(simulated(settings, truth=truth))


def _csr(folder: str) -> "FlowNetwork":
    """The CSR of a run's folder, by default the one that comes with srcube."""
    from sr_engine.l1b.shipped import CSR, WEIGHTS, load_csr  # noqa: PLC0415

    return load_csr(Path(folder) if folder else WEIGHTS, CSR)


def _one_thread() -> None:
    from sr_engine.threads import use_one_thread  # noqa: PLC0415

    use_one_thread()
