"""STAC items as a source of scenes: what ingest plans and reads, over the checked client."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from datacube.errors import NotFound, SrcubeError
from datacube.grid import Grid
from datacube.sources.plan import BandSource, PlannedScene, ReadNumbers, Refusal, SourcePlan
from datacube.sources.radiometry import Calibration
from datacube.sources.refusals import CrsMismatch
from datacube.stac.assets import opened
from datacube.stac.catalogs import Sign, StacCatalog, unchanged
from datacube.stac.fetch import Fetcher
from datacube.stac.items import Asset, Item, load_items, read_item
from datacube.stac.search import Query, search

SAME_PX = 0.01  # how far the file's corner may lie from where the item says


@dataclass(frozen=True)
class RemoteBand:
    """One band of one item, on its own pixels; nothing is asked for before `open`."""

    href: str
    grid: Grid
    calibration: Calibration
    fetcher: Fetcher = field(repr=False, compare=False)
    sign: Sign = field(repr=False, compare=False)

    @contextmanager
    def open(self) -> Iterator[ReadNumbers]:
        """Open the asset; what is given reads a window (y, x) that lies inside the grid.

        Raises CrsMismatch if the file lies elsewhere than its item says.
        """
        with opened(self.sign(self.href), self.fetcher) as raster:
            _check_place(raster.grid, self.grid, self.href)
            mask = raster.header.mask(1, self.calibration.no_data)
            yield partial(raster.read, mask=mask)


def plan_items(
    items: Iterable[Item],
    bands: Sequence[str],
    fetcher: Fetcher,
    *,
    base: str = "",
    sign: Sign = unchanged,
) -> SourcePlan:
    """A scene for each item that can be read; the others with the reason.

    `bands` may include `SCL`; `base` is where relative hrefs start. An asset is asked for its
    grid only where the item does not state it.
    """
    scenes: list[PlannedScene] = []
    refusals: list[Refusal] = []
    for item in items:
        try:
            scenes.append(_planned(item, bands, fetcher, base, sign))
        except SrcubeError as error:
            name = str(item.get("id", "item")) if isinstance(item, dict) else "item"
            refusals.append(Refusal(name[:128], str(error), error.code))
    return SourcePlan(tuple(scenes), tuple(refusals))


def plan_item_file(path: Path, bands: Sequence[str], fetcher: Fetcher) -> SourcePlan:
    """The scenes of a JSON file with one STAC item, or a collection of them.

    Relative hrefs start at the file's folder, which the fetcher's policy must allow to be read.
    Raises ItemRejected for a file that holds neither.
    """
    return plan_items(load_items(path), bands, fetcher, base=str(path.parent))


def plan_search(
    catalog: StacCatalog, query: Query, bands: Sequence[str], fetcher: Fetcher
) -> SourcePlan:
    """The scenes that a STAC API has; raises Unreachable, or NotFound where it has none."""
    found = search(catalog, query, fetcher)
    if not found.items:
        raise NotFound(nothing_found(catalog, query))
    plan = plan_items(found.items, bands, fetcher, sign=catalog.signer(fetcher))
    return SourcePlan(refusals=found.refusals) + plan


def nothing_found(catalog: StacCatalog, query: Query) -> str:
    """One line that says what was looked for."""
    cloud = "" if query.max_cloud is None else f" with at most {query.max_cloud:g} % cloud"
    return (
        f"{catalog.name} has no scene of {list(query.bbox)} from {query.interval.start:%Y-%m-%d} "
        f"to {query.interval.end:%Y-%m-%d}{cloud}; ask for a longer time or allow more cloud"
    )


def _planned(
    item: Item, bands: Sequence[str], fetcher: Fetcher, base: str, sign: Callable[[str], str]
) -> PlannedScene:
    found = read_item(item, bands, base)
    sources: dict[str, BandSource] = {}
    for name, asset in found.assets.items():
        _check_href(asset.href, fetcher)
        grid = asset.grid or _asked_grid(asset, fetcher, sign)
        sources[name] = RemoteBand(asset.href, grid, asset.calibration, fetcher, sign)
    return PlannedScene(found.scene, sources, found.level)


def _check_href(href: str, fetcher: Fetcher) -> None:
    """Refuse a forbidden href when it is planned, not in the middle of the work."""
    if fetcher.policy.is_remote(href):
        fetcher.policy.check(href)
    else:
        fetcher.policy.local_path(href)


def _asked_grid(asset: Asset, fetcher: Fetcher, sign: Callable[[str], str]) -> Grid:
    with opened(sign(asset.href), fetcher) as raster:
        return raster.grid


def _check_place(found: Grid, stated: Grid, href: str) -> None:
    name = href.partition("?")[0].rsplit("/", 1)[-1]
    apart = max(abs(one - other) for one, other in zip(found.bounds, stated.bounds, strict=True))
    if found.shape != stated.shape or apart > SAME_PX * stated.gsd_m:
        raise CrsMismatch(
            f"{name} covers {found.bounds} with {found.shape} pixels, its item says "
            f"{stated.bounds} with {stated.shape}; neither is believed"
        )
