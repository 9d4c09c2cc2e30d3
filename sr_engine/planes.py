"""What stands beside the reflectance: one value per fine pixel, kept in the cube with it.

Some of it models tell themselves; the audit's planes are made for every model. Saliency costs
several times the image, and is made only where somebody asks for it.
"""

from enum import IntFlag

from datacube.store.layout import PlaneSpec


class Quality(IntFlag):
    """Flags of a pixel. Without `COMPUTED` there is none; with it alone, nothing is against it."""

    COMPUTED = 1
    INPUT_CLOUDY = 2
    SATURATED = 4
    NO_DATA_NEAR = 8
    OUT_OF_DOMAIN = 16
    INCONSISTENT = 32
    INTERVAL_WIDER_THAN_GAIN = 64


INFLUENCE = PlaneSpec("influence", "change of reflectance caused by neighbouring pixels", "1", 1e-5)
REACH = PlaneSpec("reach", "mean distance of the neighbours that caused it", "m", 0.01)
SIGMA = PlaneSpec(
    "sigma", "posterior standard deviation of reflectance, mean over bands", "1", 1e-5
)
SCALE = PlaneSpec("scale", "scale of the error as the model tells it, rms over bands", "1", 1e-5)
BAND_SCALES = {
    band: PlaneSpec(f"scale_{band}", f"scale of the error of {band}", "1", 1e-5)
    for band in ("B02", "B03", "B04", "B08")
}
CONSISTENCY = PlaneSpec(
    "consistency",
    "result degraded to the input's pixels minus the input, rms over bands, in sensor noise",
    "1",
    0.05,
)
QUALITY = PlaneSpec(
    "quality",
    "quality flags",
    "1",
    1.0,
    flags=tuple(flag.name.lower() for flag in Quality if flag.name and flag > 1),
)
SALIENCY_CELL_PX = 32  # a block has a whole number of them
SALIENCY = PlaneSpec(
    "saliency",
    f"diffusion index of the detail, one value for {SALIENCY_CELL_PX} x {SALIENCY_CELL_PX} "
    "measured pixels",
    "1",
    0.01,
)
AUDIT_PLANES = (CONSISTENCY, QUALITY)
PLANES = {
    plane.name: plane
    for plane in (INFLUENCE, REACH, SIGMA, SCALE, *BAND_SCALES.values(), *AUDIT_PLANES, SALIENCY)
}
