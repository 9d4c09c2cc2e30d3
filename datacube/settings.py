"""Every setting there is, from the environment: `SRCUBE_DATA=/data/cubes srcube serve`."""

import os
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from datacube.errors import InvalidInput

PREFIX = "SRCUBE_"


class Settings(BaseSettings):
    """Settings of one process; unknown `SRCUBE_` variables are refused by `from_environment`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data: str = Field(
        default_factory=lambda: str(Path.home() / ".local/share/srcube"),
        description="root of the catalog: a folder, or an s3://, gs:// or az:// address",
    )
    host: str = Field(default="127.0.0.1", description="address the server listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 takes a free one")
    cache_mb: int = Field(default=512, ge=16, description="memory for decoded chunks")
    limit_blocks: int = Field(default=64, ge=1, description="most blocks one job may ask for")
    limit_jobs: int = Field(default=32, ge=1, description="most jobs waiting or running")
    bench_data: Path | None = Field(default=None, description="folder of benchmark data sets")

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
