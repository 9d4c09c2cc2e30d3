"""Where things are: the skeleton of a countryside before anything is drawn.

The land is cut again and again by nearly straight lines. The first cuts are roads and meet in
the town, later ones are lanes and tracks, the last ones the boundaries of fields; so roads
connect, and fields lie along them.
"""

import math
from dataclasses import dataclass

import numpy as np

from datacube.simulation.canvas import MARGIN_M, Points, densified
from datacube.simulation.geometry import Cut, area_m2, cut, long_axis, meander, rectangle

ROAD_DEPTH = 3  # cuts shallower than this are asphalt roads


@dataclass(frozen=True)
class Plan:
    """Positions in metres; `size` is (height, width) of the area of interest."""

    size: tuple[float, float]
    scale: float
    town: Points
    town_radius: float
    villages: tuple[Points, ...]
    lake: Points
    lake_radius: float
    river: Points
    river_width: float
    landmark: Points
    blocks: tuple[Points, ...]
    cuts: tuple[Cut, ...]

    @property
    def roads(self) -> tuple[Cut, ...]:
        """The cuts that are asphalt roads."""
        return tuple(piece for piece in self.cuts if piece.depth < ROAD_DEPTH)


def landmark(shape: tuple[int, int]) -> tuple[float, float]:
    """Outer corner (row, column) of the L-shaped bright hall, in continuous 10 m pixels.

    (0, 0) is the outer corner of the first pixel. From the corner the hall runs 12 px down and
    8 px to the right, each arm 3 px thick; a dark apron of 3 px surrounds it. The corner lies
    off the pixel grid on purpose, on a whole number of eighths of a pixel.
    """
    return math.floor(0.14 * shape[0]) + 4.375, math.floor(0.60 * shape[1]) + 4.625


def make_plan(rng: np.random.Generator, shape: tuple[int, int]) -> Plan:
    """Lay out a countryside of `shape` 10 m pixels."""
    height, width = shape[0] * 10.0, shape[1] * 10.0
    least = min(height, width)
    scale = float(np.clip(math.sqrt(least / 8000), 0.3, 1.0))
    at = np.array([width, height])
    town = at * (0.43, 0.42)
    reach = 3 * MARGIN_M
    river_width = 30 * scale
    river = meander(
        rng,
        np.array([-reach, 0.61 * height]),
        np.array([width + reach, 0.55 * height]),
        river_width,
    )
    blocks, cuts = _cut_land(rng, (height, width), town, 36e4 * scale**2)
    row, column = landmark(shape)
    plan = Plan(
        size=(height, width),
        scale=scale,
        town=town,
        town_radius=0.068 * least,
        villages=(),
        lake=_lake_site(at, cuts, np.array([column, row]) * 10.0),
        lake_radius=0.055 * least,
        river=river,
        river_width=river_width,
        landmark=np.array([column, row]) * 10.0,
        blocks=blocks,
        cuts=cuts,
    )
    return Plan(**{**plan.__dict__, "villages": _villages(rng, plan)})


def distance_to(path: Points, point: Points) -> float:
    """Distance from a point to the nearest vertex of a path (or to one point)."""
    return float(np.hypot(*(np.atleast_2d(path) - point).T).min())


def _lake_site(size_xy: Points, cuts: tuple[Cut, ...], hall: Points) -> Points:
    """The place in the upper right quarter that lies farthest from roads and the landmark."""
    roads = [densified(piece.chord, closed=False) for piece in cuts if piece.depth < ROAD_DEPTH]
    sites = [
        size_xy * (x, y) for x in np.linspace(0.68, 0.88, 11) for y in np.linspace(0.14, 0.40, 12)
    ]
    obstacles = np.concatenate([*roads, hall[None]])
    return max(sites, key=lambda site: distance_to(obstacles, site))


def _cut_land(
    rng: np.random.Generator, size: tuple[float, float], town: Points, block_m2: float
) -> tuple[tuple[Points, ...], tuple[Cut, ...]]:
    reach = 2 * MARGIN_M
    land = rectangle(-reach, -reach, size[1] + reach, size[0] + reach)
    upper, lower, chord = cut(land, town, rng.uniform(0.10, 0.18))
    cuts = [Cut(chord, 0)]
    todo = []
    for part, angle in ((upper, 1.47), (lower, 1.70)):
        through = town + (chord[1] - chord[0]) * rng.uniform(-0.006, 0.006)
        first, second, piece = cut(part, through, angle)
        cuts.append(Cut(piece, 1))
        todo += [(first, 2), (second, 2)]
    blocks = []
    while todo:
        ring, depth = todo.pop()
        if area_m2(ring) < block_m2 * rng.uniform(0.7, 1.6):
            blocks.append(ring)
            continue
        axis, _ = long_axis(ring)
        through = ring.mean(axis=0) + (ring[0] - ring.mean(axis=0)) * rng.uniform(-0.2, 0.2)
        turned = axis + math.pi / 2 + rng.normal(0, 0.10)
        first, second, piece = cut(ring, through, turned)
        cuts.append(Cut(piece, depth))
        todo += [(first, depth + 1), (second, depth + 1)]
    return tuple(blocks), tuple(cuts)


def _villages(rng: np.random.Generator, plan: Plan) -> tuple[Points, ...]:
    """Up to six places on roads, clear of the town, water, the landmark and each other."""
    height, width = plan.size
    apart = 0.16 * min(height, width)
    chosen: list[Points] = []
    for piece in plan.roads:
        for share in rng.permutation(np.linspace(0.12, 0.88, 7)):
            spot = piece.chord[0] + share * (piece.chord[1] - piece.chord[0])
            within = (spot > 0.05 * apart).all() and (spot < np.array([width, height])).all()
            clear = (
                distance_to(plan.town, spot) > 1.1 * apart
                and distance_to(plan.river, spot) > 0.3 * apart
                and distance_to(plan.lake, spot) > 0.7 * apart
                and distance_to(plan.landmark, spot) > 0.9 * apart
                and all(distance_to(other, spot) > 1.3 * apart for other in chosen)
            )
            if within and clear and len(chosen) < 6:
                chosen.append(spot)
    return tuple(chosen)
