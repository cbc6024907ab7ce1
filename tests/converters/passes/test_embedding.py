"""Embeddings with padding: the same numbers, and a row that is not trained."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import tensorflow as tf
import torch
from torch import nn

from translate.converters.metadata import PADDING
from translate.converters.onnx_to_tf.export import Program
from translate.converters.passes import prepare
from translate.converters.passes.embedding import keep_padding
from translate.converters.torch_to_onnx import export
from translate.models import open_model


class Words(nn.Module):
    """An embedding whose result is an output, or goes on into a convolution, for which it is permuted."""

    def __init__(self, padding: int | None, convolved: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(6, 4, padding_idx=padding)
        self.conv = nn.Conv1d(4, 3, 1)
        self.convolved = convolved

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        y = self.embed(ids)
        return self.conv(y.transpose(1, 2)) if self.convolved else y


def exported(net: nn.Module) -> ir.Model:
    return export(open_model(net.eval(), inputs=["ids:batch,seq:int64"]))


def embeddings(model: ir.Model) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type == "Embedding"]


@pytest.mark.parametrize("convolved", [False, True])
@pytest.mark.parametrize("padding", [0, 2, -1, None])
def test_the_row_of_the_padding_has_no_gradient(padding: int | None, convolved: bool) -> None:
    net = Words(padding, convolved)
    model = exported(net)
    # ONNX itself stays ONNX: only the way to TensorFlow reads the mark.
    assert all(node.domain == "" for node in model.graph)
    prepare(model)
    assert len(embeddings(model)) == (padding is not None)
    ids = np.array([[0, 2, 5], [2, 2, 1]])
    program = Program(model)
    (weight,) = (variable for variable in program.variables.values() if variable.name.startswith("embed"))
    with tf.GradientTape() as tape:
        (y,) = program(tf.constant(ids)).values()
        loss = tf.reduce_sum(tf.square(y))
    gradient = tf.convert_to_tensor(tape.gradient(loss, weight)).numpy()
    expected = net(torch.from_numpy(ids))
    expected.square().sum().backward()
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), atol=1e-6)
    assert net.embed.weight.grad is not None
    np.testing.assert_allclose(gradient, net.embed.weight.grad.numpy(), atol=1e-5)


def test_a_second_time_changes_nothing() -> None:
    model = exported(Words(2, False))
    keep_padding(model)
    (first,) = embeddings(model)
    keep_padding(model)
    assert embeddings(model) == [first]
    assert first.outputs[0].metadata_props[PADDING] == "2"
