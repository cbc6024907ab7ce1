"""How the tensors of a PyTorch module are stored in the variables of a Keras model, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Stored:
    """A tensor that is made of a Keras `variable`.

    `get` makes the tensor of the variable's array; `put` returns the variable's array with the tensor brought back
    into the one that it is given. Several tensors may be parts of one variable.
    """

    variable: Any
    get: Callable[[Array], Array]
    put: Callable[[Array, Array], Array]


def same(variable: Any) -> Stored:
    """Store a tensor as it is."""
    return Stored(variable, lambda array: array, lambda old, tensor: tensor)


def permuted(variable: Any, axes: Sequence[int]) -> Stored:
    """Store a tensor whose axis i is axis `axes[i]` of the variable."""
    back = tuple(int(axis) for axis in np.argsort(axes))
    return Stored(variable, lambda array: array.transpose(axes), lambda old, tensor: tensor.transpose(back))


def kernel(variable: Any) -> Stored:
    """Store a kernel [out, in, *window] as [*window, in, out], and one [out, in] as [in, out]."""
    rank = len(variable.shape)
    return permuted(variable, (rank - 1, rank - 2, *range(rank - 2)))


def depthwise(variable: Any) -> Stored:
    """Store a kernel [channels * multiplier, 1, *window] as [*window, channels, multiplier]."""
    shape = tuple(variable.shape)
    window, (channels, multiplier) = shape[:-2], shape[-2:]
    spatial = len(window)

    def get(array: Array) -> Array:
        turned = array.transpose(spatial, spatial + 1, *range(spatial))
        return turned.reshape(channels * multiplier, 1, *window)

    def put(old: Array, tensor: Array) -> Array:
        return tensor.reshape(channels, multiplier, *window).transpose(*range(2, spatial + 2), 0, 1)

    return Stored(variable, get, put)


def matrix(variable: Any, inputs: int) -> Stored:
    """Store a matrix [out, in], the first `inputs` axes of the variable being `in` and the others `out`."""
    shape = tuple(variable.shape)
    rows = int(np.prod(shape[:inputs]))
    return Stored(variable, lambda array: array.reshape(rows, -1).T, lambda old, tensor: tensor.T.reshape(shape))


def flat(variable: Any) -> Stored:
    """Store a vector in a variable of several axes."""
    shape = tuple(variable.shape)
    return Stored(variable, lambda array: array.reshape(-1), lambda old, tensor: tensor.reshape(shape))


def added(variable: Any) -> Stored:
    """Store a tensor that is zero, and is added to what another one makes of the variable."""
    return Stored(variable, np.zeros_like, lambda old, tensor: old + tensor)


def gates(variable: Any, order: Sequence[int], *, row: int | None = None, transposed: bool = True) -> Stored:
    """Store the weights of gates [gates * H, in] as [in, gates * H], or biases as [gates * H].

    `order` says which of the variable's gates each of the tensor's is. With `row`, the tensor is that row of a
    variable which has several.
    """

    def get(array: Array) -> Array:
        array = array if row is None else array[row]
        parts = np.split(array, len(order), axis=-1)
        ordered: Array = np.concatenate([parts[gate] for gate in order], axis=-1)
        return ordered.T if transposed else ordered

    def put(old: Array, tensor: Array) -> Array:
        parts = np.split(tensor.T if transposed else tensor, len(order), axis=-1)
        array: Array = np.concatenate([parts[gate] for gate in np.argsort(order)], axis=-1)
        if row is None:
            return array
        result = old.copy()
        result[row] = array
        return result

    return Stored(variable, get, put)
