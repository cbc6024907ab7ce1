"""Move trained models between PyTorch and TensorFlow, and prove that they still compute the same thing.

`torch2tf(source, output)` translates, `open_model(source)` opens anything that can be run, and
`compare(source, target)` of `translate.verify` proves two models equal. Importing this package imports no framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from translate.models.open import open_model
    from translate.routes import torch2tf
    from translate.verify import compare

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "open_model", "torch2tf"]

_HOMES = {"compare": "translate.verify", "open_model": "translate.models.open", "torch2tf": "translate.routes"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
