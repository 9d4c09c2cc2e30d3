"""Super-resolve a whole scene into a COG, in flat memory, and go on after a kill.

Blocks are made one by one and kept beside the output; when all are there they are joined into
the file, which appears by a rename. The key of what is kept is of everything that determines
the pixels, so that a changed input or model starts anew.
"""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from datacube import Window
from datacube.cog import SUFFIXES, RasterSpec, write_cog
from datacube.errors import InvalidInput, OutOfSpace
from datacube.provenance import TAG
from datacube.store.layout import PlaneSpec
from sr_engine.audit.provenance import provenance as record
from sr_engine.model import Model
from sr_engine.scenes.blocks import Recipe, bands_for
from sr_engine.scenes.companions import find_extras
from sr_engine.scenes.partial import Partial, open_partial
from sr_engine.scenes.source import SceneSource
from sr_engine.trust.domain import calibration_record, refuse_outside

CACHE_MB = 256  # of GDAL, whose own choice is a twentieth of the machine
INTERVAL = "interval"  # the companion that abstains outside its calibration
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class _Output:
    """One file: which layers of the blocks, and how its numbers are read."""

    path: Path
    layers: slice
    spec: RasterSpec


def super_resolve(
    source: SceneSource,
    model: Model,
    out: Path,
    *,
    extras: tuple[str, ...] = (),
    report: Report = lambda _done, _total: None,
) -> list[Path]:
    """Write what a model makes of a scene, and files of `extras` beside; returns the files.

    `report` is told blocks done and blocks in all. Raises InvalidInput for a model that does
    not suit the scene or an interval that is not calibrated for it, Conflict where the file is
    being written, OutOfSpace where it has no room: what is done is kept, and the same call goes
    on from there.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise InvalidInput(f"need a name that ends in .tif, got {out.name!r}")
    recipe = Recipe(source, model, bands_for(source, model), find_extras(extras, model))
    if INTERVAL in extras:
        refuse_outside(model.card, source.taken)
    out.parent.mkdir(parents=True, exist_ok=True)
    layers = len(recipe.layers)
    _check_room(recipe, out)
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_MB),
        open_partial(out, recipe_key(recipe), layers=layers, factor=recipe.factor) as partial,
    ):
        windows = recipe.windows()
        for done, window in enumerate(windows):
            report(done, len(windows))
            if not partial.has(window):
                partial.save(window, recipe.make(window))
        report(len(windows), len(windows))
        outputs = _outputs(recipe, out)
        for output in outputs:
            _join(recipe, partial, output)
        for output in reversed(outputs):  # the image last: where it is, all is
            (partial.folder / output.path.name).replace(output.path)
    return [output.path for output in outputs]


def recipe_key(recipe: Recipe) -> str:
    """Digest of everything that determines the pixels."""
    facts = {
        "software": version("srcube"),
        "source": recipe.source.identity,
        "shape": recipe.source.grid.shape,
        "card": recipe.model.card.document(),
        "layers": [(name, plane and plane.name) for name, plane in recipe.layers],
        "calibration": _calibration(recipe),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def provenance(recipe: Recipe) -> dict[str, Any]:
    """Where the pixels come from and what made them, as JSON holds it."""
    source = recipe.source
    made = {
        "source": dict(source.origin),
        "reading": dict(source.identity),
        "extras": sorted({name for name, _ in recipe.extras.layers()}),
        "taken": asdict(source.taken),
    }
    return record(
        recipe.model.card,
        recipe.bands,
        inputs=source.inputs,
        calibration=_calibration(recipe),
        made=made,
    )


def _calibration(recipe: Recipe) -> dict[str, Any] | None:
    return calibration_record(recipe.model.card, recipe.source.taken)


def _outputs(recipe: Recipe, out: Path) -> list[_Output]:
    """The image, and a file for each plane of the model and for each companion's encoding."""
    count = len(recipe.bands)
    outputs = [_Output(out, slice(count), _spec(recipe, recipe.bands, None))]
    for place, (name, plane) in enumerate(recipe.extras.layers(), start=count):
        label = name if name == plane.name else f"{name}_{plane.name}"
        path = out.with_name(f"{out.stem}_{label}{out.suffix}")
        outputs.append(_Output(path, slice(place, place + 1), _spec(recipe, (label,), plane)))
    return outputs


def _spec(recipe: Recipe, names: tuple[str, ...], plane: PlaneSpec | None) -> RasterSpec:
    facts, source = provenance(recipe), recipe.source
    tags = {
        TAG: json.dumps(facts, sort_keys=True),
        "SRCUBE_MODEL": recipe.model.card.id,
        "TIFFTAG_SOFTWARE": facts["software"],
        "TIFFTAG_IMAGEDESCRIPTION": f"inferred, not measured: {recipe.model.card.id} of "
        f"{source.name}; a finer grid is not a finer resolution",
    }
    if source.origin.get("datetime"):
        tags["datetime"] = str(source.origin["datetime"])
    if source.origin.get("attribution"):
        tags["TIFFTAG_COPYRIGHT"] = str(source.origin["attribution"])
    grid = source.grid.refined(recipe.factor)
    if plane is None:
        return RasterSpec(grid, names, placed=source.placed, tags=tags)
    scale = plane.scale_factor
    tags |= {"SRCUBE_LONG_NAME": plane.long_name}
    if plane.flags:
        masks = {name: 2 << bit for bit, name in enumerate(plane.flags)}
        tags |= {"SRCUBE_FLAGS": json.dumps({"computed": 1, **masks})}
        return RasterSpec(grid, names, physical=False, placed=source.placed, tags=tags)
    return RasterSpec(
        grid, names, scale=scale, offset=-scale, units=plane.units, placed=source.placed, tags=tags
    )


def _join(recipe: Recipe, partial: Partial, output: _Output) -> None:
    """Write one file from the blocks; one that has suffered meanwhile is made once more."""
    factor = recipe.factor
    by_place = {(one.row * factor, one.col * factor): one for one in recipe.windows()}

    def read(fine: Window) -> NDArray[np.uint16]:
        window = by_place[fine.row, fine.col]
        numbers = partial.load(window)
        if numbers is None:
            numbers = recipe.make(window)
            partial.save(window, numbers)
        return numbers[output.layers]

    with warnings.catch_warnings():
        if not output.spec.placed:  # pixels in sensor geometry have no place, on purpose
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
        write_cog(partial.folder / output.path.name, output.spec, read)


def _check_room(recipe: Recipe, out: Path) -> None:
    """The blocks and the joined file lie side by side for a while, both up to their full size."""
    height, width = recipe.source.grid.shape
    needed = 2 * height * width * recipe.factor**2 * len(recipe.layers) * 2
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise OutOfSpace(
            f"need about {needed / 1e9:.1f} GB beside {out.name} while it is made, there are "
            f"{free / 1e9:.1f}; free some, or write elsewhere"
        )
