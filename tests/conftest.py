"""What many tests share: a small demo catalog, and a real server of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr

from datacube import Catalog, open_storage
from datacube.demo import DemoSize, build_simulated
from datacube.settings import Settings
from server.local import LocalServer
from server.main import make_app
from tests.postgres import Cluster, running_cluster

# Property tests are judged by their law, never by the clock.
hypothesis_settings.register_profile("srcube", deadline=None, print_blob=True)
hypothesis_settings.load_profile("srcube")

# Tests wait for workers, whatever else the machine does.
os.environ.setdefault("SRCUBE_WORKER_NICENESS", "0")

SIZE = DemoSize(shape=(240, 300), dates=2, truth_dates=1)  # six blocks


@pytest.fixture(scope="session")
def demo_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of a catalog with the collection `simulated`, 240x300 pixels on two dates."""
    root = tmp_path_factory.mktemp("catalog")
    build_simulated(Catalog(open_storage(root)), "simulated", size=SIZE)
    return root


@pytest.fixture(scope="session")
def live_server(demo_catalog: Path) -> Iterator[str]:
    """Base URL of a server on a port of 127.0.0.1, with the page."""
    with serving(Settings(data=str(demo_catalog), port=0, limit_blocks=16)) as url:
        yield url


@pytest.fixture(scope="module")
def fresh_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Like `demo_catalog`, for tests that count on nothing having been computed before."""
    root = tmp_path_factory.mktemp("fresh")
    build_simulated(Catalog(open_storage(root)), "simulated", size=SIZE)
    return root


@pytest.fixture(scope="module")
def fresh_server(fresh_catalog: Path) -> Iterator[str]:
    """Like `live_server`, of the fresh catalog."""
    with serving(Settings(data=str(fresh_catalog), port=0, limit_blocks=16)) as url:
        yield url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL of the tests' own, running before and after each of them."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgres"])
def jobs_in(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a catalog whose jobs are in a file, and in a PostgreSQL."""
    if request.param == "sqlite":
        return Settings(data=str(tmp_path), jobs_db=tmp_path / "jobs.sqlite3")
    cluster: Cluster = request.getfixturevalue("postgres")
    return Settings(data=str(tmp_path), jobs_db=SecretStr(cluster.url))


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Base URL of a server with the page, in a thread of this process while the context lasts."""
    with LocalServer(settings, make_app) as server:
        yield server.url
