"""Resizing images [N, *spatial, C]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from keras import layers, ops

from translate.converters.lowering import Context
from translate.converters.onnx_to_keras.build import builder
from translate.converters.onnx_to_keras.dtypes import dtype_of
from translate.converters.onnx_to_keras.shape import result_sizes, sizes_of
from translate.converters.onnx_to_keras.table import CHANNELS_LAST, Array, Tensor, lower
from translate.converters.onnx_to_keras.worlds import Size, fixed
from translate.converters.onnx_to_tf.lowerings import TABLE as TENSORFLOW
from translate.errors import UnsupportedError

_UPSAMPLING = {1: layers.UpSampling1D, 2: layers.UpSampling2D, 3: layers.UpSampling3D}
# What is the same for whole factors.
_FROM_THE_FIRST = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_ceil"),
    ("half_pixel", "round_prefer_floor"),
    ("pytorch_half_pixel", "round_prefer_floor"),
}


@lower("Resize", domain=CHANNELS_LAST)
def resize(
    x: Tensor,
    roi: Tensor | Array | None = None,
    scales: Tensor | Array | None = None,
    sizes: Tensor | Array | None = None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: Literal[
        "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"
    ] = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: Literal["stretch"] = "stretch",
    mode: Literal["nearest", "linear", "cubic"] = "nearest",
    nearest_mode: str = "round_prefer_floor",
    context: Context,
) -> Tensor:
    """Resize x [N, *spatial, C].

    Limits: to sizes that are known, or by whole factors: nearest neighbours, and two axes linearly with half pixels.
    """
    before, after = sizes_of(context), result_sizes(context)
    factors = [_factor(one, other) for one, other in zip(before[1:-1], after[1:-1], strict=True)]
    if None not in factors and len(factors) in _UPSAMPLING:
        if mode == "nearest" and (coordinate_transformation_mode, nearest_mode) in _FROM_THE_FIRST:
            return _UPSAMPLING[len(factors)](factors if len(factors) > 1 else factors[0])(x)
        half = coordinate_transformation_mode in ("half_pixel", "pytorch_half_pixel") and not antialias
        if mode == "linear" and len(factors) == 2 and half:
            return layers.UpSampling2D(factors, interpolation="bilinear")(x)
    for axis in range(1, len(before) - 1):
        if before[axis] != after[axis]:
            x = _along(x, axis, before[axis], after[axis], scales, context)
    return x


def _factor(before: Size, after: Size) -> int | None:
    """Return the whole factor by which an axis grows."""
    pairs = [(one, other) for one, other in zip(before, after, strict=True) if one and other]
    factors = {other // one for one, other in pairs if other % one == 0}
    whole = len(pairs) == len(before) and len(factors) == 1 and not any(other % one for one, other in pairs)
    return factors.pop() if whole else None


def _along(x: Tensor, axis: int, before: Size, after: Size, scales: Any, context: Context) -> Tensor:
    """Resize one axis: each new element is a sum of old ones, with weights that do not depend on x."""
    size, wanted = fixed(before), fixed(after)
    if size is None or wanted is None:
        raise UnsupportedError("Keras resizes images of open sizes by whole factors only")
    matrix = _matrix(size, wanted, axis, len(x.shape), scales, context)
    if context.node.attributes.get_string("mode", "nearest") == "nearest":
        return ops.take(x, matrix.argmax(0), axis=axis)
    y = ops.tensordot(x, builder().tensor(matrix.astype(dtype_of(x))), [[axis], [0]])
    return ops.moveaxis(y, -1, axis)


def _matrix(size: int, wanted: int, axis: int, rank: int, scales: Any, context: Context) -> Array:
    """Return the weights [size, wanted], as TensorFlow's table resizes the unit vectors."""
    row = TENSORFLOW.find(CHANNELS_LAST, "Resize", context.opset)
    assert row is not None, "TensorFlow's table has it"
    attributes = {name: value for name, value in row.signature.attributes(context.node).items() if name != "axes"}
    own: dict[str, Array] = {"sizes": np.array([size, 1, wanted])}
    if isinstance(scales, np.ndarray) and scales.size:
        # Given for all axes, or for some, in ONNX's order.
        listed = context.node.attributes.get_ints("axes", range(rank))
        places = [place % rank for place in listed]
        own = {"scales": np.array([1, 1, scales[places.index(axis + 1)]], np.float32)}
    with tf.init_scope():
        rows = row.function(tf.eye(size)[:, :, None], None, **{"scales": None, "sizes": None, **own}, **attributes)
    return np.asarray(rows)[:, :, 0]
