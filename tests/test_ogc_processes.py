"""OGC API Processes 1.0: what may be asked, what is told of jobs, and how it fails."""

import base64
import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from datacube.settings import Settings
from tests.conftest import serving
from tests.test_jobs import Field, finished, make_field

EXECUTE = "/processes/super-resolve/execution"
EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
MOMENT = {"type": "string", "format": "date-time"}
# `statusInfo.yaml` of OGC 18-062r2, in which job-list makes `processID` mandatory.
STATUS_INFO = {
    "type": "object",
    "required": ["processID", "jobID", "status", "type"],
    "properties": {
        "processID": {"type": "string"},
        "type": {"enum": ["process"]},
        "jobID": {"type": "string"},
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "message": {"type": "string"},
        "created": MOMENT, "started": MOMENT, "finished": MOMENT, "updated": MOMENT,
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "links": {"type": "array", "items": {"required": ["href", "rel", "type"]}},
    },
}  # fmt: skip
Document = dict[str, Any]


@dataclass
class Elsewhere:
    """A server that gives what it was told to, and remembers what it was asked for."""

    host: str = ""
    given: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Elsewhere]:
    told = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            data = told.given.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("content-length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told.host = f"127.0.0.1:{server.server_port}"
        yield told
        server.shutdown()


@pytest.fixture(name="field", scope="module")
def fixture_field(
    tmp_path_factory: pytest.TempPathFactory, elsewhere: Elsewhere
) -> Iterator[Field]:
    root = tmp_path_factory.mktemp("field")
    settings = Settings(
        data=str(root), port=0, workers=1, limit_client_jobs=32, input_hosts=(elsewhere.host,)
    )
    with serving(settings) as url:
        yield make_field(url, root)


@pytest.fixture(name="client", scope="module")
def fixture_client(field: Field) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=field.url, timeout=60) as client:
        yield client


def inputs_of(field: Field, **more: Any) -> Document:
    """A view of one block by the quickest model."""
    return {"collection": field.id, "bbox": field.corner, "model": "bicubic-x2", **more}


def links_of(document: Document) -> dict[str, Document]:
    return {one["rel"]: one for one in document["links"]}


def edit_job(field: Field, job: str, **values: object) -> None:
    """Write into the table of jobs what else only time or a fault would."""
    with closing(sqlite3.connect(field.root / ".srcube/jobs.sqlite3")) as database, database:
        changes = ", ".join(f"{name} = ?" for name in values)
        database.execute(f"UPDATE jobs SET {changes} WHERE id = ?", (*values.values(), job))  # noqa: S608


def done(field: Field, **asked: Any) -> str:
    """The id of a job that ended well."""
    answer = httpx.post(field.url + EXECUTE, json={"inputs": inputs_of(field), **asked}, timeout=60)
    assert answer.status_code == 201, answer.text
    job: str = answer.json()["jobID"]
    assert finished(field.url, job)["status"] == "successful"
    return job


def test_processes_are_listed_page_by_page(client: httpx.Client) -> None:
    every = client.get("/processes").json()["processes"]
    found, where = [], "/processes?limit=4"
    while where:
        page = client.get(where).json()
        assert len(page["processes"]) <= 4
        found += page["processes"]
        links = links_of(page)
        assert all({"rel", "type", "href"} <= set(one) for one in page["links"])
        assert links["self"]["href"].endswith(where.removeprefix(str(client.base_url)))
        as_html = client.get(links["alternate"]["href"])
        assert as_html.headers["content-type"].startswith(links["alternate"]["type"])
        where = links["next"]["href"] if "next" in links else ""
    assert found == every
    for limit in ("0", "10001", "some"):
        assert client.get("/processes", params={"limit": limit}).status_code == 422


def test_a_job_tells_where_it_is_and_how(field: Field, client: httpx.Client) -> None:
    body = {"inputs": inputs_of(field, bbox=field.whole)}
    plain = client.post(EXECUTE, json=body)
    assert plain.status_code == 201
    assert "preference-applied" not in plain.headers
    preferring = client.post(EXECUTE, json=body, headers={"prefer": "wait=5, Respond-Async"})
    assert preferring.headers["preference-applied"] == "respond-async"
    location = plain.headers["location"]
    for status in (plain.json(), client.get(location).json()):
        Draft202012Validator(STATUS_INFO).validate(status)
        assert (status["processID"], status["type"]) == ("super-resolve", "process")
        assert links_of(status)["self"]["href"] == location
    ended = finished(field.url, plain.json()["jobID"])
    Draft202012Validator(STATUS_INFO).validate(ended)
    assert {"created", "started", "finished", "updated"} <= set(ended)
    assert client.get(links_of(ended)[RESULTS]["href"]).status_code == 200


def test_an_answer_is_raw_or_a_document_of_results(field: Field, client: httpx.Client) -> None:
    raw = client.get(f"/jobs/{done(field)}/results").json()
    wanted = {"layers": {"transmissionMode": "value", "format": {"mediaType": "application/json"}}}
    asked_raw = client.get(f"/jobs/{done(field, outputs=wanted, response='raw')}/results").json()
    document = client.get(
        f"/jobs/{done(field, outputs=wanted, response='document')}/results"
    ).json()
    assert "sr" in raw
    assert asked_raw == raw
    assert document == {"layers": {"value": raw}}
    west, south, east, north = field.corner
    position = [(west + east) / 2, (south + north) / 2]
    inputs = {"collection": field.id, "position": position, "model": "bicubic-x2", "size": 4}
    address = "/processes/explain/execution"
    explained = client.post(address, json={"inputs": inputs})
    within = client.post(address, json={"inputs": inputs, "response": "document"})
    assert (explained.status_code, within.status_code) == (200, 200)  # at once: there is no job
    assert set(within.json()["explanation"]["value"]) == set(explained.json())


def test_inputs_come_in_every_form(field: Field, client: httpx.Client) -> None:
    west, south, east, north = field.corner
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    text = json.dumps(polygon)
    packed = base64.b64encode(text.encode()).decode()
    ways: list[Document] = [
        {"bbox": field.corner},
        {"bbox": {"bbox": field.corner, "crs": CRS84}},
        {"bbox": {"value": {"bbox": field.corner}}},
        {"polygon": polygon},
        {"polygon": {"value": polygon, "mediaType": "application/geo+json"}},
        {"polygon": {"href": f"data:application/geo+json,{quote(text)}"}},
        {"polygon": {"href": f"data:;base64,{packed}", "type": "application/json"}},
    ]
    for way in ways:
        inputs = {"collection": field.id, "model": {"value": "bicubic-x2"}, **way}
        answer = client.post(EXECUTE, json={"inputs": inputs})
        assert answer.status_code == 201, (way, answer.text)
        assert answer.json()["blocks"]["total"] == 1


def test_inputs_come_from_elsewhere_where_the_operator_allows_it(
    field: Field, client: httpx.Client, elsewhere: Elsewhere
) -> None:
    elsewhere.given = {
        "/box": json.dumps(field.corner).encode(), "/text": b"no JSON", "/twice": b'{"a":1,"a":2}',
        "/large": b" " * 300_000, "/model": b'"wiener-x2"', "/endless": b"[" * 100_000,
    }  # fmt: skip
    here = f"http://{elsewhere.host}"
    ways = {"bbox": {"href": f"{here}/box"}, "model": {"href": f"{here}/model"}}
    answer = client.post(EXECUTE, json={"inputs": inputs_of(field, **ways)})
    assert answer.json()["blocks"]["total"] == 1
    assert elsewhere.asked == ["/box", "/model"]
    for path in ("/text", "/twice", "/large", "/nothing", "/endless", "/model"):
        body = {"inputs": inputs_of(field, bbox={"href": here + path})}
        refused = client.post(EXECUTE, json=body)
        assert refused.status_code == 422, path
        assert "bbox" in refused.json()["detail"]
    elsewhere.asked.clear()
    other = here.replace("127.0.0.1", "localhost")
    for href in (f"{other}/box", "http://127.0.0.1:9/box", "file:///etc/passwd", "ftp://x/y", "x"):
        refused = client.post(EXECUTE, json={"inputs": inputs_of(field, bbox={"href": href})})
        assert refused.status_code == 422, href
        assert "SRCUBE_INPUT_HOSTS" in refused.json()["detail"]
    assert not elsewhere.asked
    many = {f"n{number}": {"href": f"{here}/box"} for number in range(5)}
    assert client.post(EXECUTE, json={"inputs": inputs_of(field, **many)}).status_code == 422
    assert not elsewhere.asked


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"subscriber": {"successUri": "http://127.0.0.1:9/"}}, "called back"),
        ({"outputs": {"pixels": {}}}, "layers"),
        ({"outputs": {}}, "outputs"),
        ({"outputs": {"layers": {"transmissionMode": "reference"}}}, "transmissionMode"),
        ({"outputs": {"layers": {"format": {"mediaType": "image/tiff"}}}}, "application/json"),
        ({"response": "multipart"}, "response"),
        ({"mode": "sync"}, "mode"),
        ({"inputs": {"polygon": {"value": {}, "mediaType": "text/xml"}}}, "application/json"),
        ({"inputs": {"bbox": {"bbox": [1, 2, 3, 4], "crs": "EPSG:3857"}}}, "CRS84"),
        ({"inputs": {"bbox": {"bbox": [1, 2, 0, 3, 4, 0]}}}, "bbox"),
        ({"inputs": {"bbox": {"href": "data:;base64,%%"}}}, "base64"),
        ({"inputs": {"bbox": {"href": "data:text/plain,[1,2,3,4]"}}}, "application/json"),
        ({"inputs": {"bbox": {"href": 7}}}, "href"),
        ({"inputs": {"bbox": {"href": "data:,[1,2,3,4]", "type": "text/csv"}}}, "application/json"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(
    field: Field, client: httpx.Client, asked: Document, said: str
) -> None:
    inputs = inputs_of(field) | asked.get("inputs", {})
    refused = client.post(EXECUTE, json={**asked, "inputs": inputs})
    assert (refused.status_code, refused.json()["code"]) == (422, "InvalidInput")
    assert said in refused.json()["detail"]
    assert "\n" not in refused.json()["detail"]


def test_exceptions_are_called_as_the_standard_calls_them(
    field: Field, client: httpx.Client
) -> None:
    body = {"inputs": inputs_of(field, bbox=field.whole, model="wiener-x4")}
    for answer in (client.get("/processes/conjure"),
                   client.post("/processes/conjure/execution", json=body)):  # fmt: skip
        assert (answer.status_code, answer.json()["type"]) == (404, f"{EXCEPTIONS}/no-such-process")
    for method, path in (("GET", "/jobs/none"), ("GET", "/jobs/none/results"),
                         ("DELETE", "/jobs/none"), ("GET", "/jobs?before=none")):  # fmt: skip
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["type"]) == (404, f"{EXCEPTIONS}/no-such-job")
    job = client.post(EXECUTE, json=body).json()["jobID"]
    early = client.get(f"/jobs/{job}/results")
    assert (early.status_code, early.json()["type"]) == (404, f"{EXCEPTIONS}/result-not-ready")
    client.delete(f"/jobs/{job}")


@pytest.mark.parametrize(
    ("message", "status", "code"),
    [
        ("InvalidInput: need a box", 422, "InvalidInput"),
        ("AssetUnreadable: truncated", 422, "AssetUnreadable"),
        ("OutOfSpace: no room", 507, "OutOfSpace"),
        ("ChunkCorrupt: damaged", 500, "ChunkCorrupt"),
        ("OutOfMemory: the block needs more", 500, "OutOfMemory"),
        ("an error of ours; it has been logged", 500, "JobFailed"),
    ],
)
def test_a_failed_job_is_answered_by_its_reason(
    field: Field, client: httpx.Client, message: str, status: int, code: str
) -> None:
    job = done(field)
    edit_job(field, job, state="failed", message=message)
    told = client.get(f"/jobs/{job}/results")
    assert (told.status_code, told.json()["code"], told.json()["type"]) == (status, code, code)
    assert message in told.json()["detail"]


def test_every_resource_of_processes_comes_as_json(field: Field, client: httpx.Client) -> None:
    job = done(field)
    for path in ("/", "/conformance", "/processes", "/processes/super-resolve", "/jobs",
                 f"/jobs/{job}", f"/jobs/{job}/results"):  # fmt: skip
        answer = client.get(path, headers={"accept": "application/json"})
        assert answer.headers["content-type"] == "application/json", path
        assert answer.json()
    taken = client.post(EXECUTE, json={"inputs": inputs_of(field)})
    assert taken.headers["content-type"] == "application/json"


def test_jobs_are_listed_page_by_page(field: Field, client: httpx.Client) -> None:
    made = [done(field) for _ in range(5)]
    where, found = "/jobs?limit=2&type=process&processID=super-resolve&status=successful", []
    while where:
        page = client.get(where).json()
        assert links_of(page)["self"]["href"].endswith(where.removeprefix(str(client.base_url)))
        assert len(page["jobs"]) <= 2
        for one in page["jobs"]:
            Draft202012Validator(STATUS_INFO).validate(one)
            assert (one["status"], one["processID"]) == ("successful", "super-resolve")
        found += [one["jobID"] for one in page["jobs"]]
        where = links_of(page).get("next", {}).get("href", "")
    assert found[:5] == made[::-1]
    assert len(set(found)) == len(found)
    landing = client.get("/", headers={"accept": "application/json"}).json()
    assert links_of(landing)["http://www.opengis.net/def/rel/ogc/1.0/job-list"]["href"].endswith(
        "/jobs"
    )


def test_jobs_are_chosen_by_what_they_are(field: Field, client: httpx.Client) -> None:
    def listed(**query: Any) -> list[str]:
        answer = client.get("/jobs", params={"limit": 100, **query})
        assert answer.status_code == 200, answer.text
        return [one["jobID"] for one in answer.json()["jobs"]]

    old, failed = done(field), done(field)
    edit_job(field, old, created=1_000_000_000.5, started=1_000_000_010, finished=1_000_000_100)
    edit_job(field, failed, state="failed", process="fuse")
    second = "2001-09-09T01:46:40Z"
    for moment in (second, f"{second}/..", f"../{second}", "2001-09-09", "2001-09-08/2001-09-10"):
        assert old in listed(datetime=moment)
    for moment in ("2001-09-08", "2001-09-09T01:46:41Z/..", "../2001-09-08"):
        assert old not in listed(datetime=moment, maxDuration=90, minDuration=90)
    assert listed(status="failed", processID="fuse") == [failed]
    assert {old, failed} <= set(listed(status=["failed", "successful"]))
    assert listed(minDuration=90, maxDuration=90) == [old]
    assert old not in listed(maxDuration=89)
    assert old not in listed(minDuration=91)
    assert listed(processID="conjure") == []
    for query in ({"type": "service"}, {"status": "lost"}, {"datetime": "soon"}, {"limit": 0},
                  {"minDuration": "long"}, {"maxDuration": -1}, {"state": "failed"}):  # fmt: skip
        assert client.get("/jobs", params=query).status_code == 422, query


def test_who_dismisses_a_job_ends_it_or_has_it_forgotten(
    field: Field, client: httpx.Client
) -> None:
    body = {"inputs": inputs_of(field, bbox=field.whole, model="wiener-x4")}
    running = client.post(EXECUTE, json=body).json()["jobID"]
    for _ in range(2):  # asked twice, it stays as it is
        ended = client.delete(f"/jobs/{running}")
        assert ended.status_code == 200
        Draft202012Validator(STATUS_INFO).validate(ended.json())
        assert ended.json()["status"] == "dismissed"
        assert client.get(f"/jobs/{running}").json()["status"] == "dismissed"
    over = done(field)
    assert client.delete(f"/jobs/{over}").json()["status"] == "dismissed"
    assert client.get(f"/jobs/{over}").json()["type"] == f"{EXCEPTIONS}/no-such-job"
    assert over not in {one["jobID"] for one in client.get("/jobs").json()["jobs"]}
    assert client.post(EXECUTE, json={"inputs": inputs_of(field)}).json()["blocks"]["cached"] == 1
