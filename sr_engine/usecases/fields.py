"""Fields: their boundaries, their areas, and how growth varies within them.

Edges of NDVI by Canny's method, fields by a watershed of the steepness of all bands; the
variability is the NDVI of each field against the truth's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from datacube.simulation.countryside import CROPS
from datacube.window import Window
from sr_engine.usecases.decide import HINTS, NDVI, auroc_cells, otsu
from sr_engine.usecases.doubt import foretold
from sr_engine.usecases.objects import Objects, by_area, size_names
from sr_engine.usecases.rivals import TRUTH, Rival
from sr_engine.usecases.site import PIXEL_M, Site
from sr_engine.usecases.table import Cell, Table

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]

WINDOW = Window(556, 400, 150, 220)
FIELD_M2 = (10_000.0, 30_000.0)
SMALLEST_M2 = 1000.0  # what is smaller is a corner cut off by a track
SMOOTH_M = 5.0  # the Gaussian that steepness is taken with
TOLERANCE_M = 5.0  # of a boundary
INNER_M = 15.0  # what lies nearer to the boundary is not within the field
WRONG_NDVI = 0.1
GROWTH_COLUMNS = ("RMSE", "correlation", "spread over the truth's")
HINT_COLUMNS = ("NDVI off by over 0.1", *HINTS)


@dataclass(frozen=True, eq=False)
class FieldCase:
    """Tables of a use case, the true `lines` and the edges (y, x) that every rival drew."""

    tables: tuple[Table, ...]
    fields: Objects
    lines: Mask
    edges: dict[str, Mask]


def field_case(site: Site, rivals: tuple[Rival, ...]) -> FieldCase:
    """Boundaries with a tolerance of 5 m, fields by area, and variability within them."""
    fields = true_fields(site)
    lines = boundaries(fields.ids)
    truth = NDVI.of(next(one.image for one in rivals if one.name == TRUTH))
    drawn = {one.name: edges(NDVI.of(one.image)) for one in rivals}
    borders, regions, growth, hints = [], [], [], []
    for one in rivals:
        ndvi = NDVI.of(one.image)
        near = border_scores(drawn[one.name], lines, fields.classes[fields.ids])
        borders.append((one.name, near))
        regions.append((one.name, _region_row(segments(steepness(one.image)), fields)))
        growth.append((one.name, _growth_row(ndvi, truth, fields)))
        if one.hints:
            hints.append((one.name, _hint_row(one, np.abs(ndvi - truth) > WRONG_NDVI)))
    tables = (
        Table.of("Field boundaries, within 5 m", _border_columns(fields), borders),
        Table.of("Fields as areas, by size (how many)", _region_columns(fields), regions),
        Table.of("NDVI within fields, against the truth", GROWTH_COLUMNS, growth),
        Table.of("Does it foretell NDVI errors over 0.1? (AUROC)", HINT_COLUMNS, hints),
    )
    return FieldCase(tables, fields, lines, drawn)


def true_fields(site: Site) -> Objects:
    """Every piece of a field at 2.5 m, by area; smaller ones than 0.1 ha are left out."""
    labels = site.labels
    crop = np.isin(np.array(site.landscape.parcels.kinds), list(CROPS))[labels]
    pieces = np.zeros(labels.shape, np.int32)
    count = 0
    boxes: Sequence[tuple[slice, ...] | None] = ndimage.find_objects(
        np.where(crop, labels.astype(np.int32) + 1, 0)
    )
    for number, box in enumerate(boxes):
        if box is None:
            continue
        own = by_area(labels[box] == number, FIELD_M2, PIXEL_M).ids
        area = np.bincount(own.ravel()) * PIXEL_M**2
        for piece in (np.flatnonzero(area[1:] >= SMALLEST_M2) + 1).tolist():
            count += 1
            pieces[box][own == piece] = count
    area = np.bincount(pieces.ravel(), minlength=count + 1) * PIXEL_M**2
    return Objects(pieces, np.digitize(area, FIELD_M2), size_names(FIELD_M2, "m²"), PIXEL_M)


def boundaries(ids: Labels) -> Mask:
    """Pixels of objects beside another object, or none."""
    here = np.zeros(ids.shape, np.bool_)
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    here[:, 1:] |= across
    here[:, :-1] |= across
    here[1:] |= down
    here[:-1] |= down
    return here & (ids > 0)


def steepness(image: Plane) -> Plane:
    """Gradient (y, x) under a Gaussian of 5 m, each band (band, y, x) in its own spread."""
    slopes = [
        ndimage.gaussian_gradient_magnitude(band, SMOOTH_M / PIXEL_M, mode="nearest") / band.std()
        for band in image
    ]
    return np.asarray(np.sqrt(np.sum(np.square(slopes), axis=0)), np.float32)


def edges(index: Plane) -> Mask:
    """Canny's edges (IEEE Trans. PAMI 8, 1986); Otsu's threshold of steepness and half of it."""
    sigma = SMOOTH_M / PIXEL_M
    across, down = (
        ndimage.gaussian_filter(index, sigma, order=order, mode="nearest")
        for order in ((0, 1), (1, 0))
    )
    unit = 20_000 / max(float(np.abs([across, down]).max()), 1e-9)
    high = otsu(np.hypot(across, down)) * unit
    parts = [(one * unit).astype(np.int16) for one in (across, down)]
    found = cv2.Canny(parts[0], parts[1], high / 2, high, L2gradient=True)
    return np.asarray(found > 0)


def segments(slope: Plane) -> Labels:
    """Regions: where the ground is even, grown over the rest by a watershed of the steepness.

    Even is what lies below Otsu's threshold of the steepness' logarithm.
    """
    even = slope < np.exp(otsu(np.log(slope + 1e-6)))
    seeds, _ = ndimage.label(ndimage.binary_erosion(even))
    high = max(float(np.quantile(slope, 0.99)), 1e-9)
    levels = (np.minimum(slope / high, 1) * 255).astype(np.uint8)
    grown = ndimage.watershed_ift(levels, np.asarray(seeds, np.int32))
    return np.asarray(grown, np.int32)


def border_scores(drawn: Mask, lines: Mask, classes: NDArray[np.intp]) -> tuple[float, ...]:
    """Precision, recall, F1, then recall by class: of boundary pixels within 5 m.

    `classes` (y, x) tells the class of each pixel of `lines`.
    """
    to_lines, to_drawn = (
        ndimage.distance_transform_edt(~one) * PIXEL_M <= TOLERANCE_M for one in (lines, drawn)
    )
    precision = float(to_lines[drawn].mean()) if drawn.any() else float("nan")
    hit = to_drawn[lines] if drawn.any() else np.zeros(int(lines.sum()), np.bool_)
    recall = float(hit.mean())
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    sizes = classes[lines]
    by_class = [
        float(hit[sizes == one].mean()) if (sizes == one).any() else float("nan")
        for one in range(int(classes.max()) + 1)
    ]
    return precision, recall, f1, *by_class


def best_overlaps(regions: Labels, fields: Objects) -> tuple[Plane, Plane]:
    """Of every field from the first: IoU with the region that fits best, and its area error."""
    inside = fields.mask
    count = len(fields.classes)
    pairs, shared = np.unique(
        np.stack([fields.ids[inside], regions[inside]]), axis=1, return_counts=True
    )
    area = np.bincount(fields.ids.ravel(), minlength=count)[pairs[0]]
    # What a region covers of balks and tracks beside the fields is nobody's, and not counted.
    size = np.bincount(regions[inside])[pairs[1]]
    iou = shared / (area + size - shared)
    best, error = np.zeros(count, np.float32), np.full(count, np.nan, np.float32)
    for place in np.argsort(iou):
        best[pairs[0][place]] = iou[place]
        error[pairs[0][place]] = size[place] / area[place] - 1
    return best[1:], error[1:]


def _border_columns(fields: Objects) -> tuple[str, ...]:
    return ("precision", "recall", "F1", *(f"recall, {name}" for name in fields.names))


def _region_row(regions: Labels, fields: Objects) -> tuple[Cell, ...]:
    iou, error = best_overlaps(regions, fields)
    row: list[Cell] = [float(iou.mean()), float((iou >= 0.5).mean()), float(np.median(abs(error)))]
    for number in range(len(fields.names)):
        own = fields.classes[1:] == number
        row += (
            [float(iou[own].mean()), float((iou[own] >= 0.5).mean())] if own.any() else [None] * 2
        )
    return tuple(row)


def _region_columns(fields: Objects) -> tuple[str, ...]:
    counts = np.bincount(fields.classes[1:], minlength=len(fields.names)).tolist()
    sized = [f"{name} ({count})" for name, count in zip(fields.names, counts, strict=True)]
    by_size = [f"{what}, {name}" for name in sized for what in ("IoU", "found")]
    return ("IoU", "found", "median area error", *by_size)


def _growth_row(ndvi: Plane, truth: Plane, fields: Objects) -> tuple[Cell, ...]:
    """Within fields, each field's mean taken out, at 5 m: where one pixel in four is judged."""
    deep = ndimage.distance_transform_edt(fields.mask & ~boundaries(fields.ids))
    inner = fields.ids * (deep * PIXEL_M >= INNER_M)
    mine, right = _own_deviation(ndvi, inner), _own_deviation(truth, inner)
    error = float(np.sqrt(np.mean((mine - right) ** 2)))
    return error, float(np.corrcoef(mine, right)[0, 1]), float(mine.std() / right.std())


def _own_deviation(index: Plane, ids: Labels) -> Plane:
    """Deviation of each pixel within fields from its field's mean, flat."""
    inside = ids > 0
    total = np.bincount(ids[inside], index[inside])
    mean = total / np.maximum(np.bincount(ids[inside]), 1)
    return np.asarray(index[inside] - mean[ids[inside]], np.float32)


def _hint_row(rival: Rival, wrong: Mask) -> list[Cell]:
    everywhere = np.ones(wrong.shape, np.bool_)
    told = {name: foretold(plane, wrong, everywhere) for name, plane in rival.hints.items()}
    return [float(wrong.mean()), *auroc_cells(told)]
