"""Every block of code in the README and the documentation is run, in order, page by page.

Commands that would serve, measure or ask the internet are parsed only; `PARSED` says why, or a
comment `<!-- parsed only: reason -->` before a block does.
"""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import server.main
from datacube.commands.options import parse_bbox
from datacube.errors import InvalidInput
from datacube.settings import Settings
from datacube.sources.naming import parse_interval
from tests.readme_folder import fill
from tests.tools import docs

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", *(
    str(path.relative_to(ROOT)) for path in sorted((ROOT / "notebooks/docs/pages").rglob("*.md"))
))  # fmt: skip
BLOCK = re.compile(
    r"^(?:<!-- parsed only: (?P<reason>[^>]+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
READ = {"bbox": parse_bbox, "interval": parse_interval, "when": parse_interval}
PARSED = {
    "srcube demo": "serves until it is stopped",
    "srcube serve": "serves until it is stopped",
    "srcube bench": "measures for minutes",
    "srcube experiment": "takes minutes",
    "srcube search": "asks a catalog on the internet",
    "srcube ingest earth-search": "asks a catalog on the internet",
}


@dataclass(frozen=True)
class Block:
    """One block of a page; `reason` says why it is parsed only."""

    language: str
    code: str
    reason: str | None

    @property
    def commands(self) -> list[str]:
        """Commands of a shell block, continued lines joined, comments cut off."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [line for line in (line.partition(" #")[0].strip() for line in lines) if line]


def blocks_of(text: str) -> list[Block]:
    return [Block(m["language"], m["code"], m["reason"]) for m in BLOCK.finditer(text)]


@pytest.fixture(scope="module")
def prepared(demo_catalog: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the pages name."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copytree(demo_catalog, folder / "catalog")
    fill(folder)
    return folder


@pytest.fixture
def here(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder, in which the test stands."""
    folder = tmp_path / "here"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SRCUBE_DATA", "catalog")
    return folder


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("here")
def test_code_of_the_page_runs(page: str) -> None:
    names: dict[str, object] = {}
    for block in blocks_of((ROOT / page).read_text("utf-8")):
        if block.language == "python":
            exec(compile(block.code, page, "exec"), names)  # noqa: S102 - our own page
        elif block.language == "toml":
            assert tomllib.loads(block.code)
        elif block.language in {"nginx", "text"}:
            continue  # of other programs; `test_behind_a_proxy` starts nginx with its own
        else:
            assert block.language in {"sh", ""}, block.language
            for command in block.commands:
                run(command, parsed_only=block.reason is not None)


def test_blocks_are_found_with_language_code_and_reason() -> None:
    text = (
        "a\n```sh\nsrcube x \\\n  --y  # why\n```\n<!-- parsed only: far -->\n```python\nz\n```\n"
    )
    assert blocks_of(text) == [
        Block("sh", "srcube x \\\n  --y  # why\n", None), Block("python", "z\n", "far")
    ]  # fmt: skip
    assert blocks_of(text)[0].commands == ["srcube x    --y"]
    fences = sum((ROOT / page).read_text("utf-8").count("\n```") for page in PAGES)
    found = sum(len(blocks_of((ROOT / page).read_text("utf-8"))) for page in PAGES)
    assert fences == 2 * found


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("srcube serve --prot 8080", "--prot"),
        ("srcube serve --port many", "valid integer"),
        ("srcube experiment moods out/", "moods"),
        ("srcube bench", "name"),
        ("srcube bench everything", "no benchmark 'everything'"),
        ("srcube search --bbox=11.2,46.4,11.4 --datetime 2024-06-01/2024-08-31", "bbox"),
        ("srcube search --bbox=11,46,12,47 --datetime 2024-06-01/2024-13-31", "2024-13-31"),
        ("srcube search --bbox=11,46,12,47", "Missing parameter: interval"),
        ("srcube ingest earth-search --cube b --bbox=11,46,12,97 --datetime 2024-06-01", "97"),
    ],
)
def test_a_wrong_option_or_value_is_noticed_where_a_command_is_parsed_only(
    command: str, told: str
) -> None:
    with pytest.raises(Exception, match=re.escape(told)):
        run(command, parsed_only=True)


def test_documentation_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = docs.build(tmp_path / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not docs.fetched_from_elsewhere(tmp_path / "site")
    pages = {path.name for path in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "own_model.html", "cubes.html", "trust.html"} <= pages
    cubes = (tmp_path / "site/api/cubes.html").read_text("utf-8")
    assert "Digital numbers (band, y, x) of a window" in cubes  # Cube.window_dn's docstring


def run(command: str, *, parsed_only: bool) -> None:
    """Carry out a command of ours, or only parse it; raises what it raises."""
    name, _, rest = command.partition(" ")
    if name == "make":
        arguments = ["make", "-n", *shlex.split(rest)]
        subprocess.run(arguments, check=True, cwd=ROOT, capture_output=True, env=os.environ)
        return
    if name == "export":  # a setting: there has to be one, and it has to take this value
        key, _, value = shlex.split(rest)[0].partition("=")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(key, value)
            Settings.from_environment()
        return
    assert name == "srcube", f"need a command of ours, got {command!r}"
    parsed_only |= any(command.startswith(one) for one in PARSED)
    if parsed_only:
        parse(rest)
    else:
        srcube(rest)


def parse(arguments: str) -> None:
    """Parse a command and the values of its options as it would itself, and do not run it."""
    command: Any = typer.main.get_command(server.main.app)
    context = command.make_context("srcube", shlex.split(arguments))
    while isinstance(command, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
    for name, read in READ.items():
        if context.params.get(name):
            read(context.params[name])
    for told in command.params:
        names = re.match(r"One of: (.*); or all", getattr(told, "help", None) or "")
        if names and context.params["name"] not in {"all", *names[1].split(", ")}:
            raise InvalidInput(f"no benchmark {context.params['name']!r}")


def srcube(arguments: str) -> None:
    """Run a command in this process."""
    assert not server.main.app(shlex.split(arguments), standalone_mode=False)
