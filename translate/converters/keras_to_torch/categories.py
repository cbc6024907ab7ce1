"""Layers that make numbers of categories, and vectors of them."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch

from translate.converters.keras_to_torch.here import constant
from translate.converters.keras_to_torch.ops.dtypes import torch_dtype
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record, static_size
from translate.errors import UnsupportedError


def _encoded(x: torch.Tensor, mode: str, depth: int, dtype: torch.dtype, weights: Any = None) -> torch.Tensor:
    """Write categories as Keras's `output_mode` says: vectors [..., depth]; what is out of range has none."""
    if mode == "int":
        return x.to(dtype)
    if mode == "one_hot" and x.ndim > 1 and static_size(x, x.ndim - 1) == 1:
        x = x.squeeze(-1)
    hot: torch.Tensor = x.unsqueeze(-1) == record(torch.arange, depth)
    if mode == "one_hot":
        return hot.to(dtype)
    # One vector for all categories along the second axis.
    axis = 1 if x.ndim > 1 else 0
    if mode == "multi_hot":
        return torch.any(hot, axis).to(dtype)
    counts = hot.to(dtype)
    return torch.sum(counts if weights is None else counts * weights.unsqueeze(-1), axis)


def _check_dense(layer: Any) -> None:
    if layer.sparse:
        raise UnsupportedError("a sparse result")


@lower("Discretization")
def discretization(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """Say between which boundaries a number is."""
    _check_dense(layer)
    boundaries = constant("boundaries", np.asarray(layer.bin_boundaries, "float32"))
    places = torch.bucketize(x, boundaries, right=True, out_int32=True)
    if layer.output_mode == "int":
        return places
    return _encoded(places, layer.output_mode, len(layer.bin_boundaries) + 1, torch_dtype(layer.output_dtype))


@lower("CategoryEncoding")
def category_encoding(layer: Any, x: torch.Tensor, *, count_weights: Any = None) -> Any:
    """Write categories as vectors: one for each, or one for all of a sample."""
    _check_dense(layer)
    dtype = torch_dtype(layer.compute_dtype)
    weights = None if count_weights is None else count_weights.to(dtype)
    return _encoded(x.to(torch.int64), layer.output_mode, layer.num_tokens, dtype, weights)


@lower("IntegerLookup")
def integer_lookup(layer: Any, x: torch.Tensor) -> Any:
    """Return the place of a number in a vocabulary, or the number at a place.

    With `num_oov_indices=0` a number that is not in the vocabulary is -1; Keras raises an error.
    Limits: unknown numbers go by their remainder.
    """
    _check_dense(layer)
    if layer.num_oov_indices > 1 and layer.oov_method != "floormod":
        raise UnsupportedError(f"unknown numbers that go by {layer.oov_method}")
    tokens = np.asarray(layer.get_vocabulary(include_special_tokens=False), "int64")
    start = layer._token_start_index()
    x = x.to(torch.int64)
    if layer.invert:
        vocabulary = constant("vocabulary", tokens)
        inside = (x >= start) & (x < start + len(tokens))
        y = torch.where(inside, vocabulary[torch.where(inside, x - start, 0)], layer.oov_token)
        return y if layer.mask_token is None else torch.where(x == 0, layer.mask_token, y)
    order = np.argsort(tokens)
    vocabulary, indices = constant("vocabulary", tokens[order]), constant("indices", order + start)
    place = torch.clamp(torch.searchsorted(vocabulary, x), max=len(tokens) - 1)
    unknown: Any = -1 if layer.num_oov_indices == 0 else layer._oov_start_index()
    if layer.num_oov_indices > 1:
        unknown = torch.remainder(x, layer.num_oov_indices) + unknown
    y = torch.where(vocabulary[place] == x, indices[place], unknown)
    is_number = layer.output_mode == "int"
    if layer.mask_token is not None:
        # As a vector, a masked number is none.
        y = torch.where(x == layer.mask_token, 0 if is_number else -1, y)
    if is_number:
        return y
    depth = layer.max_tokens if layer.pad_to_max_tokens else layer._frozen_vocab_size
    if layer.output_mode != "tf_idf":
        return _encoded(y, layer.output_mode, depth, torch.int64)
    weights = constant("idf_weights", keras.ops.convert_to_numpy(layer.idf_weights))
    return _encoded(y, "count", depth, weights.dtype) * weights
