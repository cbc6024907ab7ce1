"""Two graphs of one module on the same variables, one of which changes some of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import tensorflow as tf

from translate.converters.metadata import KIND, STRUCTURE, UPDATED
from translate.converters.onnx_to_tf import Trainable
from translate.errors import UnsupportedError
from translate.manifest import read_manifest, update_name


def model(text: str, **buffers: np.ndarray) -> ir.Model:
    """Parse a graph in which these buffers change; what it calls `new` is the value of the first one afterwards."""
    graph = ir.from_onnx_text(f'<ir_version: 10, opset_import: ["" : 20]>\n{text}')
    for name, array in buffers.items():
        value = graph.graph.initializers[name]
        value.const_value = ir.tensor(array, name=name)
        value.metadata_props.update({KIND: "buffer", UPDATED: name})
    for output in graph.graph.outputs:
        if output.name == "new":
            output.name = update_name(next(iter(buffers)))
    graph.metadata_props[STRUCTURE] = "single"
    graph.metadata_props[UPDATED] = next(iter(buffers))
    return graph


def test_what_one_graph_changes_the_other_reads(tmp_path: Path) -> None:
    count = np.array(3, np.int64)
    inference = model(
        "g (float[n] x) => (float[n] y) <int64 count = {0}> { c = CastLike(count, x) y = Mul(x, c) }", count=count
    )
    training = model(
        "g (float[n] x) => (float[n] y, int64 new) <int64 count = {0}, int64 one = {1}> "
        "{ c = CastLike(count, x) y = Sub(x, c) new = Add(count, one) }",
        count=count,
    )
    state = [training.graph.initializers["count"]]
    trainable = Trainable(inference, training, state)
    assert not trainable.is_random
    trainable.save(tmp_path / "model")
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    x = tf.constant([1.0, 2.0])
    assert len(loaded.variables) == 1 and not loaded.trainable_variables
    np.testing.assert_array_equal(loaded(x), [3, 6])
    np.testing.assert_array_equal(loaded.training(x), [-2, -1])
    np.testing.assert_array_equal(loaded(x), [4, 8])
    known = read_manifest(tmp_path / "model")
    assert known is not None and known.updated == ("count",)


def test_a_shape_cannot_change(tmp_path: Path) -> None:
    shape = np.array([2, 2], np.int64)
    text = "g (float[4] x) => (float[a, b] y{0}) <int64[2] shape = {{0, 0}}> {{ y = Reshape(x, shape) {1} }}"
    inference = model(text.format("", ""), shape=shape)
    training = model(text.format(", int64[2] new", "new = Add(shape, shape)"), shape=shape)
    with pytest.raises(UnsupportedError, match="shape changes in train mode"):
        Trainable(inference, training, [training.graph.initializers["shape"]])
