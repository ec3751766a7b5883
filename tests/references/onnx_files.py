"""A tiny convolutional network as an ONNX file, node by node, and the same in PyTorch's functions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CLASSES = 10


def weights() -> dict[str, Tensor]:
    """Return the weights: a convolution of 3 channels, then a linear layer."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"kernel": (8, 3, 3, 3), "shift": (8,), "matrix": (8 * 64, CLASSES), "offset": (CLASSES,)}
    return {name: 0.3 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def expected(inputs: Tensor) -> Tensor:
    """Return the logits (N, 10) for inputs (N, 3, 8, 8)."""
    own = weights()
    hidden = F.relu(F.conv2d(inputs, own["kernel"], own["shift"], padding=1))
    return hidden.flatten(1) @ own["matrix"] + own["offset"]


def save_tiny(
    path: Path,
    *,
    shape: Sequence[int | str] = ("n", 3, 8, 8),
    dtype: Any = np.float32,
    end: str = "",
    beside: str = "",
    domain: str = "",
    second_input: bool = False,
) -> Path:
    """Write the network.

    `shape` is that of its input; channels last if it ends in 3. `end` is "softmax", "hidden" (the hidden
    values are an output too) or "label" (the output is the class). `beside` is the file for its weights,
    `domain` that of its ReLU.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    stored = [numpy_helper.from_array(own.numpy().astype(dtype), name) for name, own in weights().items()]
    last = shape[-1] == 3
    batch = shape[0]
    nodes = [helper.make_node("Transpose", ["images"], ["first"], perm=[0, 3, 1, 2])] if last else []
    nodes += [
        helper.make_node("Conv", ["first" if last else "images", "kernel", "shift"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["hidden"], domain=domain),
        helper.make_node("Flatten", ["hidden"], ["flat"]),
        helper.make_node("Gemm", ["flat", "matrix", "offset"], ["answer"]),
    ]
    outputs = [helper.make_tensor_value_info("answer", kind, [batch, CLASSES])]
    if end == "softmax":
        nodes.append(helper.make_node("Softmax", ["answer"], ["shares"]))
        outputs = [helper.make_tensor_value_info("shares", kind, [batch, CLASSES])]
    if end == "hidden":
        outputs.insert(0, helper.make_tensor_value_info("hidden", kind, [batch, 8, 8, 8]))
    if end == "label":
        nodes.append(helper.make_node("ArgMax", ["answer"], ["label"], axis=1, keepdims=0))
        outputs = [helper.make_tensor_value_info("label", TensorProto.INT64, [batch])]
    inputs = [helper.make_tensor_value_info("images", kind, shape)]
    if second_input:
        nodes.append(helper.make_node("Identity", ["mask"], ["same"]))
        inputs.append(helper.make_tensor_value_info("mask", kind, [1]))
        outputs.append(helper.make_tensor_value_info("same", kind, [1]))
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, stored)
    sets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=sets, ir_version=8)
    if beside:
        onnx.save_model(
            model, path, save_as_external_data=True, location=beside, size_threshold=0, convert_attribute=True
        )
    else:
        onnx.save_model(model, path)
    return path
