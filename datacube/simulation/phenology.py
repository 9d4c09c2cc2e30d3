"""What grows when: each kind of ground cover as a mixture of materials over the year.

A calendar is a list of (day of year, weights); between its days the weights are interpolated
linearly, and each parcel lives by its own clock, some days early or late.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datacube.simulation.spectra import material_spectra

Weights = dict[str, float]
Calendar = tuple[tuple[int, Weights], ...]

CALENDARS: dict[str, Calendar] = {
    "wheat": (
        (60, {"cereal": 0.4, "soil_moist": 0.6}),
        (105, {"cereal": 0.8, "soil_moist": 0.2}),
        (130, {"cereal": 1.0}),
        (168, {"cereal": 0.9, "ripe": 0.1}),
        (190, {"ripe": 0.85, "cereal": 0.15}),
        (212, {"ripe": 1.0}),
        (214, {"stubble": 1.0}),
        (240, {"stubble": 0.9, "grass": 0.1}),
        (252, {"soil": 1.0}),
        (285, {"soil": 0.9, "cereal": 0.1}),
        (310, {"soil_moist": 0.65, "cereal": 0.35}),
    ),
    "barley": (
        (60, {"cereal": 0.5, "soil_moist": 0.5}),
        (100, {"cereal": 0.9, "soil_moist": 0.1}),
        (135, {"cereal": 0.95, "ripe": 0.05}),
        (155, {"cereal": 0.6, "ripe": 0.4}),
        (172, {"ripe": 1.0}),
        (188, {"ripe": 0.9, "stubble": 0.1}),
        (190, {"stubble": 1.0}),
        (215, {"soil": 1.0}),
        (240, {"soil": 0.5, "cereal": 0.5}),
        (270, {"cereal": 0.9, "soil": 0.1}),
        (310, {"cereal": 0.9, "soil": 0.1}),
    ),
    "catch_crop": (  # spring barley, then mustard until winter
        (60, {"soil_moist": 1.0}),
        (95, {"soil": 0.9, "cereal": 0.1}),
        (130, {"cereal": 0.85, "soil": 0.15}),
        (165, {"cereal": 0.9, "ripe": 0.1}),
        (195, {"ripe": 1.0}),
        (208, {"ripe": 0.9, "stubble": 0.1}),
        (210, {"stubble": 1.0}),
        (225, {"soil": 0.9, "beet": 0.1}),
        (255, {"beet": 0.95, "soil": 0.05}),
        (300, {"beet": 0.6, "flower": 0.4}),
    ),
    "rapeseed": (
        (60, {"cereal": 0.55, "soil_moist": 0.45}),
        (98, {"cereal": 0.95, "soil": 0.05}),
        (110, {"cereal": 0.6, "flower": 0.4}),
        (118, {"flower": 1.0}),
        (134, {"flower": 0.95, "cereal": 0.05}),
        (144, {"beet": 0.8, "flower": 0.2}),
        (172, {"cereal": 0.65, "ripe": 0.35}),
        (194, {"ripe": 1.0}),
        (205, {"ripe": 0.9, "soil": 0.1}),
        (207, {"stubble": 1.0}),
        (240, {"soil": 0.8, "grass": 0.2}),
        (262, {"soil": 1.0}),
        (300, {"cereal": 0.45, "soil_moist": 0.55}),
    ),
    "maize": (
        (60, {"soil_moist": 1.0}),
        (110, {"soil": 0.7, "soil_moist": 0.3}),
        (140, {"soil": 1.0}),
        (155, {"soil": 0.8, "maize": 0.2}),
        (172, {"maize": 0.6, "soil": 0.4}),
        (190, {"maize": 1.0}),
        (240, {"maize": 1.0}),
        (262, {"maize": 0.5, "ripe": 0.5}),
        (270, {"ripe": 0.9, "maize": 0.1}),
        (272, {"stubble": 1.0}),
        (300, {"soil": 1.0}),
    ),
    "beet": (
        (60, {"soil_moist": 1.0}),
        (105, {"soil": 1.0}),
        (130, {"soil": 0.85, "beet": 0.15}),
        (158, {"beet": 0.85, "soil": 0.15}),
        (175, {"beet": 1.0}),
        (275, {"beet": 0.9, "soil": 0.1}),
        (282, {"beet": 0.85, "soil": 0.15}),
        (285, {"soil_moist": 1.0}),
    ),
    "meadow": (
        (60, {"grass": 0.6, "hay": 0.4}),
        (110, {"grass": 1.0}),
        (146, {"grass": 0.9, "cereal": 0.1}),
        (148, {"hay": 1.0}),
        (175, {"grass": 1.0}),
        (200, {"grass": 0.9, "hay": 0.1}),
        (202, {"hay": 1.0}),
        (228, {"grass": 0.9, "hay": 0.1}),
        (258, {"grass": 1.0}),
        (260, {"hay": 0.9, "grass": 0.1}),
        (290, {"grass": 1.0}),
    ),
    "pasture": (
        (60, {"grass": 0.6, "hay": 0.4}),
        (110, {"grass": 1.0}),
        (170, {"grass": 0.95, "hay": 0.05}),
        (215, {"grass": 0.7, "hay": 0.3}),
        (260, {"grass": 0.9, "hay": 0.1}),
    ),
    "garden": (
        (60, {"grass": 0.5, "soil_moist": 0.3, "twigs": 0.2}),
        (125, {"grass": 0.75, "soil": 0.1, "leaf": 0.15}),
        (280, {"grass": 0.75, "soil": 0.15, "autumn_leaf": 0.1}),
    ),
    "fallow": ((60, {"soil": 0.7, "hay": 0.3}), (180, {"soil": 0.5, "grass": 0.2, "hay": 0.3})),
    "bare": ((60, {"soil_moist": 1.0}), (130, {"soil": 1.0}), (290, {"soil": 1.0})),
    "broadleaf": (
        (60, {"twigs": 1.0}),
        (100, {"twigs": 0.95, "leaf": 0.05}),
        (122, {"leaf": 0.85, "twigs": 0.15}),
        (140, {"leaf": 1.0}),
        (262, {"leaf": 0.95, "autumn_leaf": 0.05}),
        (284, {"autumn_leaf": 0.75, "leaf": 0.25}),
        (305, {"autumn_leaf": 0.5, "twigs": 0.5}),
    ),
    "reed": (
        (60, {"hay": 1.0}),
        (130, {"grass": 0.6, "hay": 0.4}),
        (270, {"hay": 0.8, "leaf": 0.2}),
    ),
    "conifer": ((1, {"needle": 1.0}),),
    "yard": ((1, {"gravel": 0.35, "asphalt": 0.35, "grass": 0.3}),),
}

# What a material tends to where growth is poor, as (material, share of it).
POOR = {
    "cereal": ("soil", 0.30),
    "maize": ("soil", 0.30),
    "beet": ("soil", 0.25),
    "flower": ("cereal", 0.45),
    "ripe": ("soil", 0.25),
    "grass": ("hay", 0.40),
    "hay": ("soil", 0.25),
    "leaf": ("autumn_leaf", 0.10),
    "needle": ("twigs", 0.12),
    "soil": ("gravel", 0.22),
    "soil_moist": ("soil", 0.55),
    "stubble": ("soil_moist", 0.25),
}


@dataclass(frozen=True)
class Parcels:
    """The legend of a label map: entry `i` of each belongs to label `i`.

    `kinds` names a calendar or, for what never changes, a material; `days` is how early the
    parcel is (days, positive: ahead of the calendar); `gains` its brightness, 1 as in the table.
    """

    kinds: tuple[str, ...]
    days: NDArray[np.float64]
    gains: NDArray[np.float64]

    def appearance(
        self, day_of_year: int, band: str
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Reflectance per label at average vigour, and what one unit of vigour adds to it."""
        spectra = material_spectra(band)
        base, slope = np.zeros(len(self.kinds)), np.zeros(len(self.kinds))
        names = np.array(self.kinds)
        for kind in set(self.kinds):
            here = np.flatnonzero(names == kind)
            clock = day_of_year + self.days[here]
            for material, weight in _weights(kind, clock).items():
                base[here] += weight * spectra[material]
                other, share = POOR.get(material, (material, 0.0))
                slope[here] += weight * share * (spectra[material] - spectra[other])
        return (base * self.gains).astype(np.float32), (slope * self.gains).astype(np.float32)


def _weights(kind: str, clock: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    calendar = CALENDARS.get(kind, ((1, {kind: 1.0}),))
    days = [float(day) for day, _ in calendar]
    materials = sorted({material for _, weights in calendar for material in weights})
    return {
        material: np.interp(clock, days, [weights.get(material, 0.0) for _, weights in calendar])
        for material in materials
    }
