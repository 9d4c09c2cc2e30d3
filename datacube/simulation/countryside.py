"""Drawing the open land: fields, woods, hedges and tracks."""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from datacube.simulation.canvas import Canvas, Points, densified
from datacube.simulation.geometry import area_m2, cut, long_axis
from datacube.simulation.plan import ROAD_DEPTH, Plan
from datacube.simulation.water import draw_lake, draw_river

CROPS = {  # kind -> share of the fields
    "wheat": 0.25,
    "barley": 0.08,
    "catch_crop": 0.08,
    "rapeseed": 0.13,
    "maize": 0.17,
    "beet": 0.09,
    "meadow": 0.14,
    "pasture": 0.05,
    "fallow": 0.015,
    "bare": 0.015,
}
WOODED_SHARE = 0.20


def draw_land(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Fields and woods, then what crosses them: hedges, tracks, water."""
    parcels = [part for ring in plan.blocks for part in _parcels(ring, plan.scale, rng)]
    wooded = _wooded(plan, parcels, rng)
    for ring in itertools.compress(parcels, ~wooded):
        _draw_field(canvas, ring, plan.scale, rng)
    for ring in itertools.compress(parcels, wooded):
        _draw_stand(canvas, ring, plan.scale, rng)
    _draw_tracks(canvas, plan, rng)
    draw_river(canvas, plan, rng)
    draw_lake(canvas, plan, rng)


def _wooded(plan: Plan, parcels: list[Points], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which parcels are forest: clusters from a smooth random field, clear of the town."""
    centres = np.array([ring.mean(axis=0) for ring in parcels])
    heading = np.arange(9) * 0.7 + rng.uniform(0, 0.7, 9)
    number = 2 * np.pi / (rng.uniform(1500, 3800, 9) * plan.scale)
    waves = np.stack([np.cos(heading), np.sin(heading)], axis=1) * number[:, None]
    field = np.cos(centres @ waves.T + rng.uniform(0, 2 * np.pi, 9)).sum(axis=1)
    field += rng.normal(0, 0.25, len(field))
    keep_clear = [(plan.town, 1.8 * plan.town_radius), (plan.landmark, 450 * plan.scale)]
    keep_clear += [(village, 420 * plan.scale) for village in plan.villages]
    for spot, reach in keep_clear:
        field[np.hypot(*(centres - spot).T) < reach] = -np.inf
    area = np.array([area_m2(ring) for ring in parcels])
    order = np.argsort(-field)
    wooded = np.zeros(len(parcels), np.bool_)
    wooded[order[np.cumsum(area[order]) < WOODED_SHARE * area.sum()]] = True
    return np.asarray(wooded & np.isfinite(field))


def _parcels(ring: Points, scale: float, rng: np.random.Generator) -> list[Points]:
    """Cut a block into fields: strips along its length, now and then cut across."""
    target = float(rng.lognormal(math.log(4.2e4), 0.5)) * scale**2
    todo, done = [ring], []
    while todo:
        part = todo.pop()
        axis, aspect = long_axis(part)
        if area_m2(part) < target * rng.uniform(0.8, 2.0):
            done.append(part)
            continue
        lengthwise = aspect < 1.5 or (aspect < 2.6 and rng.random() < 0.5)
        angle = axis + (0.0 if lengthwise else math.pi / 2) + rng.normal(0, 0.02)
        middle = part.mean(axis=0) + (part[0] - part.mean(axis=0)) * rng.uniform(-0.25, 0.25)
        todo += cut(part, middle, angle)[:2]
    return done


def _draw_field(canvas: Canvas, ring: Points, scale: float, rng: np.random.Generator) -> None:
    kind = str(rng.choice(list(CROPS), p=np.array(list(CROPS.values())) / sum(CROPS.values())))
    days = float(np.clip(rng.normal(0, 4.5), -11, 11))
    gain = float(np.clip(rng.normal(1, 0.07), 0.82, 1.2))
    canvas.polygon(ring, canvas.label(kind, days=days, gain=gain, angle=long_axis(ring)[0]))
    if rng.random() < 0.45:  # a balk of rough grass between neighbours
        balk = canvas.label("pasture", days=days, gain=0.9)
        canvas.line(np.concatenate([ring, ring[:1]]), max(2.5 * scale, 1.25), balk)
    if rng.random() < 0.08:
        _draw_hedge(canvas, ring[:2], rng)


def _draw_stand(canvas: Canvas, ring: Points, scale: float, rng: np.random.Generator) -> None:
    """A stand of forest: a ragged edge, one main species, groups of the other."""
    edge = densified(np.concatenate([ring, ring[:1]]), closed=False, step_m=6)
    fringe = [canvas.label("broadleaf", gain=gain) for gain in (0.88, 0.97, 1.05)]
    centre = ring.mean(axis=0)
    bulge = 9 * scale * np.sin(edge @ np.array([0.031, 0.043]) + rng.uniform(0, 6))[:, None]
    outward = (edge - centre) / np.maximum(np.hypot(*(edge - centre).T), 1)[:, None]
    edge = edge + outward * bulge + rng.normal(0, 3, edge.shape)
    canvas.discs(edge, rng.uniform(3, 10, len(edge)), rng.choice(fringe, len(edge)))
    kind = str(rng.choice(["conifer", "broadleaf", "pasture"], p=[0.42, 0.55, 0.03]))
    main = canvas.label(kind, days=float(rng.normal(0, 4)), gain=float(rng.normal(1, 0.07)))
    canvas.polygon(ring, main)
    count = int(area_m2(ring) / 2200)
    low, high = ring.min(axis=0), ring.max(axis=0)
    spots = rng.uniform(low, high, (count, 2))
    spots = spots[canvas.at(spots) == main]
    others = [canvas.label(other, gain=0.95) for other in ("conifer", "broadleaf", "broadleaf")]
    canvas.discs(spots, rng.uniform(2.5, 9, len(spots)), rng.choice(others, len(spots)))


def _draw_hedge(canvas: Canvas, chord: Points, rng: np.random.Generator) -> None:
    label = canvas.label("broadleaf", days=float(rng.normal(0, 4)), gain=0.95)
    path = densified(chord, closed=False, step_m=5)
    grows = np.repeat(rng.random(len(path) // 6 + 1) < 0.85, 6)[: len(path)]
    spots = (path + rng.normal(0, 0.6, path.shape))[grows]
    canvas.discs(spots, rng.uniform(1.8, 4.0, len(spots)), np.full(len(spots), label))


def _draw_tracks(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    verge, gravel = canvas.label("meadow", gain=0.95), canvas.label("gravel", gain=0.8)
    paved = canvas.label("asphalt", gain=1.2)
    for piece in plan.cuts:
        if piece.depth < ROAD_DEPTH:
            continue
        canvas.line(piece.chord, 7.5 * max(plan.scale, 0.6), verge)
        if rng.random() < 0.22:
            _draw_hedge(canvas, piece.chord + 4.0, rng)
        if rng.random() < 0.85:
            canvas.line(piece.chord, 3.0, paved if piece.depth < 5 else gravel)
