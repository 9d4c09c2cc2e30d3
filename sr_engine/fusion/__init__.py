"""Several observations of one place, fused into one image on a finer grid."""

from sr_engine.fusion.fuse import fuse
from sr_engine.fusion.settings import FusionResult, FusionSettings

__all__ = ["FusionResult", "FusionSettings", "fuse"]
