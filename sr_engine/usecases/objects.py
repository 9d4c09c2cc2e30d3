"""Scores by the size of the objects: a mask against the truth, every pixel counted once.

What is wrongly drawn counts against the nearest object, or, if nothing is near, as invented.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datacube.errors import InvalidInput

Mask = NDArray[np.bool_]

ALL = "all"
REACH_M = 20.0  # two measured pixels: what is drawn further from any object is invented
FOUND_IOU = 0.5
EIGHT = np.ones((3, 3), np.int8)


@dataclass(frozen=True, eq=False)
class Objects:
    """True objects: `ids` (y, x), 0 for none; `classes[id]` is the place of its size in `names`.

    `single` says that an id is one thing that can be found, not a class of pixels.
    """

    ids: NDArray[np.int32]
    classes: NDArray[np.intp]
    names: tuple[str, ...]
    pixel_m: float
    single: bool = True

    @property
    def mask(self) -> Mask:
        """Where there is any."""
        return self.ids > 0


@dataclass(frozen=True)
class Score:
    """Pixels hit, missed and wrongly drawn; objects, and those found with an IoU of one half."""

    hit_px: int
    missed_px: int
    false_px: int
    objects: int = 0
    found: int = 0

    @property
    def precision(self) -> float:
        """Share of what was drawn that is there; NaN where nothing was drawn."""
        return _ratio(self.hit_px, self.hit_px + self.false_px)

    @property
    def recall(self) -> float:
        """Share of what is there that was drawn."""
        return _ratio(self.hit_px, self.hit_px + self.missed_px)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.hit_px, 2 * self.hit_px + self.missed_px + self.false_px)

    @property
    def iou(self) -> float:
        """Intersection over union."""
        return _ratio(self.hit_px, self.hit_px + self.missed_px + self.false_px)

    @property
    def area_error(self) -> float:
        """Area drawn over area there, minus one: negative where too little was drawn."""
        return _ratio(self.false_px - self.missed_px, self.hit_px + self.missed_px)

    @property
    def found_share(self) -> float:
        """Share of the objects that were found."""
        return _ratio(self.found, self.objects)


@dataclass(frozen=True)
class Scored:
    """Scores by size and over all, and the share of what was drawn that is far from anything."""

    by_size: Mapping[str, Score]
    invented_share: float

    @property
    def all(self) -> Score:
        """Over every object."""
        return self.by_size[ALL]


def by_area(mask: Mask, edges_m2: tuple[float, ...], pixel_m: float) -> Objects:
    """Connected pieces (8 neighbours) of a mask, classed by area at `edges_m2`, ascending."""
    labelled, count = ndimage.label(mask, EIGHT)
    ids = np.asarray(labelled, np.int32)
    area = np.bincount(ids.ravel(), minlength=count + 1) * pixel_m**2
    classes = np.digitize(area, edges_m2)
    return Objects(ids, np.asarray(classes, np.intp), size_names(edges_m2, "m²"), pixel_m)


def by_width(mask: Mask, edges_m: tuple[float, ...], pixel_m: float) -> Objects:
    """Pixels of a mask classed by local width: the largest disc inside the mask that covers one.

    An id is a class, since a brook is no object apart from its river. Discs of
    the diameters `edges_m`, ascending, are tried; the mask continues beyond the image.
    """
    ids = mask.astype(np.int32)
    for edge in edges_m:
        ids[opened(mask, edge / 2 / pixel_m)] += 1
    classes = np.maximum(np.arange(len(edges_m) + 2) - 1, 0)
    return Objects(ids, classes, size_names(edges_m, "m"), pixel_m, single=False)


def opened(mask: Mask, radius_px: float) -> Mask:
    """What discs of a radius cover that lie within a mask."""
    middle = np.asarray(ndimage.distance_transform_edt(mask) - 0.5 >= radius_px)
    if not middle.any():
        return middle
    away = np.asarray(ndimage.distance_transform_edt(~middle))
    return mask & (away <= radius_px + 0.5)


def scored(drawn: Mask, objects: Objects, region: Mask | None = None) -> Scored:
    """Score a mask (y, x); pixels outside `region` do not count at all.

    Raises InvalidInput where shapes differ.
    """
    if drawn.shape != objects.ids.shape:
        raise InvalidInput(f"need a mask of {objects.ids.shape}, got {drawn.shape}")
    judged = np.ones(drawn.shape, np.bool_) if region is None else region
    count = len(objects.classes)
    there = objects.mask & judged
    far, owner = _owners(objects)
    wrong = drawn & judged & ~objects.mask
    hit = np.bincount(objects.ids[there & drawn], minlength=count)
    missed = np.bincount(objects.ids[there & ~drawn], minlength=count)
    false = np.bincount(owner[wrong & ~far], minlength=count)
    invented = int((wrong & far).sum())
    found = {
        name: _summed((hit, missed, false), objects.classes == number)
        for number, name in enumerate(objects.names)
    }
    every = _summed((hit, missed, false), np.ones(count, np.bool_))
    total = Score(
        every.hit_px, every.missed_px, every.false_px + invented, every.objects, every.found
    )
    share = _ratio(invented, int((drawn & judged).sum()))
    return Scored({**found, ALL: total}, share)


def size_names(edges: tuple[float, ...], unit: str) -> tuple[str, ...]:
    """What classes between edges are called."""
    inner = [f"{low:g} to {high:g} {unit}" for low, high in itertools.pairwise(edges)]
    return (f"under {edges[0]:g} {unit}", *inner, f"{edges[-1]:g} {unit} and more")


def _owners(objects: Objects) -> tuple[Mask, NDArray[np.int32]]:
    """Which pixels are far from any object, and the nearest object of each."""
    if not objects.mask.any():
        return np.ones(objects.ids.shape, np.bool_), objects.ids
    distance, nearest = ndimage.distance_transform_edt(~objects.mask, return_indices=True)
    rows, cols = nearest
    return np.asarray(distance * objects.pixel_m > REACH_M), objects.ids[rows, cols]


def _summed(counts: tuple[NDArray[np.intp], ...], chosen: Mask) -> Score:
    hit, missed, false = (np.where(chosen, one, 0)[1:] for one in counts)
    there = hit + missed > 0
    overlap = hit / np.maximum(hit + missed + false, 1)
    return Score(
        int(hit.sum()),
        int(missed.sum()),
        int(false.sum()),
        int(there.sum()),
        int((there & (overlap >= FOUND_IOU)).sum()),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
