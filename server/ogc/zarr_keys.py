"""A cube's own Zarr hierarchy, read-only, so that the hrefs of its items lead somewhere.

A key is taken apart and held against the nodes of the committed root document before anything is
looked for; the metadata are written from that document, so that a reader sees one commit.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse, Response

from datacube import Cube
from datacube.errors import Damaged, NotFound
from datacube.store.layout import MEASUREMENT
from server.services import Services, services_of

router = APIRouter(tags=["zarr"])

METADATA = "zarr.json"
BYTES = "application/octet-stream"
_KEY = re.compile(r"(?:(?P<node>[A-Za-z0-9_./-]{1,200})/)?(?P<what>zarr\.json|c(?:/\d{1,9}){0,8})")
FOUND: dict[int | str, dict[str, Any]] = {
    200: {"content": {BYTES: {"schema": {"type": "string", "format": "binary"}},
                      "application/json": {"schema": {"type": "object"}}}},
}  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A node of the hierarchy (empty: the root), and a chunk's index or None for metadata."""

    node: str
    index: tuple[int, ...] | None


@router.get("/collections/{cube_id}/zarr/{key:path}", response_class=Response, responses=FOUND)
def zarr_key(
    services: Annotated[Services, Depends(services_of)],
    cube_id: str,
    key: Annotated[str, Path(max_length=300)],
) -> Response:
    """One key of the cube as Zarr v3: metadata, or a chunk as it is stored."""
    cube = services.catalog.open(cube_id)
    asked = parse_key(cube, key)
    headers = {"cache-control": "no-cache"}
    if asked.index is None:
        return JSONResponse(metadata(cube, asked.node), headers=headers)
    return Response(chunk(cube, asked), media_type=BYTES, headers=headers)


def parse_key(cube: Cube, text: str) -> Key:
    """A key of this cube; raises NotFound for any other text."""
    found = _KEY.fullmatch(text)
    node = (found["node"] or "") if found else ""
    if found is None or (node and node not in cube.root.nodes):
        raise NotFound("no such key in this cube; zarr.json lists its arrays")
    if found["what"] == METADATA:
        return Key(node, None)
    index = tuple(int(part) for part in found["what"].split("/")[1:])
    document = cube.root.nodes.get(node, {})
    if len(index) != len(document.get("shape", [None])):
        raise NotFound("no such chunk in this cube")
    return Key(node, index)


def metadata(cube: Cube, node: str) -> dict[str, Any]:
    """The metadata of a node, a group's with those of all below it (consolidated)."""
    own: dict[str, Any] = dict(cube.root.nodes[node]) if node else {
        "zarr_format": 3, "node_type": "group", "attributes": cube.root.attributes,
    }  # fmt: skip
    if own["node_type"] == "group":
        lead = f"{node}/" if node else ""
        below = {
            path.removeprefix(lead): document
            for path, document in cube.root.nodes.items()
            if path.startswith(lead)
        }
        own["consolidated_metadata"] = {
            "kind": "inline", "must_understand": False, "metadata": below,
        }  # fmt: skip
    return own


def chunk(cube: Cube, key: Key) -> bytes:
    """A chunk's bytes; raises NotFound where none was written, Damaged where one is missing."""
    index = key.index or ()
    data = cube.storage.read("/".join([key.node, "c", *map(str, index)]))
    if data is not None:
        return data
    if key.node.startswith(f"{MEASUREMENT}/") and index and index[0] in cube.root.commit.live_slots:
        document = cube.root.nodes[key.node]
        steps = zip(document["shape"], document["chunk_grid"]["configuration"]["chunk_shape"],
                    strict=True)  # fmt: skip
        if all(place < -(-size // step) for place, (size, step) in zip(index, steps, strict=True)):
            raise Damaged(f"chunk {key} is committed but missing")
    raise NotFound("no such chunk in this cube, or none was written")
