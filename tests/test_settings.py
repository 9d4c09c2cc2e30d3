"""Settings from the environment: hosts and basemaps that the operator allows and names."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from datacube.errors import InvalidInput
from datacube.settings import Settings
from datacube.stac.basemap import find_basemap
from datacube.stac.errors import HrefForbidden
from datacube.stac.hrefs import Policy


def test_hosts_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRCUBE_ALLOW_HOSTS", "data.example.org, .mirror.example,10.0.0.5:8080,")
    hosts = Settings.from_environment().allow_hosts
    assert hosts == ("data.example.org", ".mirror.example", "10.0.0.5:8080")
    policy = Policy().allowing(*hosts)
    for href in (
        "https://data.example.org/a",
        "https://b.mirror.example/a",
        "http://10.0.0.5:8080/a",
    ):
        policy.check(href)
    for href in ("https://example.org/a", "http://data.example.org/a", "http://10.0.0.5:8081/a"):
        with pytest.raises(HrefForbidden):
            policy.check(href)


@pytest.mark.parametrize(
    "text",
    ["https://data.example.org", "a b", "a/b", "ex*mple.org", "a.example:x", "a;b", "ä.example"],
)
def test_what_is_no_host_is_refused_in_one_line(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRCUBE_ALLOW_HOSTS", text)
    with pytest.raises(InvalidInput, match=r"SRCUBE_ALLOW_HOSTS.*host names") as caught:
        Settings.from_environment()
    assert "\n" not in str(caught.value)


def test_a_basemap_is_found_by_its_name_and_its_host_is_allowed_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "aerial.tif"
    file.touch()
    monkeypatch.setenv(
        "SRCUBE_BASEMAPS",
        f"photo=https://tiles.example.org/a.tif lab=http://10.0.0.5/b.tif here={file}",
    )
    named = Settings.from_environment().basemaps
    source, policy = find_basemap("photo", named, Policy())
    assert policy.check(source).host == "tiles.example.org"
    source, policy = find_basemap("lab", named, Policy())
    assert policy.check(source).origin == "10.0.0.5:80"
    source, policy = find_basemap("here", named, Policy())
    assert policy.local_path(source) == file
    # What a user types is not allowed by being typed; a file is, since it is the user's own.
    source, policy = find_basemap("https://tiles.example.org/a.tif", named, Policy())
    with pytest.raises(HrefForbidden):
        policy.check(source)
    assert find_basemap(str(file), {}, Policy())[0] == str(file)
    with pytest.raises(InvalidInput, match="photo, lab, here"):
        find_basemap("other", named, Policy())


@pytest.mark.parametrize("text", ["photo", "=https://x.example/a.tif", "a= b=c", "A/b=c"])
def test_a_basemap_without_name_or_address_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SRCUBE_BASEMAPS", text)
    with pytest.raises(InvalidInput, match=r"SRCUBE_BASEMAPS.*name=address"):
        Settings.from_environment()


def test_a_database_is_a_file_or_a_url_that_is_kept_from_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SRCUBE_JOBS_DB", "postgresql://me:secret@host/jobs")
    settings = Settings.from_environment()
    assert isinstance(settings.jobs_db, SecretStr)
    assert "secret" not in f"{settings!r} {settings} {settings.model_dump()}"
    monkeypatch.setenv("SRCUBE_JOBS_DB", "jobs/of.sqlite3")
    assert Settings.from_environment().jobs_db == Path("jobs/of.sqlite3")


def test_another_database_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRCUBE_JOBS_DB", "mysql://me:secret@host/jobs")
    with pytest.raises(InvalidInput, match=r"SRCUBE_JOBS_DB=.*postgresql://") as caught:
        Settings.from_environment()
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"


def test_the_address_of_a_folder_is_the_same_wherever_a_server_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(data="cubes/").address == Settings(data=str(tmp_path / "cubes")).address
    assert Settings(data="s3://bucket/cubes/").address == "s3://bucket/cubes"
