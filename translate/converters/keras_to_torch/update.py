"""The weights of a PyTorch module, back into the Keras model that it was made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import torch
from torch import fx

from translate.converters.keras_to_torch.stored import Array, Stored
from translate.errors import UnsupportedError

# Of each variable that changes, itself and its new value.
Values = list[tuple[Any, Array]]


def update_weights(model: Any, module: fx.GraphModule) -> None:
    """Carry the weights of a module that `convert` made of `model`, and that was trained since, back into it.

    Raises `UnsupportedError`, and changes nothing, where a layer with weights was translated by its graph, or where the
    module is that of another model.
    """
    stored: Mapping[str, Stored] = module.meta["stored"]
    tensors = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))
    lost = [path for path in module.meta["by_graph"] if any(name.startswith(f"{path}.") for name in tensors)]
    if lost:
        raise UnsupportedError(
            f"weights cannot be carried back into layers that were translated by graph: {', '.join(lost)}"
        )
    own = {id(variable) for variable in model.weights}
    foreign = [name for name, one in stored.items() if id(one.variable) not in own]
    if foreign:
        raise UnsupportedError(f"no weights of the model {model.name}: {', '.join(foreign[:4])}")
    assign(put_back(stored, tensors))


def put_back(stored: Mapping[str, Stored], tensors: Mapping[str, torch.Tensor]) -> Values:
    """Return what the variables hold once each tensor is brought back into its own; nothing is assigned yet."""
    found: dict[int, tuple[Any, Array]] = {}
    for name, one in stored.items():
        key = id(one.variable)
        variable, old = found.get(key) or (one.variable, keras.ops.convert_to_numpy(one.variable))
        found[key] = variable, one.put(old, as_array(tensors[name]))
    return list(found.values())


def assign(values: Values) -> None:
    """Give each variable its new value."""
    for variable, array in values:
        # numpy makes an axis for what has none.
        variable.assign(np.ascontiguousarray(array).reshape(array.shape))


def as_array(tensor: torch.Tensor) -> Array:
    """Return a tensor as an array, in float32 where numpy has no such numbers."""
    tensor = tensor.detach().cpu()
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    return array
