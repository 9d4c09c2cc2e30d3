"""The checkout: what it builds, what is pinned, and what has no place in it."""

import email
import json
import re
import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.test_packaging import FLOORS
from tests.tools import diagrams, environment, lock, readme_tables, suite, wheel

ROOT = wheel.ROOT
TRACKED = tuple(wheel.tracked_files())
REQUIRED = {"datacube", "server", "webapp", "sr_engine", "notebooks", "tests"}
REQUIRED |= {"pyproject.toml", "README.md", "Makefile", ".ci", ".gitignore", "LICENSE"}
ALLOWED = REQUIRED | {"CHANGELOG.md", "CONTRIBUTING.md", "demo-data.lock"}
ALLOWED |= {"requirements.lock", "requirements-dev.lock", "CITATION.cff", "SECURITY.md"}
MACHINE_PATH = re.compile(rb"(?<![\w.:/~-])/(?:work|root|home|tmp|opt|Users)/\w")


def pins(name: str) -> dict[str, str]:
    """Return name -> version of a lock file, refusing any line that is not `name==version`."""
    lines = (ROOT / name).read_text().splitlines()
    pairs = [line.split("==") for line in lines if not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs)
    return {pair[0]: pair[1] for pair in pairs}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(wheel.build(tmp_path_factory.mktemp("wheel")))


def test_wheel_contains_every_file_of_the_four_packages_and_nothing_else(
    built: zipfile.ZipFile,
) -> None:
    expected = {str(path) for path in TRACKED if path.parts[0] in wheel.PACKAGES}
    packed = {name for name in built.namelist() if ".dist-info/" not in name}
    assert packed == expected


def test_wheel_installs_the_command_and_carries_the_licence(built: zipfile.ZipFile) -> None:
    names = {Path(name).name: name for name in built.namelist() if ".dist-info/" in name}
    assert "srcube = server.main:main" in built.read(names["entry_points.txt"]).decode()
    assert "Apache License" in built.read(names["LICENSE"]).decode()
    metadata = email.message_from_bytes(built.read(names["METADATA"]))
    assert metadata["Name"] == "srcube"
    assert metadata["License-Expression"] == "Apache-2.0"


def test_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_top_level_of_the_tree_is_as_fixed() -> None:
    present = {path.parts[0] for path in TRACKED}
    assert present <= ALLOWED
    assert present >= REQUIRED


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    own = str(ROOT).encode() + b"/"
    named = {
        f"{path}:{number}: {line.strip()[:80]!r}"
        for path in TRACKED
        if b"\0" not in (content := (ROOT / path).read_bytes())
        for number, line in enumerate(content.splitlines(), start=1)
        if MACHINE_PATH.search(line) or own in line
    }
    assert not named


def test_diagrams_are_those_that_their_script_draws(tmp_path: Path) -> None:
    for drawn in diagrams.draw(tmp_path):
        assert drawn.read_text() == (diagrams.FOLDER / drawn.name).read_text(), "make diagrams"


def test_tables_of_the_readme_are_those_of_the_records() -> None:
    readme = readme_tables.README.read_text("utf-8")
    assert readme_tables.with_tables(readme) == readme, "make figures"
    assert readme_tables.USE_CASES.read_text("utf-8") == readme_tables.usecases_page()


def test_record_of_places_is_of_the_models_that_are_shipped() -> None:
    for factor, found in json.loads(readme_tables.PLACES.read_text("utf-8")).items():
        record = json.loads((ROOT / f"sr_engine/default/weights/default-{factor}.json").read_text())
        assert found["weights_sha256"] == record["weights_sha256"], "python -m tests.tools.places"
        for kind in ("sharp", "wald", "simulated"):
            own = [one for one in found["psnr_db"].values() if one["kind"] == kind]
            gain = sum(one["default"] - one["bicubic"] for one in own) / len(own)
            told = record["figures"][f"default_{factor}_{kind}_gain_db"]
            assert gain == pytest.approx(told, abs=0.01)


def test_pictures_of_the_readme_are_there_and_small() -> None:
    named = re.findall(r"\]\((notebooks/images/[^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert len(named) >= 6
    for path in named:
        assert 0 < (ROOT / path).stat().st_size < 300_000, path


def test_citation_names_this_version_and_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    facts = dict(line.split(": ", 1) for line in lines if re.match(r"[a-z-]+: ", line))
    assert facts["cff-version"] == "1.2.0"
    assert facts["version"] == project["version"]
    assert facts["license"] == project["license"]
    assert facts["title"].strip('"').startswith(project["name"])


@pytest.mark.parametrize("line", ["open('/%s/x')", "see /%s/a.md", "path=/%s/b"])
def test_search_for_paths_of_one_machine_finds_them(line: str) -> None:
    assert all(MACHINE_PATH.search((line % top).encode()) for top in ("work", "root", "home"))
    assert not MACHINE_PATH.search(b"https://example.org/work/a ../work/b ./tmp/c")


def test_lock_pins_torch_without_a_local_version_and_every_other_package_too() -> None:
    locked = pins("requirements.lock")
    assert locked["torch"] == "2.13.0"
    assert all(Version(version).local is None for version in locked.values())


def test_lock_satisfies_every_requirement_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = pins("requirements.lock") | pins("requirements-dev.lock")
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    python = {"python_version": "3.11", "python_full_version": "3.11.7"}
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(python):
            assert locked[lock.canonical(requirement.name)] in requirement.specifier


def test_lock_files_do_not_overlap() -> None:
    assert not pins("requirements.lock").keys() & pins("requirements-dev.lock").keys()


def test_lock_holds_the_security_floors_that_python_3_11_can_have() -> None:
    locked = pins("requirements.lock")
    held = {
        f.name: Version(locked[f.name]) >= Version(f.lowest) for f in FLOORS if f.name in locked
    }
    out_of_reach = {f.name for f in FLOORS if f.since_python > environment.LOCKED_PYTHON}
    assert {name for name, is_held in held.items() if not is_held} <= out_of_reach


def test_changing_a_lock_changes_the_digest_that_set_up_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["pyproject.toml", "requirements.lock", "requirements-dev.lock", "demo-data.lock"]
    for name in names:
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    seen = {environment.digest(dev=True, version=(3, 11))}
    for name in names:
        with (tmp_path / name).open("a") as file:
            file.write("# changed\n")
        seen.add(environment.digest(dev=True, version=(3, 11)))
    assert len(seen) == 5


@pytest.fixture
def made(tmp_path: Path) -> environment.Environment:
    """Return an environment whose stamp says: all installed, torch from one index."""
    env = environment.Environment(tmp_path, dev=True, torch_index="https://example.org/cpu")
    env.python.parent.mkdir()
    env.python.touch()
    version = (3, 11)
    digests = {key: environment.digest(key == "dev", version) for key in ("dev", "runtime")}
    record = {"python": version, "torch_index": env.torch_index, **digests}
    env.stamp.write_text(json.dumps(record))
    return env


def test_set_up_does_nothing_where_all_that_is_wanted_is_recorded(
    made: environment.Environment,
) -> None:
    assert environment.is_current(made)
    assert environment.is_current(replace(made, dev=False, torch_index=None))


def test_set_up_starts_again_for_another_index_of_torch_or_a_damaged_record(
    made: environment.Environment,
) -> None:
    assert not environment.is_current(replace(made, torch_index="https://example.org/gpu"))
    made.stamp.write_text(made.stamp.read_text()[:-9])
    assert not environment.is_current(made)


def test_set_up_refuses_a_python_outside_the_supported_range_and_says_the_way_out() -> None:
    for version in ((3, 10), (3, 14)):
        with pytest.raises(environment.SetupError, match=r"3\.11 to 3\.13, got .*make PYTHON="):
            environment.check_python(version)


def test_gate_counts_a_test_that_skips_itself_unless_it_needs_a_gpu(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuite><testcase classname="a" name="b"><skipped message="no browser"/></testcase>'
        '<testcase classname="c" name="d"><skipped message="needs a GPU"/></testcase>'
        '<testcase classname="e" name="f"/></testsuite>'
    )
    assert suite.skipped(report) == ["a::b: no browser"]
