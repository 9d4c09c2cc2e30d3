"""What makes a label look like ground: crowns, rows, tramlines, patchy growth, shadows.

Two planes accompany the labels: `vigour` (int8, fiftieths), how much better or worse than
average things grow, and `shade` (uint8, 128 is one), a factor on the light.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from datacube.simulation.canvas import FINE_M, Canvas

VIGOUR_STEP = 0.02
SHADE_ONE = 128
TILE = 1024  # fine pixels after which crown texture repeats
TRAMLINE_M = 24.0  # working width of a sprayer
BLOCK_ROWS = 256

ROW_CROPS = ("wheat", "barley", "rapeseed", "maize", "beet", "stubble", "fallow", "bare")
MOWN = ("meadow",)
TREES = ("broadleaf", "conifer")
BUILT = ("tile", "slate", "metal", "concrete")  # not the landmark: its edges stay plain


def vigour_of(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.int8]:
    """Patchy growth everywhere, tramlines and swaths along the rows of fields."""
    shape = canvas.labels.shape
    coarse = tuple(-(-side // 8) for side in shape)
    patches = sum(
        (weight * smooth_noise(rng, coarse, wavelength))
        for wavelength, weight in ((64, 0.25), (22, 0.27), (7, 0.22), (2.5, 0.12))
    )
    patches = np.clip(patches / VIGOUR_STEP + 128, 0, 255).astype(np.uint8)
    full = cv2.resize(patches, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
    grain = rng.normal(0, 0.12 / VIGOUR_STEP, (BLOCK_ROWS, shape[1])).astype(np.float32)
    rows = _Rows(canvas, rng)
    vigour = np.empty(shape, np.int8)
    for top in range(0, shape[0], BLOCK_ROWS):
        part = slice(top, min(top + BLOCK_ROWS, shape[0]))
        value = full[part].astype(np.float32) - 128
        value += np.roll(grain, 37 * top, axis=1)[: len(value)]
        value += rows.of(canvas.labels[part], top) / np.float32(VIGOUR_STEP)
        vigour[part] = np.clip(value, -127, 127)
    return vigour


def shade_of(canvas: Canvas, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Crowns of trees lit from the south-east, their shadows and those of houses."""
    labels = canvas.labels
    tile = TILE if max(labels.shape) > TILE else TILE // 2
    broad, needle = crowns(rng, tile, 9.0, 0.9), crowns(rng, tile, 5.6, 1.2)
    ground = np.clip(rng.normal(SHADE_ONE, 3.5, (tile, tile)), 0, 255).astype(np.uint8)
    textures = np.stack([ground, broad, needle]).reshape(3, -1)
    which = np.zeros(len(canvas.kinds), np.intp)
    which[canvas.kind_mask("broadleaf")] = 1
    which[canvas.kind_mask("conifer")] = 2
    height = np.zeros(len(canvas.kinds), np.uint8)
    height[canvas.kind_mask(*BUILT)] = 1
    height[canvas.kind_mask(*TREES)] = 2
    shade = np.empty(labels.shape, np.uint8)
    columns = np.arange(labels.shape[1]) % tile
    for top in range(0, labels.shape[0], BLOCK_ROWS):
        part = labels[top : top + BLOCK_ROWS]
        rows = (np.arange(top, top + len(part)) % tile)[:, None]
        shade[top : top + BLOCK_ROWS] = textures[which[part], rows * tile + columns]
    tall = height[labels]
    for level, length in ((1, 4), (2, 7)):
        _cast(shade, tall, level, length)
    return shade


def crowns(
    rng: np.random.Generator, tile: int, spacing_m: float, contrast: float
) -> NDArray[np.uint8]:
    """A repeating tile of tree crowns, `tile` fine pixels wide.

    Each crown is a dome, brighter towards the sun; the gaps between them are dark.
    """
    count = round(tile * FINE_M / spacing_m)
    pitch = tile / count
    grid = np.stack(np.meshgrid(np.arange(count), np.arange(count), indexing="ij"), -1)
    points = (grid + rng.uniform(0.0, 1.0, grid.shape)).astype(np.float32) * np.float32(pitch)
    radii = (pitch * rng.uniform(0.45, 0.72, (count, count))).astype(np.float32)
    tones = rng.normal(0, 0.12, (count, count)).astype(np.float32)
    at = np.arange(tile, dtype=np.float32) + np.float32(0.5)
    cell = (at / pitch).astype(int)
    near = np.full((tile, tile), np.inf, np.float32)
    value = np.zeros((tile, tile), np.float32)
    for step in np.ndindex(3, 3):  # a crown's middle lies in this cell or one of its neighbours
        rows, columns = cell + step[0] - 1, cell + step[1] - 1
        pick = np.ix_(rows % count, columns % count)
        middle, radius = points[pick], radii[pick]
        dy = at[:, None] - middle[..., 0] - (rows // count * tile)[:, None]
        dx = at[None, :] - middle[..., 1] - (columns // count * tile)[None, :]
        distance = dy * dy + dx * dx
        dome = 0.5 - 0.55 * np.minimum(distance / (radius * radius), 1.6)
        lit = 0.21 * (dx + dy) / radius
        closer = distance < near
        value[closer] = (0.8 * dome + lit + tones[pick])[closer]
        near[closer] = distance[closer]
    value = 0.9 + contrast * value
    value *= SHADE_ONE / value.mean()
    return np.clip(value, 20, 255).astype(np.uint8)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], wavelength_px: float
) -> NDArray[np.float32]:
    """Noise of about unit deviation, smooth below a wavelength."""
    coarse = [int(side / wavelength_px * 2) + 4 for side in shape]
    values = rng.normal(0, 1.35, coarse).astype(np.float32)
    step = wavelength_px / 2
    columns = (np.arange(shape[1], dtype=np.float32) / step + 1)[None].repeat(shape[0], 0)
    rows = (np.arange(shape[0], dtype=np.float32) / step + 1)[:, None].repeat(shape[1], 1)
    smooth = cv2.remap(values, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(smooth, np.float32)


class _Rows:
    """Wheel tracks and swaths as a function of the distance across a field's rows."""

    def __init__(self, canvas: Canvas, rng: np.random.Generator) -> None:
        angles = np.array(canvas.angles)
        drilled = canvas.kind_mask(*ROW_CROPS).astype(np.float32)
        mown = canvas.kind_mask(*MOWN).astype(np.float32)
        self._sin = -np.sin(angles).astype(np.float32)
        self._cos = np.cos(angles).astype(np.float32)
        self._phase = rng.uniform(0, TRAMLINE_M, len(angles)).astype(np.float32)
        self._tram = np.asarray(-1.1 * drilled * rng.uniform(0.2, 1.2, len(angles)), np.float32)
        self._swath = 0.17 * drilled + 0.45 * mown

    def of(self, labels: NDArray[np.uint16], top: int) -> NDArray[np.float32]:
        index = labels.astype(np.intp)
        drawn = self._swath.take(index)
        if not drawn.any():
            return drawn
        x = np.arange(labels.shape[1], dtype=np.float32) * np.float32(FINE_M)
        y = (np.arange(top, top + len(labels), dtype=np.float32) * np.float32(FINE_M))[:, None]
        across = x * self._sin.take(index) + y * self._cos.take(index) + self._phase.take(index)
        passes = across * np.float32(1 / TRAMLINE_M)
        in_tram = passes - np.floor(passes) < np.float32(2.5 / TRAMLINE_M)
        # 256 strips of random strength, 6 m wide: drill and mower passes
        strength = np.random.default_rng(6).normal(0, 1, 256).astype(np.float32)
        strip = (across * np.float32(1 / 6)).astype(np.int32) & 255
        return np.asarray(drawn * strength[strip] + self._tram.take(index) * in_tram)


def _cast(shade: NDArray[np.uint8], tall: NDArray[np.uint8], level: int, length_px: int) -> None:
    """Darken what lies north-west of tall things, up to a length of shadow."""
    things = (tall == level).astype(np.uint8)
    kernel = np.zeros((2 * length_px + 1, 2 * length_px + 1), np.uint8)
    for step in range(length_px + 1):
        kernel[length_px + round(step * 0.75), length_px + round(step * 0.66)] = 1
    hidden = cv2.dilate(things, kernel)
    dark = (hidden == 1) & (tall < max(level, 1))
    shade[dark] = (shade[dark] * np.float32(0.52)).astype(np.uint8)
