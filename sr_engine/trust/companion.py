"""The 90 % interval beside a super-resolved scene: half of it for each band."""

from collections.abc import Mapping

import numpy as np

from datacube.store.layout import PlaneSpec
from sr_engine.model import Model, Reflectance
from sr_engine.planes import BAND_SCALES
from sr_engine.scenes.companions import MadeBlock
from sr_engine.trust.calibration import Calibration, calibration_of, in_domain, scale_plane

LEVEL = "0.90"


class IntervalCompanion:
    """Half-widths by a model's calibration; NaN outside the domain of that."""

    halo_px = 0

    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration

    @property
    def planes(self) -> tuple[PlaneSpec, ...]:
        """One for each band that was calibrated."""
        return tuple(
            PlaneSpec(f"90_{band}", f"half of the 90 % interval of {band}", "1", 1e-5)
            for band in self._bands
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """The scales of the bands."""
        return tuple(scale_plane(band) for band in self._bands)

    @property
    def _bands(self) -> tuple[str, ...]:
        known = self._calibration.multipliers[LEVEL]
        return tuple(band for band in BAND_SCALES if band in known)

    def tell(self, block: MadeBlock) -> Mapping[str, Reflectance]:
        """Half-widths (factor y, factor x) in reflectance; a band that is not there is NaN."""
        rim = block.halo_px
        height, width = block.measured.shape[1:]
        inner = block.measured[:, rim : height - rim, rim : width - rim]
        known = in_domain(inner).repeat(block.factor, axis=0).repeat(block.factor, axis=1)
        told = {}
        for band, plane in zip(self._bands, self.planes, strict=True):
            scale = block.prediction.planes[scale_plane(band)]
            cut = rim * block.factor
            own = scale[cut : scale.shape[0] - cut, cut : scale.shape[1] - cut]
            width90 = self._calibration.half_width(own, band, LEVEL)
            told[plane.name] = np.where(known, width90, np.float32(np.nan))
        return told


def interval_companion(model: Model) -> IntervalCompanion:
    """The companion of a model; raises InvalidInput for one that is not calibrated."""
    return IntervalCompanion(calibration_of(model.card))
