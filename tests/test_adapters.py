"""Other projects' models: their own numbers, whatever block asks, and nothing of theirs is run."""

import itertools
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.nn import functional

from datacube.errors import InvalidInput, Unavailable
from datacube.store.layout import BLOCK_PX
from sr_engine.adapters import ldsr, sen2sr
from sr_engine.adapters.span import Span, fuse, span_shapes
from sr_engine.adapters.windows import CELL_PX, RIM_PX, WINDOW_PX, WindowedModel
from sr_engine.card import ModelCard
from sr_engine.imported import import_model
from sr_engine.model import Reflectance
from sr_engine.registry import choose_model, find_patch_model, models
from sr_engine.weights import ModelRejected
from tests.rasters import numbers

BANDS = ("B02", "B03", "B04", "B08")
WIDTH, BLOCKS = 8, 3


def span_tensors(seed: int = 0, *, bands: int = 4) -> dict[str, torch.Tensor]:
    """Random weights under the names and in the shapes that SEN2SRLite publishes."""
    hint: dict[str, tuple[int, ...]] = {
        "conv_1.sk.weight": (WIDTH, bands, 1, 1),
        "upsampler.0.weight": (16 * bands, WIDTH, 3, 3),
        **{f"blocks.{index}.c1_r.sk.weight": (WIDTH, WIDTH, 1, 1) for index in range(BLOCKS)},
    }
    random = torch.Generator().manual_seed(seed)
    shapes = span_shapes(hint)
    return {name: 0.1 * torch.randn(shape, generator=random) for name, shape in shapes.items()}


def mask() -> torch.Tensor:
    """A soft low-pass filter, zero frequency in the middle."""
    at = torch.arange(512) - 256
    radius = (at[:, None] ** 2 + at[None, :] ** 2).float().sqrt()
    return torch.sigmoid((64 - radius) / 8)


def published(folder: Path, **changes: Any) -> Path:
    """The folder that mlstac.download leaves, code and all."""
    folder.mkdir(exist_ok=True)
    save_file(changes.get("network", span_tensors()), folder / "model.safetensor")
    save_file(changes.get("constraint", {"weights": mask()}), folder / "hard_constraint.safetensor")
    (folder / "mlm.json").write_text("{}")
    (folder / "load.py").write_text(f"open({str(folder / 'canary')!r}, 'w')\n")
    return folder


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SRCUBE_MODELS", str(tmp_path / "models"))
    models.cache_clear()
    yield tmp_path
    models.cache_clear()


def image(shape: tuple[int, int], seed: int = 2) -> Reflectance:
    return (numbers(seed, shape) * 1e-4).astype(np.float32)


def test_three_convolutions_and_a_skip_are_one() -> None:
    tensors = span_tensors()
    random = torch.Generator().manual_seed(5)
    features = torch.randn((1, WIDTH, 9, 11), generator=random)
    for name in ("conv_2", "blocks.1.c2_r"):
        wanted = features
        for step in range(3):
            layer = f"{name}.conv.{step}"
            weight, bias = tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]
            wanted = functional.conv2d(wanted, weight, bias)
        skip = functional.conv2d(features, tensors[f"{name}.sk.weight"], tensors[f"{name}.sk.bias"])
        wanted = wanted + skip[..., 1:-1, 1:-1]
        torch.testing.assert_close(functional.conv2d(features, *fuse(tensors, name)), wanted)


def test_only_the_first_and_the_last_block_count_as_published() -> None:
    tensors = span_tensors()
    seen = torch.rand((1, 4, 12, 10), generator=torch.Generator().manual_seed(1))
    usual = Span(tensors)(seen)
    assert usual.shape == (1, 4, 48, 40)
    for index, counts in ((0, True), (1, False), (2, True)):
        changed = {
            name: value + 0.1 if name.startswith(f"blocks.{index}.c3") else value
            for name, value in tensors.items()
        }
        assert (not torch.equal(Span(changed)(seen), usual)) == counts


def test_imported_sen2sr_is_a_model_of_ours_with_its_low_frequencies_held(fresh: Path) -> None:
    folder = published(fresh / "SEN2SRLite_RGBN")
    card = import_model(folder, "sen2sr")
    assert card.id == "sen2sr-lite-x4"
    assert not (folder / "canary").exists()
    models.cache_clear()
    model = find_patch_model("sen2sr-lite-x4")
    assert choose_model("sen2sr-lite", 4) is model
    seen = image((WINDOW_PX, WINDOW_PX))
    fine = model.predict(seen, BANDS).reflectance
    assert fine.shape == (4, 4 * CELL_PX, 4 * CELL_PX)
    run = sen2sr.network_of({**span_tensors(), sen2sr.MASK: mask()})
    turned = [2, 1, 0, 3]  # the network wants red first
    theirs = run(np.ascontiguousarray(seen[turned]))[turned]
    rim = 4 * RIM_PX
    np.testing.assert_allclose(fine, theirs[:, rim:-rim, rim:-rim], atol=1e-6)
    # Zero frequency is the input's, whatever random weights make of it.
    np.testing.assert_allclose(theirs.mean(axis=(1, 2)), seen.mean(axis=(1, 2)), atol=2e-3)
    again = model.predict(seen[::-1].copy(), BANDS[::-1]).reflectance
    np.testing.assert_allclose(again[::-1], fine, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"network": {"a": torch.zeros(1)}}, "no weights of SEN2SRLite"),
        ({"network": span_tensors(bands=10)}, "four bands"),
        ({"network": {**span_tensors(), "more": torch.zeros(2)}}, "more"),
        ({"network": {**span_tensors(), "conv_cat.bias": torch.zeros(3)}}, "conv_cat.bias"),
        ({"network": {**span_tensors(), "conv_cat.bias": torch.full((8,), np.nan)}}, "finite"),
        ({"constraint": {"weights": torch.zeros(256, 256)}}, "512 x 512"),
        ({"constraint": {"weights": mask(), "second": mask()}}, "512 x 512"),
        ({"constraint": {"weights": 2 * mask()}}, "0 to 1"),
    ],
)
def test_other_folders_are_rejected(fresh: Path, changes: dict[str, Any], text: str) -> None:
    folder = published(fresh / "folder", **changes)
    with pytest.raises(ModelRejected, match=text):
        import_model(folder, "sen2sr")
    assert not list((fresh / "models").glob("*"))
    (folder / "model.safetensor").unlink()
    with pytest.raises(ModelRejected, match=r"need model\.safetensor"):
        import_model(folder, "sen2sr")


class Windows:
    """What a network for windows is to see: a window's own place, by its first pixel's value."""

    def __init__(self) -> None:
        self.seen: list[Reflectance] = []

    def __call__(self, window: Reflectance) -> Reflectance:
        assert window.shape[1:] == (WINDOW_PX, WINDOW_PX)
        self.seen.append(window)
        return window.repeat(2, axis=1).repeat(2, axis=2)


def windowed() -> tuple[WindowedModel, Windows]:
    run = Windows()
    card = ModelCard("w-x2", "W", "Repeats.", 2, RIM_PX, bands=BANDS, weights_sha256="ef" * 32)
    return WindowedModel(card, ("B04", "B03", "B02", "B08"), lambda: run), run


@settings(max_examples=15)
@given(st.integers(1, 150), st.integers(1, 150))
def test_every_pixel_comes_from_the_middle_of_a_window(height: int, width: int) -> None:
    model, run = windowed()
    patch = image((height + 2 * RIM_PX, width + 2 * RIM_PX))
    fine = model.predict(patch, BANDS).reflectance
    inner = patch[:, RIM_PX:-RIM_PX, RIM_PX:-RIM_PX]
    np.testing.assert_array_equal(fine, inner.repeat(2, axis=1).repeat(2, axis=2))
    cells = -(-height // CELL_PX) * -(-width // CELL_PX)
    assert len(run.seen) == cells


def test_blocks_are_whole_cells_so_that_windows_stay_where_they_were() -> None:
    assert BLOCK_PX % CELL_PX == 0
    model, run = windowed()
    patch = image((2 * BLOCK_PX + 2 * RIM_PX, BLOCK_PX + 2 * RIM_PX))
    model.predict(patch, BANDS)
    at_once, run.seen = run.seen, []
    for top in (0, BLOCK_PX):
        model.predict(patch[:, top : top + BLOCK_PX + 2 * RIM_PX], BANDS)
    for one, other in itertools.zip_longest(at_once, run.seen):
        np.testing.assert_array_equal(one, other)


def test_other_bands_and_small_patches_are_refused() -> None:
    model, _ = windowed()
    with pytest.raises(InvalidInput, match="was made for B02, B03, B04, B08"):
        model.predict(image((100, 100))[:3], BANDS[:3])
    with pytest.raises(InvalidInput, match="halo"):
        model.predict(image((64, 100)), BANDS)


CONFIG = "apply_normalization: False\nother: {concat_mode: True}\n"


def checkpoint(folder: Path, content: Any, config: str = CONFIG) -> Path:
    folder.mkdir(exist_ok=True)
    torch.save(content, folder / "ldsr.ckpt")
    (folder / "config_10m.yaml").write_text(config)
    return folder


class Diffusion(torch.nn.Module):
    """A network with the interface of opensr_model.SRLatentDiffusion: it starts from chance."""

    def __init__(self) -> None:
        super().__init__()
        self.model = torch.nn.Conv2d(4, 64, 3, padding=1)

    def forward(self, seen: torch.Tensor, **options: Any) -> torch.Tensor:
        assert options == {"sampling_eta": 0.0, "sampling_steps": 7, "sampling_temperature": 1.0}
        start = torch.randn(seen.shape)
        return functional.pixel_shuffle(self.model(seen + 0.01 * start), 4)


def test_diffusion_starts_from_the_same_chance_and_leaves_other_chance_alone() -> None:
    run = ldsr.network_of(Diffusion(), 7)
    window = image((WINDOW_PX, WINDOW_PX))
    torch.manual_seed(11)
    first = run(window)
    after = torch.rand(1)
    torch.manual_seed(12)
    np.testing.assert_array_equal(run(window), first)
    torch.manual_seed(11)
    assert torch.equal(torch.rand(1), after)
    assert first.shape == (4, 512, 512)


def test_without_its_package_ldsr_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opensr_model", None)
    folder = checkpoint(tmp_path / "ldsr", {"state_dict": {"a": torch.zeros(1)}})
    with pytest.raises(Unavailable, match=r"pip install 'srcube\[ldsr\]'"):
        import_model(folder, "ldsr", folder=tmp_path / "models")


@pytest.mark.parametrize(
    "config", ["- a list\n", "a: ${oc.env:HOME}\n", "a: [\n", "!!python/name:x"]
)
def test_a_configuration_that_is_not_plain_is_rejected(tmp_path: Path, config: str) -> None:
    folder = checkpoint(tmp_path / "ldsr", {"state_dict": {}}, config)
    with pytest.raises(ModelRejected):
        ldsr.read_folder(folder)
    (folder / "second.ckpt").write_bytes(b"")
    with pytest.raises(ModelRejected, match=r"one \.ckpt"):
        ldsr.read_folder(folder)


def test_of_a_checkpoint_only_the_network_s_tensors_are_kept() -> None:
    tensors = {"model.a": torch.ones(2), "loss.b": torch.ones(3)}
    assert set(ldsr._state({"state_dict": tensors}, "x")) == {"model.a"}
    others: list[Any] = [[], {}]
    for other in (*others, {"state_dict": [1]}, {"state_dict": {"a": 1}}, {"state_dict": {1: 2}}):
        with pytest.raises(ModelRejected):
            ldsr._state(other, "x")


def test_a_card_of_an_import_is_listed_like_any_other(
    fresh: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import_model(published(fresh / "folder"), "sen2sr")
    models.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert "sen2sr-lite-x4" in models()
    assert not caplog.records
