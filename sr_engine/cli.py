"""Commands of this package: `fuse`, `super-resolve`, `explain`, `models` and `experiment`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datacube.commands.options import DataOption
from datacube.errors import InvalidInput
from sr_engine import models_cli
from sr_engine.audit import cli as audit_cli
from sr_engine.default import cli as default_cli
from sr_engine.explain import cli as explain_cli
from sr_engine.l1b import cli as l1b_cli
from sr_engine.l1b import training_cli as l1b_training_cli
from sr_engine.scenes import cli as scenes_cli
from sr_engine.sharpen import cli as sharpen_cli
from sr_engine.trust import cli as trust_cli

if TYPE_CHECKING:
    from datacube import Cube
    from datacube.sources.naming import Interval
    from sr_engine.fusion.folder import DateStack
    from sr_engine.fusion.settings import FusionResult, FusionSettings
    from sr_engine.fusion.sources import CubeChoice

CLOSED_FORM = "closed_form"
N_OBS = 8

SizeOption = Annotated[int, typer.Option(help="Side of the simulated scene, in 10 m pixels.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the simulated landscape.")]


def register(app: typer.Typer) -> None:
    """Add this package's commands to `app`."""
    app.command()(fuse)
    audit_cli.register(app)
    models_cli.register(app)
    scenes_cli.register(app)
    explain_cli.register(app)
    trust_cli.register(app)
    l1b_cli.register(app)
    train = typer.Typer(
        help="Train a model: settings from a TOML file, stopped and resumed at will."
    )
    default_cli.register(train)
    l1b_training_cli.register(train)
    sharpen_cli.register(train)
    app.add_typer(train, name="train")
    experiments = typer.Typer(help="Experiments on simulated ground, where the error is known.")
    experiments.command("psf-sweep")(psf_sweep)
    experiments.command("limits")(limits)
    experiments.command("usecases")(usecases)
    l1b_cli.register_experiments(experiments)
    app.add_typer(experiments, name="experiment")


def fuse(  # noqa: PLR0913 - options
    source: Annotated[
        str, typer.Argument(help="Folder of GeoTIFFs named like 20250401.tif; or a cube.")
    ],
    out: Annotated[Path | None, typer.Argument(help="Cloud-optimised GeoTIFF to write.")] = None,
    *,
    factor: Annotated[int, typer.Option(help="How many times finer: 2, 4 or 8.")] = 2,
    method: Annotated[
        str, typer.Option(help="closed_form, adam, lbfgs, adam_lbfgs or lbfgs_adam.")
    ] = CLOSED_FORM,
    n_obs: Annotated[int | None, typer.Option(help="Fuse so many dates.  [default: 8]")] = None,
    crop: Annotated[
        int | None, typer.Option(help="Only a square of so many pixels in the middle.")
    ] = None,
    psf: Annotated[
        float | None, typer.Option(help="Gaussian PSF sigma in pixels; default each band's own.")
    ] = None,
    tv: Annotated[float, typer.Option(help="Total variation, of the iterative methods.")] = 1e-3,
    c2f_levels: Annotated[
        str, typer.Option(help="Coarse grids of the iterative methods, in finest spacings.")
    ] = "2,4,8",
    datetime: Annotated[
        str | None, typer.Option(help="FIRST/LAST; of a cube also the one date that is wanted.")
    ] = None,
    data: DataOption = None,
    into_cube: Annotated[
        bool, typer.Option("--into-cube", help="Keep the result in the cube, as a layer.")
    ] = False,
    save_png: Annotated[
        bool, typer.Option(help="Also a PNG: input, bicubic of the mean, result.")
    ] = False,
) -> None:
    """Fuse several dates of one place into one image on a finer grid.

    SOURCE is a folder of dates, the id of a cube or its path. The answer has the grid and the
    radiometry of the first date that is mostly clear, or of the one that --datetime names; a
    band of standard deviation for each band; the shifts found and all settings in its tags. A
    finer grid is not a finer resolution: read the standard deviation.
    """
    from sr_engine.fusion import FusionSettings  # noqa: PLC0415 - torch, only when asked for
    from sr_engine.fusion.sources import CubeChoice, find_cube, read_cube  # noqa: PLC0415

    if into_cube:
        _refuse(out=out, psf=psf, n_obs=n_obs, save_png=save_png, method=method != CLOSED_FORM)
        choice = CubeChoice(crop_px=crop, interval=_times(datetime))
        _fuse_into(find_cube(source, data), choice, factor)
        return
    if out is None:
        raise InvalidInput("need a file OUT to write to, or --into-cube")
    settings = FusionSettings(
        method=method,  # type: ignore[arg-type] # checked by the settings themselves
        psf_sigma_px=psf,
        tv=tv,
        c2f_levels=_levels(c2f_levels),
    )
    if _is_folder(source):
        stack = _read_folder(Path(source), n_obs or N_OBS, crop, datetime)
    else:
        choice = CubeChoice(n_obs or N_OBS, crop, _times(datetime))
        stack, settings = read_cube(find_cube(source, data), choice, factor, settings)
    _fuse_to_file(stack, factor, settings, out, save_png=save_png)


def psf_sweep(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    size: SizeOption = 256,
    seed: SeedOption = 1,
) -> None:
    """Fuse with PSF widths from 0.3 to 0.8 px: pictures, edge contrast, error against truth."""
    from sr_engine.fusion.experiments import psf_sweep as run  # noqa: PLC0415
    from sr_engine.fusion.trial import TrialPlan  # noqa: PLC0415

    run(folder, TrialPlan(shape=(size, size), seed=seed), typer.echo)


def limits(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.")],
    size: SizeOption = 256,
    seed: SeedOption = 1,
) -> None:
    """Gain over dates, jitter, PSF width and error, shift error and cloud: charts and CSV."""
    from sr_engine.fusion.experiments import limits as run  # noqa: PLC0415
    from sr_engine.fusion.trial import TrialPlan  # noqa: PLC0415

    run(folder, TrialPlan(shape=(size, size), seed=seed), typer.echo)


def usecases(
    page: Annotated[Path, typer.Argument(help="Markdown page to write.")],
) -> None:
    """Fields, water, roofs, roads and felled woods, in every enlargement: scores by size."""
    from sr_engine.usecases.report import write_report  # noqa: PLC0415

    write_report(page, typer.echo)


def _fuse_to_file(
    stack: "DateStack", factor: int, settings: "FusionSettings", out: Path, *, save_png: bool
) -> None:
    from sr_engine.fusion import fuse as fuse_stack  # noqa: PLC0415
    from sr_engine.fusion.folder import write_cog  # noqa: PLC0415

    result = fuse_stack(stack.observations, stack.bands, factor, settings, _tell_loss)
    for date, shift, reason in zip(stack.dates, result.shifts_px, result.reasons, strict=True):
        typer.echo(f"{date}  shift {shift[0]:+.3f} {shift[1]:+.3f} px  {reason or 'used'}")
    if result.losses:
        typer.echo(f"loss {result.losses[0]:.3g} -> {result.losses[-1]:.3g}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_cog(out, result, stack)
    typer.echo(str(out))
    if save_png:
        picture = out.with_suffix(".png")
        _save_picture(picture, result, stack)
        typer.echo(str(picture))


def _fuse_into(cube: "Cube", choice: "CubeChoice", factor: int) -> None:
    from sr_engine.fusion.sources import fuse_into  # noqa: PLC0415

    def report(done: int, total: int) -> None:
        typer.echo(f"block {done} of {total}")

    stamp = choice.shown(cube).scene.stamp
    typer.echo(f"{fuse_into(cube, choice, factor, report)} at {stamp}")


def _tell_loss(iterations: int, loss: float) -> None:
    typer.echo(f"iteration {iterations}: loss {loss:.4g}", err=True)


def _refuse(**given: object) -> None:
    from sr_engine.fusion.sources import refuse_settings  # noqa: PLC0415

    refuse_settings(given)


def _is_folder(source: str) -> bool:
    """Whether there is a folder of this name that is not a cube."""
    return Path(source).is_dir() and not (Path(source) / "zarr.json").exists()


def _read_folder(folder: Path, n_obs: int, crop: int | None, datetime: str | None) -> "DateStack":
    from sr_engine.fusion.folder import Choice, read_folder  # noqa: PLC0415

    first, last = _interval(datetime)
    return read_folder(folder, Choice(n_obs, crop, first, last))


def _times(text: str | None) -> "Interval | None":
    from datacube.sources.naming import parse_interval  # noqa: PLC0415

    return None if text is None else parse_interval(text)


def _levels(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise typer.BadParameter(f"need whole numbers like 2,4,8, got {text!r}") from error


def _interval(text: str | None) -> tuple[str, str]:
    if text is None:
        return "00000000", "99999999"
    parts = [part.replace("-", "") for part in text.split("/")]
    if not 1 <= len(parts) <= 2 or not all(len(part) == 8 and part.isdigit() for part in parts):
        raise typer.BadParameter(f"need FIRST/LAST like 20250401/20250930, got {text!r}")
    return parts[0], parts[-1]


def _save_picture(path: Path, result: "FusionResult", stack: "DateStack") -> None:
    from sr_engine.fusion.pictures import nearest, save_row  # noqa: PLC0415
    from sr_engine.fusion.trial import bicubic_mean  # noqa: PLC0415

    shown = next(i for i, used in enumerate(result.used) if used)
    images = [
        nearest(stack.observations[shown], result.factor),
        bicubic_mean(stack.observations[result.used], result.factor),
        result.reflectance,
    ]
    save_row(path, images, stack.bands)
