"""What super-resolution does to a task downstream: four use cases on simulated ground.

Every way to enlarge an image, the truth among them, goes through the same simple stated method;
what comes out is scored by the size of the objects. The ground is the demo's, whose truth is known.
"""

from datacube.simulation import fell
from sr_engine.usecases.change import storm_case
from sr_engine.usecases.fields import field_case
from sr_engine.usecases.objects import Objects, Score, by_area, by_width, scored
from sr_engine.usecases.pictures import panels
from sr_engine.usecases.rivals import Rival, all_rivals
from sr_engine.usecases.settlements import road_case, roof_case
from sr_engine.usecases.shoreline import water_case
from sr_engine.usecases.site import Site, acquire_site, demo_ground
from sr_engine.usecases.table import Table

__all__ = [
    "Objects",
    "Rival",
    "Score",
    "Site",
    "Table",
    "acquire_site",
    "all_rivals",
    "by_area",
    "by_width",
    "demo_ground",
    "fell",
    "field_case",
    "panels",
    "road_case",
    "roof_case",
    "scored",
    "storm_case",
    "water_case",
]
