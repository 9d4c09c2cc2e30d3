"""Every setting there is, from the environment: `SRCUBE_DATA=/data/cubes srcube serve`."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from datacube.errors import InvalidInput

PREFIX = "SRCUBE_"


def _home_data() -> str:
    return str(Path.home() / ".local/share/srcube")


class Settings(BaseSettings):
    """Settings of one process; unknown `SRCUBE_` variables are refused by `from_environment`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data: str = Field(
        default_factory=_home_data,
        description="root of the catalog: a folder, or an s3://, gs:// or az:// address",
    )
    host: str = Field(default="127.0.0.1", description="address the server listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 takes a free one")
    cache_mb: int = Field(default=512, ge=16, description="memory for decoded chunks")
    limit_blocks: int = Field(default=64, ge=1, description="most blocks one job may ask for")
    limit_jobs: int = Field(default=32, ge=1, description="most jobs waiting or running")
    limit_client_jobs: int = Field(default=8, ge=1, description="most such jobs of one client")
    limit_block_s: float = Field(default=600, gt=0, description="most seconds for one block")
    unwatched_s: float = Field(
        default=30, gt=0, description="a job that was watched is dropped after so long unwatched"
    )
    jobs_db: Path | None = Field(
        default=None, description="file of the jobs' database; by default below the catalog's root"
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
    dask_address: str | None = Field(
        default=None, description="scheduler of a Dask cluster to compute blocks on instead"
    )
    models: Path | None = Field(
        default=None, description="folder of imported models; by default `models` beside the cubes"
    )
    bench_data: Path | None = Field(default=None, description="folder of benchmark data sets")

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
            message = f"{name}={str(first['input'])[:60]!r}: {first['msg'].lower()}"
            raise InvalidInput(message) from error


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Raise InvalidInput for a variable with our prefix that is no setting: a typing error."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(name for name in environment if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise InvalidInput(f"unknown setting {unknown[0]}; settings are {', '.join(sorted(known))}")
