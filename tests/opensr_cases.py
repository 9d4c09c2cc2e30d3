"""The images on which opensr-test 1.3.3 was run once: arithmetic alone, the same everywhere."""

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]


def noise(shape: tuple[int, ...], seed: int) -> Image:
    """White noise in [0, 1) by integer hashing; no library's random numbers."""
    index = np.arange(np.prod(shape), dtype=np.uint64) + np.uint64(seed * 1_000_003 + 1)
    for shift, factor in ((33, 0xFF51AFD7ED558CCD), (29, 0xC4CEB9FE1A85EC53), (32, 1)):
        index = (index ^ (index >> np.uint64(shift))) * np.uint64(factor)
    return ((index >> np.uint64(40)).astype(np.float64) / 2**24).reshape(shape)


def smooth(image: Image, passes: int) -> Image:
    """Three-point means along both axes, round the edges."""
    for _ in range(passes):
        for axis in (-2, -1):
            image = (np.roll(image, 1, axis) + image + np.roll(image, -1, axis)) / 3
    return image


def images(factor: int, bands: int) -> dict[str, Image]:
    """Input, truth and three answers: nearly right, shifted and bright, and invented."""
    height, width = 48 * factor, 68 * factor
    rows, cols = np.mgrid[0:height, 0:width] / factor
    fields = smooth(noise((bands, height, width), 1), 2 * factor)
    hr = 0.1 + 0.4 * fields + 0.04 * ((rows // 7 + cols // 11) % 2)
    hr += 0.03 * smooth(noise((bands, height, width), 2), 1)
    hr[:, 20 * factor : 23 * factor, 30 * factor : 44 * factor] += 0.12
    lr = smooth(hr, factor).reshape(bands, 48, factor, 68, factor).mean(axis=(2, 4))
    lr += 0.002 * (noise(lr.shape, 3) - 0.5)
    blurred = smooth(hr, factor)
    invented = smooth(noise(hr.shape, 4), 1)
    return {
        "lr": lr,
        "hr": hr,
        "near": 0.6 * hr + 0.4 * blurred,
        "shifted": 1.06 * np.roll(0.8 * hr + 0.2 * blurred, (1, 2), (1, 2)) + 0.004,
        "invented": blurred + 0.06 * (invented - invented.mean()),
    }


# Factor, bands, answer -> reflectance, spectral, spatial, synthesis, improvement, omission,
# hallucination; and synthesis without truth. opensr-test 1.3.3 with satalign 0.1.17, defaults.
GOLDEN = {
    (4, 4, "near"): (
        0.0005876,
        0.0918559,
        0,
        0.0070855,
        0.8400667,
        0.1168095,
        0.0431239,
        0.0061455,
    ),
    (4, 4, "shifted"): (
        0.0242817,
        0.765232,
        0.3939543,
        0.0076317,
        0.919796,
        0.0505631,
        0.0296409,
        0.0248597,
    ),
    (4, 4, "invented"): (
        0.002524,
        0.3925956,
        0.02,
        0.0069005,
        0.2950029,
        0.4267257,
        0.2782713,
        0.0056467,
    ),
    (2, 3, "near"): (
        0.0016174,
        0.1595702,
        0.0447214,
        0.007747,
        0.8332168,
        0.1200147,
        0.0467685,
        0.0063858,
    ),
    (2, 3, "shifted"): (
        0.0258888,
        1.4657769,
        0.5882177,
        0.008384,
        0.8885672,
        0.0603414,
        0.0510914,
        0.0270199,
    ),
    (2, 3, "invented"): (
        0.0033707,
        0.5058116,
        0.0282843,
        0.0073691,
        0.2484599,
        0.4756511,
        0.275889,
        0.0052246,
    ),
    (4, 2, "near"): (
        0.0005905,
        0.063702,
        0.02,
        0.0070851,
        0.8483618,
        0.1100908,
        0.0415474,
        0.0061347,
    ),
    (4, 2, "shifted"): (
        0.0242813,
        0.5407206,
        0.4386342,
        0.0076314,
        0.9213606,
        0.0487626,
        0.0298768,
        0.0248722,
    ),
    (4, 2, "invented"): (
        0.0025286,
        0.2794022,
        0.02,
        0.0069771,
        0.2990261,
        0.3881485,
        0.3128254,
        0.0056346,
    ),
}
