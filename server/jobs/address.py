"""Where the jobs are kept: in a file, or in a PostgreSQL that several servers share."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from datacube.errors import InvalidInput
from datacube.settings import Settings
from server.jobs.database import Database
from server.jobs.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from server.jobs.postgres import Address


def address_of(settings: Settings) -> "Path | Address":
    """Where the jobs are: as set, else in the catalog's folder, else in the user's own.

    Raises InvalidInput for a URL that is none, or where the driver is not installed.
    """
    if isinstance(settings.jobs_db, SecretStr):
        try:
            from server.jobs.postgres import Address  # noqa: PLC0415 (an extra)
        except ImportError as error:
            raise InvalidInput(
                "SRCUBE_JOBS_DB names a PostgreSQL server and its driver is not installed: "
                "pip install 'srcube[postgres]'"
            ) from error
        return Address.of(settings.jobs_db.get_secret_value(), settings.address)
    if settings.jobs_db is not None:
        return settings.jobs_db
    if "://" not in settings.data:
        return Path(settings.data).expanduser() / ".srcube" / "jobs.sqlite3"
    name = sha256(settings.data.encode()).hexdigest()[:16]
    return Path.home() / ".local/state/srcube" / f"jobs-{name}.sqlite3"


def open_database(address: "Path | Address") -> Database:
    """Open a file, which raises Unavailable or OutOfSpace; a server is connected to when used."""
    if isinstance(address, Path):
        return SqliteDatabase(address)
    from server.jobs.postgres import PostgresDatabase  # noqa: PLC0415 (an extra)

    return PostgresDatabase(address)
