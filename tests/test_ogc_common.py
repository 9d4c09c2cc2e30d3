"""OGC API Common: everything is reached by links from the landing page, as JSON and as HTML."""

import re
from collections.abc import Iterator

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from server.ogc.answers import page, prefers_html
from server.ogc.landing import CONFORMANCE
from server.processes import PROCESSES
from tests.test_safety_rows import assert_exists

# Conformance class: the tests that hold it. Addresses are shortened to where they differ.
CLASSES: dict[str, tuple[str, ...]] = {
    "ogcapi-common-1/1.0/conf/core": ("test_ogc_common::test_the_landing_page_links_to_every_part",
        "test_ogc_common::test_what_is_not_there_is_a_problem_document"),
    "ogcapi-common-1/1.0/conf/landing-page": (
        "test_ogc_common::test_the_landing_page_links_to_every_part",
        "test_ogc_common::test_conformance_lists_each_class_once_wherever_it_is_told"),
    "ogcapi-common-1/1.0/conf/json": (
        "test_ogc_common::test_documents_come_as_json_and_as_html",),
    "ogcapi-common-1/1.0/conf/html": (
        "test_ogc_common::test_documents_come_as_json_and_as_html",
        "test_ogc_common::test_the_accept_header_decides"),
    "ogcapi-common-2/1.0/conf/collections": (
        "test_ogc_common::test_collections_have_what_common_asks_of_them",),
    "ogcapi-tiles-1/1.0/conf/core": (
        "test_ogc_tiles::test_a_collection_leads_to_tilesets_and_they_to_tiles",
        "test_tiles::test_outside_the_cube_there_is_no_content"),
    "ogcapi-tiles-1/1.0/conf/tileset": (
        "test_ogc_tiles::test_limits_hold_all_that_is_drawn_and_no_more",),
    "ogcapi-tiles-1/1.0/conf/tilesets-list": (
        "test_ogc_tiles::test_a_collection_leads_to_tilesets_and_they_to_tiles",
        "test_ogc_tiles::test_bad_tilesets_are_refused"),
    "ogcapi-tiles-1/1.0/conf/geodata-tilesets": (
        "test_ogc_tiles::test_every_listed_matrix_set_shows_the_same_ground",),
    "ogcapi-tiles-1/1.0/conf/png": ("test_tiles::test_layers_are_drawn_in_every_format_and_size",),
    "ogcapi-tiles-1/1.0/conf/jpeg": ("test_tiles::test_layers_are_drawn_in_every_format_and_size",),
    "tms/2.0/conf/tilematrixset": (
        "test_ogc_tiles::test_every_matrix_set_has_square_tiles_of_256_and_levels_from_0",),
    "tms/2.0/conf/json-tilematrixset": ("test_ogc_tiles::test_matrix_sets_are_listed_and_defined",),
    "ogcapi-processes-1/1.0/conf/core": (
        "test_ogc_processes::test_processes_are_listed_page_by_page",
        "test_ogc_processes::test_a_job_tells_where_it_is_and_how",
        "test_ogc_processes::test_an_answer_is_raw_or_a_document_of_results",
        "test_ogc_processes::test_inputs_come_in_every_form",
        "test_ogc_processes::test_inputs_come_from_elsewhere_where_the_operator_allows_it",
        "test_ogc_processes::test_what_is_not_offered_is_refused_by_name",
        "test_ogc_processes::test_exceptions_are_called_as_the_standard_calls_them",
        "test_ogc_processes::test_a_failed_job_is_answered_by_its_reason"),
    "ogcapi-processes-1/1.0/conf/ogc-process-description": (
        "test_ogc_common::test_processes_are_described_by_what_they_accept",
        "test_ogc_common::test_a_description_of_a_process_has_what_the_standard_asks_for"),
    "ogcapi-processes-1/1.0/conf/json": (
        "test_ogc_processes::test_every_resource_of_processes_comes_as_json",),
    "ogcapi-processes-1/1.0/conf/job-list": (
        "test_ogc_processes::test_jobs_are_listed_page_by_page",
        "test_ogc_processes::test_jobs_are_chosen_by_what_they_are",
        "test_jobs_ledger::test_a_list_holds_the_jobs_that_a_choice_means"),
    "ogcapi-processes-1/1.0/conf/dismiss": (
        "test_ogc_processes::test_who_dismisses_a_job_ends_it_or_has_it_forgotten",),
    "ogcapi-edr-1/1.1/conf/core": (
        "test_edr::test_a_position_tells_the_pixel_it_lies_in_at_every_date",
        "test_edr::test_an_area_leaves_out_what_lies_around_it",
        "test_edr::test_a_trajectory_follows_the_line_pixel_by_pixel",
        "test_edr::test_a_box_gives_every_pixel_it_touches_on_the_cubes_own_grid"),
    "ogcapi-edr-1/1.1/conf/collections": (
        "test_edr::test_the_collection_describes_its_parameters_and_queries",),
    "ogcapi-edr-1/1.1/conf/json": ("test_edr::test_formats_tell_the_same_values",),
    "ogcapi-edr-1/1.1/conf/geojson": ("test_edr::test_formats_tell_the_same_values",),
    "ogcapi-edr-1/1.1/conf/covjson": ("test_edr::test_several_points_are_several_series",),
    "ogcapi-features-1/1.0/conf/core": (
        "test_stac_api::test_items_are_features_page_by_page",
        "test_stac_api::test_items_are_chosen_by_box_and_by_time",
        "test_stac_api::test_one_item_is_the_feature_of_the_list"),
    "ogcapi-features-1/1.0/conf/geojson": (
        "test_stac_api::test_items_are_geojson_of_the_ground_of_the_cube",),
    "v1.0.0/core": (
        "test_stac_api::test_items_and_collections_are_valid_stac_with_all_that_they_declare",),
    "v1.0.0/collections": (
        "test_stac_api::test_items_and_collections_are_valid_stac_with_all_that_they_declare",),
    "v1.0.0/ogcapi-features": ("test_stac_api::test_items_are_features_page_by_page",),
    "v1.0.0/item-search": (
        "test_stac_api::test_pystac_client_finds_every_item_page_by_page",
        "test_stac_api::test_searches_by_time_place_and_id",
        "test_stac_api::test_bad_searches_are_refused_in_one_line"),
}  # fmt: skip
JSON, HTML = "application/json", "text/html"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.fixture(name="client", scope="module")
def fixture_client(live_server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live_server, timeout=30) as client:
        yield client


def links_of(document: dict[str, object]) -> dict[str, dict[str, str]]:
    links = document["links"]
    assert isinstance(links, list)
    return {one["rel"]: one for one in links}


def test_the_landing_page_links_to_every_part(client: httpx.Client) -> None:
    answer = client.get("/", headers={"accept": JSON})
    assert answer.headers["content-type"] == JSON
    links = links_of(answer.json())
    assert {"self", "service-desc", "service-doc", "conformance", "data"} <= set(links)
    for rel, one in links.items():
        found = client.get(one["href"], headers={"accept": one["type"]})
        assert found.status_code == 200, rel
        assert found.headers["content-type"].split("; charset")[0] == one["type"], rel


def test_a_browser_gets_a_page_that_leads_to_the_map(client: httpx.Client) -> None:
    answer = client.get("/", headers={"accept": BROWSER})
    assert answer.headers["content-type"].startswith(HTML)
    assert 'http-equiv="refresh"' in answer.text
    assert "/explorer" in answer.text
    assert "/collections" in answer.text
    asked_for = client.get("/", params={"f": "html"})
    assert "refresh" not in asked_for.text
    assert client.get("/", headers={"accept": BROWSER}, params={"f": "json"}).json()["links"]


@pytest.mark.parametrize(
    "path",
    ["/", "/conformance", "/collections", "/collections/simulated", "/tileMatrixSets",
     "/tileMatrixSets/WebMercatorQuad", "/processes", "/processes/super-resolve",
     "/collections/simulated/tiles", "/collections/simulated/layers/lr/tiles",
     "/collections/simulated/layers/lr/tiles/WebMercatorQuad"],
)  # fmt: skip
def test_documents_come_as_json_and_as_html(client: httpx.Client, path: str) -> None:
    as_json = client.get(path, headers={"accept": JSON})
    as_html = client.get(path, headers={"accept": HTML})
    assert as_json.headers["content-type"] == JSON
    assert as_html.headers["content-type"] == "text/html; charset=utf-8"
    assert as_html.headers["vary"] == "accept"
    title = as_json.json().get("title")
    assert title is None or title.split(":")[0] in as_html.text
    assert "<script" not in as_html.text
    assert client.get(path, params={"f": "pdf"}).status_code == 422


def test_conformance_lists_each_class_once_wherever_it_is_told(client: httpx.Client) -> None:
    declared = client.get("/conformance").json()["conformsTo"]
    assert declared == list(CONFORMANCE) == client.get("/").json()["conformsTo"]
    assert len(set(declared)) == len(declared)


def test_each_class_is_held_by_tests_that_exist() -> None:
    shortened = {re.sub(r"^.*/spec/|^https://api\.stacspec\.org/", "", one) for one in CONFORMANCE}
    assert shortened == set(CLASSES)
    for tests in CLASSES.values():
        assert tests
        for test in tests:
            assert_exists(test)


def test_collections_have_what_common_asks_of_them(client: httpx.Client) -> None:
    document = client.get("/collections").json()
    assert "self" in links_of(document)
    for listed in document["collections"]:
        path = f"/collections/{listed['id']}"
        one = client.get(path).json()
        assert one == listed
        assert links_of(one)["self"]["href"].endswith(path)
        west, south, east, north = one["extent"]["spatial"]["bbox"][0]
        assert -180 <= west < east <= 180
        assert -90 <= south < north <= 90
        (interval,) = one["extent"]["temporal"]["interval"]
        assert interval[0] <= interval[1]
        for rel, found in links_of(one).items():
            if not found.get("templated") and found["href"].startswith("http"):
                assert client.get(found["href"]).status_code == 200, (rel, found["href"])


def test_what_is_not_there_is_a_problem_document(client: httpx.Client) -> None:
    for path in ("/collections/nowhere", "/tileMatrixSets/nowhere", "/processes/nothing",
                 "/colorMaps/drab", "/nothing/at/all"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("", False), ("*/*", False), (JSON, False), (HTML, True), (BROWSER, True),
     ("text/*", True), ("application/json, text/html;q=0.5", False),
     ("application/json;q=0.1, text/html;q=0.5", True), ("text/html;q=0", False),
     ("text/html;q=x", False), ("," * 5000, False)],
)  # fmt: skip
def test_the_accept_header_decides(accept: str, expected: bool) -> None:
    assert prefers_html(accept) is expected


def test_a_page_escapes_what_it_shows() -> None:
    hostile = "<script>alert(1)</script>"
    shown = page({"title": hostile, "n": [{"a": hostile}], hostile: 1,
                  "links": [{"rel": '"><x', "href": '"><y', "type": "z"}]})  # fmt: skip
    for mark in ("<script", "<x", "<y"):
        assert mark not in shown


def test_colour_maps_are_listed_with_their_colours(client: httpx.Client) -> None:
    names = [one["id"] for one in client.get("/colorMaps").json()["colorMaps"]]
    assert "viridis" in names
    colours = client.get("/colorMaps/viridis").json()
    assert len(colours) == 256
    assert colours["0"] == [68, 1, 84, 255]


def test_the_interface_is_described_for_people_without_anything_remote(
    client: httpx.Client,
) -> None:
    shown = client.get("/api.html").text
    assert "GET /collections/{cube_id}" in shown
    for remote in ("http://", "https://", "<script"):
        assert remote not in shown


def test_processes_are_described_by_what_they_accept(client: httpx.Client) -> None:
    (listed,) = [
        one for one in client.get("/processes").json()["processes"] if one["id"] == "super-resolve"
    ]
    described = client.get("/processes/super-resolve").json()
    assert set(PROCESSES) <= {one["id"] for one in client.get("/processes").json()["processes"]}
    assert {key: described[key] for key in listed} == listed
    assert described["inputs"]["collection"]["minOccurs"] == 1
    assert described["inputs"]["datetime"]["minOccurs"] == 0
    for one in described["inputs"].values():
        assert one["schema"]
    assert described["outputs"]
    execute = links_of(described)["http://www.opengis.net/def/rel/ogc/1.0/execute"]
    inputs = {"collection": "nowhere", "bbox": [0, 0, 1, 1]}
    asked = client.post(execute["href"], json={"inputs": inputs})
    assert asked.status_code == 404  # the process is there, the cube is not


@pytest.mark.parametrize(
    "name", ["super-resolve", "fuse", "explain", "search", "ingest", "evaluate"]
)
def test_a_description_of_a_process_has_what_the_standard_asks_for(
    client: httpx.Client, name: str
) -> None:
    """`process.yaml` of OGC 18-062r2: which members there are, and that schemas are schemas."""
    described = client.get(f"/processes/{name}").json()
    assert described["id"] == name
    assert re.fullmatch(r"\d+\.\d+\.\d+", described["version"])
    assert set(described["jobControlOptions"]) <= {"sync-execute", "async-execute", "dismiss"}
    assert {"sync-execute", "async-execute"} & set(described["jobControlOptions"])
    assert set(described["outputTransmission"]) <= {"value", "reference"}
    assert {"self", "http://www.opengis.net/def/rel/ogc/1.0/execute"} <= set(links_of(described))
    for one in described["inputs"].values():
        assert 0 <= one["minOccurs"] <= one["maxOccurs"]
        assert one["title"]
        Draft202012Validator.check_schema(one["schema"])
    assert len(described["outputs"]) == 1  # so that the result is the value itself
    for one in described["outputs"].values():
        Draft202012Validator.check_schema(one["schema"])
