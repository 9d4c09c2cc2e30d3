"""The registry: who is in it, what it says of them, and what it never lets in."""

import json
import logging
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pystac.extensions.mlm import MLMExtension
from safetensors.torch import save_file

from datacube.errors import Conflict, InvalidInput, NotFound
from server.main import app
from sr_engine import imported, registry
from sr_engine.card import ModelCard, Score, card_from
from sr_engine.imported import ImportFormat, Weights, import_model, imported_models
from sr_engine.model import Model, PatchModel
from sr_engine.model_stac import model_item
from sr_engine.polyphase import PolyphaseModel
from sr_engine.registry import choose_model, find_model, find_patch_model, models
from sr_engine.weights import ModelRejected, file_sha256, read_pickle, read_weights

SHAPE = {"kernel": (2, 2, 3, 3)}


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A registry of its own with an empty folder of imported models."""
    folder = tmp_path / "models"
    monkeypatch.setenv("SRCUBE_MODELS", str(folder))
    models.cache_clear()
    yield folder
    models.cache_clear()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    app(list(arguments), standalone_mode=False)
    return capsys.readouterr().out


def test_every_model_has_a_card_that_tells_what_it_takes_and_pins_its_numbers() -> None:
    for model_id, model in models().items():
        card = model.card
        assert card.id == model_id
        assert len(card.weights_sha256) == 64
        assert card.halo_px >= 1
        assert card.limits
        assert card_from(json.loads(json.dumps(card.full_document()))) == card


def test_figures_measured_later_leave_what_a_product_records_as_it_was() -> None:
    card = find_model("wiener-x2").card
    assert card.metrics
    assert "metrics" not in card.document()
    assert card.full_document()["metrics"][0]["test"] == card.metrics[0].test


def test_table_cards_and_stac_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(run(capsys, "models", "--json"))
    assert [one["id"] for one in listed] == list(models())
    assert listed[0]["id"] == registry.DEFAULT_MODEL
    assert "bicubic-x2" in run(capsys, "models")
    text = run(capsys, "models", "show", "wiener-x2")
    assert "simulated" in text
    assert (
        json.loads(run(capsys, "models", "show", "wiener-x2", "--json"))
        == listed[list(models()).index("wiener-x2")]
    )
    item = json.loads(run(capsys, "models", "stac", "wiener-x2"))
    assert item == model_item(find_model("wiener-x2").card)
    with pytest.raises(NotFound, match="wiener-x4"):
        run(capsys, "models", "show", "wiener-x9")


@pytest.mark.parametrize("model_id", list(models()))
def test_a_model_is_a_valid_stac_item_of_the_mlm_extension(model_id: str) -> None:
    document = model_item(find_model(model_id).card)
    item = pystac.Item.from_dict(document)
    told = MLMExtension.ext(item)
    assert told.mlm_name == model_id
    assert told.tasks == ["super-resolution"]
    assert told.input[0].input.dim_order == ["batch", "channel", "height", "width"]
    bands = [band["name"] for band in document["assets"]["weights"]["bands"]]
    assert told.input[0].bands == bands
    assert told.output[0].tasks == ["super-resolution"]
    assert document["properties"]["srcube:weights_sha256"] in document["assets"]["weights"]["href"]
    json.dumps(document, allow_nan=False)


def test_a_model_is_chosen_by_id_by_family_or_by_being_the_default() -> None:
    assert choose_model("default").card.id == registry.DEFAULT_MODEL
    assert find_model("default").card.id == registry.DEFAULT_MODEL
    assert choose_model("default", 2).card.factor == 2
    assert choose_model("default", 4).card.factor == 4
    family = registry.family_of(registry.DEFAULT_MODEL)
    assert choose_model("default", 2).card.id == f"{family}-x2"
    assert choose_model("bicubic", 2).card.id == "bicubic-x2"
    assert choose_model("bicubic").card.id == "bicubic-x4"
    assert choose_model("wiener-x2").card.id == "wiener-x2"
    assert choose_model("wiener-x2", 2).card.id == "wiener-x2"
    for name, factor in (("wiener-x2", 4), ("bicubic", 3), ("default", 8)):
        with pytest.raises(InvalidInput, match=f"no factor {factor}; there is"):
            choose_model(name, factor)
    for unknown in ("nothing", "x", "-x2", ""):
        with pytest.raises(NotFound, match="no model"):
            choose_model(unknown, 2)


def kernel(value: float = 0.0) -> NDArray[np.float32]:
    """Nearest neighbour at x2, in the shape of a polyphase kernel."""
    weights = np.full((2, 2, 3, 3), value, np.float32)
    weights[:, :, 1, 1] = 1
    return weights


def card_of(model_id: str, **changes: Any) -> ModelCard:
    facts: dict[str, Any] = {
        "id": model_id, "title": "Nearest", "description": "Repeats pixels.", "factor": 2,
        "halo_px": 1, "limits": "Adds nothing.", "weights_sha256": "cd" * 32,
    }  # fmt: skip
    return ModelCard(**facts | changes)


def nearest(model_id: str, **changes: Any) -> PolyphaseModel:
    return PolyphaseModel(card_of(model_id, **changes), lambda _band: kernel())


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: str) -> None:
    """Put a package with an entry point where Python finds packages."""
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[srcube.models]\n{name} = {name}:make\n")
    (folder / f"{name}.py").write_text(f"from tests.test_models_cli import nearest\n{code}")
    monkeypatch.syspath_prepend(folder)


def test_a_model_of_another_package_is_one_among_ours(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    code = "def make():\n    return [nearest('theirs-x2'), nearest('theirs-x4', factor=4)]\n"
    install(fresh / "site", monkeypatch, "their_models", code)
    with caplog.at_level(logging.WARNING):
        assert choose_model("theirs", 4).card.id == "theirs-x4"
    assert not caplog.records
    image = np.random.default_rng(1).random((1, 5, 6)).astype(np.float32)
    fine = find_patch_model("theirs-x2").predict(image, ("B04",)).reflectance
    np.testing.assert_allclose(fine, image[:, 1:-1, 1:-1].repeat(2, 1).repeat(2, 2))
    assert next(iter(models())) == registry.DEFAULT_MODEL
    assert list(models())[-1] == "bicubic-x2"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import a_module_that_is_not_there\n", "ModuleNotFoundError"),
        ("def make():\n    raise RuntimeError('no licence\\nin two lines')\n", "no licence"),
        ("def make():\n    return [object()]\n", "need a model with a ModelCard"),
        ("def make():\n    return 7\n", "need a model with a ModelCard"),
        ("def make():\n    return nearest('../x')\n", "need a model id"),
        ("def make():\n    return nearest('t-x3', factor=3)\n", "need a factor"),
        ("def make():\n    return nearest('t-x2', weights_sha256='')\n", "weights_sha256"),
        ("def make():\n    return nearest('bicubic-x2')\n", "the id is taken"),
        ("def make():\n    return nearest('default')\n", "the id is taken"),
    ],
)
def test_a_broken_package_costs_one_line_and_its_own_models_only(
    fresh: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: str,
    said: str,
) -> None:
    known = list(models())
    models.cache_clear()
    name = f"broken_{abs(hash(code)) % 10**9}"
    install(fresh / "site", monkeypatch, name, code)
    with caplog.at_level(logging.WARNING):
        assert list(models()) == known
    (record,) = caplog.records
    assert said in record.getMessage()
    assert "\n" not in record.getMessage()
    assert find_model("bicubic-x2").card.title != "Nearest"


def read_kernel(file: Path) -> Weights:
    return Weights(card_of("kept-x2"), read_weights(file, shapes=SHAPE))


def make_kernel(card: ModelCard, file: Path) -> Model:
    def weights_of(_band: str) -> NDArray[np.float32]:
        tensors = read_weights(file, shapes=SHAPE, sha256=card.weights_sha256)
        return np.asarray(tensors["kernel"].numpy(), np.float32)

    return PolyphaseModel(card, weights_of)


KERNELS = ImportFormat(read_kernel, make_kernel)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(imported.FORMATS, "kernels", "tests.test_models_cli:KERNELS")


def weights_file(folder: Path, value: float = 0.0) -> Path:
    path = folder / "weights.safetensors"
    save_file({"kernel": torch.from_numpy(kernel(value))}, path)
    return path


@pytest.mark.usefixtures("kernels")
def test_imported_weights_become_a_model_that_knows_them_again(
    fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = weights_file(tmp_path)
    assert "kept-x2" in run(capsys, "models", "import", str(file), "--from", "kernels")
    card = find_model("kept-x2").card
    assert card.weights_sha256 == file_sha256(fresh / "kept-x2" / "weights.safetensors")
    image = np.ones((1, 4, 4), np.float32)
    model = find_patch_model("kept-x2")
    np.testing.assert_array_equal(model.predict(image, ("B04",)).reflectance, 1)
    with pytest.raises(Conflict, match="delete"):
        import_model(file, "kernels")
    weights_file(fresh / "kept-x2", value=0.25)  # somebody has changed them since
    models.cache_clear()
    changed = find_patch_model("kept-x2")
    with pytest.raises(ModelRejected, match="sha256"):
        changed.predict(image, ("B04",))
    run(capsys, "models", "forget", "kept-x2")
    models.cache_clear()
    assert "kept-x2" not in models()
    for other in ("kept-x2", "../x", "bicubic-x2"):
        with pytest.raises(InvalidInput, match="no imported model"):
            imported.forget_import(fresh, other)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    "record",
    [
        b"no json", b"[]", b"{}", b'{"format": "kernels", "card": {"bands": [], "id": 3}}',
        b'{"format": "kernels", "card": {"bands": [], "nonsense": 3}}',
        b'{"format": "other", "card": CARD}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_record_costs_its_own_model_only(
    fresh: Path, tmp_path: Path, record: bytes
) -> None:
    import_model(weights_file(tmp_path), "kernels")
    (fresh / "bad").mkdir()
    card = json.dumps(card_of("bad").full_document()).encode()
    (fresh / "bad/model.json").write_bytes(record.replace(b"CARD", card))
    found, complaints = imported_models(fresh)
    assert [model.card.id for model in found] == ["kept-x2"]
    (complaint,) = complaints
    assert complaint.startswith("bad is left out")


def test_a_format_that_is_not_known_or_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match="need --from"):
        import_model(tmp_path / "x", "caffe")
    monkeypatch.setitem(imported.FORMATS, "later", "sr_engine.not_written:FORM")
    with pytest.raises(InvalidInput, match="not_written"):
        import_model(tmp_path / "x", "later")


class Canary:
    """Unpickled carelessly, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def hostile_pickles(folder: Path) -> Iterator[Path]:
    canary = Canary(folder / "canary")
    torch.save({"kernel": torch.zeros(1), "more": canary}, folder / "torch.pt")
    torch.save({"a": canary}, folder / "old.pt", _use_new_zipfile_serialization=False)
    (folder / "plain.pkl").write_bytes(pickle.dumps(canary))
    with zipfile.ZipFile(folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 2**24)
    with zipfile.ZipFile(folder / "empty.pt", "w") as archive:
        archive.writestr("readme", b"nothing")
    with zipfile.ZipFile(folder / "raw.pt", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(canary))
        archive.writestr("archive/version", b"3\n")
    torch.save({"kernel": torch.zeros(1)}, folder / "cut.pt")
    whole = (folder / "cut.pt").read_bytes()
    (folder / "cut.pt").write_bytes(whole[: len(whole) // 2])
    yield from sorted(folder.glob("*.p*"))


def test_a_pickle_that_would_run_code_is_rejected_and_never_run(tmp_path: Path) -> None:
    found = list(hostile_pickles(tmp_path))
    assert len(found) == 7
    for path in found:
        with pytest.raises(ModelRejected):
            read_pickle(path)
        with pytest.raises(ModelRejected):
            read_weights(path)
    assert not (tmp_path / "canary").exists()
    with pytest.raises(ModelRejected, match="MiB"):
        read_pickle(tmp_path / "torch.pt", max_bytes=100)


def test_a_checkpoint_of_plain_weights_is_read(tmp_path: Path) -> None:
    torch.save({"state_dict": {"kernel": torch.arange(4.0)}, "epoch": 3}, tmp_path / "good.pt")
    found = read_pickle(tmp_path / "good.pt")
    assert found["state_dict"]["kernel"].tolist() == [0, 1, 2, 3]


def safetensors_of(header: Any, content: bytes = b"\0" * 144) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2, 2, 3, 3], "data_offsets": [0, 144]} | changes


HALF = {"dtype": "F32", "shape": [18], "data_offsets": [0, 72]}
HOSTILE = {
    "empty file": b"",
    "a few bytes": b"\x08\0\0",
    "huge header": struct.pack("<Q", 2**40) + b"{}",
    "header of the whole file": struct.pack("<Q", 2**22) + b"{" * 2**22,
    "negative header": struct.pack("<q", -1) + b"{}",
    "no json": safetensors_of(b"{no json}"),
    "a list": safetensors_of([1, 2]),
    "deep json": safetensors_of(b"[" * 200_000),
    "nothing": safetensors_of({}, b""),
    "metadata alone": safetensors_of({"__metadata__": {"a": "b"}}, b""),
    "overlap": safetensors_of({"a": HALF, "b": HALF | {"data_offsets": [36, 108]}}, b"\0" * 108),
    "same bytes": safetensors_of({"a": HALF, "b": HALF}, b"\0" * 72),
    "gap": safetensors_of({"a": HALF, "b": HALF | {"data_offsets": [80, 152]}}, b"\0" * 152),
    "beyond the end": safetensors_of({"kernel": entry()}, b"\0" * 100),
    "bytes left over": safetensors_of({"kernel": entry()}, b"\0" * 200),
    "wrong size": safetensors_of({"kernel": entry(shape=[2, 2, 3, 4])}),
    "huge shape": safetensors_of({"kernel": entry(shape=[2**40] * 8)}),
    "negative shape": safetensors_of({"kernel": entry(shape=[-2, 2, 3, -3])}),
    "shape of truth": safetensors_of({"kernel": entry(shape=[True, 36])}),
    "unknown type": safetensors_of({"kernel": entry(dtype="O8")}),
    "type is a list": safetensors_of({"kernel": entry(dtype=["F32"])}),
    "more keys": safetensors_of({"kernel": entry(code="import os")}),
    "offsets turned": safetensors_of({"kernel": entry(data_offsets=[144, 0])}),
    "other name": safetensors_of({"core": entry()}),
    "other shape": safetensors_of({"kernel": entry(shape=[3, 3, 2, 2])}),
    "twins": safetensors_of(
        b'{"kernel":%b,"kernel":%b}' % ((json.dumps(entry()).encode(),) * 2), b"\0" * 144
    ),
    "not a number": safetensors_of({"kernel": entry()}, struct.pack("<f", np.nan) * 36),
    "infinite": safetensors_of({"kernel": entry()}, struct.pack("<f", -np.inf) * 36),
    "many tensors": safetensors_of(
        {f"t{i}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for i in range(20_001)}, b""
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_weights_are_rejected_and_nothing_is_kept(
    fresh: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(imported.FORMATS, "kernels", "tests.test_models_cli:KERNELS")
    file = tmp_path / "bad.safetensors"
    file.write_bytes(HOSTILE[name])
    with pytest.raises(ModelRejected) as refusal:
        import_model(file, "kernels")
    assert len(str(refusal.value)) < 300
    assert "\n" not in str(refusal.value)
    assert not list(fresh.glob("*")) if fresh.exists() else True


def test_weights_that_are_missing_too_large_or_another_file_are_rejected(tmp_path: Path) -> None:
    file = weights_file(tmp_path)
    with pytest.raises(ModelRejected, match="no file"):
        read_weights(tmp_path / "none")
    with pytest.raises(ModelRejected, match="MiB"):
        read_weights(file, max_bytes=100)
    with pytest.raises(ModelRejected, match="sha256"):
        read_weights(file, sha256="0" * 64)
    found = read_weights(file, shapes=SHAPE, sha256=file_sha256(file))
    np.testing.assert_array_equal(found["kernel"].numpy(), kernel())


@given(st.binary(min_size=1, max_size=4), st.integers(0, 240), st.booleans())
def test_a_changed_file_is_rejected_or_its_numbers_are_finite(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, cut: bool
) -> None:
    folder = tmp_path_factory.mktemp("fuzz", numbered=True)
    content = bytearray(weights_file(folder).read_bytes())
    place %= len(content)
    content[place : place + len(noise)] = noise
    file = folder / "fuzzed.safetensors"
    file.write_bytes(content[:place] if cut else content)
    try:
        found = read_weights(file, shapes=SHAPE)
    except ModelRejected:
        return
    assert np.isfinite(found["kernel"].numpy()).all()
    assert not cut


def test_a_model_of_several_dates_is_no_patch_model() -> None:
    assert isinstance(find_model("wiener-x2"), PatchModel)
    with pytest.raises(InvalidInput, match="several dates"):
        find_patch_model("fusion-x2")


def test_a_score_has_its_baseline_beside_it() -> None:
    score = Score("simulated", "PSNR, dB", 31.5, bicubic=30.0, places=3)
    card = card_of("scored-x2", metrics=(score,))
    assert card.full_document()["metrics"] == [
        {"test": "simulated", "figure": "PSNR, dB", "value": 31.5, "bicubic": 30.0, "places": 3}
    ]
