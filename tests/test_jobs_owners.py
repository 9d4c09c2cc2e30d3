"""Whose a job is: whoever knows its id may watch it, only who asked for it may end it.

What one may not do is answered as if it were not there, or before anything is looked for.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from datacube.settings import Settings
from server.keys import add_key
from tests.conftest import serving
from tests.test_jobs import Field, finished, make_field

NOBODYS = "0" * 32
EXECUTE = "/processes/super-resolve/execution"


def client_at(url: str, local: str = "127.0.0.1", key: str = "") -> httpx.Client:
    """A client at an address of this machine, with a key or without."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    transport = httpx.HTTPTransport(local_address=local)
    return httpx.Client(base_url=url, headers=headers, transport=transport, timeout=60)


@pytest.fixture(name="shared", scope="module")
def fixture_shared(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Field, dict[str, httpx.Client]]]:
    """A server with two keys that may compute, one that may look, and nobody else."""
    root, keys = tmp_path_factory.mktemp("shared"), tmp_path_factory.mktemp("keys") / "keys.json"
    both = frozenset({"view", "compute"})
    texts = {
        "ann": add_key(keys, "ann", both),
        "ben": add_key(keys, "ben", both),
        "eve": add_key(keys, "eve", frozenset({"view"})),
        "nobody": "",
    }
    settings = Settings(data=str(root), port=0, keys_file=keys, anonymous="view", workers=1)
    with serving(settings) as url, ExitStack() as closed:
        yield (
            make_field(url, root),
            {name: closed.enter_context(client_at(url, key=key)) for name, key in texts.items()},
        )


def start(field: Field, client: httpx.Client, model: str = "default-x4") -> str:
    """The id of a job of all twelve blocks."""
    inputs = {"collection": field.id, "bbox": field.whole, "model": model}
    answer = client.post(EXECUTE, json={"inputs": inputs})
    assert answer.status_code == 201
    job: str = answer.json()["jobID"]
    return job


def told(answer: httpx.Response) -> tuple[int, bytes, str]:
    """All that an answer tells, but for the name and the time of the request."""
    return answer.status_code, answer.content, str(sorted(
        (name, value) for name, value in answer.headers.items()
        if name not in {"x-request-id", "date"}
    ))  # fmt: skip


def test_the_job_of_another_is_answered_as_one_that_is_not_there(
    shared: tuple[Field, dict[str, httpx.Client]],
) -> None:
    field, clients = shared
    job = start(field, clients["ann"])
    for name, status in (("ben", 404), ("eve", 403), ("nobody", 401)):
        refused = clients[name].delete(f"/jobs/{job}")
        assert refused.status_code == status
        assert told(refused) == told(clients[name].delete(f"/jobs/{NOBODYS}"))
    assert clients["ann"].get(f"/jobs/{job}").json()["status"] in {"accepted", "running"}
    ended = clients["ann"].delete(f"/jobs/{job}")
    assert ended.json()["status"] == "dismissed"


def test_a_job_is_watched_by_whoever_was_given_its_link(
    shared: tuple[Field, dict[str, httpx.Client]],
) -> None:
    field, clients = shared
    job = start(field, clients["ann"], "bicubic-x2")
    assert finished(field.url, job)["status"] == "successful"
    for client in clients.values():
        assert client.get(f"/jobs/{job}").json()["status"] == "successful"
        assert "sr" in client.get(f"/jobs/{job}/results").json()
        assert '"successful"' in client.get(f"/jobs/{job}/events").text
    listed = {name: [one["jobID"] for one in client.get("/jobs").json()["jobs"]]
              for name, client in clients.items()}  # fmt: skip
    assert job in listed["ann"]
    assert not any(job in listed[name] for name in ("ben", "eve", "nobody"))


def test_two_who_wish_the_same_have_a_job_each_and_cancel_but_their_own(
    shared: tuple[Field, dict[str, httpx.Client]],
) -> None:
    field, clients = shared
    anns, bens = (start(field, clients[name], "wiener-x4") for name in ("ann", "ben"))
    assert anns != bens
    assert clients["ann"].delete(f"/jobs/{anns}").json()["status"] == "dismissed"
    assert finished(field.url, bens)["status"] == "successful"


def test_without_keys_a_job_is_of_the_address_that_asked(tmp_path: Path) -> None:
    with serving(Settings(data=str(tmp_path), port=0, workers=1)) as url:
        field = make_field(url, tmp_path)
        with client_at(url, "127.0.0.1") as one, client_at(url, "127.0.0.2") as other:
            job = start(field, one)
            assert told(other.delete(f"/jobs/{job}")) == told(other.delete(f"/jobs/{NOBODYS}"))
            assert other.get(f"/jobs/{job}").status_code == 200
            assert one.delete(f"/jobs/{job}").json()["status"] == "dismissed"
