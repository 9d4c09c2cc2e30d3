"""Two overlapping detectors of Sentinel-2 over one simulated landscape, as level 1B has them.

Every band of every detector looks at the same ground a moment earlier or later, in an order that
turns round from odd detectors to even ones, while the platform sways. So each image has its own
offset from the ground, another for each of its rows; nothing has been registered. Offsets are
(dy, dx) in pixels: pixel (i, j) is centred on the ground at (i + 0.5 + dy[i], j + 0.5 + dx[i]).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from datacube.bands import Band, find_bands
from datacube.errors import InvalidInput
from datacube.simulation.canvas import FINE_PER_PX
from datacube.simulation.exposure import Camera, paint
from datacube.simulation.landscape import Landscape
from datacube.simulation.optics import SAMPLES_PER_PX, Psf, axis_weights, line_spread
from datacube.simulation.spectra import noise_sigma

Float = NDArray[np.float64]
Image = NDArray[np.float32]
View = Literal[0, 1]

# When each band passes a point, in seconds after B02, on an odd detector (Sentinel-2 MSI
# technical guide, focal plane layout); even detectors see them in the reverse order.
SEEN_AFTER_S = {"B02": 0.0, "B08": 0.264, "B03": 0.527, "B04": 1.005}
ROW_S = 0.0015  # 10 m of ground at the orbit's ground speed
DETECTOR_DELAY_S = 2.0  # between two neighbouring detectors, which lie on two rows
SWAY_ROWS = (250.0, 900.0)  # shortest and longest wave of the platform's sway
LARGEST_SHIFT_PX = 4.0  # a landscape's margin holds this, the blur and the pixel
REFERENCE = "B03"
TRUTH_FACTOR = 2


@dataclass(frozen=True)
class OverlapPlan:
    """What is simulated; bands and detectors lie at most `max_shift_px` per axis from the first
    detector's B03, as far as the platform's sway, the layout and the first row make them.
    """

    seed: int
    max_shift_px: float = 3.0
    bands: tuple[str, ...] = ("B02", "B03", "B04", "B08")
    day_of_year: int = 172
    psf: Psf = "gaussian"
    noise: bool = True
    truth: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_shift_px <= LARGEST_SHIFT_PX:
            raise InvalidInput(
                f"need shifts of 0 to {LARGEST_SHIFT_PX:g} px, got {self.max_shift_px:g}"
            )
        unknown = set(self.bands) - set(SEEN_AFTER_S)
        if unknown or REFERENCE not in self.bands:
            raise InvalidInput(
                f"need B03 and others of {', '.join(SEEN_AFTER_S)}, got {list(self.bands)}"
            )


@dataclass(frozen=True, eq=False)
class DetectorPair:
    """`views` (detector, band, y, x) reflectance; `offsets_px` (detector, band, y, 2).

    `truth` (band, 2 y, 2 x) is the sharp mean of each 5 m pixel, where the first detector's B03
    saw it, or None. It is for judging, never for training.
    """

    views: Image
    offsets_px: Float
    bands: tuple[str, ...]
    truth: Image | None

    def flow(self, reference: tuple[View, str], moving: tuple[View, str]) -> Image:
        """The true flow (2, y, x) as (dx, dy): where in `moving` lies what a pixel shows."""
        own = self.offsets_px[reference[0], self.bands.index(reference[1])]
        other = self.offsets_px[moving[0], self.bands.index(moving[1])]
        rows = np.arange(len(own))
        seen_at = np.interp(rows + own[:, 0], rows + other[:, 0], rows)
        # Beyond the first or last row the offset continues as it is there.
        edge = np.clip(rows + own[:, 0] - (rows + other[:, 0]).max(), 0, None)
        edge += np.clip(rows + own[:, 0] - (rows + other[:, 0]).min(), None, 0)
        across = own[:, 1] - np.interp(seen_at, rows, other[:, 1])
        by_row = np.stack([across, seen_at + edge - rows])
        return np.repeat(by_row[:, :, None], self.views.shape[-1], axis=2).astype(np.float32)


def simulate_overlap(landscape: Landscape, plan: OverlapPlan) -> DetectorPair:
    """Let two detectors see a landscape, each band with its own offsets, blur and noise."""
    offsets = _offsets(plan, landscape.shape[0])
    bands = find_bands(plan.bands)
    views = np.empty((2, len(bands), *landscape.shape), np.float32)
    for view, index in np.ndindex(2, len(bands)):
        clean = _see(landscape, bands[index], plan, offsets[view, index], plan.psf)
        rng = np.random.default_rng([plan.seed, 21, view, index])
        noise = rng.standard_normal(clean.shape, dtype=np.float32)
        noise *= noise_sigma(clean, plan.bands[index]) * np.float32(plan.noise)
        views[view, index] = clean + noise
    truth = None
    if plan.truth:
        own = offsets[0, plan.bands.index(REFERENCE)]
        truth = np.stack([_see(landscape, band, plan, own, "none", TRUTH_FACTOR) for band in bands])
    return DetectorPair(views, offsets, plan.bands, truth)


def _offsets(plan: OverlapPlan, height: int) -> Float:
    """(detector, band, y, 2) offsets; the first detector's B03 has none in the mean."""
    rng = np.random.default_rng([plan.seed, 20])
    waves = rng.uniform(*SWAY_ROWS, (5, 2))
    phases, sizes = rng.uniform(0, 2 * np.pi, (5, 2)), rng.normal(0, 1, (5, 2)) * (0.3, 1.0)

    def sway(at_row: Float) -> Float:
        turns = 2 * np.pi * at_row[:, None, None] / waves + phases
        return np.asarray((sizes * np.sin(turns)).sum(axis=1))

    rows = np.arange(height, dtype=np.float64)
    layout = rng.uniform(-0.6, 0.6, (len(plan.bands), 2))  # what the layout's nominal shift leaves
    base = rng.uniform(-1, 1, (2, 2))
    offsets = np.empty((2, len(plan.bands), height, 2))
    for view, index in np.ndindex(2, len(plan.bands)):
        order = 1 if view == 0 else -1
        late_s = order * SEEN_AFTER_S[plan.bands[index]] + view * DETECTOR_DELAY_S
        swayed = sway(rows + late_s / ROW_S)
        offsets[view, index] = swayed + order * layout[index] + base[view]
    offsets -= offsets[0, plan.bands.index(REFERENCE)].mean(axis=0)
    own = offsets[0, plan.bands.index(REFERENCE)]
    largest = np.abs(offsets - own).max()
    scale = plan.max_shift_px / max(largest, plan.max_shift_px / 4, 1e-6)
    return np.asarray(np.clip(offsets * scale, -LARGEST_SHIFT_PX, LARGEST_SHIFT_PX))


def _see(
    landscape: Landscape, band: Band, plan: OverlapPlan, offsets: Float, psf: Psf, factor: int = 1
) -> Image:
    """One band's image, its pixels `factor` times finer than 10 m; offsets are per 10 m row."""
    height, width = (side * factor for side in landscape.shape)
    fine_per_px = FINE_PER_PX // factor
    centres = (np.arange(height) + 0.5) / factor - 0.5
    rows_at = [
        np.interp(centres, np.arange(len(offsets)), offsets[:, axis]) * factor for axis in (0, 1)
    ]
    down = axis_weights(
        line_spread(band, psf, "y"),
        out_px=height,
        fine_per_px=fine_per_px,
        fine_px=landscape.labels.shape[0],
        margin_fine=landscape.margin_fine,
        shift_px=rows_at[0],
    )
    film = np.zeros((height, landscape.labels.shape[1]), np.float32)
    camera = Camera.looking(band, landscape, down, plan.day_of_year)
    paint(landscape, [camera], [film])
    profile = line_spread(band, psf, "x")
    return _across(film, profile, rows_at[1], (fine_per_px, landscape.margin_fine, width))


def _across(film: Image, profile: Float, shifts_px: Float, layout: tuple[int, int, int]) -> Image:
    """Average a film (y, fine x) along x, each row with a shift of its own."""
    fine_per_px, margin_fine, width = layout
    reach = len(profile) / 2 / SAMPLES_PER_PX
    taps = int(np.ceil(2 * reach * fine_per_px)) + 2
    cumulative = np.concatenate([[0.0], np.cumsum(profile)])
    edges = np.arange(taps + 1)
    first = 0.5 * fine_per_px + shifts_px * fine_per_px + margin_fine
    starts = np.floor(first - reach * fine_per_px).astype(int)
    # Columns are whole pixels apart, so one set of weights serves all the pixels of a row.
    at = (starts[:, None] + edges - first[:, None]) / fine_per_px * SAMPLES_PER_PX
    weights = np.diff(np.interp(at + len(profile) / 2, np.arange(len(cumulative)), cumulative))
    out = np.zeros((len(film), width), np.float32)
    rows = np.arange(len(film))[:, None]
    columns = starts[:, None] + np.arange(width) * fine_per_px
    for tap in range(taps):
        out += weights[:, tap, None].astype(np.float32) * film[rows, columns + tap]
    return out


def spread(pairs: Sequence[DetectorPair]) -> float:
    """The largest relative shift per axis among pairs, for tables."""
    return float(max(np.abs(pair.offsets_px - pair.offsets_px[:1, :1]).max() for pair in pairs))
