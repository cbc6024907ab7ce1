"""What is known of sizes from tracing at several of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from translate.converters.onnx_to_keras import worlds
from translate.converters.passes import prepare_for_keras

NET = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[batch, seq, 6] x) => (float[batch, seq, 2, 3] y, float[batch, kept, 6] z)
{
  sizes = Shape<end = 2>(x)
  heads = Constant<value_ints = [2, 3]>()
  target = Concat<axis = 0>(sizes, heads)
  y = Reshape(x, target)
  start = Constant<value_ints = [1]>()
  end = Constant<value_ints = [-1]>()
  z = Slice(x, start, end, start)
}
"""


def test_sizes_that_differ_tell_which_dimension_they_are() -> None:
    model = ir.from_proto(onnx.parser.parse_model(NET))
    prepare_for_keras(model)
    found = worlds.find(model)
    (x,), (y, z) = model.graph.inputs, model.graph.outputs
    batch, seq, width = found.shapes[x]
    assert worlds.fixed(width) == 6 and worlds.fixed(batch) is None and worlds.fixed(seq) is None and batch != seq
    assert found.shapes[y] == (batch, seq, (2, 2), (3, 3))
    assert found.shapes[z] == (batch, tuple(size - 2 for size in seq), width)
    target = y.producer().inputs[1]
    assert [array.tolist() for array in found.known[target]] == [[b, s, 2, 3] for b, s in zip(batch, seq, strict=True)]
    assert all(array.dtype == np.int64 for array in found.known[target])
