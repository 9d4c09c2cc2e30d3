"""Plane geometry of a countryside: cutting convex polygons, meanders, round shapes. In metres."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from datacube.simulation.canvas import Points


@dataclass(frozen=True)
class Cut:
    """A chord along which a polygon was cut; `depth` 0 is the first cut."""

    chord: Points
    depth: int


def rectangle(left: float, top: float, right: float, bottom: float) -> Points:
    """An upright rectangle as a ring."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], float)


def oriented_box(centre: Points, length: float, width: float, angle: float) -> Points:
    """A rectangle about a point, its length along `angle` (radians, from x towards y)."""
    along = np.array([math.cos(angle), math.sin(angle)]) * length / 2
    across = np.array([-math.sin(angle), math.cos(angle)]) * width / 2
    corners = [-along - across, along - across, along + across, -along + across]
    return centre + np.array(corners)


def area_m2(ring: Points) -> float:
    """Area of a simple polygon (shoelace)."""
    x, y = ring[:, 0], ring[:, 1]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def long_axis(ring: Points) -> tuple[float, float]:
    """Direction (radians) of the longer side of the smallest box, and length over width."""
    box = cv2.boxPoints(cv2.minAreaRect(ring.astype(np.float32)))
    first, second = box[1] - box[0], box[2] - box[1]
    lengths = float(np.hypot(*first)), float(np.hypot(*second))
    longer = first if lengths[0] >= lengths[1] else second
    angle = math.atan2(float(longer[1]), float(longer[0]))
    return angle, max(lengths) / max(min(lengths), 1e-6)


def cut(ring: Points, through: Points, angle: float) -> tuple[Points, Points, Points]:
    """Cut a convex ring by a line: both parts and the chord; the point must lie inside."""
    normal = np.array([-math.sin(angle), math.cos(angle)])
    side = (ring - through) @ normal
    parts: tuple[list[Points], list[Points]] = ([], [])
    chord: list[Points] = []
    for i, point in enumerate(ring):
        following, beyond = ring[(i + 1) % len(ring)], side[(i + 1) % len(ring)]
        parts[0 if side[i] >= 0 else 1].append(point)
        if (side[i] >= 0) != (beyond >= 0):
            crossing = point + (following - point) * (side[i] / (side[i] - beyond))
            chord.append(crossing)
            parts[0].append(crossing)
            parts[1].append(crossing)
    return np.array(parts[0]), np.array(parts[1]), np.array(chord)


def inside(points: Points, ring: Points, inset_m: float = 0.0) -> bool:
    """Whether every point lies in a convex ring, at least `inset_m` from its sides."""
    ends = np.roll(ring, -1, axis=0)
    sides = ends - ring
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    offset = points[:, None, :] - ring[None]
    distance = (sides[:, 0] * offset[..., 1] - sides[:, 1] * offset[..., 0]) / np.maximum(
        lengths, 1e-9
    )
    turn = np.sign(np.sum(ring[:, 0] * ends[:, 1] - ends[:, 0] * ring[:, 1]))
    return bool((distance * turn >= inset_m).all())


def blob(rng: np.random.Generator, centre: Points, radius: float, roughness: float) -> Points:
    """A round, irregular ring: harmonics 2 to 7 with falling amplitude."""
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    reach = np.ones_like(angle)
    for order in range(2, 8):
        phase = rng.uniform(0, 2 * np.pi)
        reach += roughness / order * rng.uniform(0.5, 1.2) * np.sin(order * angle + phase)
    return centre + radius * np.stack([np.cos(angle), np.sin(angle)], 1) * reach[:, None]


def meander(rng: np.random.Generator, start: Points, end: Points, width_m: float) -> Points:
    """A river's centre line: a sine-generated curve (Langbein and Leopold 1966).

    The direction swings as a sine of the way travelled, with wavelength near 16 widths and an
    amplitude that wanders; the whole is turned and scaled to run from start to end.
    """
    step = width_m / 4
    distance = float(np.hypot(*(end - start)))
    way = np.arange(0, 1.5 * distance, step)
    swing = 0.85 + 0.55 * _slow(rng, len(way), 30 * width_m / step)
    pace = 1 + 0.45 * np.clip(_slow(rng, len(way), 25 * width_m / step), -1, 1.2)
    phase = 2 * np.pi * np.cumsum(pace) * step / (19 * width_m)
    direction = swing * np.sin(phase) + 0.5 * _slow(rng, len(way), 45 * width_m / step)
    path = np.cumsum(np.stack([np.cos(direction), np.sin(direction)], 1), axis=0) * step
    complex_path = (path - path[0]) @ np.array([1, 1j])
    span = (end - start) @ np.array([1, 1j])
    placed = complex_path * (span / complex_path[-1])
    return np.asarray(start + np.stack([placed.real, placed.imag], 1))


def _slow(rng: np.random.Generator, count: int, wavelength: float) -> Points:
    """Smooth noise of unit order along a line."""
    knots = max(math.ceil(count / wavelength) + 3, 4)
    at = np.linspace(0, knots - 1.001, count)
    values, base = rng.normal(0, 0.7, knots), at.astype(int)
    blend = 0.5 - 0.5 * np.cos(np.pi * (at - base))
    return np.asarray(values[base] * (1 - blend) + values[np.minimum(base + 1, knots - 1)] * blend)
