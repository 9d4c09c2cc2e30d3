"""The description of the interface is true: whatever is sent, the answer is one it documents.

Schemathesis makes up requests for every operation; a part of their ids, places and bodies are put
right, so that more than the refusals is seen: every operation has to be granted at least once, but
for those that are listed by name.
"""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation, BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from datacube.settings import Settings
from server.keys import add_key
from tests.conftest import serving
from tests.test_jobs import finished
from tests.test_overlays import entry, write_cog
from tests.test_tiles import TMS

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 50
Operation = APIOperation[Any, Any, Any, Any]
# What asks servers elsewhere, which nobody may here; `test_ingest_http` and others grant it.
NEVER_GRANTED = {
    "POST /processes/search/execution", "POST /processes/ingest/execution", "GET /places",
}  # fmt: skip
# Parameters that some operation cannot do without; these alone fit one another.
FEWEST = {"bbox", "coords", "minus", "parameter-name", "minuend", "subtrahend", "index"}
# What takes a second or more: put right once, and then left to chance.
DEAR = {"POST /processes/evaluate/execution", "POST /processes/explain/execution"}
MODEL = "bicubic-x2"


@dataclass(frozen=True)
class Known:
    """What is there to be asked for: ids by the names of parameters, values, and bodies."""

    path: Mapping[str, tuple[str | int, ...]]
    query: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, str]
    bodies: Mapping[str, Mapping[str, Any]]


@dataclass
class Probe:
    """What a series of requests showed: which operations were granted, and what was wrong."""

    known: Known
    examples: int
    headers: Mapping[str, str] = field(default_factory=dict)
    statuses: dict[str, set[int]] = field(default_factory=dict)

    @property
    def granted(self) -> set[str]:
        """Operations that gave what was asked for at least once."""
        return {label for label, seen in self.statuses.items() if min(seen) < 300}

    def failures(self, operation: Operation) -> Iterator[str]:
        """What some requests of one operation show."""
        choice = random.Random(operation.label)  # noqa: S311 - repeatable, not secret
        seen = self.statuses.setdefault(operation.label, set())

        @given(case=operation.as_strategy())
        @hypothesis_settings(
            max_examples=self.examples,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def probe(case: Case[Any]) -> None:
            asked = self.put_right(case, choice, again=bool(seen))
            response = asked.call(timeout=60, headers=dict(self.headers))
            seen.add(response.status_code)
            asked.validate_response(response, checks=CHECKS)

        try:
            probe()
        except FailureGroup as group:
            yield f"{operation.label}: {group}: {group.exceptions[0]}"

    def put_right(self, case: Case[Any], choice: random.Random, *, again: bool) -> Case[Any]:
        """Replace most of what is asked for by what there is; all of it the first time."""

        def mostly(share: float = 0.8) -> bool:
            return not again or choice.random() < share

        label, known = case.operation.label, self.known
        path: dict[str, Any] = dict(case.path_parameters or {})
        path |= {name: choice.choice(values) for name, values in known.path.items()
                 if name in path and mostly()}  # fmt: skip
        if "/tiles/{tms_id}/{z}" in label and mostly():
            path["tms_id"] = "WebMercatorQuad"  # which x and y are of
        query: dict[str, Any] = dict(case.query or {})
        if mostly(0.5):
            query = {name: query[name] for name in query if name in FEWEST}
        right = {name: choice.choice(values) for name, values in known.query.items()}
        if kind := known.coords.get(label.rpartition("/")[2]):
            right["coords"] = kind
        query |= {name: value for name, value in right.items()
                  if name in query and mostly()}  # fmt: skip
        if not again:
            taken = {one.name for one in case.operation.query} & FEWEST
            query = {name: value for name, value in right.items() if name in taken}
        case.path_parameters, case.query = path, query
        if label in known.bodies and mostly(0.0 if label in DEAR else 0.6):
            case.body = dict(known.bodies[label])
        return case


@pytest.fixture(name="keys", scope="module")
def fixture_keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    return path, {"looker": add_key(path, "looker", frozenset({"view"})), "nobody": "wrong"}


@pytest.fixture(name="registry", scope="module")
def fixture_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("registry")
    write_cog(folder / "flat.tif")
    path = folder / "registry.toml"
    path.write_text(entry("flat", "cog", "flat.tif", "bounds = [11.2, 46.4, 11.4, 46.6]"))
    return path


@pytest.fixture(name="url", scope="module")
def fixture_url(demo_catalog: Path, registry: Path) -> Iterator[str]:
    settings = Settings(
        data=str(demo_catalog), port=0, limit_blocks=16, limit_client_jobs=32, registry=registry
    )
    with serving(settings) as url:
        yield url


@pytest.fixture(name="known", scope="module")
def fixture_known(url: str) -> Known:
    """A finished job and what can be asked for of the demo's landscape."""
    collection = httpx.get(f"{url}/collections/simulated").json()
    west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
    x, y, step = (west + east) / 2, (south + north) / 2, (east - west) / 40
    box = [x, y, x + step, y + step]
    view = {"collection": "simulated", "bbox": box, "model": MODEL}
    order = {"inputs": view}
    job = httpx.post(f"{url}/processes/super-resolve/execution", json=order).json()["jobID"]
    assert finished(url, job)["status"] == "successful"
    items = httpx.get(f"{url}/collections/simulated/items").json()["features"]
    tile = TMS.tile(x, y, 14)
    ring = f"{x} {y},{x + step} {y},{x + step} {y + step},{x} {y}"
    place = {"collection": "simulated", "position": [x, y], "model": MODEL, "size": 4}
    return Known(
        path={
            "cube_id": ("simulated",), "layer_id": ("lr", "lr", "sr", "truth", "scl"),
            "tms_id": ("WebMercatorQuad", "WorldCRS84Quad"), "model_id": (MODEL,),
            "process_id": ("super-resolve",), "name": ("viridis",), "item_id": (items[0]["id"],),
            "job_id": (job,), "overlay_id": ("flat",), "z": (tile.z,), "x": (tile.x,),
            "y": (tile.y,),
            "key": ("zarr.json", "measurement/r10m/zarr.json",
                    "measurement/r10m/reflectance/c/0/0/0/0"),
        },
        query={
            "bbox": (",".join(map(str, box)),), "datetime": (items[0]["properties"]["datetime"],),
            "parameter-name": ("lr.B04", "lr.B04,lr.NDVI"), "minus": ("lr.B03",), "model": (MODEL,),
            "bands": ("B04", "B04,B03,B02"), "index": ("NDVI",), "expression": ("B08-B04",),
            "minuend": ("lr",), "subtrahend": ("lr",), "colormap": ("viridis",),
            "rescale": ("0,0.3",), "products": ("quality",),
            "collections": ("simulated",), "ids": (items[0]["id"],), "f": ("json", "html"),
            "intersects": (json.dumps({"type": "Point", "coordinates": [x, y]}),),
        },
        coords={"position": f"POINT({x} {y})", "zonal": f"POLYGON(({ring}))",
                "area": f"POLYGON(({ring}))", "trajectory": f"LINESTRING({x} {y},{x + step} {y})"},
        bodies={
            "POST /processes/{process_id}/execution": order,
            "POST /processes/evaluate/execution": {"inputs": view},
            "POST /processes/explain/execution": {"inputs": place},
            "POST /search": {"bbox": box, "limit": 2},
        },
    )  # fmt: skip


def operations_of(url: str, *, exclude: set[str] | None = None) -> list[Operation]:
    schema: BaseSchema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    found = []
    for operation in schema.get_all_operations():
        assert isinstance(operation, Ok), operation
        if operation.ok().label not in (exclude or set()):
            found.append(operation.ok())
    return sorted(found, key=lambda one: one.method.upper() == "DELETE")  # what is there is needed


@pytest.mark.parametrize(
    "examples",
    [EXAMPLES, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])],
)
def test_no_request_gets_what_is_not_documented(url: str, known: Known, examples: int) -> None:
    operations = operations_of(url)
    probe = Probe(known, examples)
    found = [one for operation in operations for one in probe.failures(operation)]
    assert not found, "\n\n".join(found)
    labels = {operation.label for operation in operations}
    assert labels - probe.granted == NEVER_GRANTED
    assert {404, 422} <= set().union(*probe.statuses.values())


def test_who_may_not_is_told_so_as_documented(
    demo_catalog: Path, keys: tuple[Path, dict[str, str]], known: Known, tmp_path: Path
) -> None:
    """Without a key 401 wherever one is needed; with one that may only look 403 for the rest."""
    path, texts = keys
    settings = Settings(data=str(demo_catalog), port=0, keys_file=path, anonymous="nothing",
                        jobs_db=tmp_path / "jobs.sqlite3")  # fmt: skip
    with serving(settings) as url:
        allowed = {"authorization": f"Bearer {texts['looker']}"}
        document = httpx.get(f"{url}/openapi.json", headers=allowed).json()
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=url)
        operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        assert len(operations) > 40
        wrong = {"authorization": f"Bearer {texts['nobody']}"}
        for headers in ({}, wrong):
            probe = Probe(known, 2, headers)
            assert not [one for each in operations for one in probe.failures(each)]
            refused = {label for label, seen in probe.statuses.items() if seen == {401}}
            assert set(probe.statuses) - refused == {"GET /livez", "GET /readyz"}
        changing = [
            one
            for one in operations
            if one.method.upper() in {"POST", "DELETE"} and one.label != "POST /search"  # looks
        ]
        probe = Probe(known, 2, allowed)
        assert not [one for each in changing for one in probe.failures(each)]
        assert set().union(*probe.statuses.values()) == {403}


def test_every_operation_is_described(live_server: str) -> None:
    document = httpx.get(f"{live_server}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    names = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            where = f"{method} {path}"
            assert operation["description"], where
            assert operation["tags"], where
            assert {"404", "422", "503"} <= set(operation["responses"]), where
            names.append(operation["operationId"])
            in_path = {one["name"] for one in operation.get("parameters", [])
                       if one["in"] == "path"}  # fmt: skip
            assert all(f"{{{name}}}" in path for name in in_path), where
    assert len(set(names)) == len(names)
