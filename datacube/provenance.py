"""What every output says of its making: the software, the pixels it was made from, the blur.

A record is JSON. It names what a reader needs to judge a pixel, and what a program needs to make
it again; it holds no path of the machine it was made on.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datacube.bands import SENTINEL2
from datacube.cube import CommittedScene, Cube

Record = dict[str, Any]

SCHEMA = "srcube-provenance/1"
TAG = "SRCUBE_PROVENANCE"  # of a GeoTIFF: the record as JSON
BASELINES = ("s2:processing_baseline", "processing:version")  # whichever a scene's item has
PSF = "Gaussian of the band's MTF at Nyquist, then the square pixel"


def software_record() -> Record:
    """Version, and the commit where it runs from a checkout."""
    return {"software": f"srcube {version('srcube')}", "commit": commit()}


@cache
def commit() -> str | None:
    """The commit of the checkout that this code lies in, or None for an installed package.

    Changes that were not committed do not show.
    """
    git = Path(__file__).resolve().parent.parent / ".git"
    head = _text(git / "HEAD")
    if head is None or not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    packed = _text(git / "packed-refs") or ""
    found = (line.split()[0] for line in packed.splitlines() if line.endswith(f" {name}"))
    return _text(git / name) or next(found, None)


def scene_record(cube: Cube, one: CommittedScene) -> Record:
    """One date that pixels were made from: id, time, processing baseline and digest."""
    properties = one.scene.properties
    baseline = next((properties[key] for key in BASELINES if key in properties), None)
    return {
        "id": one.scene.scene_id,
        "datetime": one.scene.stamp,
        "processing_baseline": baseline,
        "sha256": cube.root.commit.scenes[one.scene.scene_id].sha256,
    }


def psf_record(names: Iterable[str]) -> Record:
    """The blur with which each band is taken to have seen the ground, in its own pixels."""
    sigmas = {name: round(SENTINEL2[name].psf_sigma_px, 4) for name in names if name in SENTINEL2}
    return {"shape": PSF, "sigma_px": sigmas}


def _text(path: Path) -> str | None:
    return path.read_text("ascii").strip() if path.is_file() else None
