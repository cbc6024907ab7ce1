"""All files of rows, imported for what they add to the table."""

from translate.converters.keras_to_torch import (
    activation,
    attention,
    conv,
    core,
    merge,
    norm,
    ops,
    pool,
    preprocess,
    regularize,
    rnn,
    shape,
)
from translate.converters.keras_to_torch.table import TABLE

__all__ = [
    "TABLE",
    "activation",
    "attention",
    "conv",
    "core",
    "merge",
    "norm",
    "ops",
    "pool",
    "preprocess",
    "regularize",
    "rnn",
    "shape",
]
