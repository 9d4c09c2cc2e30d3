"""Every setting there is, from the environment: `SRCUBE_DATA=/data/cubes srcube serve`."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from datacube.errors import InvalidInput

PREFIX = "SRCUBE_"


HOST = re.compile(r"(?:\*|\.?[a-z0-9_][a-z0-9_.-]*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
ORIGIN = r"^https?://[a-zA-Z0-9.-]+(:[0-9]{1,5})?$"
BASEMAP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def _listed(value: object) -> object:
    """Hosts as they stand in a variable, with commas between."""
    if not isinstance(value, str):
        return value
    hosts = tuple(part.strip().lower() for part in value.split(",") if part.strip())
    wrong = [host for host in hosts if not HOST.fullmatch(host)]
    if wrong:
        raise ValueError(f"need host names such as data.example.org or 10.0.0.5:8080, not {wrong}")
    return hosts


def _named(value: object) -> object:
    """Basemaps as they stand in a variable: `name=address`, with blanks between."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split()]
    for name, _, address in pairs:
        if not (BASEMAP_NAME.fullmatch(name) and address):
            raise ValueError(f"need name=address for each basemap, not {name!r}")
    return {name: address for name, _, address in pairs}


def _database(value: object) -> object:
    """A file, or the URL of a PostgreSQL, which may hold a password and is kept from view."""
    if not isinstance(value, str):
        return value
    if value.startswith(("postgresql://", "postgres://")):
        return SecretStr(value)
    if "://" in value:
        raise ValueError("need a file, or postgresql://user:password@host/database")
    return Path(value)


def _home_data() -> str:
    return str(Path.home() / ".local/share/srcube")


class Settings(BaseSettings):
    """Settings of one process; unknown `SRCUBE_` variables are refused by `from_environment`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data: str = Field(
        default_factory=_home_data,
        description="root of the catalog: a folder, or an s3://, gs:// or az:// address",
    )
    allow_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(),
        description="hosts that scenes may be fetched from besides those of known catalogs, with "
        "commas between; HOST:PORT may be private or plain http",
    )
    basemaps: Annotated[dict[str, str], NoDecode, BeforeValidator(_named)] = Field(
        default_factory=dict,
        description="aerial mosaics by name: name=path or name=https address, with blanks between",
    )
    host: str = Field(default="127.0.0.1", description="address the server listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 takes a free one")
    cache_mb: int = Field(default=512, ge=16, description="memory for decoded chunks")
    limit_blocks: int = Field(default=64, ge=1, description="most blocks one job may ask for")
    limit_jobs: int = Field(default=32, ge=1, description="most jobs waiting or running")
    limit_client_jobs: int = Field(default=8, ge=1, description="most such jobs of one client")
    limit_block_s: float = Field(default=600, gt=0, description="most seconds for one block")
    limit_stall_s: float = Field(
        default=60,
        gt=0,
        description="a job fails that got no further for so long while nothing here can compute",
    )
    unwatched_s: float = Field(
        default=30, gt=0, description="a job that was watched is dropped after so long unwatched"
    )
    jobs_db: Annotated[Path | SecretStr | None, BeforeValidator(_database)] = Field(
        default=None,
        description="file of the jobs' database, by default below the catalog's root; or a "
        "postgresql:// URL, where several servers share the jobs of a catalog that all of them "
        "name by the same address (needs the extra postgres)",
    )
    workers: int = Field(
        default_factory=lambda: min(max((os.cpu_count() or 1) // 2, 1), 4),
        ge=1,
        le=256,
        description="processes that compute blocks",
    )
    worker_memory_mb: int = Field(
        default=8192, ge=0, description="address space of one such process; 0 for no limit"
    )
    worker_niceness: int = Field(
        default=10, ge=0, le=19, description="how far such a process yields to map tiles"
    )
    dask_address: str | None = Field(
        default=None, description="scheduler of a Dask cluster to compute blocks on instead"
    )
    models: Path | None = Field(
        default=None, description="folder of imported models; by default `models` beside the cubes"
    )
    allowed_hosts: list[str] = Field(
        default=[], description='names in Host headers that are answered, as JSON: ["maps.org"]'
    )
    cors_origins: list[str] = Field(
        default=[], description='pages elsewhere that may read, as JSON: ["https://maps.org"]'
    )
    embed_origins: list[Annotated[str, Field(pattern=ORIGIN)]] = Field(
        default=[],
        description='sites that may show the page with ?embed=1 in a frame: ["https://maps.org"]',
    )
    keys_file: Path | None = Field(default=None, description="file of API keys; see `srcube key`")
    anonymous: Literal["nothing", "view", "compute"] | None = Field(
        default=None,
        description="what one may do without a key; by default compute where only this machine "
        "can reach the server, else view",
    )
    limit_rate: float | None = Field(
        default=None,
        ge=0,
        description="requests a second of one client without a key, 0 for any; by default 100 "
        "where others can reach the server",
    )
    limit_requests: int = Field(default=512, ge=1, description="most requests at once")
    limit_websockets: int = Field(default=64, ge=1, description="most open pages at once")
    limit_client_pages: int = Field(
        default=32, ge=1, description="most open pages of one client at once"
    )
    limit_explanations: int = Field(
        default=8, ge=1, description="most explanations asked for and not yet given"
    )
    registry: Path | None = Field(
        default=None,
        description="TOML file of overlays and STAC catalogs that visitors may choose by name",
    )
    allow_ingest: bool = Field(
        default=False,
        description="let the page and the API search catalogs and ingest: whoever has a key with "
        "the scope ingest, and anybody where only this machine can reach the server",
    )
    input_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        default=(),
        description="hosts that whoever may compute can have inputs of a process fetched from by "
        "reference, with commas between; HOST:PORT may be private or plain http",
    )
    limit_task_s: float = Field(
        default=7200, gt=0, description="most seconds for one ingest, or one evaluation"
    )
    limit_ingest_km2: float = Field(default=500, gt=0, description="largest area of one ingest")
    limit_ingest_scenes: int = Field(default=48, ge=1, description="most scenes of one ingest")
    limit_body_kb: int = Field(default=1024, ge=1, description="largest request body")
    limit_renders: int = Field(
        default_factory=lambda: 2 * (os.cpu_count() or 1), ge=1, description="drawings at once"
    )
    limit_waiting: int = Field(default=64, ge=0, description="most drawings that may wait")
    limit_render_s: float = Field(default=10, gt=0, description="most seconds for a drawing")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="warning", description="what is logged to stderr, as JSON lines"
    )
    telemetry: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
        description="OpenTelemetry collector that traces are sent to, such as "
        "http://127.0.0.1:4318 (needs the extra telemetry)",
    )
    bench_data: Path | None = Field(default=None, description="folder of benchmark data sets")
    bench_minutes: float = Field(
        default=10, gt=0, description="how long the mixed load of `srcube bench load` lasts"
    )

    @property
    def address(self) -> str:
        """The catalog as any process may name it: a folder by its whole path."""
        if "://" in self.data:
            return self.data.rstrip("/")
        return str(Path(self.data).expanduser().absolute())

    @property
    def models_folder(self) -> Path:
        """Where imported models are kept: on this machine, also where the cubes are not."""
        if self.models is not None:
            return self.models.expanduser()
        root = _home_data() if "://" in self.data else self.data
        return Path(root).expanduser() / "models"

    @classmethod
    def from_environment(cls, **given: object) -> "Settings":
        """Settings from `SRCUBE_*`, overridden by what is `given` and not None.

        Raises InvalidInput for an unknown variable or a value out of range.
        """
        refuse_unknown(os.environ)
        values = {key: value for key, value in given.items() if value is not None}
        try:
            return cls(**values)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors()[0]
            name = PREFIX + str(first["loc"][0]).upper()
            secret = first["loc"][0] == "jobs_db"
            shown = "..." if secret else repr(str(first["input"])[:60])
            message = f"{name}={shown}: {first['msg'].lower()}"
            raise InvalidInput(message) from error


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Raise InvalidInput for a variable with our prefix that is no setting: a typing error."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise InvalidInput(f"unknown setting {unknown[0]}; settings are {', '.join(sorted(known))}")
