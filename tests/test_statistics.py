"""Figures of a view: what they are, and what they cost however large the view is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from datacube import Catalog, Window, open_storage
from datacube.scene import reflectance_from_dn
from datacube.settings import Settings
from server.app import create_app
from server.expressions import find_index
from server.statistics import SAMPLES_PX

BANDS = ("B04", "B03", "B08")


@pytest.fixture(name="client", scope="module")
def fixture_client(demo_catalog: Path) -> TestClient:
    return TestClient(create_app(Settings(data=str(demo_catalog))), base_url="http://127.0.0.1")


def asked(client: TestClient, layer: str = "lr", **query: str) -> dict[str, Any]:
    box = client.get("/collections/simulated").json()["extent"]["spatial"]["bbox"][0]
    query = {"bbox": ",".join(map(str, box)), **query}
    answer = client.get(f"/collections/simulated/layers/{layer}/statistics", params=query)
    return {"status": answer.status_code, **answer.json()}


def test_figures_of_a_whole_scene_are_those_of_its_pixels(
    client: TestClient, demo_catalog: Path
) -> None:
    cube = Catalog(open_storage(demo_catalog)).open("simulated")
    stamp = cube.scenes[1].scene.stamp
    dn = cube.window_dn(cube.scenes[1].slot, BANDS, Window(0, 0, *cube.grid.shape))
    values = dict(zip(BANDS, reflectance_from_dn(dn), strict=True))
    found = asked(client, bands=",".join(BANDS), datetime=stamp)
    assert found["datetime"] == stamp
    for told, name in zip(found["bands"], BANDS, strict=True):
        assert told["name"] == name
        low, high = np.nanpercentile(values[name], (2, 98))
        assert told["percentile_2"] == pytest.approx(low, abs=0.02 * (high - low))
        assert told["percentile_98"] == pytest.approx(high, abs=0.02 * (high - low))
    assert found["count"] == sum(one["count"] for one in found["bands"]) <= 3 * SAMPLES_PX**2
    index = find_index("NDVI", BANDS).of(values)
    (told,) = asked(client, index="NDVI", datetime=stamp)["bands"]
    assert told["mean"] == pytest.approx(float(np.nanmean(index)), abs=0.01)


def test_where_nothing_is_there_figures_are_null(client: TestClient) -> None:
    for layer, box in (("lr", "-70.2,-10.2,-70.1,-10.1"), ("sr", None)):
        query = {"bbox": box} if box else {"model": "fusion-x2"}
        found = asked(client, layer, **query)
        assert found["status"] == 200
        assert (found["count"], found["percentile_2"]) == (0, None)


@pytest.mark.parametrize(
    ("layer", "query"),
    [
        ("lr", {"bbox": "1,2,3"}),
        ("lr", {"bbox": "nan,1,2,3"}),
        ("lr", {"bbox": "10,45,11,45.01"}),  # a hundred times longer than wide
        ("lr", {"bands": "B04", "index": "NDVI"}),
        ("lr", {"rescale": "0,1"}),
        ("influence", {}),
    ],
)
def test_what_cannot_be_counted_is_refused(
    client: TestClient, layer: str, query: dict[str, str]
) -> None:
    assert asked(client, layer, **query)["status"] == 422


def test_indices_are_listed_with_the_bands_that_they_need(client: TestClient) -> None:
    listed = {one["name"]: one for one in client.get("/indices").json()["indices"]}
    assert listed["NDVI"]["title"] == "Normalized Difference Vegetation Index"
    assert set(listed["NDVI"]["bands"]) == {"B08", "B04"}
    assert set(listed["NBR"]["bands"]) == {"B08", "B12"}
    for name, one in listed.items():
        assert find_index(name, tuple(one["bands"])).bands
