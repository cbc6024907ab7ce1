"""TensorFlow's lists (`TensorArray`): one dense tensor, unless a loop fills them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.converters.tf_to_onnx.build import Host, op
from translate.converters.tf_to_onnx.table import lower
from translate.errors import UnsupportedError


@dataclass(frozen=True)
class TensorList:
    """A list of tensors of one shape.

    `dense` is `[length, *element]`, None for a list that nothing was written into yet: then only `length` (int64
    scalar) is known, and `element_shape` as far as it was declared. In a loop that does nothing but fill the list,
    `scanned` is True and `element` is what this iteration writes.
    """

    dtype: ir.DataType
    dense: ir.Value | None = None
    length: ir.Value | None = None
    element_shape: tuple[int, ...] | None = None
    scanned: bool = False
    element: ir.Value | None = None

    def tensor(self) -> ir.Value:
        """Return the dense tensor, zeros where nothing was written.

        Raises `UnsupportedError` where its shape is open.
        """
        if self.dense is not None:
            return self.dense
        if self.element_shape is None or -1 in self.element_shape:
            raise UnsupportedError("a list is read before it is filled, and the shape of its elements is not known")
        return self.zeros(op.value(np.asarray(self.element_shape, np.int64)))

    def zeros(self, element_shape: ir.Value) -> ir.Value:
        """Return a dense tensor of zeros for elements of the shape `element_shape` [rank]."""
        assert self.length is not None
        shape = op.Concat(op.Reshape(self.length, [1]), element_shape, axis=0)
        return op.ConstantOfShape(shape, value=ir.tensor(np.zeros(1, self.dtype.numpy())))


@lower("TensorListReserve", "EmptyTensorList")
def reserve(element_shape: ir.Value | Host, length: ir.Value, *, element_dtype: int, shape_type: int = 0) -> Any:
    """A list of `length` elements that are zero until they are written."""
    known = isinstance(element_shape, np.ndarray) and element_shape.ndim == 1
    shape = tuple(int(size) for size in element_shape) if known and isinstance(element_shape, np.ndarray) else None
    return TensorList(
        ir.DataType(element_dtype), length=op.Cast(length, to=int(ir.DataType.INT64)), element_shape=shape
    )


@lower("TensorListFromTensor")
def from_tensor(x: ir.Value, element_shape: ir.Value, *, element_dtype: int = 0, shape_type: int = 0) -> Any:
    """The rows of a tensor as a list."""
    assert x.dtype is not None
    return TensorList(x.dtype, dense=x)


@lower("TensorListStack")
def stack(items: list[Any], element_shape: ir.Value, *, element_dtype: int = 0, num_elements: int = -1) -> ir.Value:
    """The elements on a new first axis."""
    return _list(items).tensor()


@lower("TensorListGetItem")
def get_item(items: list[Any], index: ir.Value, element_shape: ir.Value, *, element_dtype: int = 0) -> ir.Value:
    """One element."""
    return op.Gather(_list(items).tensor(), index, axis=0)


@lower("TensorListGather")
def gather(items: list[Any], indices: ir.Value, element_shape: ir.Value, *, element_dtype: int = 0) -> ir.Value:
    """Several elements on a new first axis."""
    return op.Gather(_list(items).tensor(), indices, axis=0)


@lower("TensorListLength")
def length(items: list[Any]) -> ir.Value:
    """The number of elements."""
    known = _list(items)
    size = op.Squeeze(op.Shape(known.dense, start=0, end=1), [0]) if known.dense is not None else known.length
    return op.Cast(size, to=int(ir.DataType.INT32))


@lower("TensorListSetItem")
def set_item(
    items: list[Any], index: ir.Value, item: ir.Value, *, element_dtype: int = 0, resize_if_index_out_of_bounds: int = 0
) -> Any:
    """The list with one element written."""
    known = _list(items)
    if known.scanned:
        return replace(known, element=item)
    dense = known.zeros(op.Shape(item)) if known.dense is None else known.dense
    at = op.Reshape(op.Cast(index, to=int(ir.DataType.INT64)), [1, 1])
    return replace(known, dense=op.ScatterND(dense, at, op.Unsqueeze(item, [0])))


def _list(value: Any) -> TensorList:
    assert isinstance(value, TensorList)
    return value
