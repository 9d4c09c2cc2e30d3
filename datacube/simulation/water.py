"""Drawing water: the meandering river in its meadows, the lake with its shore."""

import numpy as np
from scipy.ndimage import uniform_filter1d

from datacube.simulation.canvas import Canvas, Points
from datacube.simulation.geometry import blob
from datacube.simulation.plan import Plan, distance_to


def draw_river(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Meadows along the valley, trees on the banks, gravel inside the bends, water."""
    width, path = plan.river_width, plan.river
    valley: Points = uniform_filter1d(path, size=68, axis=0, mode="nearest")
    for first in range(0, len(path) - 1, 90):
        days, gain = float(rng.normal(0, 3)), float(rng.normal(1, 0.05))
        label = canvas.label("meadow", days=days, gain=gain)
        canvas.line(valley[first : first + 110 : 5], width * 7, label, warp=False)
    canvas.line(path, width * 2.6, canvas.label("pasture", gain=0.95), warp=False)
    trees = [canvas.label("broadleaf", gain=gain) for gain in (0.9, 1.0, 1.12)]
    density = np.clip(rng.normal(0.4, 0.35, len(path) // 15 + 1), 0.03, 0.95).repeat(15)
    spots = path[rng.random(len(path)) < density[: len(path)]]
    spots = spots + rng.normal(0, 0.75 * width, spots.shape)
    radii = rng.uniform(2.5, 6.5, len(spots)) * max(plan.scale, 0.6)
    canvas.discs(spots, radii, rng.choice(trees, len(spots)), warp=False)
    canvas.line(path, width + 5, canvas.label("reed", gain=0.9), warp=False)
    direction = np.unwrap(np.angle(np.diff(path @ np.array([1, 1j]))))
    bend: Points = uniform_filter1d(np.diff(direction), size=9)
    sharp = np.flatnonzero(np.abs(bend) > np.quantile(np.abs(bend), 0.88))
    step = np.diff(path, axis=0)[sharp]
    inward = np.stack([-step[:, 1], step[:, 0]], 1) / np.hypot(*step.T)[:, None]
    bars = path[sharp] + inward * np.sign(bend[sharp])[:, None] * width * 0.42
    sand = canvas.label("sand", gain=0.8)
    canvas.discs(bars, np.full(len(bars), 0.30 * width), np.full(len(bars), sand), warp=False)
    water = canvas.label("river")
    canvas.line(path, width * 0.9, water, warp=False)
    breadth = width * rng.uniform(0.45, 0.54, len(path[::4]))
    canvas.discs(path[::4], breadth, np.full(len(breadth), water), warp=False)


def draw_lake(canvas: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """From the meadow inwards: trees, reed and a beach, shallows, deep water, an island."""
    shore = blob(rng, plan.lake, plan.lake_radius, 0.55)
    rim = plan.scale * 14
    outward = (shore - plan.lake) / np.hypot(*(shore - plan.lake).T)[:, None]
    canvas.polygon(shore + outward * 3.2 * rim, canvas.label("meadow", gain=1.05), warp=False)
    _draw_outlet(canvas, plan)
    trees = [canvas.label("broadleaf", gain=gain) for gain in (0.92, 1.05)]
    grove = rng.random(len(shore) // 10) < 0.7
    spots = (shore + outward * 1.4 * rim)[grove.repeat(10)].repeat(5, axis=0)
    spots = spots + rng.normal(0, 1.2 * rim, spots.shape)
    radii = rng.uniform(2.5, 6.5, len(spots)) * plan.scale
    canvas.discs(spots, radii, rng.choice(trees, len(spots)), warp=False)
    reach = rng.uniform(0.1, 1.0, len(shore) // 8).repeat(8)[:, None]
    canvas.polygon(shore + outward * rim * reach, canvas.label("reed"), warp=False)
    beach = slice(18, 40)
    ring = np.concatenate([shore[beach], (shore + outward * 1.3 * rim)[beach][::-1]])
    canvas.polygon(ring, canvas.label("sand"), warp=False)
    for depth, kind, gain in ((0, "shallow", 1.0), (0.8, "lake", 1.3), (2.2, "lake", 1.0)):
        canvas.polygon(shore - outward * depth * rim, canvas.label(kind, gain=gain), warp=False)
    island = blob(rng, plan.lake + 0.2 * plan.lake_radius, 0.10 * plan.lake_radius, 0.4)
    canvas.polygon(island, canvas.label("broadleaf"), warp=False)


def _draw_outlet(canvas: Canvas, plan: Plan) -> None:
    """A brook from the lake to the river."""
    if distance_to(plan.river, plan.lake) < 1.5 * plan.lake_radius:
        return
    mouth = plan.river[int(np.argmin(np.hypot(*(plan.river - plan.lake).T)))]
    brook = np.linspace(plan.lake, mouth, 60)
    sway = plan.scale * (22 * np.sin(np.linspace(0, 9, 60)) + 9 * np.sin(np.linspace(1, 31, 60)))
    brook = brook + np.stack([sway, 0 * sway], axis=1)
    canvas.line(brook, 9 * max(plan.scale, 0.5), canvas.label("reed"), warp=False)
    canvas.line(brook, 3.75, canvas.label("river"), warp=False)
