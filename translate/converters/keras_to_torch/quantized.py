"""Layers whose weights Keras has quantized: the integers and their scales, as Keras computes with them.

What is rounded is rounded as in Keras, and sums of products of integers are exact, so that the results agree like those
of the layers without quantization. Gradients do not go through the rounding.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch

from translate.converters.keras_to_torch.here import submodule
from translate.converters.keras_to_torch.modules import Float8Linear, GroupedLinear, Int8Embedding, Int8Linear
from translate.converters.keras_to_torch.stored import Stored, flat, permuted
from translate.errors import UnsupportedError

Array = np.ndarray[Any, Any]


def is_quantized(layer: Any) -> bool:
    """Say whether Keras computes a layer with quantized weights."""
    return getattr(layer, "quantization_mode", None) is not None


def quantized_linear(part: str, layer: Any, inputs: int, outputs: int, x: torch.Tensor) -> Any:
    """Multiply the last axis of x, of size `inputs`, by a quantized kernel of `outputs` columns, and add the bias."""
    mode = layer.quantization_mode
    bias = None if layer.bias is None else flat(layer.bias)
    if mode == "float8":
        tensors = {
            "weight": _matrix(layer._kernel, inputs, outputs),
            "input_scale": layer.inputs_scale,
            "weight_scale": layer.kernel_scale,
            "bias": bias,
        }
        return submodule(lambda: Float8Linear(inputs, outputs, bias is not None), tensors, x, part=part)
    if mode not in ("int8", "int4"):
        raise UnsupportedError(f"it is quantized ({mode})")
    _check_quantizer(layer.inputs_quantizer)
    weight = (
        _matrix(layer._kernel, inputs, outputs) if mode == "int8" else _nibbles(layer._kernel, outputs, turned=True)
    )
    rounds = layer.inputs_quantizer is not None
    block = getattr(layer, "_int4_block_size", None) if mode == "int4" else None
    if block in (None, -1):
        tensors = {"weight": weight, "scale": flat(layer.kernel_scale), "bias": bias}
        return submodule(lambda: Int8Linear(inputs, outputs, bias is not None, rounds), tensors, x, part=part)
    groups = layer.kernel_scale.shape[0]
    tensors = {
        "weight": weight,
        "scale": permuted(layer.kernel_scale, (1, 0)),
        "zero": permuted(layer.kernel_zero, (1, 0)),
        "group": layer.g_idx,
        "bias": bias,
    }
    return submodule(lambda: GroupedLinear(inputs, outputs, groups, bias is not None), tensors, x, part=part)


def quantized_embedding(layer: Any, x: torch.Tensor) -> Any:
    """Look the rows of a quantized table up."""
    mode, size = layer.quantization_mode, layer.output_dim
    grouped = mode == "int4" and getattr(layer, "_int4_block_size", None) not in (None, -1)
    if mode not in ("int8", "int4") or grouped:
        raise UnsupportedError(f"it is quantized ({mode}{' by groups' if grouped else ''})")
    table = layer._embeddings if mode == "int8" else _nibbles(layer._embeddings, size, turned=False)
    tensors = {"weight": table, "scale": layer.embeddings_scale}
    return submodule(lambda: Int8Embedding(layer.input_dim, size), tensors, x)


def _check_quantizer(quantizer: Any) -> None:
    """Only Keras's own way of rounding inputs is covered, by the largest element to the whole range of int8."""
    usual = quantizer is None or (
        type(quantizer) is keras.quantizers.AbsMaxQuantizer
        and tuple(quantizer.value_range) == (-127, 127)
        and quantizer.output_dtype == "int8"
        and quantizer.epsilon == 1e-7
    )
    if not usual:
        raise UnsupportedError("a quantizer of inputs that is not Keras's usual one")


def _matrix(variable: Any, inputs: int, outputs: int) -> Stored:
    """Store a matrix [out, in] in a variable whose first axes are `in` together, and the others `out`."""
    shape = tuple(variable.shape)
    return Stored(variable, lambda array: array.reshape(inputs, outputs).T, lambda old, tensor: tensor.T.reshape(shape))


def _nibbles(variable: Any, columns: int, *, turned: bool) -> Stored:
    """Store a matrix of int4 in a variable that has two columns in each byte; `turned` as [columns, rows]."""

    def get(array: Array) -> Array:
        unpacked = np.asarray(keras.ops.convert_to_numpy(keras.quantizers.unpack_int4(array, columns, axis=-1)))
        return unpacked.T if turned else unpacked

    def put(old: Array, tensor: Array) -> Array:
        packed, *_ = keras.quantizers.pack_int4(tensor.T if turned else tensor, axis=-1)
        return np.asarray(keras.ops.convert_to_numpy(packed))

    return Stored(variable, get, put)
