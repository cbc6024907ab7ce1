"""Move trained models between PyTorch and TensorFlow, and prove that they still compute the same thing.

`torch2tf(source, output)` writes a SavedModel, a Keras model or TFLite, `tf2torch(source)` returns a PyTorch module,
`update_weights(keras_model, module)` carries its weights back into the Keras model, `open_model(source)` opens
anything that can be run, and `compare(source, target)` of `translate.verify` proves two models equal. Importing this
package imports no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translate.models.open import open_model
    from translate.routes import to_torch as tf2torch
    from translate.routes import torch2tf
    from translate.routes.carry_back import update_weights
    from translate.verify import compare

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "open_model", "tf2torch", "torch2tf", "update_weights"]

_HOMES = {
    "compare": ("translate.verify", "compare"),
    "open_model": ("translate.models.open", "open_model"),
    "tf2torch": ("translate.routes", "to_torch"),
    "torch2tf": ("translate.routes", "torch2tf"),
    "update_weights": ("translate.routes.carry_back", "update_weights"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
