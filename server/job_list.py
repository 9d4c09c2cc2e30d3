"""The jobs of whoever asks, as OGC API Processes lists them."""

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from datacube.sources.naming import parse_interval
from server.clients import client_of
from server.jobs.choice import Choice
from server.ogc.answers import base_url, link
from server.services import Services, services_of

router = APIRouter(tags=["processes"])
MOST_LISTED = 100  # on one page
MOST_NAMES = 20
State = Literal["accepted", "running", "successful", "failed", "dismissed"]
Name = Annotated[str, Field(max_length=80)]
Seconds = Annotated[int, Field(ge=0, le=10**9, description="of running, or of having run")]


class JobQuery(BaseModel):
    """What may be asked of the list of jobs; anything else is refused by name."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    kind: Annotated[list[Literal["process"]], Field(alias="type", max_length=MOST_NAMES)] = []
    process_id: Annotated[list[Name], Field(alias="processID", max_length=MOST_NAMES)] = []
    status: Annotated[list[State], Field(max_length=MOST_NAMES)] = []
    moment: Annotated[
        str | None, Field(alias="datetime", max_length=80, description="of being created")
    ] = None
    min_duration: Annotated[Seconds | None, Field(alias="minDuration")] = None
    max_duration: Annotated[Seconds | None, Field(alias="maxDuration")] = None
    limit: Annotated[
        int, Field(ge=1, le=10_000, description=f"at most {MOST_LISTED} are given")
    ] = 20
    before: Annotated[
        str | None, Field(max_length=64, description="the last job of the page before")
    ] = None

    def choice(self) -> Choice:
        """The jobs that are meant; raises InvalidInput where the time is none."""
        created = None
        if self.moment is not None:
            interval = parse_interval(self.moment)
            created = interval.start.timestamp(), interval.end.timestamp()
        seconds = self.min_duration, self.max_duration
        return Choice(self.process_id, self.status, created, seconds, self.before)


@router.get("/jobs")
def job_list(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    query: Annotated[JobQuery, Query()],
) -> dict[str, Any]:
    """The jobs of whoever asks that the filters leave, the newest first."""
    if query.before is not None:
        services.jobs.find(query.before)  # forgotten ones lead nowhere, which is to be known
    size = min(query.limit, MOST_LISTED)
    found = services.jobs.of_client(client_of(request), size + 1, query.choice())
    links = [link("self", str(request.url)), link("root", f"{base_url(request)}/")]
    if len(found) > size:
        asked = [one for one in request.query_params.multi_items() if one[0] != "before"]
        following = urlencode([*asked, ("before", found[size - 1].id)])
        links.append(link("next", f"{base_url(request)}/jobs?{following}"))
    return {"jobs": [job.document() for job in found[:size]], "links": links}
