"""What the tests of explanation explain: arrays as sources, models, windows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from datacube import Cube, Grid, ScenePixels, Window
from datacube.scene import dn_from_reflectance
from sr_engine.bicubic import bicubic
from sr_engine.explain.case import Case, open_case
from sr_engine.explain.objective import Detail
from sr_engine.model import DifferentiableModel, PatchModel, Reflectance
from sr_engine.wiener import wiener
from tests.scenes import BANDS, new_cube, scene, small_grid
from tests.small_nets import (
    NetModel,
    landscape_pair,
    trained_net,
)

MODELS = [lambda: NetModel(trained_net()), lambda: wiener(4), lambda: bicubic(2)]
ids = ["net", "wiener-x4", "bicubic-x2"]


@dataclass(frozen=True, eq=False)
class ArrayImagery:
    """An array as a source; no data beyond its edge."""

    image: Reflectance
    bands: tuple[str, ...] = BANDS

    @property
    def grid(self) -> Grid:
        return small_grid(self.image.shape[1:])

    def read(self, bands: tuple[str, ...], window: Window, rim_px: int) -> Reflectance:
        wide = window.grown(rim_px)
        there = wide.within(self.image.shape[1:])
        out = np.full((len(bands), wide.height, wide.width), np.nan, np.float32)
        place = Window(there.row - wide.row, there.col - wide.col, there.height, there.width)
        out[:, *place.slices] = self.image[:, *there.slices]
        return out


def case_at(model: PatchModel, window: Window, image: Reflectance | None = None) -> Case:
    return open_case(ArrayImagery(landscape_pair()[0] if image is None else image), model, window)


def cube_of(root: Path, image: Reflectance) -> Cube:
    """A cube with the image as its one date."""
    dn = dn_from_reflectance(image)
    cube = new_cube(root, (dn.shape[1], dn.shape[2]))
    return cube.append(scene(1), ScenePixels(dn, np.full(dn.shape[1:], 4, np.uint8)))


def objective_of(model: DifferentiableModel, case: Case, patch: Reflectance) -> float:
    with torch.inference_mode():
        fine = model.module(case.bands)(torch.from_numpy(patch)[None])
    return float(Detail.of_case(case)(fine)[0])
