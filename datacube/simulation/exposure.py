"""From ground at 1.25 m to the pixels of a band, and to the truth at 2.5 m.

Ground is painted in strips: labels become reflectance, the strip is averaged by the
instrument's weights along y at once, and only then is the next strip painted; the fine image
of a date never exists as a whole.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from datacube.bands import Band
from datacube.scene import dn_from_reflectance
from datacube.simulation.canvas import FINE_PER_PX
from datacube.simulation.landscape import Landscape
from datacube.simulation.optics import Psf, axis_weights, line_spread
from datacube.simulation.texture import SHADE_ONE, VIGOUR_STEP

TRUTH_FACTOR = 4  # truth pixels are 2.5 m
STRIP_PX = 16  # 10 m rows painted at a time: 3.4 MB per band in float32 at 8 km


@dataclass(frozen=True)
class Camera:
    """One band over one date: its weights, and the look of each label."""

    band: Band
    rows: csr_array
    columns: csr_array
    base: NDArray[np.float32]
    slope: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        band: Band,
        landscape: Landscape,
        psf: Psf,
        shift_px: tuple[float, float],
        day_of_year: int,
    ) -> Self:
        """Set the instrument up for a band; `shift_px` (dy, dx) is in 10 m pixels."""
        ratio = band.gsd_m // 10
        weights = []
        for axis, shift in zip(("y", "x"), shift_px, strict=True):
            side = landscape.shape[0 if axis == "y" else 1]
            profile = line_spread(band, psf, "y" if axis == "y" else "x")
            weights.append(
                axis_weights(
                    profile,
                    out_px=-(-side // ratio),
                    fine_per_px=FINE_PER_PX * ratio,
                    fine_px=side * FINE_PER_PX + 2 * landscape.margin_fine,
                    margin_fine=landscape.margin_fine,
                    shift_px=shift / ratio,
                )
            )
        base, slope = landscape.parcels.appearance(day_of_year, band.name)
        return cls(band, weights[0], weights[1], base, slope)

    @classmethod
    def looking(cls, band: Band, landscape: Landscape, rows: csr_array, day_of_year: int) -> Self:
        """A camera for `paint` alone: `rows` are its weights down, and nothing averages across."""
        base, slope = landscape.parcels.appearance(day_of_year, band.name)
        return cls(band, rows, csr_array(np.empty((0, 0), np.float32)), base, slope)


def paint(landscape: Landscape, cameras: list[Camera], films: list[NDArray[np.float32]]) -> None:
    """Add the ground, averaged down by each camera, to its film (y, fine x)."""
    step = STRIP_PX * FINE_PER_PX
    for top in range(0, landscape.labels.shape[0], step):
        strip = _Strip.of(landscape, top, step)
        for camera, film in zip(cameras, films, strict=True):
            _paint(strip, camera, film, None)


def expose(
    landscape: Landscape, cameras: list[Camera], truth_bands: int
) -> tuple[list[NDArray[np.float32]], NDArray[np.uint16] | None]:
    """Blurred, sampled ground per camera, and truth of the first `truth_bands` of them.

    Ground is (height, width) reflectance at 10 m, bands of 20 m repeated; truth is DN, (band,
    4 height, 4 width), None where no band was asked for.
    """
    height, width = landscape.shape
    columns = landscape.labels.shape[1]
    films = [np.zeros((camera.rows.shape[0], columns), np.float32) for camera in cameras]
    truth = np.empty((truth_bands, height * TRUTH_FACTOR, width * TRUTH_FACTOR), np.uint16)
    step = STRIP_PX * FINE_PER_PX
    with ThreadPoolExecutor(2) as pool:
        for top in range(0, landscape.labels.shape[0], step):
            strip = _Strip.of(landscape, top, step)
            jobs = [
                pool.submit(_paint, strip, camera, films[i], truth[i] if i < truth_bands else None)
                for i, camera in enumerate(cameras)
            ]
            for job in jobs:
                job.result()
    grounds = []
    for camera, film in zip(cameras, films, strict=True):
        image = np.ascontiguousarray((camera.columns @ film.T).T, dtype=np.float32)
        ratio = camera.band.gsd_m // 10
        image = image.repeat(ratio, axis=0).repeat(ratio, axis=1)[:height, :width]
        grounds.append(image)
    return grounds, truth if truth_bands else None


@dataclass(frozen=True)
class _Strip:
    """Rows of ground ready to be painted in any band."""

    top: int
    margin: int
    index: NDArray[np.intp]
    vigour: NDArray[np.float32]
    shade: NDArray[np.float32]

    @classmethod
    def of(cls, landscape: Landscape, top: int, rows: int) -> Self:
        part = slice(top, top + rows)
        return cls(
            top,
            landscape.margin_fine,
            landscape.labels[part].astype(np.intp),
            landscape.vigour[part] * np.float32(VIGOUR_STEP),
            landscape.shade[part] * np.float32(1 / SHADE_ONE),
        )


def _paint(
    strip: _Strip,
    camera: Camera,
    film: NDArray[np.float32],
    truth: NDArray[np.uint16] | None,
) -> None:
    """Reflectance of a strip in one band, added to the film and averaged into the truth."""
    ground = camera.slope.take(strip.index, mode="clip")
    ground *= strip.vigour
    ground += camera.base.take(strip.index, mode="clip")
    ground *= strip.shade
    np.maximum(ground, 0, out=ground)
    weights = camera.rows[:, strip.top : strip.top + len(ground)]
    touched = np.flatnonzero(np.diff(weights.indptr))
    if len(touched):
        rows = slice(int(touched[0]), int(touched[-1]) + 1)
        film[rows] += weights[rows] @ ground  # sparse: leaves BLAS and its threads alone
    if truth is None:
        return
    fine = FINE_PER_PX // TRUTH_FACTOR
    first = (strip.top - strip.margin) // fine
    inner = ground[:, strip.margin : ground.shape[1] - strip.margin]
    if 0 <= first < truth.shape[0]:
        blocks = inner.reshape(len(inner) // fine, fine, inner.shape[1] // fine, fine)
        mean = blocks[:, 0, :, 0].copy()
        for row, column in list(np.ndindex(fine, fine))[1:]:
            mean += blocks[:, row, :, column]
        mean *= np.float32(1 / fine**2)
        truth[first : first + len(mean)] = dn_from_reflectance(mean[: truth.shape[0] - first])
