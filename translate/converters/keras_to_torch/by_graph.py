"""A layer that no row covers, by way of its TensorFlow graph and ONNX: a module that computes the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from torch import fx

from translate.converters import onnx_to_torch, passes
from translate.converters.keras_to_torch.layout import Flow
from translate.errors import CannotTranslateError, TranslateError, UnsupportedError

tree = keras.tree


def module_of(layer: Any, args: Sequence[Any], kwargs: Mapping[str, Any], symbol: Any) -> tuple[fx.GraphModule, Any]:
    """Return the module of one layer as it is called, and the structure of symbolic tensors, or None, that it returns.

    `args` and `kwargs` hold `Flow`s, of which `symbol` makes symbolic tensors of Keras; the module takes their values
    in this order, with Keras's axes, and returns a tensor or a tuple. Raises `UnsupportedError`.
    """
    from translate.converters.tf_to_onnx.models import from_keras
    from translate.models.keras_model import KerasModel

    if getattr(layer, "stateful", False):
        raise UnsupportedError("its graph alone would forget its states")
    inputs: list[Any] = []

    def as_input(value: Any) -> Any:
        if not isinstance(value, Flow):
            return value
        known = symbol(value)
        inputs.append(keras.Input(batch_shape=known.shape, dtype=known.dtype))
        return inputs[-1]

    given = tree.map_structure(as_input, list(args)), tree.map_structure(as_input, dict(kwargs))
    try:
        outputs = layer(*given[0], **given[1])
        tensors = [leaf for leaf in tree.flatten(outputs) if leaf is not None]
        exported = from_keras(KerasModel(keras.Model(inputs, tensors)))
        passes.prepare_for_torch(exported)
        problems = onnx_to_torch.preflight(exported)
        if problems:
            raise CannotTranslateError("PyTorch", problems)
        return onnx_to_torch.module(exported), outputs
    except TranslateError as error:
        raise UnsupportedError(f"nor can its graph be translated: {error}") from error
