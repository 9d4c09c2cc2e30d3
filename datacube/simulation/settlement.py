"""Drawing what people built: roads, bridges, town, villages, and the known landmark."""

import math

import numpy as np

from datacube.simulation.canvas import Canvas, Points, densified
from datacube.simulation.geometry import (
    area_m2,
    blob,
    cut,
    inside,
    long_axis,
    oriented_box,
    rectangle,
)
from datacube.simulation.plan import Plan

ROOFS = {"tile": 0.66, "slate": 0.22, "metal": 0.06, "concrete": 0.06}


def draw_settlement(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Roads first, then houses beside them, then the landmark over everything."""
    _draw_motorway(canvas, plan)
    town = blob(rng, plan.town, plan.town_radius, 0.5)
    places = [(town, plan.town, plan.town_radius)]
    for spot in plan.villages:
        radius = float(rng.uniform(130, 240)) * plan.scale
        places.append((blob(rng, spot, radius, 0.6), spot, radius))
    for ring, centre, radius in places:
        _draw_place(canvas, ring, centre, radius, rng)
    _draw_roads(canvas, plan, rng)
    _draw_works(canvas, plan, rng)
    draw_landmark(canvas, plan)


def draw_landmark(canvas: Canvas, plan: Plan) -> None:
    """The L-shaped hall of `plan.landmark`, edges exactly on fine pixels, on a dark apron."""
    x, y = plan.landmark
    apron = rectangle(x - 30, y - 30, x + 110, y + 150)
    canvas.rectangle(apron, canvas.label("asphalt", gain=0.9))
    hall = canvas.label("white_roof")
    canvas.rectangle(rectangle(x, y, x + 30, y + 120), hall)
    canvas.rectangle(rectangle(x, y + 90, x + 80, y + 120), hall)


def _draw_motorway(canvas: Canvas, plan: Plan) -> None:
    height, width = plan.size
    if min(height, width) < 4000:
        return
    share = np.linspace(-0.1, 1.1, 80)
    y = height * (0.88 + 0.05 * np.sin(2.2 * share + 0.5) - 0.04 * share)
    path = np.stack([share * width, y], axis=1)
    for across, kind, gain in ((36.0, "meadow", 0.95), (28.0, "asphalt", 1.15)):
        canvas.line(path, across, canvas.label(kind, gain=gain), warp=False)
    canvas.line(path, 3.75, canvas.label("pasture"), warp=False)


def _draw_roads(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    verge, deck = canvas.label("meadow"), canvas.label("concrete", gain=0.85)
    lanes = [canvas.label("asphalt", gain=gain) for gain in (1.0, 1.05, 1.15)]
    trees = [canvas.label("broadleaf", gain=gain) for gain in (0.95, 1.1)]
    for piece in sorted(plan.roads, key=lambda road: -road.depth):
        width = (8.75, 7.5, 6.25)[piece.depth] * max(plan.scale, 0.6)
        path = densified(piece.chord, closed=False, step_m=11)
        water = canvas.kind_mask("river", "reed", "lake", "shallow")[canvas.at(path)]
        built = canvas.kind_mask("garden", *ROOFS)[canvas.at(path)]
        canvas.line(piece.chord, width + 3.75, verge)
        tangent = (path[-1] - path[0]) / np.hypot(*(path[-1] - path[0]))
        normal = np.array([-tangent[1], tangent[0]])
        if rng.random() < 0.6:
            for side in (-1, 1):
                spots = path[~water & ~built & (rng.random(len(path)) < 0.8)]
                spots = spots + side * normal * (width / 2 + 5) + rng.normal(0, 0.7, spots.shape)
                radii = rng.uniform(2, 3.6, len(spots))
                canvas.discs(spots, radii, rng.choice(trees, len(spots)))
        canvas.line(piece.chord, width, lanes[piece.depth])
        for i in np.flatnonzero(water):
            canvas.line(path[max(i - 1, 0) : i + 2], width + 5, deck)
        for i in np.flatnonzero(water):
            canvas.line(path[max(i - 1, 0) : i + 2], width - 1.25, lanes[piece.depth])


def _draw_place(
    canvas: Canvas, ring: Points, centre: Points, radius: float, rng: np.random.Generator
) -> None:
    """Streets and blocks within a ring, by cutting its box down to blocks of half a hectare."""
    _draw_orchards(canvas, centre + (ring - centre) * (1 + min(45 / radius, 0.35)), rng)
    angle = float(rng.uniform(0.05, 0.3))
    todo = [oriented_box(centre, 2.7 * radius, 2.7 * radius, angle)]
    reach = np.hypot(*(ring - centre).T)
    while todo:
        part = todo.pop()
        if area_m2(part) > 5.2e3 * rng.uniform(0.7, 2.2):
            axis, _ = long_axis(part)
            middle = part.mean(axis=0) + (part[0] - part.mean(axis=0)) * rng.uniform(-0.15, 0.15)
            first, second, _ = cut(part, middle, axis + math.pi / 2 + rng.normal(0, 0.05))
            todo += [first, second]
            continue
        away = part.mean(axis=0) - centre
        bearing = int(math.atan2(away[1], away[0]) / (2 * np.pi) * len(reach)) % len(reach)
        depth = float(np.hypot(*away)) / reach[bearing]
        if depth < 1:
            _draw_block(canvas, part, depth, rng)


def _draw_orchards(canvas: Canvas, ring: Points, rng: np.random.Generator) -> None:
    """Meadows with fruit trees around a place, which hide the steps of its outline."""
    under = [canvas.label("pasture", gain=1.05)]
    canvas.polygon(ring, under[0])
    trees = [canvas.label("broadleaf", gain=gain) for gain in (0.95, 1.05, 1.2)]
    low, high = ring.min(axis=0), ring.max(axis=0)
    spots = rng.uniform(low, high, (int(np.prod(high - low) / 130), 2))
    spots = spots[np.isin(canvas.at(spots), under)]
    canvas.discs(spots, rng.uniform(1.6, 3.4, len(spots)), rng.choice(trees, len(spots)))


def _draw_block(canvas: Canvas, ring: Points, depth: float, rng: np.random.Generator) -> None:
    """One block: street around it, gardens in strips, houses along the street."""
    centre = ring.mean(axis=0)
    canvas.polygon(ring, canvas.label("asphalt", gain=float(rng.uniform(1.0, 1.25))))
    plot = centre + (ring - centre) * (1 - 3.2 / max(math.sqrt(area_m2(ring)) / 2, 4))
    if rng.random() < 0.05:
        canvas.polygon(plot, canvas.label("meadow"))
        return
    canvas.polygon(plot, canvas.label("yard" if depth < 0.35 else "garden"))
    axis, _ = long_axis(plot)
    low = min(float(np.hypot(*(corner - centre))) for corner in plot)
    for _ in range(int(area_m2(plot) / 350)):  # patches of lawn, terrace, vegetable beds
        spot = centre + rng.uniform(-1, 1, 2) * low
        box = oriented_box(spot, float(rng.uniform(8, 20)), float(rng.uniform(5, 10)), axis)
        if inside(box, plot, 0.5):
            kind = str(rng.choice(["meadow", "garden", "yard", "pasture", "fallow"]))
            canvas.polygon(box, canvas.label(kind, gain=float(rng.normal(1, 0.1))))
    _draw_trees(canvas, plot, low, rng)
    for i, corner in enumerate(plot):
        _draw_row(canvas, plot, (corner, plot[(i + 1) % len(plot)]), depth, rng)


def _draw_trees(canvas: Canvas, plot: Points, low: float, rng: np.random.Generator) -> None:
    labels = [canvas.label(kind, gain=1.05) for kind in ("broadleaf", "broadleaf", "conifer")]
    count = int(area_m2(plot) / 260)
    spots = plot.mean(axis=0) + rng.uniform(-1, 1, (count, 2)) * low
    canvas.discs(spots, rng.uniform(1.5, 4.2, count), rng.choice(labels, count))


def _draw_row(
    canvas: Canvas,
    plot: Points,
    side: tuple[Points, Points],
    depth: float,
    rng: np.random.Generator,
) -> None:
    """Houses along one side of a plot, closer and larger towards the centre of the place."""
    along = side[1] - side[0]
    length = float(np.hypot(*along))
    angle = math.atan2(along[1], along[0])
    inward = plot.mean(axis=0) - (side[0] + side[1]) / 2
    inward = inward / max(float(np.hypot(*inward)), 1e-6)
    at = float(rng.uniform(7, 12))
    while at < length - 6:
        if depth < 0.35:
            size = float(rng.uniform(13, 24)), float(rng.uniform(9, 13))
        else:
            size = float(rng.uniform(9.5, 15)), float(rng.uniform(7.5, 10.5))
        spot = side[0] + along / length * at + inward * (size[1] / 2 + rng.uniform(1.5, 5))
        turn = angle + (math.pi / 2 if rng.random() < 0.2 else 0.0)
        if inside(oriented_box(spot, size[0] + 1, size[1] + 1, turn), plot):
            draw_house(canvas, spot, size, turn, rng)
        at += size[0] + float(rng.uniform(1, 6) if depth < 0.35 else rng.uniform(6, 14))


def draw_house(
    canvas: Canvas,
    spot: Points,
    size: tuple[float, float],
    angle: float,
    rng: np.random.Generator,
) -> None:
    """A pitched roof: the half that faces the morning sun is brighter."""
    kind = str(rng.choice(list(ROOFS), p=list(ROOFS.values())))
    gain = float(np.clip(rng.normal(1, 0.13), 0.7, 1.35))
    normal = np.array([-math.sin(angle), math.cos(angle)])
    towards_sun = float(normal @ np.array([0.64, 0.77]))  # sun in the south-east; y is down
    for half in (-1, 1):
        lit = gain * (1 + 0.28 * half * towards_sun)
        box = oriented_box(spot + half * normal * size[1] / 4, size[0], size[1] / 2, angle)
        canvas.polygon(box, canvas.label(kind, gain=lit))


def _draw_works(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """A business park east of the town: flat roofs on asphalt."""
    if min(plan.size) < 1500:
        return
    corner = plan.town + np.array([1.12, 0.28]) * plan.town_radius
    todo = [rectangle(0, 0, 0.9 * plan.town_radius, 0.6 * plan.town_radius) + corner]
    while todo:
        part = todo.pop()
        axis, aspect = long_axis(part)
        middle = part.mean(axis=0) + (part[0] - part.mean(axis=0)) * rng.uniform(-0.2, 0.2)
        if area_m2(part) > 9e3 * rng.uniform(0.7, 3.0) or aspect > 2.2:
            todo += cut(part, middle, axis + math.pi / 2)[:2]
            continue
        canvas.polygon(part, canvas.label("meadow"))
        length, width = np.ptp(part, axis=0) - 7
        box = oriented_box(part.mean(axis=0), length, width, 0.0)
        canvas.polygon(box, canvas.label("asphalt", gain=float(rng.uniform(0.95, 1.4))))
        kind = str(rng.choice(["metal", "concrete", "slate", "gravel", "white_roof"]))
        roof = canvas.label(kind, gain=float(rng.uniform(0.6, 0.95)))
        spot = part.mean(axis=0) + rng.uniform(-0.1, 0.1, 2) * (length, width)
        length, width = length * rng.uniform(0.4, 0.75), width * rng.uniform(0.4, 0.7)
        canvas.polygon(oriented_box(spot, length, width, 0.0), roof)
        for i in range(int(length / 14)):  # skylights
            at = spot + np.array([(i + 0.5) * 14 - length / 2, 0.0])
            light = canvas.label("slate", gain=1.3)
            canvas.polygon(oriented_box(at, 2.5, width * 0.7, 0.0), light)
