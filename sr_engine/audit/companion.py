"""The audit as a companion of `srcube super-resolve --with audit`: its planes in files."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from datacube.store.layout import PlaneSpec
from sr_engine.audit.beside import audited_as, reach_px
from sr_engine.audit.consistency import RIM_PX
from sr_engine.audit.quality import Input
from sr_engine.card import ModelCard
from sr_engine.model import Model, Prediction, Reflectance
from sr_engine.planes import AUDIT_PLANES, CONSISTENCY, QUALITY, SCALE, SIGMA
from sr_engine.scenes.companions import Companion, MadeBlock

GSD_M = 10.0  # bands are looked at with their PSF on this grid, nominal where a file has none


@dataclass(frozen=True)
class AuditCompanion:
    """Consistency and quality of each block. Files bring no classes: clouds are not flagged."""

    card: ModelCard
    needs: tuple[str, ...]
    halo_px: int
    planes: tuple[PlaneSpec, ...] = AUDIT_PLANES

    def tell(self, block: MadeBlock) -> Mapping[str, Reflectance]:
        """Its planes (factor y, factor x) of the block without the halo; NaN for no data."""
        cut = (block.halo_px - RIM_PX) * block.factor
        made = block.prediction
        around = Prediction(
            _cropped(made.reflectance, cut),
            {name: _cropped(plane, cut) for name, plane in made.planes.items()},
        )
        measured = Input(block.measured, None, block.halo_px)
        place = (block.bands, GSD_M)
        differences, masks = audited_as(block.taken, measured, self.card, place, around)
        fine = differences.repeat(block.factor, axis=0).repeat(block.factor, axis=1)
        flags = np.where(masks > 0, masks, np.float32(np.nan)).astype(np.float32)
        return {CONSISTENCY.name: fine, QUALITY.name: flags}


def audit_companion(model: Model) -> Companion:
    """What `--with audit` adds for a model."""
    needs = tuple(plane.name for plane in model.planes if plane in (SIGMA, SCALE))
    return AuditCompanion(model.card, needs, reach_px(model.card))


def _cropped(image: Reflectance, cut: int) -> Reflectance:
    height, width = image.shape[-2:]
    return image[..., cut : height - cut, cut : width - cut]
