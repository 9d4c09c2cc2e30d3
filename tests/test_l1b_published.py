"""Checkpoints with the published names and shapes, and random numbers, become models of ours."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from sr_engine.imported import import_model, imported_models
from sr_engine.l1b.flow_network import find_flow
from sr_engine.l1b.model import RecModel
from sr_engine.l1b.published import csr_names, load_published_csr, rec_names
from sr_engine.l1b.rec_network import REFERENCE, RecNetwork
from sr_engine.weights import ModelRejected

BANDS = ("B02", "B03", "B04", "B08")


def published_rec(scale: float = 0.02) -> dict[str, torch.Tensor]:
    """Names and shapes as RCAN's modules nest: 10 groups of 20 blocks of 64 features."""
    shapes: dict[str, tuple[int, ...]] = {"head.0": (64, 4, 3, 3), "body.10": (64, 64, 3, 3)}
    shapes |= {"tail.0.0": (256, 64, 3, 3), "tail.1": (4, 64, 3, 3)}
    for group in range(10):
        shapes[f"body.{group}.body.20"] = (64, 64, 3, 3)
        for block in range(20):
            at = f"body.{group}.body.{block}.body"
            shapes |= {f"{at}.0": (64, 64, 3, 3), f"{at}.2": (64, 64, 3, 3)}
            shapes |= {f"{at}.3.conv_du.0": (4, 64, 1, 1), f"{at}.3.conv_du.2": (64, 4, 1, 1)}
    return tensors(shapes, scale)


def published_csr() -> dict[str, torch.Tensor]:
    widths = {"convPool": (2, 32, 64, 128, 256), "convBinl": (256, 256, 256, 128, 64)}
    shapes: dict[str, tuple[int, ...]] = {"conv1": (32, 64, 3, 3), "conv2": (2, 32, 3, 3)}
    for part, sides in widths.items():
        for level, (before, after) in enumerate(pairwise(sides), start=1):
            at = f"{part}{level}.convleaky"
            shapes[f"{at}.conv1"] = (after, before, 3, 3)
            shapes[f"{at}.conv2"] = (after, after, 3, 3)
    return tensors(shapes, 0.05)


def tensors(shapes: dict[str, tuple[int, ...]], scale: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    state = {}
    for name, shape in shapes.items():
        state[f"{name}.weight"] = scale * torch.randn(shape, generator=generator)
        state[f"{name}.bias"] = scale * torch.randn(shape[0], generator=generator)
    return state


def test_every_layer_has_one_name_and_every_name_one_layer() -> None:
    own = {name.rpartition(".")[0] for name, _ in RecNetwork(REFERENCE).named_parameters()}
    assert set(rec_names().values()) == own
    assert len(rec_names()) == len(own)
    assert len(set(csr_names().values())) == len(csr_names()) == 18


def test_a_published_rec_is_kept_as_safetensors_and_computes(tmp_path: Path) -> None:
    file = tmp_path / "REC.pt"
    state = published_rec()
    torch.save(state, file)
    card = import_model(file, "l1bsr", folder=tmp_path / "models")
    assert (tmp_path / "models" / card.id / "weights.safetensors").is_file()
    (model,), complaints = imported_models(tmp_path / "models")
    assert not complaints
    assert isinstance(model, RecModel)
    bands = torch.rand(1, 4, 9, 14)
    with torch.inference_mode():
        made = model.module(BANDS).joint(bands)
        turned = model.module(BANDS[::-1]).joint(bands)
    assert made.shape == (1, 4, 18, 28)
    assert made.isfinite().all()
    torch.testing.assert_close(made, turned)


def test_weights_arrive_where_their_names_say(tmp_path: Path) -> None:
    file = tmp_path / "CSR.pth.tar"
    state = published_csr()
    torch.save({"state_dictCSR": state, "epoch": 7}, file)
    network = load_published_csr(file)
    wanted = state["convBinl3.convleaky.conv2.weight"]
    assert torch.equal(network.state_dict()["decoder.2.second.weight"], wanted)
    with torch.inference_mode():
        flow = find_flow(network, torch.rand(1, 1, 45, 70), torch.rand(1, 1, 45, 70))
    assert flow.shape == (1, 2, 45, 70)


def test_another_networks_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "REC.pt"
    state = published_csr()
    torch.save(state, file)
    with pytest.raises(ModelRejected, match="weights of another network"):
        import_model(file, "l1bsr", folder=tmp_path / "models")
    state["conv1.bias"][0] = torch.nan
    torch.save(state, file)
    with pytest.raises(ModelRejected, match="not finite"):
        load_published_csr(file)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (str(tmp_path / "ran"),))

    file = tmp_path / "REC.pt"
    torch.save({"head.0.weight": Bomb()}, file)
    with pytest.raises(ModelRejected, match="more than weights"):
        import_model(file, "l1bsr", folder=tmp_path / "models")
    assert not (tmp_path / "ran").exists()
