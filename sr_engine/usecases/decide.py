"""From an image to a mask by one simple stated method: an index, and Otsu's threshold of it.

Every rival is thresholded by its own histogram, as somebody would who has only that image.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from datacube.demo import BANDS
from sr_engine.usecases.doubt import Foretold, Warned, foretold, judged_doubt
from sr_engine.usecases.objects import ALL, Objects, Scored, scored
from sr_engine.usecases.pictures import Picture, judged
from sr_engine.usecases.rivals import Rival
from sr_engine.usecases.table import Cell, Table

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]
LEVELS = 512  # of the histogram
HINTS = ("interval", "attribution", "detail", "gradient")


@dataclass(frozen=True)
class Index:
    """(sum of `up` - sum of `down`) / sum of both, or the mean of `up` where `down` is empty."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...] = ()

    def of(self, up: NDArray[np.float32], down: NDArray[np.float32] | None = None) -> Plane:
        """The index of an image (band, y, x); bands of `down` from another image, if given."""
        rising = up[[BANDS.index(name) for name in self.up]].mean(axis=0)
        if not self.down:
            return np.asarray(rising, np.float32)
        other = up if down is None else down
        falling = other[[BANDS.index(name) for name in self.down]].mean(axis=0)
        total = np.maximum(rising + falling, 1e-4)
        return np.asarray(np.clip((rising - falling) / total, -1, 1), np.float32)

    def between(self, rival: Rival) -> tuple[Plane, Plane] | None:
        """Least and largest index within the rival's interval, all bands erring at once."""
        if rival.half_width is None:
            return None
        low, high = rival.image - rival.half_width, rival.image + rival.half_width
        return self.of(low, high), self.of(high, low)


NDWI = Index("NDWI", ("B03",), ("B08",))  # McFeeters 1996
NDVI = Index("NDVI", ("B08",), ("B04",))  # Rouse et al. 1974
RED = Index("red reflectance", ("B04",))


@dataclass(frozen=True, eq=False)
class Values:
    """What a rival's decision is made from: an index (y, x), and its range where that is told."""

    rival: Rival
    index: Plane
    between: tuple[Plane, Plane] | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """A rival's mask (y, x) at 2.5 m, its scores, and what would have warned."""

    rival: Rival
    threshold: float
    mask: Mask
    scored: Scored
    warned: Warned | None
    flagged: Warned | None
    hints: dict[str, Foretold]


@dataclass(frozen=True, eq=False)
class Task:
    """What is to be delineated: `objects` above an Otsu threshold of an index, or below it."""

    title: str
    objects: Objects
    region: Mask
    above: bool = True

    def judge(self, values: Values) -> Outcome:
        """Decide, score, and ask what would have warned."""
        threshold = otsu(values.index[self.region])
        mask = (values.index > threshold) == self.above
        wrong = mask != self.objects.mask
        warned = flagged = None
        if values.between is not None:
            low, high = values.between
            doubtful = (low <= threshold) & (high >= threshold)
            warned = judged_doubt(doubtful[self.region], wrong[self.region])
        if values.rival.flagged is not None:
            flagged = judged_doubt(values.rival.flagged[self.region], wrong[self.region])
        hints = {
            name: foretold(plane, wrong, self.region) for name, plane in values.rival.hints.items()
        }
        found = scored(mask, self.objects, self.region)
        return Outcome(values.rival, threshold, mask & self.region, found, warned, flagged, hints)


@dataclass(frozen=True, eq=False)
class Case:
    """A use case carried out: its outcomes, one for each rival, and tables of them."""

    title: str
    outcomes: tuple[Outcome, ...]
    objects: Objects
    region: Mask
    extra: tuple[Table, ...] = field(default=())

    def outcome(self, name: str) -> Outcome:
        """That of a rival; raises KeyError where there is none."""
        return {one.rival.name: one for one in self.outcomes}[name]

    def picture(self, *names: str) -> dict[str, Picture]:
        """What rivals drew against the truth: hit blue, missed yellow, wrong orange."""
        return {
            name: judged(self.outcome(name).mask, self.objects.mask, self.region) for name in names
        }

    def by_size(self) -> Table:
        """F1, and the share of what was drawn far from anything."""
        names = self.objects.names
        columns = ["F1", "IoU", "area error", "invented", *(f"F1, {name}" for name in names)]
        return Table.of(
            f"{self.title}: agreement, by size", columns, map(_agreement, self.outcomes)
        )

    def areas(self) -> Table:
        """Area drawn over area there, minus one, by size."""
        names = self.objects.names
        cells = [
            (one.rival.name, [one.scored.by_size[name].area_error for name in names])
            for one in self.outcomes
        ]
        return Table.of(f"{self.title}: area error, by size", names, cells)

    def found(self) -> Table:
        """Share of objects found (IoU of at least one half), by size."""
        names = (ALL, *self.objects.names)
        counts = self.outcomes[0].scored.by_size
        columns = [f"{name} ({counts[name].objects})" for name in names]
        cells = [
            (one.rival.name, [one.scored.by_size[name].found_share for name in names])
            for one in self.outcomes
        ]
        return Table.of(f"{self.title}: share of objects found, by size (how many)", columns, cells)

    def warnings(self) -> Table:
        """What the intervals say of the decision."""
        return _warned_table(
            f"{self.title}: decisions that the 90 % interval leaves open",
            [(one.rival.name, one.warned) for one in self.outcomes],
        )

    def flags(self) -> Table:
        """What the quality flag `interval_wider_than_gain` says of the decision."""
        return _warned_table(
            f"{self.title}: pixels flagged interval_wider_than_gain",
            [(one.rival.name, one.flagged) for one in self.outcomes],
        )

    def hints(self) -> Table:
        """How well each hint foretells the errors: area under the ROC curve, 0.5 is a coin."""
        cells = [(one.rival.name, auroc_cells(one.hints)) for one in self.outcomes if one.hints]
        return Table.of(f"{self.title}: does it foretell errors? (AUROC)", HINTS, cells)

    def tables(self) -> tuple[Table, ...]:
        """All of them."""
        found = (self.found(),) if self.objects.single else ()
        told = (self.warnings(), self.flags(), self.hints())
        return (self.by_size(), self.areas(), *found, *self.extra, *told)


def decide(task: Task, values: Sequence[Values]) -> Case:
    """Judge all rivals at one task."""
    return Case(task.title, tuple(task.judge(one) for one in values), task.objects, task.region)


def auroc_cells(told: Mapping[str, Foretold]) -> list[Cell]:
    """Cells of a table whose columns are `HINTS`."""
    return [told[name].auroc if name in told else None for name in HINTS]


def _agreement(one: Outcome) -> tuple[str, list[Cell]]:
    every = one.scored.all
    cells: list[Cell] = [every.f1, every.iou, every.area_error, one.scored.invented_share]
    return one.rival.name, cells + [
        size.f1 for name, size in one.scored.by_size.items() if name != ALL
    ]


def _warned_table(title: str, told: Sequence[tuple[str, Warned | None]]) -> Table:
    columns = ("share", "wrong there", "wrong elsewhere", "share of all errors")
    cells = [
        (name, [one.share, one.error_there, one.error_elsewhere, one.caught])
        for name, one in told
        if one is not None
    ]
    return Table.of(title, columns, cells)


def indexed(rivals: Sequence[Rival], index: Index) -> list[Values]:
    """The index of every rival, with its range."""
    return [Values(one, index.of(one.image), index.between(one)) for one in rivals]


def otsu(values: Plane) -> float:
    """Threshold that parts the histogram of values with the largest variance between its halves.

    N. Otsu, IEEE Trans. SMC 9, 1979; 512 levels between the least and the largest value.
    """
    counts, edges = np.histogram(values, LEVELS)
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1].astype(np.float64)
    weight = below * (below[-1] + counts[-1] - below)
    total = np.cumsum(counts * middle)
    mean_below = total[:-1] / np.maximum(below, 1)
    mean_above = (total[-1] - total[:-1]) / np.maximum(below[-1] + counts[-1] - below, 1)
    return float(edges[1:-1][np.argmax(weight * (mean_above - mean_below) ** 2)])
