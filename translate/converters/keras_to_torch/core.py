"""Dense layers, embeddings, and layers that only hand on."""

from __future__ import annotations

import string
from typing import Any

import keras
import torch
import torch.nn.functional as F
from torch import nn

from translate.converters.keras_to_torch.activation import activation
from translate.converters.keras_to_torch.here import parameter, submodule, tensor_in
from translate.converters.keras_to_torch.layout import Flow, any_order, identity
from translate.converters.keras_to_torch.quantized import is_quantized, quantized_embedding, quantized_linear
from translate.converters.keras_to_torch.stored import flat, kernel, matrix
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError


def dtype_of(variable: Any) -> torch.dtype:
    """Return PyTorch's name for a variable's dtype."""
    dtype = getattr(torch, keras.backend.standardize_dtype(variable.dtype), None)
    if not isinstance(dtype, torch.dtype):
        raise UnsupportedError(f"PyTorch has no dtype for {variable.dtype}")
    return dtype


@lower("Dense")
def dense(layer: Any, x: torch.Tensor) -> Any:
    """Multiply the last axis of x by the kernel.

    Limits: no LoRA that is not merged.
    """
    _check_lora(layer)
    if is_quantized(layer):
        return activation(layer.activation, quantized_linear("", layer, x.shape[-1], layer.units, x))
    inputs, outputs = layer._kernel.shape
    y = submodule(
        lambda: nn.Linear(inputs, outputs, bias=layer.use_bias, dtype=dtype_of(layer._kernel)),
        {"weight": kernel(layer._kernel), "bias": layer.bias},
        x,
    )
    return activation(layer.activation, y)


def _check_lora(layer: Any) -> None:
    if getattr(layer, "lora_enabled", False):
        raise UnsupportedError("LoRA that is not merged into the kernel")


@lower("EinsumDense")
def einsum_dense(layer: Any, x: torch.Tensor) -> Any:
    """Multiply x by the kernel as the equation says; a matrix product is a linear layer.

    Limits: no LoRA that is not merged.
    """
    _check_lora(layer)
    shape = kernel_shape(layer)
    equation = layer.equation.replace(" ", "")
    contracted = _contracted(equation, len(shape))
    if contracted and (layer.bias is None or tuple(layer.bias.shape) == shape[contracted:]):
        y = product("", layer, contracted, x)
    elif is_quantized(layer):
        raise UnsupportedError(f"it is quantized ({layer.quantization_mode}), and {equation} is no product of matrices")
    else:
        y = torch.einsum(_spelt_out(equation, x.ndim), x, parameter("weight", layer._kernel))
        y = y if layer.bias is None else y + parameter("bias", layer.bias)
    return activation(layer.activation, y)


def kernel_shape(dense: Any) -> tuple[int, ...]:
    """Return the shape of the kernel that an EinsumDense has, or had before Keras put two of its columns in a byte."""
    shape = dense.original_kernel_shape if dense.quantization_mode == "int4" else dense._kernel.shape
    return tuple(shape)


def product(part: str, dense: Any, inputs: int, x: torch.Tensor) -> Any:
    """Multiply the last `inputs` axes of x by the kernel of an EinsumDense, quantized or not, and add its bias."""
    if not is_quantized(dense):
        return linear(part, dense._kernel, dense.bias, inputs, x)
    shape = kernel_shape(dense)
    into, out = shape[:inputs], shape[inputs:]
    x = x.flatten(x.ndim - inputs) if inputs > 1 else x
    y = quantized_linear(part, dense, _product(into), _product(out), x)
    return torch.unflatten(y, -1, out) if len(out) > 1 else y


def linear(part: str, weight: Any, bias: Any, inputs: int, x: torch.Tensor) -> Any:
    """Multiply the last `inputs` axes of x by a kernel [*inputs, *outputs], as a linear layer called `part`."""
    shape = tuple(weight.shape)
    into, out = shape[:inputs], shape[inputs:]
    x = x.flatten(x.ndim - inputs) if inputs > 1 else x
    stored = matrix(weight, inputs)
    y = submodule(
        lambda: nn.Linear(_product(into), _product(out), bias=bias is not None, dtype=dtype_of(weight)),
        {"weight": stored, "bias": None if bias is None else flat(bias)},
        x,
        part=part,
    )
    return torch.unflatten(y, -1, out) if len(out) > 1 else y


def _product(sizes: Any) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def _contracted(equation: str, rank: int) -> int:
    """Return over how many first axes of the kernel, the last of x, it sums; 0 where it is no product of matrices."""
    inputs, result = equation.split("->")
    x, weight = inputs.split(",")
    for count in range(1, rank):
        rows, columns = weight[:count], weight[count:]
        if x.endswith(rows) and result == x.removesuffix(rows) + columns and not set(rows) & set(result):
            return count
    return 0


def _spelt_out(equation: str, rank: int) -> str:
    """Write letters for `...`."""
    inputs, result = equation.split("->")
    x, weight = inputs.split(",")
    if "..." not in equation:
        return equation
    free = [letter for letter in string.ascii_letters if letter not in equation]
    letters = "".join(free[: rank - len(x.replace("...", ""))])
    return f"{x.replace('...', letters)},{weight}->{result.replace('...', letters)}"


def _mask_of_embedding(layer: Any, inputs: Flow, mask: Any) -> Any:
    return inputs.ordered(identity(inputs.rank)) != 0 if layer.mask_zero else None


@lower("Embedding", mask=_mask_of_embedding)
def embedding(layer: Any, x: torch.Tensor) -> Any:
    """Look the rows of a table up."""
    _check_lora(layer)
    if is_quantized(layer):
        return quantized_embedding(layer, x if x.dtype in (torch.int64, torch.int32) else x.to(torch.int32))
    return _looked_up(layer, x)


def _looked_up(layer: Any, x: torch.Tensor, part: str = "") -> Any:
    table = layer._embeddings
    x = x if x.dtype in (torch.int64, torch.int32) else x.to(torch.int32)
    found = submodule(
        lambda: nn.Embedding(table.shape[0], table.shape[1], dtype=dtype_of(table)),
        {"weight": table},
        x,
        part=part,
    )
    return _cast(found, getattr(torch, layer.compute_dtype))


@lower("ReversibleEmbedding", mask=_mask_of_embedding)
def reversible_embedding(layer: Any, x: torch.Tensor, *, reverse: bool = False) -> Any:
    """Look the rows of a table up, or multiply by it what came of them: logits.

    Limits: the way back needs an earlier call of the layer, if the weights are tied.
    """
    if not reverse:
        return _looked_up(layer, x, "embedding")
    dtype = x.dtype if layer.reverse_dtype is None else getattr(torch, layer.reverse_dtype)
    if layer.tie_weights:
        weight = tensor_in("embedding", "weight")
    else:
        weight = parameter("reverse_weight", kernel(layer.reverse_embeddings), as_stored=True)
    if layer.reverse_dtype is None:
        dtype = torch.promote_types(dtype, weight.dtype)
    logits = F.linear(_cast(x, dtype), _cast(weight, dtype))
    cap = layer.logit_soft_cap
    return logits if cap is None else torch.tanh(logits / cap) * cap


def _cast(x: Any, dtype: torch.dtype) -> Any:
    return x if x.dtype is dtype else x.to(dtype)


@lower("Identity", "ActivityRegularization", layout=any_order)
def unchanged(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Hand x on."""
    return x


def _mask_of_masking(layer: Any, inputs: Flow, mask: Any) -> Any:
    return torch.any(inputs.ordered(identity(inputs.rank)) != layer.mask_value, dim=-1)


@lower("Masking", mask=_mask_of_masking)
def masking(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Set the steps to zero in which every number is the mask's value."""
    return torch.where(torch.any(x != layer.mask_value, dim=-1, keepdim=True), x, 0.0)
