"""The network as an ONNX graph, built node by node: what runs on CPUs.

Written by hand rather than traced: the graph is twenty nodes, its file the same bytes every time,
and the optics stay inputs, so that one file serves every band.
"""

from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from sr_engine.default.network import (
    BLUR_RADIUS_PX,
    SMALLEST_SCALE,
    UNIT,
    NetworkSettings,
    Residual,
)

OPSET, IR_VERSION = 17, 8
PATCH, BLUR, INVERSE = "patch", "blur", "inverse"  # inputs
REFLECTANCE, SCALE = "reflectance", "scale"  # outputs


class _Graph:
    """Nodes and constants, collected in the order of computing."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Tensor) -> str:
        self.constants.append(numpy_helper.from_array(value.detach().cpu().numpy(), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def convolved(
        self, values: str, name: str, weight: Tensor, bias: Tensor, *, relu: bool = True
    ) -> str:
        """A convolution without padding, its weights kept as constants."""
        inputs = [
            values,
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", bias),
        ]
        made = self.node("Conv", inputs, name, kernel_shape=list(weight.shape[2:]))
        return self.node("Relu", [made], f"{name}.relu") if relu else made

    def cropped(self, values: str, rim_px: int, name: str) -> str:
        """Less `rim_px` pixels on every side."""
        first = self.constant(f"{name}.first", torch.tensor([rim_px, rim_px]))
        last = self.constant(f"{name}.last", torch.tensor([-rim_px, -rim_px]))
        axes = self.constant(f"{name}.axes", torch.tensor([2, 3]))
        return self.node("Slice", [values, first, last, axes], name)


def onnx_bytes(residual: Residual, settings: NetworkSettings, *, scale: bool) -> bytes:
    """Serialise the network.

    Inputs: `patch` (1, 1, y + 2 halo, x + 2 halo) reflectance of one band, and its optics, `blur`
    (1, 1, 5 factor, 5 factor) and `inverse` (factor ** 2, 1, tap, tap). Outputs: `reflectance`
    (1, 1, factor y, factor x), and with `scale` the scale of its error likewise; a second graph,
    because onnxruntime computes an output whether or not it is asked for.
    """
    graph = _Graph()
    factor, taps = settings.factor, 2 * settings.deconvolution.halo_px + 1
    features = _features(graph, residual)
    rim = factor * settings.projection_halo_px
    learnt = graph.convolved(
        features, "last", residual.last.weight * UNIT, residual.last_bias() * UNIT, relu=False
    )
    learnt = graph.node("DepthToSpace", [learnt], "learnt", blocksize=factor)
    seen = graph.node(
        "Conv", [learnt, BLUR], "seen", kernel_shape=[_side(factor)] * 2, strides=[factor] * 2
    )
    near = graph.cropped(PATCH, settings.residual_halo_px + BLUR_RADIUS_PX, "near")
    unexplained = graph.node("Sub", [near, seen], "unexplained")
    phases = graph.node("Conv", [unexplained, INVERSE], "phases", kernel_shape=[taps] * 2)
    explained = graph.node("DepthToSpace", [phases], "explained", blocksize=factor)
    inner = graph.cropped(learnt, rim, "inner")
    graph.node("Add", [inner, explained], REFLECTANCE)
    if scale:
        _add_scale(graph, residual, features, rim)
    return _serialised(graph, settings, [REFLECTANCE, SCALE] if scale else [REFLECTANCE])


def _features(graph: _Graph, residual: Residual) -> str:
    values = graph.convolved(PATCH, "first", residual.first_weight() / UNIT, _bias(residual.first))
    for number, layer in enumerate(residual.layers):
        values = graph.convolved(values, f"body{number}", layer.weight, _bias(layer))
    return values


def _add_scale(graph: _Graph, residual: Residual, features: str, rim: int) -> None:
    hidden, out = residual.scale_layers
    values = graph.convolved(features, "scale0", hidden.weight, _bias(hidden))
    values = graph.convolved(values, "scale1", out.weight, _bias(out), relu=False)
    # log(1 + exp): what Softplus is, which onnxruntime computes one number at a time
    values = graph.node("Exp", [values], "exponential")
    values = graph.node("Add", [values, graph.constant("one", torch.tensor(1.0))], "above_one")
    values = graph.node("Log", [values], "positive")
    values = graph.node("Mul", [values, graph.constant("unit", torch.tensor(UNIT))], "in_unit")
    least = graph.constant("least", torch.tensor(SMALLEST_SCALE))
    values = graph.node("Add", [values, least], "floored")
    values = graph.node("DepthToSpace", [values], "scales", blocksize=residual.factor)
    graph.cropped(values, rim, SCALE)


def _serialised(graph: _Graph, settings: NetworkSettings, outputs: list[str]) -> bytes:
    factor, taps = settings.factor, 2 * settings.deconvolution.halo_px + 1

    def told(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    body = helper.make_graph(
        graph.nodes,
        "srcube-default",
        [
            told(PATCH, [1, 1, "patch_y", "patch_x"]),
            told(BLUR, [1, 1, _side(factor), _side(factor)]),
            told(INVERSE, [factor**2, 1, taps, taps]),
        ],
        [told(name, [1, 1, "fine_y", "fine_x"]) for name in outputs],
        graph.constants,
    )
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        body, opset_imports=opset, ir_version=IR_VERSION, producer_name="srcube"
    )
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _side(factor: int) -> int:
    return (2 * BLUR_RADIUS_PX + 1) * factor


def _bias(layer: torch.nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise TypeError("need a layer with a bias")
    return layer.bias
