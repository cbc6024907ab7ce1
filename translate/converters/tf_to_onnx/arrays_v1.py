"""The lists of TensorFlow 1, `TensorArrayV3`, as TensorFlow 2 has them: each writing returns the list anew.

A TensorArray is a handle and a number called flow, which only says in which order the handle was used; in its place
goes the list itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

_Writing = Callable[[Any, Sequence[tf.Tensor]], Sequence[tf.Tensor]]


def _reserve(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    shape = _shape(operation)
    made = tf.raw_ops.TensorListReserve(
        element_shape=shape, num_elements=given[0], element_dtype=operation.get_attr("dtype")
    )
    # Nothing uses the handle any more.
    return given[0], made


def _write(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    _, index, item, items = given
    return (tf.raw_ops.TensorListSetItem(input_handle=items, index=index, item=item),)


def _read(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    _, index, items = given
    dtype = operation.get_attr("dtype")
    return (tf.raw_ops.TensorListGetItem(input_handle=items, index=index, element_shape=-1, element_dtype=dtype),)


def _gather(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    _, indices, items = given
    shape, dtype = _shape(operation), operation.get_attr("dtype")
    if _counts_from_zero(operation.inputs[1]):
        return (tf.raw_ops.TensorListStack(input_handle=items, element_shape=shape, element_dtype=dtype),)
    return (tf.raw_ops.TensorListGather(input_handle=items, indices=indices, element_shape=shape, element_dtype=dtype),)


def _scatter(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    _, indices, values, _ = given
    if _counts_from_zero(operation.inputs[1]):
        return (tf.raw_ops.TensorListFromTensor(tensor=values, element_shape=_sizes(values.shape[1:])),)
    return (tf.raw_ops.TensorListScatter(tensor=values, indices=indices, element_shape=_sizes(values.shape[1:])),)


def _size(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    return (tf.raw_ops.TensorListLength(input_handle=given[1]),)


def _concat(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    dtype = operation.get_attr("dtype")
    made = tf.raw_ops.TensorListConcatV2(
        input_handle=given[1], element_shape=-1, leading_dims=tf.constant([], tf.int64), element_dtype=dtype
    )
    return tuple(made)


def _split(operation: Any, given: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    _, values, lengths, _ = given
    return (tf.raw_ops.TensorListSplit(tensor=values, element_shape=_sizes(values.shape[1:]), lengths=lengths),)


# What hands a value on.
_PASSING = frozenset({"Identity", "Enter", "Merge", "Switch", "Exit", "NextIteration"})

# How each operation is written, given the tensors that its inputs became.
ARRAYS: Mapping[str, _Writing] = {
    "TensorArrayV3": _reserve,
    "TensorArrayWriteV3": _write,
    "TensorArrayReadV3": _read,
    "TensorArrayGatherV3": _gather,
    "TensorArrayScatterV3": _scatter,
    "TensorArraySizeV3": _size,
    "TensorArrayConcatV3": _concat,
    "TensorArraySplitV3": _split,
}


def flows(operations: Sequence[Any]) -> set[str]:
    """Return the names of the tensors in whose place lists go."""
    made = {"TensorArrayV3": 1, "TensorArrayWriteV3": 0, "TensorArrayScatterV3": 0, "TensorArraySplitV3": 0}
    waiting = [operation.outputs[made[operation.type]] for operation in operations if operation.type in made]
    found: set[str] = set()
    while waiting:
        tensor = waiting.pop()
        if tensor.name not in found:
            found.add(tensor.name)
            passed = [operation for operation in tensor.consumers() if operation.type in _PASSING]
            waiting += [output for operation in passed for output in operation.outputs if output.dtype == tensor.dtype]
    return found


def _shape(operation: Any) -> Any:
    """Return the shape of the elements as an operation declares it."""
    return _sizes(tf.TensorShape(operation.get_attr("element_shape")))


def _sizes(shape: tf.TensorShape) -> Any:
    """Return a shape as a tensor, open sizes -1; -1 where not even the rank is known."""
    known = [-1 if size is None else size for size in shape.as_list()] if shape.rank is not None else -1
    return tf.constant(known, tf.int32)


def _counts_from_zero(indices: Any) -> bool:
    """Say whether indices are all there are: 0, 1, 2..."""
    if indices.op.type != "Range":
        return False
    start, _, step = (tf.get_static_value(tensor) for tensor in indices.op.inputs)
    return bool(start == 0 and step == 1)
