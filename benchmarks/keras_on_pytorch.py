"""Write a Keras model as Keras's own PyTorch backend computes it, with an open batch.

    KERAS_BACKEND=torch python -m benchmarks.keras_on_pytorch model.keras model.pt2

Needs a process of its own: Keras has one backend in each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
import torch


def main() -> None:
    source, target = map(Path, sys.argv[1:])
    model = keras.models.load_model(source)
    model.eval()
    # An open size that is no batch gets one that is not any other.
    shapes = [[3 if n == 0 else 7 if dim is None else dim for n, dim in enumerate(x.shape)] for x in model.inputs]
    # Ones, which are an index of any vocabulary.
    inputs = [torch.ones(shape, dtype=getattr(torch, x.dtype)) for shape, x in zip(shapes, model.inputs, strict=True)]
    batch = torch.export.Dim("batch", min=1)
    given = (inputs,) if len(inputs) > 1 else (inputs[0],)
    sizes = [{0: batch}] * len(inputs)
    # The model takes `*args`, which torch.export has as one argument.
    open_sizes = ((sizes if len(inputs) > 1 else sizes[0],),)
    torch.export.save(torch.export.export(model, given, dynamic_shapes=open_sizes), target)


if __name__ == "__main__":
    main()
