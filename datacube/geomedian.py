"""The geometric median of spectra: the point whose distances to all observations sum up least.

Unlike a median band by band it keeps the relation between bands (it turns with the data), and
unlike a mean it is not moved far by a few clouds that slipped through the mask.

Method: Weiszfeld's iteration, with the step of Vardi and Zhang (2000, "The multivariate
L1-median and associated data depth", PNAS 97) where the estimate falls onto an observation, at
which the plain iteration would divide by zero or stand still.
"""

import numpy as np
from numpy.typing import NDArray

MAX_STEPS = 200
TOLERANCE = 1e-6  # of a step, in reflectance; the result is then right to a digital number
RELAXATION = 1.3  # of each step: converges for 1 to 2 (Ostresh 1978), here soonest
COINCIDENT = 1e-9  # nearer than this an observation counts as the estimate itself

Spectra = NDArray[np.float64]


def geometric_median(spectra: NDArray[np.floating], valid: NDArray[np.bool_]) -> Spectra:
    """Geometric median over time of spectra (time, band, pixel), as (band, pixel).

    `valid` (time, pixel) says which observations count; a pixel without any is NaN. One
    observation is its own median; of two, every point between them is, and their mean is given.
    """
    points = np.where(valid[:, np.newaxis], spectra, 0.0).astype(np.float64)
    counts = valid.sum(axis=0)
    estimate = masked_median(spectra, valid)
    few = (counts > 0) & (counts <= 2)
    estimate[:, few] = points[:, :, few].sum(axis=0) / counts[few]
    many = np.flatnonzero(counts > 2)
    held, seen, found = points[:, :, many], valid[:, many], estimate[:, many]
    found = _snapped(held, seen, _iterated(held, seen, found))
    estimate[:, many] = found
    return estimate


def _iterated(points: Spectra, valid: NDArray[np.bool_], start: Spectra) -> Spectra:
    """Steps until no pixel moves; pixels that rest are left out as soon as half of them do."""
    result = start.copy()
    places = np.arange(start.shape[1])
    estimate = start
    for _ in range(MAX_STEPS):
        if not places.size:
            break
        new = _step(points, valid, estimate)
        moving = np.abs(new - estimate).max(axis=0) > TOLERANCE
        result[:, places] = estimate = new
        if 2 * moving.sum() <= places.size:
            places, points = places[moving], points[:, :, moving]
            valid, estimate = valid[:, moving], estimate[:, moving]
    return result


def masked_median(spectra: NDArray[np.floating], valid: NDArray[np.bool_]) -> Spectra:
    """Median over time, band by band: (time, band, pixel) to (band, pixel), NaN without any."""
    counts = valid.sum(axis=0)
    # Invalid observations sort behind all others, so that the first `counts` are the valid ones.
    ranked = np.sort(np.where(valid[:, np.newaxis], spectra, np.inf).astype(np.float64), axis=0)
    low = np.maximum(counts - 1, 0) // 2
    high = np.minimum(counts // 2, len(spectra) - 1)
    places = [np.broadcast_to(rank, (1, *ranked.shape[1:])) for rank in (low, high)]
    pair = [np.take_along_axis(ranked, place, axis=0)[0] for place in places]
    median = np.full(ranked.shape[1:], np.nan)
    known = counts > 0
    median[:, known] = (pair[0][:, known] + pair[1][:, known]) / 2
    return median


def _snapped(points: Spectra, valid: NDArray[np.bool_], estimate: Spectra) -> Spectra:
    """The nearest observation where it is no worse: towards one the iteration only creeps."""
    distance = np.sqrt(((points - estimate) ** 2).sum(axis=1))
    nearest = np.where(valid, distance, np.inf).argmin(axis=0)
    there: Spectra = np.take_along_axis(points, nearest[np.newaxis, np.newaxis], axis=0)[0]
    to_there = np.sqrt(((points - there) ** 2).sum(axis=1))
    better = (to_there * valid).sum(axis=0) <= (distance * valid).sum(axis=0)
    snapped: Spectra = np.where(better, there, estimate)
    return snapped


def _step(points: Spectra, valid: NDArray[np.bool_], estimate: Spectra) -> Spectra:
    """One relaxed step of Vardi and Zhang for pixels that all have observations."""
    apart = points - estimate
    distance = np.sqrt(np.einsum("tbp,tbp->tp", apart, apart))
    weight = np.where(valid & (distance > COINCIDENT), 1 / np.maximum(distance, COINCIDENT), 0.0)
    coincident = (valid & (distance <= COINCIDENT)).sum(axis=0)
    total = weight.sum(axis=0)
    pull = np.einsum("tp,tbp->bp", weight, apart)  # of the observations that are elsewhere
    toward = pull / np.where(total > 0, total, 1.0)
    strength = np.sqrt(np.einsum("bp,bp->p", pull, pull))
    # An observation under the estimate holds it with the weight of one: only what pulls harder
    # than that moves it.
    free = np.where(strength > 0, np.maximum(0.0, 1 - coincident / np.maximum(strength, 1e-300)), 0)
    moved: Spectra = estimate + RELAXATION * free * toward
    return moved
