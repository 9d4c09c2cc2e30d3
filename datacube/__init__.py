"""Pixels, grids and stores: a Sentinel-2 datacube in Zarr, and nothing of models or HTTP."""

from datacube.bands import SENTINEL2, Band, find_bands
from datacube.catalog import Catalog
from datacube.cube import Cube
from datacube.grid import Grid
from datacube.product import Product
from datacube.scene import PixelSource, Scene, ScenePixels
from datacube.store.layout import CubeSpec, ProductSpec
from datacube.store.storage import open_storage
from datacube.window import Window

__all__ = [
    "SENTINEL2",
    "Band",
    "Catalog",
    "Cube",
    "CubeSpec",
    "Grid",
    "PixelSource",
    "Product",
    "ProductSpec",
    "Scene",
    "ScenePixels",
    "Window",
    "find_bands",
    "open_storage",
]
