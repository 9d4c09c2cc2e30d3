"""The demo's level 1B: one place, seen by two overlapping detectors, nothing registered.

Both scenes are in sensor geometry, on a grid of their own pixels at a nominal place, because two
detectors' pixels are not on one grid and no band lies on another.
"""

from datetime import UTC, datetime, timedelta

from datacube.bands import find_bands
from datacube.catalog import Catalog
from datacube.product import Product
from datacube.scene import Scene, ScenePixels, dn_from_reflectance
from datacube.simulation import build_landscape
from datacube.simulation.detectors import TRUTH_FACTOR, DetectorPair, OverlapPlan, simulate_overlap
from datacube.sources.l1b import nominal_grid
from datacube.store.layout import BLOCK_PX, CubeSpec, ProductSpec
from datacube.window import Window

SEED = 11
LARGEST_PX = 384
FIRST_SEEN = datetime(2025, 6, 21, 10, 30, 31, tzinfo=UTC)
APART = timedelta(seconds=2)  # between the first detector and its neighbour
TRUTH = "truth"
DETECTORS = ("D05", "D06")


def build_overlap(catalog: Catalog, name: str, *, shape: tuple[int, int]) -> None:
    """Two detectors' views of a simulated landscape, and its truth where the first saw B03."""
    sides = (min(shape[0], LARGEST_PX), min(shape[1], LARGEST_PX))
    plan = OverlapPlan(SEED, truth=True)
    pair = simulate_overlap(build_landscape(SEED, sides), plan)
    spec = CubeSpec(
        title="Simulated level 1B: two overlapping detectors",
        description="One simulated place as two neighbouring detectors record it, two seconds "
        f"apart: bands up to {plan.max_shift_px:g} px from one another, other shifts in every "
        "row. The truth at 5 m is known where the first detector's B03 saw it.",
        notice="Simulated landscape in sensor geometry: the place is nominal, and the bands are "
        "not registered to one another.",
        attribution="Simulated by srcube",
        grid=nominal_grid(sides),
        bands=find_bands(plan.bands),
        simulated=True,
        georeference="nominal",
        level="L1B",
        with_scl=False,
        extra={"demo_scenes": len(DETECTORS), "default_datetime": "2025-06-21T10:30:31Z"},
    )
    cube = catalog.open(name) if name in catalog.ids() else catalog.create(name, spec)
    for number, detector in enumerate(DETECTORS):
        moment = FIRST_SEEN + number * APART
        properties = {"srcube:bands_registered": False, "srcube:detector": detector}
        scene = Scene(f"SIM_MSIL1B_{detector}_S{SEED}", moment, properties)
        cube = cube.append(scene, ScenePixels(dn_from_reflectance(pair.views[number])))
    _write_truth(Product.ensure(cube, _truth_spec(pair)), pair)


def _truth_spec(pair: DetectorPair) -> ProductSpec:
    attributes = {"inferred": False, "simulated": True}
    return ProductSpec(TRUTH, TRUTH_FACTOR, pair.bands, attributes)


def _write_truth(product: Product, pair: DetectorPair) -> None:
    if pair.truth is None:
        return
    numbers = dn_from_reflectance(pair.truth)
    slot = product.cube.scene_at(FIRST_SEEN).slot
    for block in Window(0, 0, *product.cube.grid.shape).cells(BLOCK_PX):
        window = product.block_window(block).scaled(product.factor)
        product.write_block(slot, block, numbers[:, *window.slices].copy())
