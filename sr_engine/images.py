"""Super-resolve an image that is in memory: for notebooks, scripts and experiments.

Files and cubes of any size go through `sr_engine.scenes` and `sr_engine.blocks`, in blocks.
"""

import numpy as np

from datacube.errors import InvalidInput
from sr_engine.blocks import predict_patch
from sr_engine.model import PatchModel, Prediction, Reflectance


def super_resolve_image(
    model: PatchModel, image: Reflectance, bands: tuple[str, ...], *, gsd_m: float = 10.0
) -> Prediction:
    """What a model makes of a whole image (band, y, x), and everything it tells beside.

    Reflectance, NaN where there is no data; `gsd_m` is the side of its pixels. What lies beyond
    the edges is continued from within, as at the edge of a scene. The answer is
    (band, factor y, factor x). Raises InvalidInput for shapes or bands that do not suit.
    """
    if image.ndim != 3 or image.shape[0] != len(bands):
        raise InvalidInput(f"need an image (band, y, x) of {len(bands)} bands, got {image.shape}")
    rim = 2 * model.card.halo_px
    patch = np.pad(image, ((0, 0), (rim, rim), (rim, rim)), constant_values=np.nan)
    names = [plane.name for plane in model.planes]
    return predict_patch(model, patch.astype(np.float32), bands, names, gsd_m=gsd_m)
