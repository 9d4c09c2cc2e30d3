"""The description of the interface is true: whatever is sent, the answer is one it documents.

Schemathesis makes up requests for every operation; a part of their ids are put right, so that
more than the refusals is seen.
"""

import random
from collections.abc import Iterator
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

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 12
KNOWN = {
    "cube_id": ("simulated", "simulated-truth"),
    "layer_id": ("lr", "sr", "truth", "scl"),
    "tms_id": ("WebMercatorQuad", "WorldCRS84Quad"),
    "model_id": ("wiener-x4",),
    "process_id": ("super-resolve",),
    "name": ("viridis",),
    "key": ("zarr.json", "measurement/r10m/zarr.json"),
}


@pytest.fixture(name="schema", scope="module")
def fixture_schema(live_server: str) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{live_server}/openapi.json")


# What is subtracted from what, in words that fit each other and the simulated cube.
DIFFERENCE = {
    "minuend": "lr", "subtrahend": "lr", "index": "NDVI", "bbox": "11.46,48.71,11.47,48.72",
}  # fmt: skip


def put_right(case: Case[Any], choice: random.Random) -> Case[Any]:
    """Replace most ids by ones that exist."""
    parameters: dict[str, Any] = dict(case.path_parameters or {})
    for name, known in KNOWN.items():
        if name in parameters and choice.random() < 0.8:
            parameters[name] = choice.choice(known)
    case.path_parameters = parameters
    asked: dict[str, Any] = dict(case.query or {})
    if "minuend" in asked and choice.random() < 0.8:
        taken = {one.name for one in case.operation.query}
        case.query = {name: word for name, word in DIFFERENCE.items() if name in taken}
    return case


def failures(operation: APIOperation[Any, Any, Any, Any], served: set[str]) -> Iterator[str]:
    """What a few requests of one operation show; `served` learns which one was not refused."""
    choice = random.Random(operation.label)  # noqa: S311 - repeatable, not secret

    @given(case=operation.as_strategy())
    @hypothesis_settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def probe(case: Case[Any]) -> None:
        asked = put_right(case, choice)
        response = asked.call(timeout=30)
        if response.status_code < 300:
            served.add(operation.label)
        asked.validate_response(response, checks=CHECKS)

    try:
        probe()
    except FailureGroup as group:
        yield f"{operation.label}: {group}: {group.exceptions[0]}"


def test_no_request_gets_what_is_not_documented(schema: BaseSchema) -> None:
    found, served, count = [], set[str](), 0
    for operation in schema.get_all_operations():
        assert isinstance(operation, Ok), operation
        found += list(failures(operation.ok(), served))
        count += 1
    assert not found, "\n\n".join(found)
    assert len(served) > 0.6 * count, sorted(served)  # more was seen than refusals


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
