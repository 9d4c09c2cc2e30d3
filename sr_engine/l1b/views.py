"""Pairs of views of one place by two detectors: simulated, or read from a folder of real ones.

A training sees patches of such pairs and nothing else; sharp truth is not among what a pair
holds. Both views of a pair are turned and mirrored together, or they would no longer show the
same ground.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datacube.errors import InvalidInput, NotFound
from datacube.simulation import build_landscape
from datacube.simulation.detectors import DetectorPair, OverlapPlan, simulate_overlap
from datacube.sources.geotiff import band_names
from datacube.sources.plan import Given
from datacube.sources.raster import open_raster
from datacube.window import Window

Image = NDArray[np.float32]
BANDS = ("B02", "B03", "B04", "B08")
COUNT = 1e-4  # reflectance of one count, about: networks do not care
REFERENCE_INDEX = BANDS.index("B03")
DAYS = (97, 137, 172, 197, 242, 282)  # of the year: bare fields to full green and back


@dataclass(frozen=True)
class SimulatedPairs:
    """How many simulated pairs, from which seeds on: places of other seeds are other places.

    Shifts between bands are drawn up to `max_shift_px`, a quarter of it at least.
    """

    first_seed: int = 1000
    places: int = 16
    side_px: int = 256
    per_place: int = 2
    max_shift_px: float = 3.0

    def __post_init__(self) -> None:
        if self.places < 1 or self.per_place < 1 or self.first_seed < 0:
            raise InvalidInput(
                "need at least one place, one pair for each and a seed of 0 or more, got "
                f"{self.places}, {self.per_place} and {self.first_seed}"
            )


def simulated(settings: SimulatedPairs, *, truth: bool = False) -> Iterator[DetectorPair]:
    """Simulate the pairs of these settings; with their sharp truth only to judge by it."""
    shape = (settings.side_px, settings.side_px)
    for place in range(settings.places):
        landscape = build_landscape(settings.first_seed + place, shape)
        for number in range(settings.per_place):
            seed = (settings.first_seed + place) * 100 + number
            rng = np.random.default_rng([seed, 30])
            reach = float(rng.uniform(0.25, 1.0)) if settings.per_place > 1 else 1.0
            plan = OverlapPlan(
                seed,
                max_shift_px=reach * settings.max_shift_px,
                day_of_year=int(rng.choice(DAYS)),
                truth=truth,
            )
            yield simulate_overlap(landscape, plan)


def read_pairs(folder: Path) -> list[Image]:
    """Real pairs (2, band, y, x) of a folder, in the layout of the L1BSR data set.

    A pair is `NAME_left.tif` and `NAME_right.tif`, or two files of one name in the folders `left`
    and `right`; each has the bands B02 B03 B04 B08, in this order unless it describes them.
    Counts are divided by 10000; what one view has more at its right or below is left out.
    Raises NotFound where there is no pair, InvalidInput for a file without its other.
    """
    pairs = []
    for left in sorted([*folder.rglob("*_left.tif"), *folder.rglob("left/*.tif")]):
        if left.parent.name == "left":
            right = left.parent.with_name("right") / left.name
        else:
            right = left.with_name(left.name.replace("_left.tif", "_right.tif"))
        if not right.is_file():
            raise InvalidInput(f"{left.name} has no view of the other detector, {right.name}")
        views = [_read_view(path) for path in (left, right)]
        height, width = (min(view.shape[axis] for view in views) for axis in (1, 2))
        pairs.append(np.stack([view[:, :height, :width] for view in views]))
    if not pairs:
        raise NotFound(f"no pair like NAME_left.tif and NAME_right.tif in {folder}")
    return pairs


def _read_view(path: Path) -> Image:
    with open_raster(str(path)) as file:
        names = band_names(file.header, path, Given(bands=BANDS))
        missing = [name for name in BANDS if name not in names]
        if missing:
            raise InvalidInput(f"{path.name} lacks {', '.join(missing)} of {', '.join(BANDS)}")
        whole = Window(0, 0, *file.header.shape)
        planes = [file.read(whole, index=names.index(name) + 1) for name in BANDS]
    return np.stack(planes).astype(np.float32) * np.float32(COUNT)


class PairPatches:
    """Patches of pairs (detector, band, y, x), drawn at random, augmented as one."""

    def __init__(self, pairs: list[Image]) -> None:
        if not pairs:
            raise InvalidInput("need at least one pair to train on, got none")
        self._pairs = pairs

    def draw(self, rng: np.random.Generator, count: int, side_px: int) -> Tensor:
        """(count, 2, band, side, side) patches; the detectors change places half of the time."""
        patches = []
        for _ in range(count):
            pair = self._pairs[int(rng.integers(len(self._pairs)))]
            height, width = pair.shape[-2:]
            if min(height, width) < side_px:
                raise InvalidInput(
                    f"a pair of {height}x{width} px is smaller than patches of {side_px} px; "
                    "ask for smaller ones"
                )
            row = int(rng.integers(height - side_px + 1))
            col = int(rng.integers(width - side_px + 1))
            patch = pair[..., row : row + side_px, col : col + side_px]
            patches.append(augmented(patch, rng))
        return torch.from_numpy(np.stack(patches))


def augmented(pair: Image, rng: np.random.Generator) -> Image:
    """Both views turned and mirrored in the same way, and perhaps exchanged."""
    turned = np.rot90(pair, int(rng.integers(4)), axes=(-2, -1))
    if rng.random() < 0.5:
        turned = turned[..., ::-1]
    if rng.random() < 0.5:
        turned = turned[::-1]
    return np.ascontiguousarray(turned)
