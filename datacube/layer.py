"""What leaves a cube: one window of the measurement or of a product, and what is said of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datacube.cube import CommittedScene, Cube
from datacube.grid import Grid
from datacube.product import Product
from datacube.provenance import scene_record, software_record
from datacube.scene import NO_DATA_DN
from datacube.store.conventions import Document, level_name
from datacube.store.layout import BLOCK_PX, MEASUREMENT
from datacube.window import Window

REFLECTANCE = "reflectance"


@dataclass(frozen=True)
class Layer:
    """The pixels to export: of the measurement, or of a product, in one window of its grid.

    `planes` are the product's variables that leave beside the reflectance.
    """

    cube_id: str
    cube: Cube
    product: Product | None
    window: Window  # on the measured grid
    planes: tuple[str, ...] = ()

    @property
    def factor(self) -> int:
        """How much finer than the measurement."""
        return self.product.factor if self.product else 1

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return self.product.bands if self.product else tuple(one.name for one in self.cube.bands)

    @property
    def grid(self) -> Grid:
        """The grid of the file."""
        whole = self.product.levels[0] if self.product else self.cube.grid
        return whole.cropped(self.window.scaled(self.factor))

    def reader(
        self, slot: int, variable: str = REFLECTANCE
    ) -> Callable[[Window], NDArray[np.uint16]]:
        """What reads (band, y, x) of a window of `grid`; of a plane there is one band."""
        left, top = self.window.col * self.factor, self.window.row * self.factor

        def read(window: Window) -> NDArray[np.uint16]:
            place = Window(window.row + top, window.col + left, window.height, window.width)
            if self.product is None:
                return self.cube.window_dn(slot, self.bands, place)
            return product_window(self.product, slot, place, variable=variable)

        return read

    def plane_attributes(self, name: str) -> Document:
        """What the store says of a plane: its name in full, scale and units, or flags."""
        if self.product is None:
            return {}
        level = level_name(self.product.levels[0].gsd_m)
        attributes: Document = self.cube.root.nodes[f"{self.product.path}/{level}/{name}"][
            "attributes"
        ]
        return attributes

    def coverage(self, slot: int) -> tuple[int, int]:
        """Blocks that are there and blocks that the window touches."""
        if self.product is None:
            return 1, 1
        cells = list(self.window.cells(BLOCK_PX))
        return sum(self.product.has_block(slot, cell) for cell in cells), len(cells)


def product_window(
    product: Product, slot: int, window: Window, *, variable: str = REFLECTANCE
) -> NDArray[np.uint16]:
    """Numbers (band, y, x) of a window of a product's finest grid; 0 where not computed."""
    count = len(product.bands) if variable == REFLECTANCE else 1
    out = np.full((count, window.height, window.width), NO_DATA_DN, np.uint16)
    size = BLOCK_PX * product.factor
    for row, col in window.cells(size):
        found = product.read_block(slot, (row, col), variable=variable)
        if found is None:
            continue
        dn = found.reshape(count, *found.shape[-2:])
        place = Window(row * size, col * size, *dn.shape[1:])
        top, left = max(place.row, window.row), max(place.col, window.col)
        bottom = min(place.row + place.height, window.row + window.height)
        right = min(place.col + place.width, window.col + window.width)
        shared = Window(top, left, bottom - top, right - left)
        target, source = _from(shared, window), _from(shared, place)
        out[:, *target.slices] = dn[:, *source.slices]
    return out


def provenance(layer: Layer, one: CommittedScene) -> dict[str, Any]:
    """Where the pixels of a file come from, as JSON holds it."""
    cube, product = layer.cube, layer.product
    done, touched = layer.coverage(one.slot)
    found: dict[str, Any] = {
        **((product.attributes.get("provenance") or {}) if product else {}),
        **software_record(),
        "cube": layer.cube_id,
        "cube_uid": cube.root.commit.uid,
        "generation": cube.generation,
        "scene": one.scene.scene_id,
        "product": product.path if product else MEASUREMENT,
        "inferred": bool(product and product.attributes.get("inferred")),
        "simulated": bool(cube.attributes.get("simulated")),
        "georeference": cube.attributes.get("georeference"),
        "processing_level": cube.attributes.get("processing:level"),
        "notice": cube.attributes.get("notice"),
        "attribution": cube.attributes.get("attribution"),
        "scene_properties": dict(one.scene.properties),
    }
    dates = product.attributes.get("dates", {}).get(one.scene.stamp) if product else None
    found["inputs"] = [
        scene_record(cube, each)
        for each in cube.scenes
        if each.scene.stamp in (dates or [one.scene.stamp])
    ]
    window = layer.window
    found["window"] = [window.row, window.col, window.height, window.width]
    if product:
        found["blocks_computed"], found["blocks_touched"] = done, touched
        found["model_card"] = product.attributes.get("model_card")
    return found


def sentence_of(layer: Layer, one: CommittedScene) -> str:
    """One line on what the pixels are, for readers of a file's tags."""
    made = f"{layer.product.path} of " if layer.product else ""
    inferred = layer.product and layer.product.attributes.get("inferred")
    kind = "inferred, not measured; " if inferred else ""
    notice = layer.cube.attributes.get("notice")
    return f"{kind}{made}scene {one.scene.scene_id} of cube {layer.cube_id}" + (
        f"; {notice}" if notice else ""
    )


def _from(window: Window, origin: Window) -> Window:
    return Window(window.row - origin.row, window.col - origin.col, window.height, window.width)
