"""A simulated landscape of known truth, and Sentinel-2's acquisition of it."""

from datacube.simulation.landscape import Landscape, build_landscape
from datacube.simulation.plan import landmark
from datacube.simulation.season import (
    Pass,
    SimulatedScene,
    acquire,
    acquire_season,
    plan_season,
    simulate_season,
)
from datacube.simulation.storm import STORM_DAY, Storm, fell, storm_window

__all__ = [
    "STORM_DAY",
    "Landscape",
    "Pass",
    "SimulatedScene",
    "Storm",
    "acquire",
    "acquire_season",
    "build_landscape",
    "fell",
    "landmark",
    "plan_season",
    "simulate_season",
    "storm_window",
]
