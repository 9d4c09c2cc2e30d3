"""Boxes in degrees, as people ask for them: (west, south, east, north)."""

import math

from datacube.errors import AntimeridianUnsupported, InvalidInput

Bbox = tuple[float, float, float, float]


def check_bbox(bbox: Bbox) -> Bbox:
    """The box itself; raises InvalidInput unless it is finite, has an area, and is on Earth.

    One whose west lies east of its east is told apart, as AntimeridianUnsupported: it has a
    meaning, which is that of its two halves.
    """
    west, south, east, north = bbox
    if not all(math.isfinite(edge) for edge in bbox):
        raise InvalidInput(f"need a bbox of four finite degrees, got {list(bbox)}")
    if -180 <= east < west <= 180 and -90 <= south < north <= 90:
        raise AntimeridianUnsupported(
            f"need a bbox that does not cross the antimeridian, got {list(bbox)}; ask for its "
            f"two halves, {[west, south, 180.0, north]} and {[-180.0, south, east, north]}"
        )
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise InvalidInput(
            "need a bbox of west < east within -180..180 and south < north within -90..90, "
            f"got {list(bbox)}"
        )
    return bbox
