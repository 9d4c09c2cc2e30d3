"""What the words of `srcube ingest SOURCE` lead to: files here, or scenes of a STAC catalog.

The only module that knows both the files of `datacube.sources` and the catalogs of
`datacube.stac`. Nothing that a STAC item says is opened unless the user's policy allows it.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from datacube.bands import CLASSES
from datacube.errors import InvalidInput
from datacube.ingest.placing import Box
from datacube.sources.plan import Given, SourcePlan
from datacube.sources.recognise import plan_source
from datacube.stac.catalogs import CATALOGS, StacCatalog, find_catalog
from datacube.stac.fetch import Fetcher
from datacube.stac.items import load_items
from datacube.stac.search import Query
from datacube.stac.sources import plan_items, plan_search

DEFAULT_BANDS = ("B02", "B03", "B04", "B08")
ITEM_SUFFIXES = frozenset({".json", ".geojson"})
SIGNED = "planetary-computer"  # whose items are of no use without its tokens


@dataclass(frozen=True)
class Access:
    """What may be read for a STAC source: further hosts, and folders of local assets."""

    hosts: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    collection: str | None = None
    max_cloud: float | None = None


@dataclass
class Intake:
    """Plans scenes from any kind of source; connections stay open until it is left."""

    given: Given
    bbox: Box | None = None
    access: Access = field(default_factory=Access)
    _open: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._open.close()

    def plan(self, sources: Iterable[str]) -> SourcePlan:
        """Every scene of the sources, and what of them was refused.

        Raises InvalidInput where a source is nothing that is understood, or a catalog is asked
        without an area and a time.
        """
        found = SourcePlan()
        for source in sources:
            found += self._planned(source)
        return found

    def _planned(self, source: str) -> SourcePlan:
        if source in CATALOGS or source.startswith(("https://", "http://")):
            return self._searched(find_catalog(source, self.access.collection))
        path = Path(source).expanduser()
        if path.suffix.lower() in ITEM_SUFFIXES and path.is_file():
            return self._items(path)
        return plan_source(path, self.given)

    def _searched(self, catalog: StacCatalog) -> SourcePlan:
        if self.bbox is None or self.given.interval is None:
            raise InvalidInput(
                f"{catalog.name} is a catalog: say what of it, --bbox and --datetime"
            )
        query = Query(self.bbox, self.given.interval, self.access.max_cloud)
        return plan_search(catalog, query, self._bands(), self._fetcher([catalog]))

    def _items(self, path: Path) -> SourcePlan:
        """Scenes of a file with STAC items; of their hosts, those of known catalogs are allowed."""
        fetcher = self._fetcher(CATALOGS.values())
        sign = CATALOGS[SIGNED].signer(fetcher)
        items = load_items(path)
        plan = plan_items(items, self._bands(), fetcher, base=str(path.parent), sign=sign)
        wanted = tuple(one for one in plan.scenes if self.given.wants(one.scene.datetime))
        return SourcePlan(wanted, plan.refusals)

    def _fetcher(self, catalogs: Iterable[StacCatalog]) -> Fetcher:
        first, *others = catalogs
        policy = first.policy()
        for other in others:
            policy = policy.allowing(*other.policy().hosts)
        policy = policy.allowing(*self.access.hosts).below(*self.access.folders)
        return self._open.enter_context(Fetcher(policy))

    def _bands(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*(self.given.bands or DEFAULT_BANDS), CLASSES)))
