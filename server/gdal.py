"""GDAL as this process may use it: on files that are there, by drivers that read nothing else.

A driver that follows what a file says (VRT, WMS, ...) could be sent anywhere by a file that a
person has handed in. What they are told to skip cannot be undone once GDAL has its drivers.
"""

import rasterio
from rasterio._env import set_gdal_config

from datacube.errors import Unavailable

SKIPPED = (
    "VRT", "WMS", "WMTS", "WCS", "HTTP", "GTI", "DERIVED", "PLMOSAIC", "PLSCENES", "OGCAPI",
    "STACIT", "STACTA", "EEDA", "EEDAI", "DAAS", "TMS", "MBTiles", "Rasterlite", "NGW",
    "OpenFileGDB",
)  # fmt: skip
OPTIONS: dict[str, str | int] = {
    "GDAL_SKIP": " ".join(SKIPPED),
    "OGR_SKIP": "CARTO,Elastic,WFS,OAPIF,CSW,NGW,AmigoCloud,GMLAS,VRT",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".nothing",
    "GDAL_HTTP_TIMEOUT": "20",
    "GDAL_HTTP_CONNECTTIMEOUT": "5",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_CACHEMAX": 256_000_000,
    "GDAL_MAX_DATASET_POOL_SIZE": "64",
    "GDAL_NUM_THREADS": "1",
}


def pin_gdal() -> None:
    """Set the options for the whole process; best before anything has used GDAL."""
    for name, value in OPTIONS.items():
        set_gdal_config(name, value)


def refuse_open_drivers() -> None:
    """Raise Unavailable if a driver that was to be skipped is there all the same."""
    with rasterio.Env() as environment:
        there = sorted(set(SKIPPED) & set(environment.drivers()))
    if there:
        raise Unavailable(
            f"GDAL drivers {', '.join(there)} are loaded, which a server must not have; "
            "start it in a process of its own with `srcube serve`"
        )
