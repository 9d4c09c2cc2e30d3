"""Sentinel-2's season over a simulated landscape: passes, acquisition, truth.

What happens to one date, in this order: the ground is exposed through the instrument, shadows
and clouds are laid over it, pixels are classified, noise is added, numbers are written.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from datacube.bands import find_bands
from datacube.errors import InvalidInput
from datacube.scene import dn_from_reflectance
from datacube.simulation.exposure import Camera, expose
from datacube.simulation.landscape import Landscape, build_landscape
from datacube.simulation.optics import Psf
from datacube.simulation.sky import Sky, SkyKind, make_sky
from datacube.simulation.spectra import BANDS, cloud_reflectance, noise_sigma
from datacube.simulation.storm import fell, storm_window

YEAR = 2025
JITTER_PX = 0.15  # root mean square, per axis

# Day of year, sky: one season of twelve passes. Number 5 is the one to show first.
SEASON: tuple[tuple[int, SkyKind], ...] = (
    (77, "fair"),
    (97, "broken"),
    (122, "clear"),
    (137, "scattered"),
    (152, "fair"),
    (172, "clear"),
    (187, "overcast"),
    (197, "clear"),
    (217, "fair"),
    (242, "clear"),
    (257, "scattered"),
    (282, "clear"),
)
SUMMER = 5
TRUTH_ORDER = (5, 2, 9, 11, 7, 0, 8, 4, 3, 10, 1, 6)  # clear and different from each other first


@dataclass(frozen=True)
class SimulatedScene:
    """One acquisition of a simulated landscape; DN = round((reflectance + 0.1) * 10000), 0 none.

    `dn` is (band, y, x) and `scl` (y, x), both at 10 m; 20 m bands are repeated twice. `shift_px`
    (dy, dx), 10 m pixels: pixel (i, j) is centred on the ground at (i + 0.5 + dy, j + 0.5 + dx),
    so a thing on the ground at row r appears at row r - dy. `cloud_cover` is in percent.
    `truth_dn` is (band, 4 y, 4 x) at 2.5 m: the mean over each truth pixel of the reflectance
    without cloud, shift, blur and noise; None where it was not asked for.
    """

    scene_id: str
    datetime: datetime
    bands: tuple[str, ...]
    dn: NDArray[np.uint16]
    scl: NDArray[np.uint8]
    shift_px: tuple[float, float]
    cloud_cover: float
    truth_dn: NDArray[np.uint16] | None


@dataclass(frozen=True)
class Pass:
    """What is decided before a scene is acquired; `seed` is of its sky and its noise."""

    datetime: datetime
    sky: SkyKind
    shift_px: tuple[float, float]
    seed: int
    truth: bool
    psf: Psf = "gaussian"
    noise: bool = True

    @property
    def day_of_year(self) -> int:
        """1 on the first of January."""
        return self.datetime.timetuple().tm_yday


def simulate_season(
    seed: int,
    *,
    shape: tuple[int, int] = (800, 800),
    bands: tuple[str, ...] = ("B02", "B03", "B04", "B08"),
    dates: int = 12,
    truth_dates: int = 4,
    psf: Psf = "gaussian",
) -> Iterator[SimulatedScene]:
    """Acquire a landscape over a season, in order of time.

    `shape` is (height, width) in 10 m pixels. Raises InvalidInput for bands without a
    simulated spectrum (B01, B09), for other than 1..40 dates, and as `build_landscape` does.
    """
    find_bands(bands)
    unsimulated = sorted(set(bands) - set(BANDS))
    if unsimulated or not bands:
        raise InvalidInput(f"need some of the bands {', '.join(BANDS)}, got {list(bands)}")
    passes = plan_season(seed, dates=dates, truth_dates=truth_dates, psf=psf)
    return acquire_season(build_landscape(seed, shape), passes, bands)


def acquire_season(
    ground: Landscape, passes: Sequence[Pass], bands: tuple[str, ...], storm_day: int | None = None
) -> Iterator[SimulatedScene]:
    """Acquire one pass after the other, in their order.

    From `storm_day` of the year on, if one is given, patches of wood are felled, in the truth as
    well (see `storm`).
    """
    if storm_day is None or all(each.day_of_year < storm_day for each in passes):
        return (acquire(ground, each, bands) for each in passes)
    after = fell(ground, storm_window(ground.shape)).ground
    return (
        acquire(after if each.day_of_year >= storm_day else ground, each, bands) for each in passes
    )


def plan_season(
    seed: int, *, dates: int = 12, truth_dates: int = 4, psf: Psf = "gaussian"
) -> tuple[Pass, ...]:
    """When the satellite passes, with which sky and which shift; high summer is always there.

    Fewer than twelve dates are chosen among the twelve, more are put between them. Shifts have
    a root mean square of 0.15 px per axis over the season when there are at least three. Truth
    is kept for `truth_dates` of them or for all if there are fewer, high summer first.
    """
    if not 1 <= dates <= 40:
        raise InvalidInput(f"need 1 to 40 dates, got {dates}")
    if psf not in get_args(Psf):
        raise InvalidInput(f"need psf gaussian, optics or none, got {psf}")
    if truth_dates < 0:
        raise InvalidInput(f"need 0 or more truth dates, got {truth_dates}")
    rng = np.random.default_rng([seed, 2])
    position = np.linspace(0, len(SEASON) - 1, dates)
    position[np.argmin(np.abs(position - SUMMER))] = SUMMER
    known_days = [day for day, _ in SEASON]
    days = np.interp(position, np.arange(len(SEASON)), known_days)
    nearest = np.floor(position + 0.5).astype(int)
    shifts = rng.normal(0, JITTER_PX, (dates, 2))
    if dates >= 3:
        shifts *= JITTER_PX / np.sqrt((shifts**2).mean(axis=0))
    order = sorted(range(dates), key=lambda i: (TRUTH_ORDER.index(int(nearest[i])), i))
    start = datetime(YEAR, 1, 1, 10, 30, 31, tzinfo=UTC)
    return tuple(
        Pass(
            datetime=start + timedelta(days=round(float(days[i])) - 1),
            sky=SEASON[nearest[i]][1],
            shift_px=(float(shifts[i, 0]), float(shifts[i, 1])),
            seed=seed * 1000 + i,
            truth=i in order[:truth_dates],
            psf=psf,
        )
        for i in range(dates)
    )


def acquire(landscape: Landscape, over: Pass, bands: tuple[str, ...]) -> SimulatedScene:
    """Acquire one scene: ground, blur, clouds, noise, numbers."""
    wanted = tuple(dict.fromkeys((*bands, "B04", "B08")))  # the classes need both
    cameras = [
        Camera.of(band, landscape, over.psf, over.shift_px, over.day_of_year)
        for band in find_bands(wanted)
    ]
    ground, truth = expose(landscape, cameras, len(bands) if over.truth else 0)
    rng = np.random.default_rng([over.seed, 3])
    sky = make_sky(rng, over.sky, landscape.shape, over.day_of_year)
    scl = classify(landscape, ground[wanted.index("B04")], ground[wanted.index("B08")], sky)
    dn = np.stack([_seen(ground[i], sky, name, over, i) for i, name in enumerate(bands)])
    stamp = over.datetime.strftime("%Y%m%dT%H%M%S")
    return SimulatedScene(
        scene_id=f"SIM_MSIL2A_{stamp}_S{landscape.seed}",
        datetime=over.datetime,
        bands=bands,
        dn=dn,
        scl=scl,
        shift_px=over.shift_px,
        cloud_cover=float(100 * np.isin(scl, (8, 9)).mean()),
        truth_dn=truth,
    )


def classify(
    landscape: Landscape, red: NDArray[np.float32], nir: NDArray[np.float32], sky: Sky
) -> NDArray[np.uint8]:
    """A scene classification as of L2A: 4 vegetation, 5 bare, 6 water, 3 shadow, 8 and 9 cloud.

    Water is what is darker in the near infrared than in the red, vegetation has NDVI over 0.4
    (both of the blurred ground, without noise); cloud counts from an alpha of 0.1 and is of high
    probability over 0.5, shadow from a tenth of the light lost.
    """
    if red.shape != landscape.shape:
        raise InvalidInput(f"need images of {landscape.shape}, got {red.shape}")
    ndvi = (nir - red) / np.maximum(nir + red, 1e-6)
    scl = np.where(ndvi > 0.4, 4, 5).astype(np.uint8)
    scl[(ndvi < 0.0) & (nir < 0.06)] = 6
    scl[sky.light < 0.9] = 3
    scl[sky.alpha > 0.1] = 8
    scl[sky.alpha > 0.5] = 9
    return scl


def _seen(
    ground: NDArray[np.float32], sky: Sky, name: str, over: Pass, number: int
) -> NDArray[np.uint16]:
    """What is recorded of the ground under a sky, with the noise of the band, as DN."""
    cloud = np.float32(cloud_reflectance(name)) * sky.brightness
    light = ground * sky.light * (1 - sky.alpha) + sky.alpha * cloud
    if over.noise:
        rng = np.random.default_rng([over.seed, 4, number])
        noise = rng.standard_normal(light.shape, dtype=np.float32)
        light = light + noise * noise_sigma(light, name)
    return dn_from_reflectance(light)
