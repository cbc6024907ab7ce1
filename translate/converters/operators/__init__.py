"""What ONNX's operators mean, as far as it takes no framework to say it: the tables of lowerings share it.

A file here has the name of the files of lowerings that use it. Nothing here imports a framework.
"""

from __future__ import annotations

# The files of lowerings that both tables have.
TOPICS = (
    "activation",
    "attention",
    "cast",
    "control",
    "conv",
    "index",
    "linear_attention",
    "loss",
    "math",
    "matrix",
    "ml",
    "norm",
    "pool",
    "preview",
    "quant",
    "random",
    "reduce",
    "resize",
    "rnn",
    "sequence",
    "shape",
    "signal",
    "string",
    "tensor",
    "training",
    "trees",
    "vision",
)
