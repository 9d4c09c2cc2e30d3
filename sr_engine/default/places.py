"""Which ground is learnt from, which is judged by: the one place where the split is written.

A place has one role. Training and validation may share a place, by different rows of the image;
calibration and test never share one with training, but for Eugene, of whose single flight a
southern strip is kept for calibration because sharp truth exists at so few places.
"""

from dataclasses import dataclass
from typing import Literal

BANDS = ("B02", "B03", "B04", "B08")

Role = Literal["train", "validate", "calibrate", "test"]
Kind = Literal["sharp", "wald", "simulated"]


@dataclass(frozen=True)
class Place:
    """A piece of ground and what it is for.

    `id` names a reader of `sr_engine.default.sources`; `rows` is the share of the image from top
    to bottom. `sharp` truth is aerial, matched to the histogram of Sentinel-2; `wald` truth is
    Sentinel-2 itself, degraded as if its pixels were finer (Wald et al. 1997, PE&RS 63(6)).
    `as_if` says that the image is taken for one of finer pixels than it has.
    """

    id: str
    role: Role
    kind: Kind
    rows: tuple[float, float] = (0.0, 1.0)
    factors: tuple[int, ...] = (2, 4)
    as_if: bool = False


PLACES = (
    Place("naip_5m", "train", "sharp", (0.0, 0.85), (2,)),
    Place("naip_5m", "train", "sharp", (0.0, 0.85), (4,), as_if=True),
    Place("eugene_0p3m", "train", "sharp", (0.0, 0.75)),
    Place("simulated_101", "train", "simulated"),
    Place("simulated_102", "train", "simulated"),
    Place("simulated_103", "train", "simulated"),
    Place("sweden_l1c", "train", "wald", (0.0, 0.8)),
    Place("icor_l2a", "train", "wald", (0.0, 0.8)),
    Place("naip_5m", "validate", "sharp", (0.85, 1.0), (2,)),
    Place("naip_5m", "validate", "sharp", (0.85, 1.0), (4,), as_if=True),
    Place("simulated_151", "validate", "simulated"),
    Place("sweden_l1c", "validate", "wald", (0.8, 1.0)),
    Place("icor_l2a", "validate", "wald", (0.8, 1.0)),
    Place("eugene_0p3m", "calibrate", "sharp", (0.75, 1.0)),
    Place("naip_0p6m", "calibrate", "sharp", as_if=True),
    Place("bdortho_0p2m", "calibrate", "sharp", as_if=True),
    Place("simulated_201", "calibrate", "simulated"),
    Place("simulated_202", "calibrate", "simulated"),
    Place("havel_l1c", "calibrate", "wald"),
    Place("tervuren_l2a", "calibrate", "wald"),
    Place("spyndex_l2a", "calibrate", "wald"),
    Place("flanders_l2a", "calibrate", "wald"),
    Place("putnam_1p3m", "test", "sharp"),
    Place("naip_1m", "test", "sharp"),
    Place("simulated_301", "test", "simulated"),
    Place("bolzano_l2a", "test", "wald"),
    Place("slovenia_l1c", "test", "wald"),
)


def places_of(role: Role, *, kind: Kind | None = None, factor: int | None = None) -> list[Place]:
    """Places of a role, of one kind and for one magnification if asked."""
    return [
        place
        for place in PLACES
        if place.role == role
        and kind in (None, place.kind)
        and (factor is None or factor in place.factors)
    ]
