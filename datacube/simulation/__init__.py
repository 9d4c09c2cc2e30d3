"""A simulated landscape of known truth, and Sentinel-2's acquisition of it."""

from datacube.simulation.landscape import Landscape, build_landscape
from datacube.simulation.plan import landmark
from datacube.simulation.season import (
    Pass,
    SimulatedScene,
    acquire,
    plan_season,
    simulate_season,
)

__all__ = [
    "Landscape",
    "Pass",
    "SimulatedScene",
    "acquire",
    "build_landscape",
    "landmark",
    "plan_season",
    "simulate_season",
]
