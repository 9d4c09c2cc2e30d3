"""The notebooks: executed whole in a fresh process, and kept as the project wants them."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import morecantile
import nbformat
import pytest
from nbformat import NotebookNode

from webapp.notebook import Api, NotebookExtraMissing, RequestRefused, swipe_map, tile_under

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
USE_CASES = sorted((FOLDER / "usecases").glob("[0-9][0-9]_*.ipynb"))
EVERY = [*NOTEBOOKS, *USE_CASES]
# What use cases get in place of their cell `parameters`: 1.6 x 2 km instead of 8 x 8.
SMALL = (
    "from datacube.simulation import build_landscape\n"
    "ground, window = build_landscape(7, (160, 200)), Window(30, 40, 100, 130)\n"
    "view = View(Window(60, 80, 220, 300))"
)
MOST_LINES = 5  # of a function in a notebook: more belongs into the packages
EXECUTE = (
    "import sys, nbformat, nbclient\n"
    "book = nbformat.read(sys.argv[1], 4)\n"
    "for given in sys.argv[2:]:\n"
    "    (cell,) = [c for c in book.cells if 'parameters' in c.metadata.get('tags', [])]\n"
    "    cell.source = given\n"
    "nbclient.NotebookClient(book, timeout=240, kernel_name='python3').execute()\n"
    "pictures = sum('image' in kind for cell in book.cells for out in cell.get('outputs', [])"
    " for kind in out.get('data', {}))\n"
    "print('pictures', pictures)\n"
)


def read(path: Path) -> NotebookNode:
    book: NotebookNode = nbformat.reads(path.read_text("utf-8"), 4)  # type: ignore[no-untyped-call]
    return book


def code(path: Path) -> str:
    """All code of a notebook, as one module."""
    return "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_notebook_runs_from_first_cell_to_last_and_draws(path: Path, tmp_path: Path) -> None:
    run(path, tmp_path, *([SMALL] if path in USE_CASES else []))


@pytest.mark.long
@pytest.mark.parametrize("path", USE_CASES, ids=lambda path: path.stem)
def test_use_case_runs_on_the_whole_of_its_ground(path: Path, tmp_path: Path) -> None:
    run(path, tmp_path)


def run(path: Path, tmp_path: Path, *given: str) -> None:
    """Execute a notebook in a process of its own; `given` takes the place of its parameters."""
    threads = {"OMP_NUM_THREADS": "1", "SRCUBE_WORKERS": "1", "SRCUBE_WORKER_NICENESS": "0"}
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(path), *given],
        check=False, capture_output=True, text=True, cwd=tmp_path,
        env=os.environ | threads | {"IPYTHONDIR": str(tmp_path / "ipython")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 0


def test_notebooks_are_numbered_without_a_gap() -> None:
    for folder in (NOTEBOOKS, USE_CASES):
        assert [int(path.name[:2]) for path in folder] == list(range(1, len(folder) + 1))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_notebook_is_valid_and_holds_no_output(path: Path) -> None:
    book = read(path)
    nbformat.validate(book)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    assert len({cell.id for cell in book.cells}) == len(book.cells)
    assert book.cells[0].source.startswith(f"# {path.name[:2]} ")


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_notebook_uses_public_names_and_short_functions(path: Path) -> None:
    for node in ast.walk(ast.parse(code(path))):
        assert not _private(node), ast.unparse(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            assert _lines(node) <= MOST_LINES, ast.unparse(node)


@pytest.mark.parametrize("line", ["a._b", "from x import _y", "from x._z import y", "import x._z"])
def test_private_names_are_found(line: str) -> None:
    assert any(_private(node) for node in ast.walk(ast.parse(line)))
    assert not any(_private(node) for node in ast.walk(ast.parse("from a.b import c; c.d.__doc__")))


def test_without_leafmap_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "leafmap", None)
    with pytest.raises(NotebookExtraMissing, match=r'pip install "srcube\[notebooks\]"'):
        swipe_map("left", "right", [0, 0, 1, 1])


def test_what_the_server_refuses_is_told_in_its_own_words(live_server: str) -> None:
    with Api(live_server) as api:
        (bbox,) = api.collections()[0]["extent"]["spatial"]["bbox"]
        wish = {"collection": "simulated", "model": "crystal-ball", "bbox": bbox}
        with pytest.raises(RequestRefused, match=r"404: no model 'crystal-ball'"):
            next(api.run("super-resolve", wish))
        with pytest.raises(RequestRefused, match=r"404: no collection 'nowhere'"):
            api.get("/collections/nowhere")


def test_the_tile_under_a_place_is_the_one_that_morecantile_finds() -> None:
    template = "https://maps.example/{z}/{x}/{y}"
    tms = morecantile.tms.get("WebMercatorQuad")
    for lon, lat, zoom in ((11.35, 46.49, 15), (-70.4, -33.1, 12), (179.9, 84.0, 3)):
        tile = tms.tile(lon, lat, zoom)
        expected = template.format(z=zoom, x=tile.x, y=tile.y)
        assert tile_under(template, lon, lat, zoom) == expected


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> int:
    """Lines of a function's body, its docstring not counted."""
    if isinstance(node, ast.Lambda):
        return 1 + (node.end_lineno or 0) - node.lineno
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return 1 + (body[-1].end_lineno or 0) - body[0].lineno if body else 0


def _private(node: ast.AST) -> bool:
    """Whether it names something with one leading underscore."""
    names: list[str] = []
    if isinstance(node, ast.Attribute):
        names = [node.attr]
    elif isinstance(node, ast.Import | ast.ImportFrom):
        names = [part for alias in node.names for part in alias.name.split(".")]
        names += (node.module or "").split(".") if isinstance(node, ast.ImportFrom) else []
    return any(name.startswith("_") and not name.startswith("__") for name in names)
