"""Drawing the open land: fields, woods, hedges, tracks, the river and the lake."""

import math

import numpy as np

from datacube.simulation.canvas import Canvas, Points, densified
from datacube.simulation.geometry import area_m2, blob, cut, long_axis
from datacube.simulation.plan import ROAD_DEPTH, Plan, distance_to

CROPS = {  # kind -> share of the fields
    "wheat": 0.29,
    "barley": 0.09,
    "rapeseed": 0.14,
    "maize": 0.18,
    "beet": 0.08,
    "meadow": 0.13,
    "pasture": 0.05,
    "fallow": 0.02,
    "bare": 0.02,
}
WOODED_SHARE = 0.22


def draw_land(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Fields and woods, then what crosses them: hedges, tracks, water."""
    wooded = _wooded(plan, rng)
    for ring, is_wood in zip(plan.blocks, wooded, strict=True):
        if not is_wood:
            _draw_fields(canvas, ring, plan.scale, rng)
    for ring, is_wood in zip(plan.blocks, wooded, strict=True):
        if is_wood:
            _draw_wood(canvas, ring, plan.scale, rng)
    _draw_tracks(canvas, plan, rng)
    _draw_river(canvas, plan, rng)
    _draw_lake(canvas, plan, rng)


def _wooded(plan: Plan, rng: np.random.Generator) -> list[bool]:
    """Which blocks are forest: clusters from a smooth random field, clear of the town."""
    centres = np.array([ring.mean(axis=0) for ring in plan.blocks])
    waves = rng.normal(0, 1, (8, 2)) * 2.2 / (2600 * plan.scale)
    field = np.cos(centres @ waves.T * 2 + rng.uniform(0, 2 * np.pi, 8)).sum(axis=1)
    keep_clear = [(plan.town, 2.0 * plan.town_radius), (plan.landmark, 450 * plan.scale)]
    keep_clear += [(village, 420 * plan.scale) for village in plan.villages]
    for spot, reach in keep_clear:
        field[np.hypot(*(centres - spot).T) < reach] = -np.inf
    return list(field > np.quantile(field, 1 - WOODED_SHARE))


def _draw_fields(canvas: Canvas, ring: Points, scale: float, rng: np.random.Generator) -> None:
    target = float(rng.lognormal(math.log(4.2e4), 0.5)) * scale**2
    todo = [ring]
    while todo:
        part = todo.pop()
        axis, aspect = long_axis(part)
        if area_m2(part) < target * rng.uniform(0.8, 2.0):
            _draw_field(canvas, part, axis, scale, rng)
            continue
        lengthwise = aspect < 1.5 or (aspect < 2.6 and rng.random() < 0.5)
        angle = axis + (0.0 if lengthwise else math.pi / 2) + rng.normal(0, 0.015)
        middle = part.mean(axis=0) + (part[0] - part.mean(axis=0)) * rng.uniform(-0.25, 0.25)
        first, second, chord = cut(part, middle, angle)
        todo += [first, second]
        if rng.random() < 0.07 and area_m2(ring) > 10e4 * scale**2:
            _draw_hedge(canvas, chord, rng)


def _draw_field(
    canvas: Canvas, ring: Points, axis: float, scale: float, rng: np.random.Generator
) -> None:
    kind = str(rng.choice(list(CROPS), p=np.array(list(CROPS.values())) / sum(CROPS.values())))
    days = float(np.clip(rng.normal(0, 4.5), -11, 11))
    gain = float(np.clip(rng.normal(1, 0.07), 0.82, 1.2))
    canvas.polygon(ring, canvas.label(kind, days=days, gain=gain, angle=axis))
    if rng.random() < 0.5:  # a balk of rough grass between neighbours
        balk = canvas.label("pasture", days=days, gain=0.9)
        canvas.line(np.concatenate([ring, ring[:1]]), max(2.5 * scale, 1.25), balk)


def _draw_wood(canvas: Canvas, ring: Points, scale: float, rng: np.random.Generator) -> None:
    todo, stands = [ring], []
    while todo:
        part = todo.pop()
        if area_m2(part) < 7e4 * scale**2 * rng.uniform(0.6, 2.5):
            stands.append(part)
            continue
        axis, _ = long_axis(part)
        first, second, _ = cut(part, part.mean(axis=0), axis + math.pi / 2 + rng.normal(0, 0.25))
        todo += [first, second]
    edge = densified(np.concatenate([ring, ring[:1]]), closed=False, step_m=7)
    fringe = canvas.label("broadleaf", gain=0.95)
    for x, y in edge + rng.normal(0, 2.5, edge.shape):
        canvas.disc(x, y, float(rng.uniform(2.5, 6.5)), fringe)
    for stand in stands:
        kind = str(rng.choice(["conifer", "broadleaf", "pasture"], p=[0.46, 0.50, 0.04]))
        label = canvas.label(kind, days=float(rng.normal(0, 4)), gain=float(rng.normal(1, 0.09)))
        canvas.polygon(stand, label)
        if rng.random() < 0.35:
            canvas.line(stand[:2], 3.75, canvas.label("fallow", gain=0.75))
        _sprinkle(canvas, stand, rng)


def _sprinkle(canvas: Canvas, ring: Points, rng: np.random.Generator) -> None:
    """Trees of the other sort, in groups, so that no stand is uniform."""
    labels = [canvas.label(kind, gain=0.95) for kind in ("conifer", "broadleaf")]
    low, high = ring.min(axis=0), ring.max(axis=0)
    for _ in range(int(area_m2(ring) / 2500)):
        x, y = rng.uniform(low, high)
        under = canvas.kinds[int(canvas.at(np.array([[x, y]]))[0])]
        if under in ("conifer", "broadleaf"):
            canvas.disc(x, y, float(rng.uniform(2.5, 9)), labels[int(rng.random() < 0.6)])


def _draw_hedge(canvas: Canvas, chord: Points, rng: np.random.Generator) -> None:
    label = canvas.label("broadleaf", days=float(rng.normal(0, 4)), gain=0.95)
    path = densified(chord, closed=False, step_m=5)
    gaps = np.repeat(rng.random(len(path) // 6 + 1) < 0.15, 6)[: len(path)]
    for (x, y), gap in zip(path + rng.normal(0, 0.6, path.shape), gaps, strict=True):
        if not gap:
            canvas.disc(x, y, float(rng.uniform(1.8, 4.0)), label)


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


def _draw_river(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    width, path = plan.river_width, plan.river
    for x, y in path[::12]:
        label = canvas.label("meadow", days=float(rng.normal(0, 2)), gain=float(rng.normal(1, 0.05)))
        canvas.disc(x, y, width * float(rng.uniform(1.6, 2.6)), label, warp=False)
    trees = [canvas.label("broadleaf", gain=gain) for gain in (0.9, 1.0, 1.12)]
    density = np.clip(rng.normal(0.35, 0.3, len(path) // 20 + 1), 0.05, 0.9).repeat(20)
    for (x, y), chance in zip(path, density, strict=False):
        if rng.random() < chance:
            dx, dy = rng.normal(0, 0.8 * width, 2)
            radius = float(rng.uniform(2.5, 6.5)) * max(plan.scale, 0.6)
            canvas.disc(x + dx, y + dy, radius, trees[int(rng.integers(3))], warp=False)
    bank, water = canvas.label("reed", gain=0.9), canvas.label("river")
    sand = canvas.label("sand", gain=0.85)
    canvas.line(path, width + 5, bank, warp=False)
    bend = np.diff(np.unwrap(np.angle(np.diff(path @ np.array([1, 1j])))))
    for i in np.flatnonzero(np.abs(bend) > np.quantile(np.abs(bend), 0.86))[::3]:
        step = path[i + 1] - path[i]
        inward = np.array([-step[1], step[0]]) / np.hypot(*step) * np.sign(bend[i])
        x, y = path[i + 1] + inward * width * 0.5
        canvas.disc(x, y, 0.17 * width, sand, warp=False)
    canvas.line(path, width, water, warp=False)
    for x, y in path[::5]:  # the width breathes
        canvas.disc(x, y, width * float(rng.uniform(0.50, 0.56)), water, warp=False)


def _draw_lake(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    shore = blob(rng, plan.lake, plan.lake_radius, 0.55)
    rim = plan.scale * 14
    outward = (shore - plan.lake) / np.hypot(*(shore - plan.lake).T)[:, None]
    canvas.polygon(shore + outward * 3.2 * rim, canvas.label("meadow", gain=1.05), warp=False)
    trees = [canvas.label("broadleaf", gain=gain) for gain in (0.92, 1.05)]
    for x, y in shore.repeat(3, axis=0) + rng.normal(0, 1.1 * rim, (3 * len(shore), 2)):
        canvas.disc(x, y, float(rng.uniform(2.5, 6.5)) * plan.scale, trees[int(rng.integers(2))])
    reach = rng.uniform(0.1, 1.0, len(shore) // 8).repeat(8)[:, None]
    canvas.polygon(shore + outward * rim * reach, canvas.label("reed"), warp=False)
    beach = slice(18, 40)
    ring = np.concatenate([shore[beach], (shore + outward * 1.3 * rim)[beach][::-1]])
    canvas.polygon(ring, canvas.label("sand"), warp=False)
    canvas.polygon(shore, canvas.label("shallow"), warp=False)
    canvas.polygon(shore - outward * 0.7 * rim, canvas.label("lake", gain=1.25), warp=False)
    canvas.polygon(shore - outward * 2.0 * rim, canvas.label("lake"), warp=False)
    island = blob(rng, plan.lake + 0.3 * plan.lake_radius, 0.10 * plan.lake_radius, 0.4)
    canvas.polygon(island, canvas.label("broadleaf"), warp=False)
    far = distance_to(plan.lake, plan.river)
    if far < 2 * plan.lake_radius:
        return
    outlet = plan.river[int(np.argmin(np.hypot(*(plan.river - plan.lake).T)))]
    ditch = np.linspace(plan.lake, outlet, 40)[6:]
    sway = 18 * plan.scale * np.sin(np.linspace(0, 9, len(ditch)))
    canvas.line(ditch + np.stack([sway, 0 * sway], 1), 3.75, canvas.label("river"), warp=False)
