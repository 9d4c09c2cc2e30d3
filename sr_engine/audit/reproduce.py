"""Run a product again from the record it carries, and compare what comes out.

A GeoTIFF is found by its tags: an export of a cube's product is computed again from the cube, a
super-resolved file from its input. A product of a cube is computed again block by block.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

from datacube import Catalog, Cube, Product, Window, open_storage
from datacube.cog import windows_of
from datacube.errors import InvalidInput, NotFound, SrcubeError
from datacube.provenance import Record
from datacube.scene import dn_from_reflectance
from datacube.sources.plan import Given
from datacube.store.layout import BLOCK_PX
from sr_engine.audit.provenance import read_provenance
from sr_engine.blocks import predict_window
from sr_engine.model import Model
from sr_engine.registry import find_model
from sr_engine.scenes.run import super_resolve
from sr_engine.scenes.source import CubeScene, SceneSource, open_file

TOLERANCE_DN = 1  # one digital number, 1e-4 of reflectance: what another processor may round to


@dataclass(frozen=True)
class Comparison:
    """What came out: `largest_dn` the largest difference in digital numbers.

    `pixels` counts those compared (bands apart), `beyond` those further apart than
    `tolerance_dn`, or known on one side only. `complaints` say what is not as recorded.
    """

    product: str
    pixels: int
    beyond: int
    largest_dn: int
    tolerance_dn: int
    complaints: tuple[str, ...] = ()

    @property
    def reproduced(self) -> bool:
        """Whether every pixel came out again."""
        return self.pixels > 0 and self.beyond == 0

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "product": self.product,
            "reproduced": self.reproduced,
            "pixels": self.pixels,
            "pixels_beyond_tolerance": self.beyond,
            "largest_difference_dn": self.largest_dn,
            "tolerance_dn": self.tolerance_dn,
            "not_as_recorded": list(self.complaints),
        }


@dataclass
class _Tally:
    """Adds up windows as they are compared."""

    tolerance_dn: int
    pixels: int = 0
    beyond: int = 0
    largest_dn: int = 0

    def add(self, kept: NDArray[np.uint16], made: NDArray[np.uint16]) -> None:
        difference = np.abs(kept.astype(np.int64) - made)
        torn = (kept == 0) != (made == 0)
        known = (kept != 0) & (made != 0)
        self.pixels += int(((kept != 0) | (made != 0)).sum())
        self.beyond += int((torn | (known & (difference > self.tolerance_dn))).sum())
        if known.any():
            self.largest_dn = max(self.largest_dn, int(difference[known].max()))

    def comparison(self, product: str, complaints: list[str]) -> Comparison:
        return Comparison(
            product, self.pixels, self.beyond, self.largest_dn, self.tolerance_dn,
            tuple(complaints),
        )  # fmt: skip


def reproduce_file(
    path: Path, *, source: str | None, data: str, tolerance_dn: int = TOLERANCE_DN
) -> Comparison:
    """Make a GeoTIFF again and compare.

    `source` is its input where that does not lie beside it under its own name; `data` the
    catalog in which a cube is looked for. Raises InvalidInput for a file that says too little,
    NotFound where input, cube or model are not to be had.
    """
    record = read_provenance(path)
    card = record.get("model_card")
    if not card:
        raise InvalidInput(f"{path.name} holds pixels that no model made; nothing to run again")
    if not {"product", "reading"} & set(record):
        raise InvalidInput(
            f"{path.name} was made by {card['id']} from several files; run srcube fuse with the "
            "dates and settings of its tags"
        )
    model = find_model(card["id"])
    complaints = _complaints(record, model)
    tally = _Tally(tolerance_dn)
    if "product" in record:
        _again_from_cube(path, record, model, Catalog(open_storage(data)), tally)
    else:
        _again_from_scene(path, record, model, _Sought(source, data), tally)
    return tally.comparison(path.name, complaints)


def reproduce_product(
    cube: Cube, product_path: str, *, most_blocks: int, tolerance_dn: int = TOLERANCE_DN
) -> Comparison:
    """Compute blocks of a product again, at most so many, evenly spread over those there are."""
    product = Product.open(cube, product_path)
    card = product.attributes.get("model_card")
    if not card:
        raise InvalidInput(f"{product_path} was not made by a model; there is nothing to run again")
    model = find_model(card["id"])
    record = {**product.attributes.get("provenance", {}), "weights_sha256": card["weights_sha256"]}
    complaints = _complaints(record, model)
    made_at = product.attributes.get("generation", cube.generation)
    if made_at != cube.generation:
        complaints.append(f"the cube was at generation {made_at}, and is at {cube.generation}")
    tally = _Tally(tolerance_dn)
    for slot, block in _computed(product, most_blocks):
        kept = product.read_block(slot, block)
        made = predict_window(cube, model, slot, product.block_window(block)).reflectance
        if kept is not None:
            tally.add(kept, dn_from_reflectance(made))
    return tally.comparison(product_path, complaints)


def _computed(product: Product, most: int) -> list[tuple[int, tuple[int, int]]]:
    cells = list(Window(0, 0, *product.cube.grid.shape).cells(BLOCK_PX))
    found = [
        (one.slot, cell)
        for one in product.cube.scenes
        for cell in cells
        if product.has_block(one.slot, cell)
    ]
    if not found:
        raise NotFound(f"nothing of {product.path} was computed; compute it first")
    places = np.unique(np.linspace(0, len(found) - 1, min(most, len(found))).astype(int))
    return [found[place] for place in places]


def _complaints(record: Record, model: Model) -> list[str]:
    """What is other now than it was."""
    found = []
    recorded = record.get("weights_sha256") or record.get("model_card", {}).get("weights_sha256")
    if recorded != model.card.weights_sha256:
        now = model.card.weights_sha256
        found.append(f"weights were {str(recorded)[:12]}, those of {model.card.id} are {now[:12]}")
    return found


@dataclass(frozen=True)
class _Sought:
    """Where an input may be: a file or cube that the caller names, or the catalog."""

    source: str | None
    data: str


def _again_from_cube(
    path: Path, record: Record, model: Model, catalog: Catalog, tally: _Tally
) -> None:
    cube = catalog.open(str(record["cube"]))
    if cube.root.commit.uid != record.get("cube_uid"):
        raise NotFound(f"cube {record['cube']} of this catalog is another than the file's")
    shown = _scene(cube, str(record["scene"]))
    origin = Window(*record["window"])
    product = Product.open(cube, str(record["product"]))
    factor = model.card.factor
    with rasterio.open(path) as file:
        for block in origin.cells(BLOCK_PX):
            if not product.has_block(shown, block):
                continue  # the file is empty there too
            window = product.block_window(block)
            made = dn_from_reflectance(predict_window(cube, model, shown, window).reflectance)
            shared = _intersection(window, origin)
            inner = replace(shared, row=shared.row - window.row, col=shared.col - window.col)
            place = replace(shared, row=shared.row - origin.row, col=shared.col - origin.col)
            rows, cols = place.scaled(factor).slices
            kept = file.read(window=((rows.start, rows.stop), (cols.start, cols.stop)))
            tally.add(kept, made[:, *inner.scaled(factor).slices])


def _again_from_scene(
    path: Path, record: Record, model: Model, sought: _Sought, tally: _Tally
) -> None:
    with tempfile.TemporaryDirectory(prefix="srcube-again-") as folder:
        again = Path(folder) / "again.tif"
        if "cube_uid" in record["source"]:
            cube = _cube_of(str(record["source"]["cube_uid"]), sought)
            slot = _scene(cube, str(record["source"]["scene"]))
            shown = next(one for one in cube.scenes if one.slot == slot)
            _run_again(CubeScene(cube, shown), record, model, again)
        else:
            name = str(record["source"]["file"])
            beside = Path(sought.source) if sought.source else path.with_name(name)
            if not beside.is_file():
                raise NotFound(f"the input {name} is not beside {path.name}; name it with --source")
            with _opened(beside, record["reading"]["bands"]) as scene:
                _run_again(scene, record, model, again)
        with rasterio.open(path) as kept, rasterio.open(again) as made:
            if kept.shape != made.shape or kept.count != made.count:
                raise InvalidInput(
                    f"{path.name} has {kept.count} bands of {kept.shape}, what comes out has "
                    f"{made.count} of {made.shape}; name the image itself, not a plane beside it"
                )
            for window in windows_of(kept.shape):
                rows, cols = window.slices
                place = ((rows.start, rows.stop), (cols.start, cols.stop))
                tally.add(kept.read(window=place), made.read(window=place))


@contextmanager
def _opened(path: Path, bands: Mapping[str, Sequence[Any]]) -> Iterator[SceneSource]:
    """The file as it says of itself, else as it was read before: `bands` as in its identity."""
    with rasterio.open(path) as file:
        by_place = {int(known[0]): name for name, known in bands.items()}
        names = tuple(by_place.get(place, "-") for place in file.indexes)
    _, scale, offset, _ = next(iter(bands.values()))
    try:
        with open_file(path, Given()) as scene:
            described = json.loads(json.dumps(dict(scene.identity)))["bands"] == bands
    except SrcubeError:
        described = False
    with open_file(path, Given() if described else Given(names, None, scale, offset)) as scene:
        yield scene


def _run_again(scene: SceneSource, record: Record, model: Model, out: Path) -> None:
    if json.loads(json.dumps(dict(scene.identity))) != record["reading"]:
        raise InvalidInput(
            f"{scene.name} is not what the file was made from: its pixels, or how its numbers are "
            "read, have another digest than recorded"
        )
    super_resolve(scene, model, out)


def _cube_of(uid: str, sought: _Sought) -> Cube:
    """The cube of this uid: where the caller says, or anywhere in the catalog."""
    if sought.source:
        found = Cube.open(open_storage(sought.source))
        if found.root.commit.uid == uid:
            return found
        raise NotFound(f"the cube at {sought.source} is another than the file was made from")
    catalog = Catalog(open_storage(sought.data))
    for name in catalog.ids():
        try:
            cube = catalog.open(name)
        except SrcubeError:
            continue  # a damaged cube hides no other
        if cube.root.commit.uid == uid:
            return cube
    raise NotFound("no cube of the catalog is the one the file was made from; name it by --source")


def _scene(cube: Cube, scene_id: str) -> int:
    for one in cube.scenes:
        if one.scene.scene_id == scene_id:
            return one.slot
    raise NotFound(f"the cube holds no scene {scene_id} any more")


def _intersection(a: Window, b: Window) -> Window:
    top, left = max(a.row, b.row), max(a.col, b.col)
    bottom = min(a.row + a.height, b.row + b.height)
    right = min(a.col + a.width, b.col + b.width)
    return Window(top, left, bottom - top, right - left)
