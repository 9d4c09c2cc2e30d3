"""`srcube models`: a table of all, one card as text or JSON, STAC, and weights from elsewhere."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from datacube.commands.options import JsonOption

if TYPE_CHECKING:
    from sr_engine.card import ModelCard

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of a model.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    models = typer.Typer(help="The models there are, and weights from elsewhere.")
    models.callback(invoke_without_command=True)(table)
    models.command()(show)
    models.command()(stac)
    models.command("import")(import_command)
    models.command()(forget)
    app.add_typer(models, name="models")


def table(context: typer.Context, *, as_json: JsonOption = False) -> None:
    """List the models, the default first."""
    if context.invoked_subcommand:
        return
    from sr_engine.registry import models  # noqa: PLC0415 - torch, only when asked for

    cards = [model.card for model in models().values()]
    if as_json:
        typer.echo(json.dumps([card.full_document() for card in cards], indent=2))
        return
    shown = Table(title="models, the default first")
    for column in ("id", "title", "factor", "dates", "bands"):  # what fits; the rest is on the card
        shown.add_column(column, overflow="fold", no_wrap=column == "id")
    for card in cards:
        bands = ", ".join(card.bands) or "any 10 m"
        shown.add_row(card.id, card.title, f"x{card.factor}", str(card.dates), bands)
    Console().print(shown)


def show(model_id: IdArgument, *, as_json: JsonOption = False) -> None:
    """Print a model's whole card: what it takes, what it was made from, how well it did."""
    from sr_engine.registry import find_model  # noqa: PLC0415

    card = find_model(model_id).card
    if as_json:
        typer.echo(json.dumps(card.full_document(), indent=2))
    else:
        _print_card(card)


def stac(model_id: IdArgument) -> None:
    """Print a model as a STAC item with the mlm extension."""
    from sr_engine.model_stac import model_item  # noqa: PLC0415
    from sr_engine.registry import find_model  # noqa: PLC0415

    typer.echo(json.dumps(model_item(find_model(model_id).card), indent=2))


def import_command(
    file: Annotated[Path, typer.Argument(help="Weights; of sen2sr the folder they came in.")],
    form: Annotated[str, typer.Option("--from", metavar="FORMAT", help="l1bsr, sen2sr or ldsr.")],
) -> None:
    """Check weights of another project and keep them, as safetensors, as a model of ours.

    They go to the folder SRCUBE_MODELS, by default `models` beside the cubes. A pickle is read
    as plain weights only; no code of the file is run.
    """
    from sr_engine.imported import import_model, models_folder  # noqa: PLC0415

    card = import_model(file, form)
    typer.echo(f"{card.id}: x{card.factor}, kept in {models_folder() / card.id}")


def forget(model_id: IdArgument) -> None:
    """Delete an imported model; what it made stays."""
    from sr_engine.imported import forget_import, models_folder  # noqa: PLC0415

    forget_import(models_folder(), model_id)
    typer.echo(f"{model_id} is forgotten")


def _print_card(card: "ModelCard") -> None:
    facts = {
        "id": card.id,
        "factor": card.factor,
        "bands": ", ".join(card.bands) or "any 10 m band",
        "dates": card.dates,
        "halo": f"{card.halo_px} px",
        "PSF assumed": card.psf,
        "training data": card.training_data,
        "licence": card.licence,
        "weights sha256": card.weights_sha256,
        "limits": card.limits or "none stated",
        "settings": json.dumps(dict(card.settings)),
    }
    console = Console()
    shown = Table(title=card.title, caption=card.description, show_header=False)
    for name, value in facts.items():
        shown.add_row(name, str(value))
    console.print(shown)
    if not card.metrics:
        console.print("no figures are recorded")
        return
    scores = Table(title="measured")
    for column in ("test", "places", "figure", "value", "bicubic"):
        scores.add_column(column)
    for one in card.metrics:
        bicubic = "" if one.bicubic is None else f"{one.bicubic:.4g}"
        scores.add_row(one.test, str(one.places), one.figure, f"{one.value:.4g}", bicubic)
    console.print(scores)
