"""The flows of all bands to one of them: CSR's, polished, one band after the other.

Bands near the reference come first. A band that looks unlike it (near infrared beside green) is
then fitted to all that lie on the reference already, which are together more like it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from datacube.bands import SENTINEL2
from sr_engine.l1b.flow_network import FlowNetwork, find_flow
from sr_engine.l1b.polish import PolishSettings, polished
from sr_engine.l1b.warp import warp

WHOLE = PolishSettings(24, 128, 2)  # where images are whole, or their windows large


def band_flows(
    csr: FlowNetwork,
    bands: Tensor,
    names: Sequence[str],
    reference: str = "B03",
    settings: PolishSettings = WHOLE,
) -> Tensor:
    """(n, band, 2, y, x) flows from the reference to each of `bands` (n, band, y, x).

    The reference's own is zero. Values may be in any unit.
    """
    fixed = bands[:, [names.index(reference)]]
    count, _, height, width = bands.shape
    flows = bands.new_zeros(count, len(names), 2, height, width)
    fitted = fixed
    for name in _nearest_first(names, reference):
        index = names.index(name)
        moving = bands[:, [index]]
        flow = polished(fitted, moving, find_flow(csr, fixed, moving), settings)
        flows[:, index] = flow
        fitted = torch.cat([fitted, warp(moving, flow, "bicubic")], dim=1)
    return flows


def flow_to(
    csr: FlowNetwork,
    references: Tensor,
    anchor: int,
    moving: Tensor,
    settings: PolishSettings = WHOLE,
) -> Tensor:
    """The flow (n, 2, y, x) to `moving` (n, 1, y, x) from bands that lie on one another.

    CSR looks at the band `anchor` of `references` (n, k, y, x), the polish at all.
    """
    first = find_flow(csr, references[:, [anchor]], moving)
    return polished(references, moving, first, settings)


def _nearest_first(names: Sequence[str], reference: str) -> list[str]:
    """The other bands, by wavelength from the reference."""
    own = SENTINEL2[reference].wavelength_nm
    others = [name for name in names if name != reference]
    return sorted(others, key=lambda name: abs(SENTINEL2[name].wavelength_nm - own))
