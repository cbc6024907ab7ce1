"""Keras's masks: which layer is given which, and which its outputs carry; [N, T], false at a step that does not count.

The rules are those of `keras.Layer.__call__`: a call with one tensor argument gets the mask of it as `mask`, one with
several gets `{name}_mask` where it has such a parameter. A layer that supports masks hands on the mask of its first
argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from translate.converters.keras_to_torch.layout import Flow
from translate.converters.keras_to_torch.table import Row
from translate.errors import UnsupportedError

tree = keras.tree


def given_masks(operation: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return the masks that Keras adds to the arguments of a call, and the mask that the outputs follow from."""
    if not isinstance(operation, keras.Layer):
        return {}, None
    parameters = inspect.signature(operation.call).parameters
    tensors = {name: value for name, value in given.items() if _has_tensor(value)}
    added: dict[str, Any] = {}
    for name, value in tensors.items():
        wanted = "mask" if len(tensors) == 1 else f"{name}_mask"
        if wanted in parameters and given.get(wanted) is None:
            added[wanted] = _mask(value)
    explicit = given.get("mask", added.get("mask"))
    previous = explicit if explicit is not None else _mask(next(iter(given.values()), None))
    return {name: mask for name, mask in added.items() if _is_any(mask)}, previous if _is_any(previous) else None


def _mask(value: Any) -> Any:
    """Return the masks of a structure of tensors."""
    return tree.map_structure(
        lambda leaf: None if not isinstance(leaf, Flow) or leaf.mask is None else Flow(leaf.mask), value
    )


def _has_tensor(value: Any) -> bool:
    return any(isinstance(leaf, Flow) for leaf in tree.flatten(value))


def _is_any(mask: Any) -> bool:
    return any(leaf is not None for leaf in tree.flatten(mask))


def mask_of_outputs(row: Row, layer: Any, inputs: Any, previous: Any, outputs: Any) -> None:
    """Set the masks of `outputs`, given the arguments and the mask that came with the first of them."""
    if not isinstance(layer, keras.Layer) or not layer.supports_masking:
        return
    if row.mask is None:
        if previous is None:
            return
        if type(layer).compute_mask is not keras.Layer.compute_mask:
            raise UnsupportedError("what it makes of a mask is not covered")
        masks = previous
    else:
        masks = row.mask(layer, inputs, previous)
    if masks is None:
        return
    for output, mask in zip(tree.flatten(outputs), tree.flatten(masks), strict=False):
        if isinstance(output, Flow) and output.mask is None and mask is not None:
            output.mask = mask.value if isinstance(mask, Flow) else mask


def stopped(layer: Any, inputs: Any, mask: Any) -> None:
    """Hand no mask on."""


def merged(layer: Any, inputs: Any, masks: Any) -> Any:
    """Return where all of the inputs count: what Keras's layers that merge hand on, if each input has a mask."""
    masks = tree.flatten(masks)
    if any(mask is None for mask in masks) or not masks:
        return None
    result = masks[0].value
    for mask in masks[1:]:
        result = result | mask.value
    return result
