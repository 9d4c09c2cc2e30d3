"""Local attribution maps: what each input pixel contributed to the detail in a window.

Path-integrated gradients (Sundararajan et al. 2017) along progressive blurring towards the
gradient detector (Gu and Dong, "Interpreting Super-Resolution Networks with Local Attribution
Maps", CVPR 2021). Contributions add up to the objective's rise; by how much they miss it is
measured, and quadrature is refined until it is less than asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datacube.errors import InvalidInput
from sr_engine.explain.case import Case, differentiable
from sr_engine.explain.objective import Detail
from sr_engine.explain.paths import BlurPath, Path
from sr_engine.model import Reflectance

Objective = Callable[[Tensor], Tensor]  # (n, band, y, x) to (n,)
BATCH_PIXELS = 2**16  # measured pixels in one go: activations of a small net stay in the cache
LEAST_RISE = 1e-6  # of the objective, reflectance per fine pixel: below it there is no detail


@dataclass(frozen=True)
class Quadrature:
    """How the path is followed.

    `sigma_px` is the blur at its beginning. Each stretch of the path takes `order` Gauss-Legendre
    nodes; the one that misses its own rise most is halved until all together miss less than
    `tolerance` of the whole, or `most` nodes were used.
    """

    sigma_px: float = 2.0
    tolerance: float = 0.01
    order: int = 8
    most: int = 128


@dataclass(frozen=True, eq=False)
class Attribution:
    """Contributions (band, y, x), in units of the objective, and what they should add up to."""

    values: Reflectance
    at_image: float
    at_baseline: float
    nodes: int

    @property
    def rise(self) -> float:
        """By how much the objective grows along the path."""
        return self.at_image - self.at_baseline

    @property
    def missed(self) -> float:
        """By how much the contributions do not add up to the rise."""
        return abs(float(self.values.sum(dtype=np.float64)) - self.rise)

    @property
    def completeness_error(self) -> float:
        """By what part of the rise the contributions miss it."""
        return self.missed / max(abs(self.rise), 1e-30)


def local_attribution(case: Case, quadrature: Quadrature | None = None) -> Attribution:
    """The local attribution map of a case's window, over the whole patch (band, y, x).

    Raises InvalidInput for a model without gradients, or a window without detail.
    """
    chosen = quadrature or Quadrature()
    module = differentiable(case.model).module(case.bands)
    path = BlurPath(case.patch, chosen.sigma_px)
    found = attribute(module, Detail.of_case(case), path, chosen)
    if abs(found.rise) < LEAST_RISE:
        raise InvalidInput(
            "the window is constant, or as smooth as its blurred copy: there is no detail whose "
            "origin could be told; choose another place"
        )
    return found


def attribute(
    module: nn.Module, objective: Objective, path: Path, quadrature: Quadrature
) -> Attribution:
    """Integrate the gradient of `objective` along `path`, in finer steps until it adds up.

    Nets of rectifiers have corners on the way, which no order of quadrature gets over quickly;
    halving only where the sum is off does.
    """
    follow = _Follower(module, objective, path, quadrature.order)
    at_baseline, at_image = follow.height(0.0), follow.height(1.0)
    stretches = [follow.stretch((0.0, at_baseline), (1.0, at_image))]
    enough = quadrature.tolerance * max(abs(at_image - at_baseline), LEAST_RISE)
    while abs(sum(one.missed for one in stretches)) >= enough and follow.nodes < quadrature.most:
        worst = max(stretches, key=lambda one: abs(one.missed))
        stretches.remove(worst)
        middle = (worst.first[0] + worst.last[0]) / 2
        halfway = (middle, follow.height(middle))
        stretches += [follow.stretch(worst.first, halfway), follow.stretch(halfway, worst.last)]
    values = np.stack([one.values for one in stretches]).sum(axis=0)
    return Attribution(values, at_image, at_baseline, follow.nodes)


@dataclass(frozen=True, eq=False)
class _Stretch:
    """A part of the path between two places (alpha, objective there), and its contributions."""

    first: tuple[float, float]
    last: tuple[float, float]
    values: Reflectance

    @property
    def missed(self) -> float:
        return float(self.values.sum(dtype=np.float64)) - (self.last[1] - self.first[1])


class _Follower:
    """Evaluates objective and gradient on a path, and counts at how many nodes."""

    def __init__(self, module: nn.Module, objective: Objective, path: Path, order: int) -> None:
        self._module, self._objective, self._path = module, objective, path
        self._places, self._weights = np.polynomial.legendre.leggauss(order)
        self.nodes = 0

    def height(self, alpha: float) -> float:
        """The objective at a place of the path."""
        image, _ = self._path.at(np.array([alpha]))
        with torch.inference_mode():
            return float(self._objective(self._module(torch.from_numpy(image)))[0])

    def stretch(self, first: tuple[float, float], last: tuple[float, float]) -> _Stretch:
        """The path integral between two places."""
        half = (last[0] - first[0]) / 2
        alphas = first[0] + half * (self._places + 1)
        total: NDArray[np.float64] | None = None
        for part in _batches(alphas, self._path):
            images, slopes = self._path.at(alphas[part])
            gradients = gradient(self._module, self._objective, images)
            share = np.einsum("n,nbyx->byx", half * self._weights[part], gradients * slopes)
            total = share if total is None else total + share
        self.nodes += len(alphas)
        return _Stretch(first, last, np.asarray(total, np.float32))


def gradient(
    module: nn.Module, objective: Objective, images: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The objective's gradient by each pixel of `images` (n, band, y, x), each on its own."""
    asked = torch.from_numpy(np.ascontiguousarray(images)).requires_grad_()
    (found,) = torch.autograd.grad(objective(module(asked)).sum(), asked)
    return np.asarray(found.numpy(), np.float32)


def _batches(places: NDArray[np.float64], path: Path) -> Iterator[slice]:
    size = path.at(places[:1])[0][0, 0].size
    step = max(1, BATCH_PIXELS // size)
    return (slice(start, start + step) for start in range(0, len(places), step))
