"""What PyTorch detached: the same numbers, no gradient, and no transpose more."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import torch
from torch import nn

from translate.converters.onnx_to_tf.export import Program
from translate.converters.passes import prepare
from translate.converters.passes.detach import keep_detached
from translate.converters.torch_to_onnx import export
from translate.models import open_model


class Stopped(nn.Module):
    """Two convolutions, between which no gradient goes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(2, 3, 3)
        self.second = nn.Conv2d(3, 2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.relu(self.first(x)).detach())


def test_no_gradient_goes_through_and_no_transpose_is_left() -> None:
    net = Stopped().eval()
    model = export(open_model(net, inputs=["x:batch,2,8,8"]))
    # ONNX itself stays ONNX: only the way to TensorFlow reads the mark.
    assert all(node.domain == "" for node in model.graph)
    report = prepare(model)
    operators = [node.op_type for node in model.graph]
    assert operators.count("StopGradient") == 1
    # One before the first convolution and one after the last: none beside what is between.
    assert report.transposes == 2
    keep_detached(model)
    assert [node.op_type for node in model.graph] == operators
    program = Program(model)
    x = np.random.default_rng(0).standard_normal((2, 2, 8, 8), np.float32)
    with tf.GradientTape() as tape:
        (y,) = program(tf.constant(x)).values()
    variables = {variable.name.partition("/")[0]: variable for variable in program.variables.values()}
    gradients = tape.gradient(y, variables)
    assert gradients["first"] is None and gradients["second"] is not None
    with torch.no_grad():
        np.testing.assert_allclose(y, net(torch.from_numpy(x)).numpy(), atol=1e-5)
