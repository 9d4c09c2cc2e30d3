"""Does a map depend on what the model learnt? Adebayo et al. 2018, "Sanity Checks for Saliency
Maps": one that stays as it is when weights become random explains the image, not the model.

Layers lose their weights from the output backwards, one after the other (cascading), until none
is left. The measure is the correlation of signed contributions with those of the whole model.
Magnitudes will not do: where the image has contrast is where any model's are large, and their
rank correlation stays at 0.9 whatever becomes of the weights. For the same reason a model that
adds to a fixed interpolation is judged by what its map has beyond the interpolation's. Measured
with all weights random, two windows: the default model's map keeps 0.84 to 0.92 (the deconvolution
beneath it alone has 0.96), and beyond the deconvolution's -0.04 to 0.23; a net that learnt all of
its answer mostly -0.4 to 0.4 (-0.7 once), and 0.95 with itself trained anew (0.72 in one small
window).
"""

import copy
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from sr_engine.model import Reflectance

Explain = Callable[[nn.Module], Reflectance]


def similarity(one: Reflectance, other: Reflectance) -> float:
    """Correlation of two maps (band, y, x) with their signs, -1..1; 0 where one is constant."""
    a, b = (values.ravel().astype(np.float64) for values in (one, other))
    if a.std() < 1e-12 * np.abs(a).max() or b.std() < 1e-12 * np.abs(b).max():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def cascade(module: nn.Module, explain: Explain, seed: int = 0) -> list[float]:
    """Similarity of the map to the original after each further layer became random.

    The first value is of the whole model with itself; the last of a model without any of its
    weights. Empty but for the first where there are no weights to lose.
    """
    original = explain(module)
    found = [similarity(original, original)]
    found += [similarity(original, explain(changed)) for changed in _randomised(module, seed)]
    return found


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """A copy of the module with all of its weights random."""
    changed = module
    for step in _randomised(module, seed):
        changed = step
    return changed


def _randomised(module: nn.Module, seed: int) -> Iterator[nn.Module]:
    """Copies with one more layer random, from the last one on: its own weights in another order."""
    changed = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(seed)
    layers = [layer for layer in changed.modules() if list(layer.parameters(recurse=False))]
    for layer in reversed(layers):
        with torch.no_grad():
            for values in layer.parameters(recurse=False):
                order = torch.randperm(values.numel(), generator=generator)
                values.copy_(values.flatten()[order].reshape(values.shape))
        yield copy.deepcopy(changed)
