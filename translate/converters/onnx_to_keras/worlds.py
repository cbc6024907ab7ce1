"""What the sizes of a graph's values are, found by running it through TensorFlow's table at several sizes.

Keras's symbolic tensors know an open size as None, and have no arithmetic of sizes. So the graph is traced, without
being run, in several *worlds*: in each, every symbolic dimension has another size. A size that is the same in all
worlds is known; of one that differs, its sizes in the worlds tell which dimension it is. Shape arithmetic comes out as
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from translate.converters.lowering import Interpreter, Lowering, Table
from translate.converters.lowering.interpret import LARGEST_HOST_BYTES
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.lowerings import TABLE as TENSORFLOW
from translate.converters.onnx_to_tf.target import TensorFlowTarget
from translate.converters.passes.layers import LAYERS
from translate.converters.weights import weights
from translate.errors import CannotTranslateError
from translate.models.base import Spec
from translate.models.inputs import open_dims, shape_at, symbols

Array = np.ndarray[Any, np.dtype[Any]]
# A size in each world; None where it shows only when the model runs.
Size = tuple[int | None, ...]

# Sizes of the symbolic dimensions other than the batch, in two worlds. An image has to be large enough to be halved
# five times and still differ; a table of positions may be short.
_SIZES = (
    ((67, 137, 211, 269, 347), (197, 283, 359, 431, 509)),
    ((11, 19, 29, 41, 53), (17, 23, 37, 47, 59)),
    ((5, 11, 17, 23, 29), (7, 13, 19, 31, 37)),
    ((16411, 17389, 18427, 19427, 20431), (20507, 21503, 22501, 23497, 24499)),
)
_BATCHES = (2, 3)


@dataclass(frozen=True)
class Worlds:
    """For each value of a graph its shape, and the arrays that it is known to be, in each world."""

    shapes: Mapping[ir.Value, tuple[Size, ...]]
    known: Mapping[ir.Value, tuple[Array, ...]]

    def shape(self, value: ir.Value | None) -> tuple[Size, ...] | None:
        """Return the sizes of a value's axes; None where not even their number is known."""
        return None if value is None else self.shapes.get(value)


def fixed(size: Size) -> int | None:
    """Return a size that is the same in all worlds."""
    return size[0] if len(set(size)) == 1 else None


def find(model: ir.Model) -> Worlds:
    """Trace `model` in several worlds.

    Raises `CannotTranslateError` where TensorFlow's table has not an operator of it.
    """
    specs = open_dims([_spec(value) for value in model.graph.inputs])
    refusal: Exception | None = None
    for choice in _SIZES if symbols(specs) else _SIZES[:1]:
        try:
            return _join([_trace(model, specs, _sizes(specs, numbers, k)) for k, numbers in enumerate(choice)])
        except (CannotTranslateError, tf.errors.OpError) as error:
            # It may be too small an image, or too long a sequence.
            refusal = refusal or error
    assert refusal is not None
    raise refusal


def _spec(value: ir.Value) -> Spec:
    assert value.dtype is not None and value.shape is not None, "an input has a dtype and a number of axes"
    dims = tuple(dim if isinstance(dim, int) else dim.value for dim in value.shape)
    return Spec(str(value.name), value.dtype.numpy().name, dims)


def _sizes(specs: Sequence[Spec], numbers: Sequence[int], world: int) -> dict[str, int]:
    names = symbols(specs)
    batches = {spec.shape[0] for spec in specs if spec.shape}
    batch = "batch" if "batch" in names else next((name for name in names if name in batches), None)
    others = [name for name in names if name != batch]
    # More than there are numbers for share them in turn.
    sizes = {name: numbers[k % len(numbers)] for k, name in enumerate(others)}
    return sizes if batch is None else {**sizes, batch: _BATCHES[world]}


def _trace(model: ir.Model, specs: Sequence[Spec], sizes: Mapping[str, int]) -> Mapping[ir.Value, Any]:
    """Build the graph at `sizes` and return what each of its values became."""
    graph = tf.__internal__.FuncGraph("sizes")
    with graph.as_default():
        bindings: dict[ir.Value, Any] = {}
        for value, spec in zip(model.graph.inputs, specs, strict=True):
            assert value.dtype is not None
            bindings[value] = _placeholder(tf_dtype(value.dtype), shape_at(spec, sizes))
        trained = weights(model)
        for value in model.graph.initializers.values():
            tensor = value.const_value
            assert tensor is not None, f"initializer {value.name} has no value"
            hidden = value in trained or (tensor.nbytes > LARGEST_HOST_BYTES and tensor.dtype.is_floating_point())
            bindings[value] = _placeholder(tf_dtype(tensor.dtype), tensor.shape.numpy()) if hidden else tensor.numpy()
        interpreter = Interpreter(_SIZED, model.opset_imports, TensorFlowTarget())
        interpreter.run(model.graph, bindings)
    return interpreter.values


def _placeholder(dtype: tf.DType, shape: Sequence[int | None]) -> tf.Tensor:
    return tf.raw_ops.Placeholder(dtype=dtype, shape=list(shape))


def _join(traces: Sequence[Mapping[ir.Value, Any]]) -> Worlds:
    shapes: dict[ir.Value, tuple[Size, ...]] = {}
    known: dict[ir.Value, tuple[Array, ...]] = {}
    for value, first in traces[0].items():
        results = [first, *(trace[value] for trace in traces[1:])]
        if not all(isinstance(result, tf.Tensor | np.ndarray) for result in results):
            continue
        sizes = [_shape(result) for result in results]
        if all(one is not None and sizes[0] is not None and len(one) == len(sizes[0]) for one in sizes):
            shapes[value] = tuple(zip(*(one or () for one in sizes), strict=True))
        arrays = [_array(result) for result in results]
        if all(array is not None for array in arrays):
            known[value] = tuple(array for array in arrays if array is not None)
    return Worlds(shapes, known)


def _shape(result: Any) -> list[int | None] | None:
    if isinstance(result, np.ndarray):
        return list(result.shape)
    return None if result.shape.rank is None else list(result.shape.as_list())


def _array(result: Any) -> Array | None:
    if isinstance(result, np.ndarray):
        return result
    known = tf.get_static_value(result) if result.dtype.is_integer or result.dtype.is_bool else None
    return None if known is None or known.nbytes > LARGEST_HOST_BYTES else np.asarray(known)


class _Sized(Table):
    """TensorFlow's table, and of the layers that ONNX has not what is needed for their sizes."""

    def find(self, domain: str, op_type: str, opset: int) -> Lowering | None:
        return super().find(domain, op_type, opset) or TENSORFLOW.find(domain, op_type, opset)


_SIZED = _Sized("Keras", {**TENSORFLOW.ceilings, LAYERS: 1}, TENSORFLOW.not_done)


@_SIZED.lower("Linear", domain=LAYERS)
def _linear(x: tf.Tensor, weight: tf.Tensor, bias: tf.Tensor | None = None, *, transB: int = 0) -> tf.Tensor:
    return tf.tensordot(x, weight, [[-1], [1 if transB else 0]])


@_SIZED.lower("LSTM", "GRU", "RNN", domain=LAYERS)
def _recurrent(
    x: tf.Tensor,
    *tensors: tf.Tensor,
    hidden_size: int,
    bidirectional: int = 0,
    bias: int = 1,
    num_layers: int = 1,
    batch_first: int = 0,
    nonlinearity: str = "tanh",
) -> tuple[tf.Tensor, ...]:
    directions = 2 if bidirectional else 1
    first, second, _ = x.shape.as_list()
    state = _placeholder(x.dtype, [directions * num_layers, first if batch_first else second, hidden_size])
    return _placeholder(x.dtype, [first, second, directions * hidden_size]), state, state
