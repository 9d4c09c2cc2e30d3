"""What the routes work with, made once when the application is made."""

from dataclasses import dataclass

from fastapi import Request

from datacube import Catalog
from datacube.settings import Settings
from server.jobs import JobService


@dataclass(frozen=True)
class Services:
    """The catalog, the jobs and the settings of one application."""

    settings: Settings
    catalog: Catalog
    jobs: JobService


async def services_of(request: Request) -> Services:
    """The services of the application that answers a request."""
    services: Services = request.app.state.services
    return services
