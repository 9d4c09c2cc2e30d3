"""Scenes into a cube by one call: what `srcube ingest` does, for notebooks and scripts."""

from collections.abc import Sequence
from pathlib import Path

from datacube.catalog import Catalog
from datacube.ingest.carry_out import Summary, Target, carry_out, plan_scenes
from datacube.ingest.intake import Access, Intake
from datacube.ingest.placing import Box
from datacube.sources.naming import parse_interval
from datacube.sources.plan import Given


def take_in(  # noqa: PLR0913 (what the command takes)
    catalog: Catalog,
    cube_id: str,
    sources: Sequence[str | Path],
    *,
    bbox: Box | None = None,
    datetime: str | None = None,
    access: Access | None = None,
    scheduler: str | None = None,
) -> Summary:
    """Take scenes into a cube, which is made if it is not there; what came of each.

    `sources` are files, folders, SAFE products or STAC APIs by name or address; `bbox` is in
    degrees, `datetime` an interval such as 2024-06-01/2024-06-30, which a STAC API needs; blocks
    are read and written by the Dask cluster of a `scheduler` (tls://HOST:PORT) where one is
    named. Raises InvalidInput where nothing can be planned; a single scene that fails is in
    `refusals`.
    """
    given = Given(interval=parse_interval(datetime) if datetime else None)
    with Intake(given, bbox, access or Access()) as intake:
        found = intake.plan([str(source) for source in sources])
        target = Target(cube_id, bbox, scheduler=scheduler)
        return carry_out(plan_scenes(catalog, found, target, given), catalog)
