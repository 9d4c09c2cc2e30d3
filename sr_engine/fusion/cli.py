"""Commands of fusion: `fuse`, and `experiment psf-sweep` and `experiment limits`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sr_engine.fusion.folder import FolderStack
    from sr_engine.fusion.settings import FusionResult

SizeOption = Annotated[int, typer.Option(help="Side of the simulated scene, in 10 m pixels.")]
SeedOption = Annotated[int, typer.Option(help="Seed of the simulated landscape.")]


def register(app: typer.Typer) -> None:
    """Add this package's commands to `app`."""
    app.command()(fuse)
    experiments = typer.Typer(help="Experiments on simulated ground, where the error is known.")
    experiments.command("psf-sweep")(psf_sweep)
    experiments.command("limits")(limits)
    app.add_typer(experiments, name="experiment")


def fuse(  # noqa: PLR0913 - options
    source: Annotated[Path, typer.Argument(help="Folder of GeoTIFFs named like 20250401.tif.")],
    out: Annotated[Path, typer.Argument(help="Cloud-optimised GeoTIFF to write.")],
    *,
    factor: Annotated[int, typer.Option(help="How many times finer: 2, 4 or 8.")] = 2,
    method: Annotated[
        str, typer.Option(help="closed_form, adam, lbfgs, adam_lbfgs or lbfgs_adam.")
    ] = "closed_form",
    n_obs: Annotated[int, typer.Option(help="Fuse this many of the clearest dates.")] = 8,
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
        str | None, typer.Option(help="FIRST/LAST, each YYYYMMDD or YYYY-MM-DD.")
    ] = None,
    save_png: Annotated[
        bool, typer.Option(help="Also a PNG: input, bicubic of the mean, result.")
    ] = False,
) -> None:
    """Fuse several dates of one place into one image on a finer grid.

    The answer has the grid and the radiometry of the first date that is mostly clear, a band
    of standard deviation for each band, and the shifts found and all settings in its tags. A
    finer grid is not a finer resolution: read the standard deviation.
    """
    from sr_engine.fusion import FusionSettings  # noqa: PLC0415 - torch, only when asked for
    from sr_engine.fusion import fuse as fuse_stack  # noqa: PLC0415
    from sr_engine.fusion.folder import Choice, read_folder, write_cog  # noqa: PLC0415

    settings = FusionSettings(
        method=method,  # type: ignore[arg-type] # checked by the settings themselves
        psf_sigma_px=psf,
        tv=tv,
        c2f_levels=_levels(c2f_levels),
    )
    first, last = _interval(datetime)
    stack = read_folder(source, Choice(n_obs, crop, first, last))
    result = fuse_stack(stack.observations, stack.bands, factor, settings)
    for date, shift, reason in zip(stack.dates, result.shifts_px, result.reasons, strict=True):
        typer.echo(f"{date}  shift {shift[0]:+.3f} {shift[1]:+.3f} px  {reason or 'used'}")
    if result.losses:
        typer.echo(f"loss {result.losses[0]:.3g} -> {result.losses[-1]:.3g}")
    write_cog(out, result, stack)
    typer.echo(str(out))
    if save_png:
        picture = out.with_suffix(".png")
        _save_picture(picture, result, stack)
        typer.echo(str(picture))


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


def _save_picture(path: Path, result: "FusionResult", stack: "FolderStack") -> None:
    from sr_engine.fusion.pictures import nearest, save_row  # noqa: PLC0415
    from sr_engine.fusion.trial import bicubic_mean  # noqa: PLC0415

    shown = next(i for i, used in enumerate(result.used) if used)
    images = [
        nearest(stack.observations[shown], result.factor),
        bicubic_mean(stack.observations[result.used], result.factor),
        result.reflectance,
    ]
    save_row(path, images, stack.bands)
