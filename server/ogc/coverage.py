"""What an EDR query found, as CoverageJSON, GeoJSON or CSV.

Points and paths are told in degrees; grids in the CRS of the cube, because their pixels are
those of the cube. GeoJSON and CSV are always in degrees, a row for each pixel that has a value.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from server.ogc.sampling import Parameter

Document = dict[str, Any]
DIGITS = 5  # of reflectance: a tenth of what one digital number is worth
DEGREES = 7  # digits: one centimetre
CRS84_URI = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


@dataclass(frozen=True, eq=False)
class Coverage:
    """Values of some parameters over one domain.

    `x` and `y` are axes of a Grid (values: time, y, x), the places of a Trajectory (values: time,
    place), or one place of a PointSeries (values: time, 1); in `crs`, x before y.
    """

    kind: Literal["PointSeries", "Grid", "Trajectory"]
    crs: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    times: tuple[str, ...]
    values: Mapping[Parameter, NDArray[np.float32]]

    def places(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes of every place, in the order of the values."""
        x, y = (self.x, self.y)
        if self.kind == "Grid":
            x, y = (axis.ravel() for axis in np.meshgrid(x, y))
        if self.crs == "OGC:CRS84":
            return x, y
        lon, lat = Transformer.from_crs(self.crs, "EPSG:4326", always_xy=True).transform(x, y)
        return np.asarray(lon), np.asarray(lat)


def coverage_json(coverages: Sequence[Coverage]) -> Document:
    """One coverage, or a collection where there are several."""
    split = [part for one in coverages for part in _domains(one)]
    if len(split) == 1:
        return split[0]
    return {"type": "CoverageCollection", "coverages": split}


def geojson(coverages: Sequence[Coverage]) -> Document:
    """A point for each place and time that has a value."""
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [lon, lat]},
            "properties": {"datetime": moment, **values},
        }
        for lon, lat, moment, values in _rows(coverages)
    ]
    return {"type": "FeatureCollection", "features": features}


def csv_text(coverages: Sequence[Coverage]) -> str:
    """Rows of longitude, latitude, time and the parameters; empty where there is no value."""
    names = list(dict.fromkeys(one.name for part in coverages for one in part.values))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["longitude", "latitude", "datetime", *names])
    for lon, lat, moment, values in _rows(coverages):
        writer.writerow([lon, lat, moment, *(values.get(name, "") for name in names)])
    return out.getvalue()


def parameter_document(one: Parameter) -> Document:
    """A parameter as CoverageJSON and a collection's `parameter_names` describe it."""
    told = "index" if one.formula else one.layer.units
    units = {"reflectance": "1", "class": "1", "index": "1"}.get(told, told)
    what = f", {one.name.rpartition('.')[2]}" if one.formula else ""
    label = f"{one.layer.title}{f', band {one.band}' if one.band else what}"
    observed = {"label": {"en": f"{told}{f' in {one.band}' if one.band else what}"}}
    return {
        "type": "Parameter",
        "description": {"en": label},
        "unit": {"label": {"en": told}, "symbol": units},
        "observedProperty": observed,
        "srcube:kind": one.layer.kind,
    }


def _domains(one: Coverage) -> Iterator[Document]:
    """A path is of one time, so that several times make several coverages."""
    times = range(len(one.times)) if one.kind == "Trajectory" else [slice(None)]
    for time in times:
        ranges = {p.name: _nd_array(one, values[time]) for p, values in one.values.items()}
        yield {
            "type": "Coverage",
            "domain": _domain(one, time),
            "parameters": {p.name: parameter_document(p) for p in one.values},
            "ranges": ranges,
        }


def _domain(one: Coverage, time: int | slice) -> Document:
    if one.kind == "Trajectory" and isinstance(time, int):
        moment = one.times[time]
        places = zip(one.x.round(DEGREES).tolist(), one.y.round(DEGREES).tolist(), strict=True)
        values = [[moment, x, y] for x, y in places]
        axes: Document = {
            "composite": {"dataType": "tuple", "coordinates": ["t", "x", "y"], "values": values}
        }
    elif one.kind == "Grid":
        axes = {"x": _axis(one.x), "y": _axis(one.y), "t": {"values": list(one.times)}}
    else:
        axes = {
            "x": {"values": one.x.round(DEGREES).tolist()},
            "y": {"values": one.y.round(DEGREES).tolist()},
            "t": {"values": list(one.times)},
        }
    return {
        "type": "Domain",
        "domainType": one.kind,
        "axes": axes,
        "referencing": [
            {"coordinates": ["x", "y"], "system": _system(one.crs)},
            {"coordinates": ["t"], "system": {"type": "TemporalRS", "calendar": "Gregorian"}},
        ],
    }


def _axis(values: NDArray[np.float64]) -> Document:
    return {"start": float(values[0]), "stop": float(values[-1]), "num": int(values.size)}


def _system(crs: str) -> Document:
    if crs == "OGC:CRS84":
        return {"type": "GeographicCRS", "id": CRS84_URI}
    authority, colon, code = crs.partition(":")
    if colon and len(crs) < 20:
        return {
            "type": "ProjectedCRS",
            "id": f"http://www.opengis.net/def/crs/{authority}/0/{code}",
        }
    return {"type": "ProjectedCRS", "wkt": crs}


def _nd_array(one: Coverage, values: NDArray[np.float32]) -> Document:
    axes = {"Grid": ["t", "y", "x"], "PointSeries": ["t"], "Trajectory": ["composite"]}[one.kind]
    if one.kind == "PointSeries":
        values = values[:, 0]
    return {
        "type": "NdArray",
        "dataType": "float",
        "axisNames": axes,
        "shape": list(values.shape),
        "values": _listed(values),
    }


def _listed(values: NDArray[np.float32]) -> list[float | None]:
    flat = values.astype(np.float64).ravel()
    rounded = flat.round(DIGITS).astype(object)
    rounded[np.isnan(flat)] = None
    found: list[float | None] = rounded.tolist()
    return found


def _rows(coverages: Sequence[Coverage]) -> Iterator[tuple[float, float, str, Document]]:
    for one in coverages:
        lon, lat = (axis.round(DEGREES).tolist() for axis in one.places())
        for index, moment in enumerate(one.times):
            columns = {p.name: _listed(values[index]) for p, values in one.values.items()}
            for place in range(len(lon)):
                found = {
                    name: column[place]
                    for name, column in columns.items()
                    if column[place] is not None
                }
                if found:
                    yield lon[place], lat[place], moment, found
