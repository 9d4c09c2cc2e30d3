"""The explorer's Python side without a browser: what the controls offer and what they send."""

import re
from pathlib import Path
from typing import Any

import pytest

from datacube import Catalog, open_storage
from datacube.demo import DemoSize, build_demo
from server.layer_list import DIFFERENCE, LAYERS
from sr_engine.planes import Quality
from webapp.catalog import PRESETS, Collection, showable
from webapp.explorer import Explorer
from webapp.job_panel import job_text, plan_text
from webapp.swipe_map import ASSETS
from webapp.words import LANGUAGES, catalogue, demo_in
from webapp.words.english import ENGLISH

OWN_ASSETS = sorted(
    path for path in ASSETS.glob("*") if path.suffix in {".js", ".css"} and path.is_file()
)


def layer(layer_id: str, kind: str, *models: str) -> dict[str, Any]:
    return {"id": layer_id, "title": f"Layer {layer_id}", "kind": kind, "models": list(models)}


def collection(collection_id: str = "fields", **changes: Any) -> dict[str, Any]:
    return {
        "id": collection_id,
        "title": f"Collection {collection_id}",
        "bands": [{"name": name} for name in ("B02", "B03", "B04", "B08")],
        "layers": [
            layer("sr", "inferred", "wiener-x4", "wiener-x2"),
            layer("lr", "measured"),
            layer("truth", "truth"),
        ],
        "scenes": [
            {"datetime": "2024-04-02T10:30:00Z", "cloud_cover": 12.4},
            {"datetime": "2024-05-12T10:30:00Z", "cloud_cover": None},
        ],
        "default_datetime": "2024-05-12T10:30:00Z",
        **changes,
    }


MODELS = [
    {"id": "wiener-x4", "title": "Wiener, factor 4"},
    {"id": "wiener-x2", "title": "Wiener, factor 2"},
]


def opened(*collections: dict[str, Any]) -> Explorer:
    """An explorer to which the browser has just told the catalog."""
    explorer = Explorer(api_url="/", assets_url="explorer/assets/", words=catalogue())
    explorer.map.models = MODELS
    explorer.map.collections = list(collections)
    return explorer


def side(explorer: Explorer, name: str) -> tuple[str, str, str]:
    """Layer, model and date of a side, as the map is told."""
    told = explorer.map.shown[name]
    return told["layer"], told["model"], told["date"]


def shown(control: Any) -> bool:
    return bool(control.visible)


def locked(control: Any) -> bool:
    return bool(control.disabled)


def test_opens_measured_left_and_super_resolved_right_on_the_default_date() -> None:
    explorer = opened(collection())
    assert explorer.map.shown["collection"] == "fields"
    assert side(explorer, "left") == ("lr", "", "2024-05-12T10:30:00Z")
    assert side(explorer, "right") == ("sr", "wiener-x4", "2024-05-12T10:30:00Z")
    for shown in (explorer.map.shown["left"], explorer.map.shown["right"]):
        assert (shown["bands"], shown["rescale"]) == ("B04,B03,B02", "0,0.25")


def test_dates_name_their_cloud_cover_where_it_is_known() -> None:
    assert list(opened(collection()).date.slider.options) == [
        "2024-04-02, 12 % cloud",
        "2024-05-12",
    ]


def test_model_is_offered_only_for_a_layer_that_has_one() -> None:
    explorer = opened(collection())
    assert not shown(explorer.left.model)
    explorer.left.layer.value = "sr"
    assert shown(explorer.left.model)
    assert explorer.left.model.options == {
        "Wiener, factor 4": "wiener-x4",
        "Wiener, factor 2": "wiener-x2",
    }
    explorer.left.model.value = "wiener-x2"
    assert side(explorer, "left")[:2] == ("sr", "wiener-x2")
    explorer.left.layer.value = "truth"
    assert side(explorer, "left")[:2] == ("truth", "")


def test_model_survives_a_change_to_another_layer_that_has_it_too() -> None:
    documents = collection()
    documents["layers"].append(layer("influence", "explanation", "wiener-x4", "wiener-x2"))
    explorer = opened(documents)
    explorer.right.model.value = "wiener-x2"
    explorer.right.layer.value = "influence"
    assert side(explorer, "right")[:2] == ("influence", "wiener-x2")


def test_other_collection_brings_its_own_dates_and_layers() -> None:
    other = collection(
        "coast",
        layers=[layer("lr", "measured")],
        scenes=[{"datetime": "2023-07-01T10:00:00Z", "cloud_cover": 0}],
        default_datetime="nonsense",
        bands=[{"name": name} for name in ("B02", "B03", "B04")],
    )
    explorer = opened(collection(), other)
    explorer.collection.value = "coast"
    assert side(explorer, "right") == ("lr", "", "2023-07-01T10:00:00Z")
    assert list(explorer.look.bands.options) == ["True colour"]
    assert locked(explorer.date.slider)


def test_pixels_switch_chooses_the_resampling() -> None:
    explorer = opened(collection())
    assert explorer.map.shown["smooth"] is False
    explorer.pixels.value = False
    assert explorer.map.shown["smooth"] is True


def test_two_explorers_share_nothing() -> None:
    one, other = opened(collection()), opened(collection())
    one.left.layer.value = "truth"
    assert side(other, "left")[:2] == ("lr", "")


def test_empty_catalog_is_said_in_words() -> None:
    explorer = opened(collection(scenes=[]))
    assert shown(explorer.alert)
    assert explorer.alert.title == ENGLISH["no_collections"]


def test_problem_from_the_browser_is_shown() -> None:
    explorer = opened(collection())
    explorer.map.problem = {"text": "the disk is full", "at": 1}
    assert shown(explorer.alert)
    assert explorer.alert.title == "the disk is full"


def test_button_waits_for_a_plan_with_something_to_do() -> None:
    explorer = opened(collection())
    plan: dict[str, Any] = {"total": 9, "cached": 2, "estimated_seconds": 3.25, "limit_blocks": 64}
    plan |= {"problem": None, "over": False}
    assert locked(explorer.jobs.run)
    explorer.map.plan = plan
    assert not locked(explorer.jobs.run)
    for nothing_to_do in ({"cached": 9}, {"over": True}, {"problem": "no"}):
        explorer.map.plan = plan | nothing_to_do
        assert locked(explorer.jobs.run)
    explorer.map.plan = {}
    assert locked(explorer.jobs.run)


def test_cancel_is_there_only_while_a_job_runs() -> None:
    explorer = opened(collection())
    explorer.map.job = {"status": "running", "progress": 40, "done": 4, "total": 10}
    assert shown(explorer.jobs.cancel)
    explorer.map.job = {"status": "dismissed", "progress": 50, "done": 5, "total": 10}
    assert not shown(explorer.jobs.cancel)


def test_plan_and_job_may_arrive_together() -> None:
    explorer = opened(collection())
    explorer.map.param.update(plan={}, job={"status": "failed", "message": "out of disk"})
    assert str(explorer.jobs.cost.object) == "Stopped: out of disk"


def test_server_may_name_the_collection_to_open_on() -> None:
    explorer = Explorer(api_url="/", assets_url="explorer/assets/", words=catalogue())
    explorer.map.opening = "coast"
    explorer.map.collections = [collection(), collection("coast")]
    assert explorer.map.shown["collection"] == "coast"


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ({}, ENGLISH["plan_nothing"]),
        ({"problem": "too far away"}, "too far away"),
        ({"total": 4, "cached": 4}, "All 4 blocks in view are ready."),
        ({"total": 99, "over": True}, "The view holds 99 blocks; the limit is 64. Zoom in."),
        ({"total": 9}, "9 blocks in view, 2 ready. About 3.2 s (limit 64 blocks)."),
    ],
)
def test_plan_is_told_in_one_sentence(plan: dict[str, Any], text: str) -> None:
    whole = {"cached": 2, "estimated_seconds": 3.21, "limit_blocks": 64}
    assert (
        plan_text(whole | {"problem": None, "over": False} | plan if plan else {}, ENGLISH) == text
    )


def test_job_is_told_while_it_runs_and_when_it_stops_early() -> None:
    running = {"status": "running", "done": 3, "total": 12}
    assert job_text(running, ENGLISH) == "Super-resolving: 3 of 12 blocks"
    assert job_text({"status": "failed", "message": "out of disk"}, ENGLISH).endswith("out of disk")
    assert job_text({"status": "successful"}, ENGLISH) == ""
    assert job_text({}, ENGLISH) == ""


def test_collections_without_scenes_or_layers_are_not_offered() -> None:
    documents = [collection(), collection("a", scenes=[]), collection("b", layers=[])]
    assert list(showable(documents)) == ["fields"]


def test_presets_stretch_a_rising_range_of_three_bands() -> None:
    for preset in PRESETS:
        assert preset.low < preset.high
        assert len(preset.bands_query.split(",")) == 3
        assert preset.key in ENGLISH
    no_nir = Collection.from_json(
        collection(bands=[{"name": name} for name in ("B02", "B03", "B04")])
    )
    assert [preset.key for preset in no_nir.presets()] == ["preset_true"]


def test_every_word_that_the_page_uses_is_in_the_catalogue() -> None:
    used: set[str] = set()
    for path in OWN_ASSETS:
        used |= set(re.findall(r"\bstrings\.(\w+)", path.read_text()))
    for path in Path(ASSETS.parent).glob("*.py"):
        used |= set(re.findall(r'\bwords\["(\w+)"\]', path.read_text()))
    assert used - set(ENGLISH) == set()
    assert "swipe_label" in used


def test_own_assets_name_no_other_host_and_never_parse_text_as_markup() -> None:
    assert len(OWN_ASSETS) >= 9
    for path in OWN_ASSETS:
        text = path.read_text().replace("http://www.w3.org/", "")  # names of vocabularies
        assert not re.search(r"https?://|//\w+\.\w+/", text), path.name
        for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert danger not in text, f"{path.name} uses {danger}"


def test_leaflet_comes_with_its_licence() -> None:
    folder = ASSETS / "leaflet"
    assert "Redistribution" in (folder / "LICENSE").read_text()
    assert "Leaflet 1.9.4" in (folder / "leaflet.js").read_text()[:200]


def test_layers_and_their_units_are_in_the_catalogue_as_the_server_says_them() -> None:
    for layer in (*LAYERS.values(), DIFFERENCE):
        assert ENGLISH[f"layer_{layer.id}"] == layer.title
        if layer.colormap and layer is not DIFFERENCE:
            assert ENGLISH[f"units_{layer.id}"] == layer.units
    flags = ["clean", *(str(flag.name).lower() for flag in Quality if flag != Quality.COMPUTED)]
    assert {f"trust_flag_{flag}" for flag in flags} <= set(ENGLISH)
    # What is the same word in both languages, or a name.
    same = {key for key, text in LANGUAGES["de"].items() if text == ENGLISH[key]}
    assert len(same) < len(ENGLISH) / 12, sorted(same)


def test_the_demo_is_in_the_catalogue_as_the_server_says_it(tmp_path: Path) -> None:
    catalog = Catalog(open_storage(tmp_path))
    build_demo(catalog, lambda _: None, DemoSize(shape=(72, 90), dates=1, truth_dates=1))
    said = [catalog.open(name).attributes for name in catalog.ids()]
    assert len(said) >= 3
    keys = ("title", "notice", "attribution")
    texts = {str(one[key]) for one in said for key in keys if one.get(key)}
    german = demo_in("de")
    assert texts <= set(german)
    assert all(german[text] != text for text in texts)


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_every_language_says_everything_with_the_same_gaps_to_fill(language: str) -> None:
    words = LANGUAGES[language]
    assert set(words) == set(ENGLISH)
    gaps = re.compile(r"{\w+}")
    for key, text in words.items():
        assert sorted(gaps.findall(text)) == sorted(gaps.findall(ENGLISH[key])), key
