"""Pairs of record and truth to learn from, and batches drawn from them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datacube.errors import InvalidInput
from datacube.simulation.spectra import noise_sigma
from sr_engine.default.acquisition import Histogram, Pair, Shot, histogram_of, matched, record
from sr_engine.default.places import Kind, Place, Role, places_of
from sr_engine.default.sources import Plane, Values, read_place

ALIKE = (("B02", "B08"), ("B03",), ("B04",))  # bands with one and the same blur


@dataclass(frozen=True)
class DataSettings:
    """What batches are made of: `patch_px` measured pixels of answer, and how often which kind.

    `by_place` draws a place first and then one of its images, else any image. Finely sampled
    images are recorded with pixels of every one of `recorded_m`, the first being Sentinel-2's.
    """

    patch_px: int = 48
    batch: int = 8
    sharp: float = 0.5
    simulated: float = 0.15
    wald: float = 0.35
    by_place: bool = True
    recorded_m: tuple[float, ...] = (10.0, 8.0, 6.5, 5.0)


@dataclass(frozen=True, eq=False)
class Batch:
    """`lr` (n, 1, y + 2 halo, x + 2 halo) with noise and `hr` (n, 1, factor y, factor x)."""

    band: str
    lr: Values
    hr: Values


@dataclass(frozen=True, eq=False)
class PairSet:
    """Pairs by kind of truth."""

    pairs: dict[Kind, list[Pair]] = field(default_factory=dict)

    def draw(self, rng: np.random.Generator, halo_px: int, settings: DataSettings) -> Batch:
        """Patches of bands of one blur, anywhere, turned and mirrored at random.

        Records get the sensor's noise; those of Sentinel-2's own pixels, which have noise
        already, a random share of it.
        """
        alike = ALIKE[rng.integers(len(ALIKE))]
        kinds: tuple[Kind, ...] = ("sharp", "simulated", "wald")
        shares = np.array([settings.sharp, settings.simulated, settings.wald])
        side = settings.patch_px + 2 * halo_px
        lr, hr = [], []
        for kind in rng.choice(kinds, settings.batch, p=shares / shares.sum()):
            pair = self._pick(rng, kind, alike, by_place=settings.by_place)
            low, high = _crop(rng, pair, side, halo_px)
            strength = rng.random() if kind == "wald" else 1.0
            lr.append(low + np.float32(strength) * (_noise(rng, low, pair)))
            hr.append(high)
            lr[-1], hr[-1] = _turned(rng, lr[-1], hr[-1])
        return Batch(alike[0], np.stack(lr)[:, None], np.stack(hr)[:, None])

    def fitting(self, side_px: int) -> "PairSet":
        """Those large enough for a patch of this side."""
        kept = {
            kind: [pair for pair in pairs if min(pair.lr.shape) >= side_px]
            for kind, pairs in self.pairs.items()
        }
        empty = [kind for kind, pairs in kept.items() if not pairs]
        if empty:
            raise InvalidInput(f"no {empty[0]} image has {side_px} px a side; need a smaller patch")
        return PairSet(kept)

    def _pick(
        self, rng: np.random.Generator, kind: Kind, alike: tuple[str, ...], *, by_place: bool
    ) -> Pair:
        fitting = [pair for pair in self.pairs[kind] if pair.band in alike]
        if not by_place:
            return fitting[rng.integers(len(fitting))]
        places = sorted({pair.place for pair in fitting})
        place = places[rng.integers(len(places))]
        there = [pair for pair in fitting if pair.place == place]
        return there[rng.integers(len(there))]


def reference_histogram(data: Path) -> Histogram:
    """Reflectance of the Sentinel-2 scenes trained on: what aerial images are matched to."""
    places = places_of("train", kind="wald")
    return histogram_of([plane for place in places for plane in read_place(place.id, data)])


def read_pairs(
    data: Path, role: Role, factor: int, *, recorded_m: Sequence[float] = (10.0,)
) -> PairSet:
    """Record every place of a role; smaller pixels than the first are for variety in training."""
    reference = reference_histogram(data)
    pairs: dict[Kind, list[Pair]] = {}
    for place in places_of(role, factor=factor):
        for plane in read_place(place.id, data):
            shown = matched(plane.rows(place.rows), reference)
            made = [record(shown, shot) for shot in _shots(place, shown, factor, recorded_m[1:])]
            pairs.setdefault(place.kind, []).extend(made)
    return PairSet(pairs)


def shot_of(place: Place, plane: Plane, factor: int) -> Shot:
    """How a place's plane is recorded: at 10 m, or as if its own pixels were the fine ones."""
    if place.kind == "wald" or place.as_if:
        return Shot(factor, factor * plane.gsd_m[0])
    return Shot(factor)


def _shots(place: Place, plane: Plane, factor: int, smaller_m: Sequence[float]) -> Iterator[Shot]:
    yield shot_of(place, plane, factor)
    if place.kind == "sharp" and max(plane.gsd_m) < 2:
        for pixel_m in smaller_m:
            if pixel_m / factor >= 1.3 * max(plane.gsd_m) or factor == 2:
                yield Shot(factor, pixel_m, shift=(0.3, -0.2))


def _noise(rng: np.random.Generator, low: Values, pair: Pair) -> Values:
    return rng.standard_normal(low.shape, dtype=np.float32) * noise_sigma(low, pair.band)


def _crop(rng: np.random.Generator, pair: Pair, side: int, halo_px: int) -> tuple[Values, Values]:
    factor = pair.hr.shape[0] // pair.lr.shape[0]
    row, col = (rng.integers(size - side + 1) for size in pair.lr.shape)
    rows = slice((row + halo_px) * factor, (row + side - halo_px) * factor)
    cols = slice((col + halo_px) * factor, (col + side - halo_px) * factor)
    return pair.lr[row : row + side, col : col + side], pair.hr[rows, cols]


def _turned(rng: np.random.Generator, *planes: Values) -> Sequence[Values]:
    turns, mirrored = int(rng.integers(4)), rng.random() < 0.5
    out = [np.rot90(plane, turns) for plane in planes]
    return [np.ascontiguousarray(plane[::-1] if mirrored else plane) for plane in out]
