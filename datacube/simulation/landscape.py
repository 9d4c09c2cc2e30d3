"""A simulated piece of central European countryside, known at 1.25 m."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacube.errors import InvalidInput
from datacube.simulation.canvas import FINE_PER_PX, MARGIN_PX, Canvas
from datacube.simulation.countryside import draw_land
from datacube.simulation.phenology import Parcels
from datacube.simulation.plan import make_plan
from datacube.simulation.settlement import draw_settlement
from datacube.simulation.texture import shade_of, vigour_of

MIN_SIDE_PX = 32  # below this the landmark does not fit
MAX_SIDE_PX = 1600  # 7 bytes per fine pixel: 1.2 GB at this size
WARP_M = 11.0


@dataclass(frozen=True)
class Landscape:
    """Ground truth: `labels`, `vigour` and `shade` at 1.25 m, a margin of 160 m all around.

    `shape` is the area of interest in 10 m pixels; arrays are (8 * (height + 32), 8 * (width +
    32)). Reflectance of label i is (base[i] + slope[i] * vigour) * shade, see `Parcels`.
    """

    seed: int
    shape: tuple[int, int]
    labels: NDArray[np.uint16]
    vigour: NDArray[np.int8]
    shade: NDArray[np.uint8]
    parcels: Parcels

    @property
    def margin_fine(self) -> int:
        """Fine pixels before the area of interest begins, on every side."""
        return MARGIN_PX * FINE_PER_PX


def build_landscape(seed: int, shape: tuple[int, int] = (800, 800)) -> Landscape:
    """Draw the landscape of a seed; `shape` is (height, width) in 10 m pixels.

    Raises InvalidInput for a negative seed or a side outside 32..1600 pixels.
    """
    if seed < 0:
        raise InvalidInput(f"need a seed of 0 or more, got {seed}")
    if min(shape) < MIN_SIDE_PX or max(shape) > MAX_SIDE_PX:
        raise InvalidInput(
            f"need sides of {MIN_SIDE_PX} to {MAX_SIDE_PX} px (10 m each), got {shape}"
        )
    rng = np.random.default_rng([seed, *shape])
    plan = make_plan(rng, shape)
    canvas = Canvas(shape, WARP_M * plan.scale)
    draw_land(canvas, plan, rng)
    draw_settlement(canvas, plan, rng)
    vigour = vigour_of(canvas, rng)
    shade = shade_of(canvas, rng)
    return Landscape(seed, shape, canvas.labels, vigour, shade, canvas.parcels())
