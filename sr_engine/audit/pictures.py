"""Pictures of an audit as PNG, for a page that asks for nothing from elsewhere."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from sr_engine.audit.evaluate import Evaluation

Image = NDArray[np.float32]
Pixels = NDArray[np.uint8]

SIDE_PX = 512  # of a picture, at most; of larger images the middle is shown
VISIBLE = ("B04", "B03", "B02")
MAGMA = ((0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191))
MOST_SIGMA = 6.0


def pictures(evaluation: Evaluation) -> dict[str, bytes]:
    """PNG by its caption, in the order in which they are to be looked at."""
    triple = evaluation.triple
    shown = [triple.bands.index(name) for name in VISIBLE if name in triple.bands]
    shown = shown if len(shown) == 3 else [0, 0, 0]
    low, high = _stretch(triple.lr[shown])
    factor = triple.factor

    def colour(image: Image) -> Pixels:
        return _rgb(_middle(image[shown]), low, high)

    found = {
        "Input (LR), measured pixels": colour(_enlarged(triple.lr, factor)),
        "Bicubic of the input": colour(evaluation.bicubic),
        "Result (SR)": colour(triple.sr),
    }
    if triple.hr is not None:
        error = np.sqrt(np.mean((triple.sr - triple.hr) ** 2, axis=0))
        worst = float(np.nanquantile(error, 0.99)) or 1.0
        found["Truth (HR)"] = colour(triple.hr)
        found[f"Error of the result, rms over bands, black 0 to white {worst:.3f}"] = _ramp(
            _middle(error[None])[0] / worst
        )
    coarse = _enlarged(evaluation.consistency[None], factor)
    caption = f"Consistency: input minus degraded result, black 0 to white {MOST_SIGMA:g} sigma"
    found[caption] = _ramp(_middle(coarse)[0] / MOST_SIGMA)
    maps = evaluation.correctness
    if maps is not None:
        shares = np.stack([maps.hallucination, maps.improvement, maps.omission])
        key = "Hallucination red, improvement green, omission blue; black: not judged"
        found[key] = _rgb(_middle(shares.astype(np.float32)), np.zeros(3), np.ones(3))
    return {name: png(pixels) for name, pixels in found.items()}


def png(pixels: Pixels) -> bytes:
    """Encode (y, x, 3)."""
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG", optimize=True)
    return out.getvalue()


def data_url(data: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}"


def _stretch(image: Image) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """2 and 98 % of each channel, the same for all pictures."""
    known = [plane[np.isfinite(plane)] for plane in image]
    low = np.array([np.quantile(one, 0.02) if one.size else 0.0 for one in known])
    high = np.array([np.quantile(one, 0.98) if one.size else 1.0 for one in known])
    return low, np.maximum(high, low + 1e-6)


def _rgb(image: Image, low: NDArray[np.float64], high: NDArray[np.float64]) -> Pixels:
    level = (image - low[:, None, None]) / (high - low)[:, None, None]
    return _bytes(np.moveaxis(level, 0, -1))


def _ramp(level: NDArray[np.floating]) -> Pixels:
    """Magma from 0 to 1; black where nothing is known."""
    colours = np.array(MAGMA) / 255
    stops = np.linspace(0, 1, len(MAGMA))
    filled = np.nan_to_num(level)
    return _bytes(np.stack([np.interp(filled, stops, column) for column in colours.T], axis=-1))


def _bytes(level: NDArray[np.floating]) -> Pixels:
    return np.asarray(np.clip(np.nan_to_num(level), 0, 1) * 255 + 0.5, np.uint8)


def _middle(image: NDArray[np.floating]) -> NDArray[np.floating]:
    height, width = (min(size, SIDE_PX) for size in image.shape[1:])
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    return image[:, top : top + height, left : left + width]


def _enlarged(image: Image, factor: int) -> Image:
    return image.repeat(factor, axis=1).repeat(factor, axis=2)
