"""What can be fused from the command line: a folder of dates, or a cube by id or path."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.catalog import CUBE_ID
from datacube.cube import CommittedScene
from datacube.errors import InvalidInput, NotFound
from datacube.settings import Settings
from datacube.sources.naming import Interval
from datacube.store.commit import ROOT_KEY
from datacube.store.layout import BLOCK_PX
from sr_engine.blocks import compute_block, product_spec
from sr_engine.fusion.folder import DateStack, middle
from sr_engine.fusion.fuse import check_memory
from sr_engine.fusion.series import choose_dates, read_date, survey
from sr_engine.fusion.settings import FusionSettings
from sr_engine.registry import find_model


@dataclass(frozen=True)
class CubeChoice:
    """Which dates of a cube, and which part.

    One time is the date wanted, with the `n_obs` - 1 nearest usable ones; an interval, or
    None for all of time, gives the `n_obs` clearest in it. `crop_px` is a square in the middle.
    """

    n_obs: int = 8
    crop_px: int | None = None
    interval: Interval | None = None

    def scenes(self, cube: Cube) -> tuple[CommittedScene, ...]:
        """The dates, in order of time; raises NotFound where there is none."""
        if self.interval is not None and self.interval.instant is not None:
            return choose_dates(cube, self.shown(cube).slot, self.n_obs, clear_share)
        found = [one for one in cube.scenes if self._holds(one)]
        if not found:
            raise NotFound("the cube holds no scene in the --datetime asked for")
        clearest = sorted(found, key=lambda one: -clear_share(cube, one.slot))[: self.n_obs]
        return tuple(sorted(clearest, key=lambda one: one.scene.datetime))

    def shown(self, cube: Cube) -> CommittedScene:
        """The one date asked for, else the clearest, the latest among equals."""
        found = [one for one in cube.scenes if self._holds(one)]
        if not found:
            raise NotFound("the cube holds no scene at the --datetime asked for")
        return max(reversed(found), key=lambda one: clear_share(cube, one.slot))

    def _holds(self, one: CommittedScene) -> bool:
        return self.interval is None or self.interval.holds(one.scene.datetime)


def clear_share(cube: Cube, slot: int) -> float:
    """The part of a date that shows the ground."""
    return float(survey(cube, slot).mean())


def find_cube(source: str, data: str | None) -> Cube:
    """The cube at a path, or of this id in the catalog at `data`; raises NotFound."""
    if (Path(source) / ROOT_KEY).exists():
        return Cube.open(open_storage(source))
    if not CUBE_ID.fullmatch(source):
        raise NotFound(f"{source[:200]} is neither a folder of dates nor a cube's folder or id")
    return Catalog(open_storage(Settings.from_environment(data=data).data)).open(source)


def read_cube(
    cube: Cube, choice: CubeChoice, factor: int, settings: FusionSettings
) -> tuple[DateStack, FusionSettings]:
    """Dates of a cube as a stack, and the settings with the date wanted as their reference.

    Raises InvalidInput, before anything is read, where it would not fit into memory.
    """
    scenes = choice.scenes(cube)
    window = middle(cube.grid.shape, choice.crop_px)
    names = tuple(band.name for band in cube.bands)
    check_memory((len(scenes), len(names), window.height, window.width), factor, settings)
    dates = [read_date(cube, one.slot, names, window, masked=True) for one in scenes]
    if choice.interval is not None and choice.interval.instant is not None:
        settings = replace(settings, reference=scenes.index(choice.shown(cube)))
    stack = DateStack(
        np.stack(dates),
        cube.bands,
        tuple(one.scene.stamp for one in scenes),
        cube.grid.cropped(window),
        {
            "cube_uid": cube.root.commit.uid,
            "generation": cube.generation,
            "scenes": [one.scene.scene_id for one in scenes],
            **{key: cube.attributes.get(key) for key in ("simulated", "notice", "attribution")},
        },
    )
    return stack, settings


def fuse_into(
    cube: Cube, choice: CubeChoice, factor: int, report: Callable[[int, int], None]
) -> str:
    """Write the layer of the model `fusion-x<factor>` for one date of the cube; its path.

    Blocks that are there already are kept. `report` is told blocks done and blocks in all.
    """
    model = find_model(f"fusion-x{factor}")
    shown = choice.shown(cube)
    product = Product.ensure(cube, product_spec(cube, model))
    window: Window = middle(cube.grid.shape, choice.crop_px)
    blocks = list(window.cells(BLOCK_PX))
    for done, block in enumerate(blocks, start=1):
        if not product.has_block(shown.slot, block):
            compute_block(product, model, shown.slot, block, source=cube)
        report(done, len(blocks))
    return product.path


def refuse_settings(changed: dict[str, object]) -> None:
    """Raise InvalidInput naming options that a cube's layer has no use for."""
    given = [f"--{name.replace('_', '-')}" for name, value in changed.items() if value]
    if given:
        raise InvalidInput(
            f"a cube's layer is made by the model's own settings, got {', '.join(given)}; leave "
            "them out, or fuse to a file"
        )
