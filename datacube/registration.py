"""Sub-pixel shifts between acquisitions of one place, found in the pixels themselves.

A date's shift (dy, dx) says where the scene lies in that date: what the reference shows at
pixel position p, the date shows at p + shift. Phase correlation of gradients finds it to
about a tenth of a pixel wherever it is; Gauss-Newton on smoothed reflectance, with a gain
and an offset per band solved along the way, does the rest, the second time against the
mean of all dates, whose noise and aliasing are lower than any single date's.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from datacube.errors import InvalidInput

Float = NDArray[np.float64]
Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

SMOOTHING_PX = 1.0  # a Gaussian of 1 px leaves 0.7 % at Nyquist: what is left hardly aliases
LEAST_CORRELATION = 0.2  # below it, a date shows something else than the reference (cloud, snow)
LEAST_PIXELS = 64  # fewer pixels seen by both dates say nothing about a hundredth of a pixel
STEPS = 6  # of Gauss-Newton; two or three suffice in practice
CLOSE_ENOUGH_PX = 5e-4
TAPS = 8  # half-width of the interpolator, for images already smooth


@dataclass(frozen=True)
class Registration:
    """What registering a stack of dates found.

    `shifts_px` is (date, 2) as (dy, dx), relative to the date `reference`; `correlation`
    (date,) is that of the aligned, smoothed images; `reasons` holds, for each date, why it
    cannot be used, or an empty string.
    """

    shifts_px: Float
    correlation: Float
    reasons: tuple[str, ...]
    reference: int

    @property
    def usable(self) -> Mask:
        """(date,) whether the date can be used."""
        return np.array([not reason for reason in self.reasons], dtype=bool)


@dataclass(frozen=True)
class _Smoothed:
    """One date: smoothed `values` (band, y, x) without gaps, and where they are to be trusted."""

    values: Image
    trusted: Mask


def estimate_shifts(
    stack: NDArray[np.floating], *, reference: int | None = None, max_shift_px: float = 3.0
) -> Registration:
    """Find the shift of every date of `stack` (date, band, y, x), NaN where there is no data.

    `reference` is an index of a date, by default the first that has data. A date without
    enough data, shifted by more than `max_shift_px`, or unlike the reference is reported in
    `reasons`, never silently used. A stack without texture has shift 0.

    Raises InvalidInput where `stack` has not four axes, or no date, or the reference no data.
    """
    if stack.ndim != 4 or not stack.shape[0]:
        raise InvalidInput(
            f"need a stack of shape (date, band, y, x) with a date, got {stack.shape}"
        )
    seen = has_data(stack)
    enough = seen.sum(axis=(1, 2)) >= min(LEAST_PIXELS, seen[0].size)
    if reference is None:
        reference = int(np.argmax(enough))
    if not (0 <= reference < len(stack) and enough[reference]):
        raise InvalidInput(
            f"the reference date {reference} has no data; choose one of {np.flatnonzero(enough)}"
        )
    dates = {i: _smoothed(stack[i], seen[i]) for i in np.flatnonzero(enough).tolist()}
    shifts = _pairwise_shifts(dates, reference, len(stack))
    verdicts = {i: _verdict(dates[reference], dates[i], shifts[i], max_shift_px) for i in dates}
    alike = [i for i, (reason, _) in verdicts.items() if not reason]
    if len(alike) > 1:
        _refine_against_mean(dates, shifts, alike, reference)
    reasons = tuple(verdicts[i][0] if i in dates else "no data" for i in range(len(stack)))
    correlation = np.array([verdicts[i][1] if i in dates else 0.0 for i in range(len(stack))])
    return Registration(shifts, correlation, reasons, reference)


def has_data(values: NDArray[np.floating]) -> Mask:
    """Where all bands of `values` (..., band, y, x) are finite: (..., y, x)."""
    return np.asarray(np.isfinite(values).all(axis=-3), dtype=np.bool_)


def fill_gaps(image: Image, seen: Mask) -> Image:
    """Give the pixels of `image` (band, y, x) that are not `seen` (y, x) their nearest value."""
    if seen.all():
        return image
    if not seen.any():
        return np.zeros_like(image)
    rows, cols = ndimage.distance_transform_edt(~seen, return_distances=False, return_indices=True)
    return image[:, rows, cols]


def move_content(image: Image, shift: Float) -> Image:
    """`image` (band, y, x) with its content moved by `shift`; edges continue their last value."""
    down, across = _taps(float(shift[0])), _taps(float(shift[1]))
    border = cv2.BORDER_REPLICATE
    return np.stack([cv2.sepFilter2D(band, -1, across, down, borderType=border) for band in image])


def move_mask(mask: Mask, shift: Float) -> Mask:
    """Pixels whose four neighbours in the moved mask are all set; none from outside."""
    moved = ndimage.shift(mask.astype(np.float32), shift, order=1, cval=0.0)
    return np.asarray(moved > 0.999)


def _smoothed(image: NDArray[np.floating], seen: Mask) -> _Smoothed:
    filled = fill_gaps(image.astype(np.float32), seen)
    filled = filled - filled.mean(axis=(1, 2), keepdims=True)
    values = np.stack([cv2.GaussianBlur(band, (0, 0), SMOOTHING_PX) for band in filled])
    # Three standard deviations of the smoothing: beyond them a gap, or the edge, is not felt.
    rim = np.ones((2 * round(3 * SMOOTHING_PX) + 1,) * 2, dtype=np.uint8)
    eroded = cv2.erode(seen.astype(np.uint8), rim, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    trusted = eroded.astype(np.bool_)
    return _Smoothed(values, trusted if trusted.sum() >= LEAST_PIXELS else seen)


def _pairwise_shifts(dates: dict[int, _Smoothed], reference: int, count: int) -> Float:
    """(count, 2) shifts of `dates`, each from itself and the reference alone."""
    shifts = np.zeros((count, 2))
    spectra = _gradient_spectra(dates[reference])
    for i, date in dates.items():
        if i != reference:
            coarse = _correlation_peak(spectra, _gradient_spectra(date))
            shifts[i] = _refined(dates[reference], date, coarse)
    return shifts


def _gradient_spectra(date: _Smoothed) -> NDArray[np.complex64]:
    """Fourier transforms (band, y, x) of the tapered gradient, as a complex number per pixel."""
    height, width = date.trusted.shape
    taper = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[None, 1:-1]
    weight = taper.astype(np.float32) * cv2.GaussianBlur(
        date.trusted.astype(np.float32), (0, 0), SMOOTHING_PX
    )
    slopes = [_slopes(band) for band in date.values]
    gradient = np.stack([(down + 1j * across) * weight for down, across in slopes])
    return np.asarray(fft.fft2(gradient.astype(np.complex64)), dtype=np.complex64)


def _slopes(band: Image) -> tuple[Image, Image]:
    """Central differences down and across."""
    step = np.array([-0.5, 0.0, 0.5], dtype=np.float32)
    one = np.ones(1, dtype=np.float32)
    down, across = cv2.sepFilter2D(band, -1, one, step), cv2.sepFilter2D(band, -1, step, one)
    return np.asarray(down, dtype=np.float32), np.asarray(across, dtype=np.float32)


def _correlation_peak(reference: NDArray[np.complex64], date: NDArray[np.complex64]) -> Float:
    """Peak of the phase correlation, all bands together, to about 0.1 px."""
    cross = (date * reference.conj()).sum(axis=0)
    size = np.abs(cross)
    if size.max() <= 1e-12 * size.size:
        return np.zeros(2)
    surface = fft.ifft2(cross / np.maximum(size, 1e-3 * size.max())).real
    row, col = np.unravel_index(int(np.argmax(surface)), surface.shape)
    return np.array([_vertex(surface[:, col], int(row)), _vertex(surface[row], int(col))])


def _vertex(line: NDArray[np.float32], peak: int) -> float:
    """Position of the parabola through the `peak` of a periodic line, as a signed shift."""
    before, at, after = line[peak - 1], line[peak], line[(peak + 1) % len(line)]
    bend = before - 2 * at + after
    position = peak + (0.5 * (before - after) / bend if bend < 0 else 0.0)
    return float(position - len(line) if position > len(line) / 2 else position)


def _taps(shift: float) -> Image:
    """Kernel, for correlation, that moves content by `shift` px: sinc under a Kaiser window."""
    reach = TAPS + int(np.ceil(abs(shift)))
    distance = np.arange(-reach, reach + 1) + shift
    inside = np.clip(1 - (distance / TAPS) ** 2, 0, None)
    kernel = np.sinc(distance) * np.i0(6.0 * np.sqrt(inside)) * (inside > 0)
    return np.asarray(kernel / kernel.sum(), dtype=np.float32)


def _refined(reference: _Smoothed, date: _Smoothed, shift: Float) -> Float:
    """Gauss-Newton from `shift`; keeps `shift` where the two share too little or no texture."""
    start = shift
    if np.abs(shift).max() > min(date.trusted.shape) / 4:
        return start
    for _ in range(STEPS):
        both = move_mask(reference.trusted, shift) & date.trusted
        if both.sum() < min(LEAST_PIXELS, both.size // 2):
            return start
        normal, right, _ = _normal_equations(reference, date, shift, both)
        if np.linalg.det(normal) <= 1e-10 * np.trace(normal) ** 2:
            return start
        step = np.clip(np.linalg.solve(normal, right), -0.5, 0.5)
        shift = shift + step
        if np.abs(step).max() < CLOSE_ENOUGH_PX:
            break
    return shift if np.abs(shift - start).max() < 1.5 else start


def _normal_equations(
    reference: _Smoothed, date: _Smoothed, shift: Float, both: Mask
) -> tuple[Float, Float, float]:
    """2x2 normal matrix and right side for the step, and the best correlation of a band.

    Gain and offset of each band are eliminated (a Schur complement of the band's 5x5 Gram
    matrix); each band weighs by the inverse variance of what it cannot explain. Without
    texture in any band the correlation is 1.
    """
    normal, right, best, textured = np.zeros((2, 2)), np.zeros(2), -1.0, False
    weight = both.astype(np.float32)
    for band, model in zip(date.values, move_content(reference.values, shift), strict=True):
        down, across = _slopes(model)
        rows = np.stack([np.ones_like(band), model, band, -down, -across]) * weight
        rows = rows.reshape(5, -1)
        gram = (rows @ rows.T).astype(np.float64)
        centred = gram[1:, 1:] - np.outer(gram[1:, 0], gram[0, 1:]) / gram[0, 0]
        floor = 1e-12 * gram[0, 0]
        if centred[0, 0] <= floor or centred[1, 1] <= floor:
            continue
        textured = True
        best = max(best, centred[0, 1] / np.sqrt(centred[0, 0] * centred[1, 1]))
        gain = centred[0, 1] / centred[0, 0]
        rest = centred[1:, 1:] - np.outer(centred[1:, 0], centred[0, 1:]) / centred[0, 0]
        spread = max(rest[0, 0], 1e-6 * centred[1, 1]) / gram[0, 0]
        normal += gain**2 * rest[1:, 1:] / spread
        right += gain * rest[1:, 0] / spread
    return normal, right, float(best) if textured else 1.0


def _refine_against_mean(
    dates: dict[int, _Smoothed], shifts: Float, alike: list[int], reference: int
) -> None:
    """Update `shifts` in place from the mean of the dates that are `alike`."""
    weights = np.zeros(dates[reference].trusted.shape, dtype=np.float32)
    total = np.zeros_like(dates[reference].values)
    for i in alike:
        weight = move_mask(dates[i].trusted, -shifts[i]).astype(np.float32)
        total += move_content(dates[i].values, -shifts[i]) * weight
        weights += weight
    mean = _Smoothed(np.asarray(total / np.maximum(weights, 1), dtype=np.float32), weights > 0)
    refined = {i: _refined(mean, dates[i], shifts[i]) for i in alike}
    for i in alike:
        shifts[i] = refined[i] - refined[reference]


def _verdict(
    reference: _Smoothed, date: _Smoothed, shift: Float, max_shift_px: float
) -> tuple[str, float]:
    """Why the date cannot be used, or "", and its correlation with the reference."""
    length = float(np.hypot(*shift))
    if length > max_shift_px:
        return f"shifted by {length:.1f} px, more than {max_shift_px:g}", 0.0
    both = move_mask(reference.trusted, shift) & date.trusted
    if not both.any():
        return "shares no pixel with the reference", 0.0
    correlation = _normal_equations(reference, date, shift, both)[2]
    if correlation < LEAST_CORRELATION:
        return (
            f"unlike the reference: correlation {correlation:.2f}, below {LEAST_CORRELATION}",
            correlation,
        )
    return "", correlation
