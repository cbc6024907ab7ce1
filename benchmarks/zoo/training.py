"""Whether a Keras model and the module that was made of it learn alike: gradients, and ten steps down a loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

STEPS = 10
RATE = 0.05
# Of the length of the longest gradient, and of the first loss. Both frameworks compute in float32.
GRADIENT_TOLERANCE = 1e-3
LOSS_TOLERANCE = 1e-3


def gradient_error(model: Any, module: Any, feeds: Sequence[Any]) -> float | None:
    """Return the largest distance of a weight's gradients, as a share of the longest; None where there is none.

    The loss is the mean square of all outputs' distances from random numbers, in inference mode.
    """
    import tensorflow as tf

    if not model.trainable_variables:
        return None
    module.eval()
    with tf.GradientTape() as tape:
        loss = _loss_of_keras(model, feeds, training=False)
    found = tape.gradient(loss, model.trainable_variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    expected = {
        id(variable): np.asarray(tf.convert_to_tensor(g))
        for variable, g in zip(model.trainable_variables, found, strict=True)
    }
    module.zero_grad()
    _loss_of_torch(module, feeds).backward()
    tensors = dict(module.named_parameters(remove_duplicate=False))
    distances, lengths = [], []
    for name, stored in module.meta["stored"].items():
        if id(stored.variable) in expected and name in tensors:
            theirs = stored.get(expected[id(stored.variable)])
            gradient = tensors[name].grad
            ours = np.zeros_like(theirs) if gradient is None else gradient.numpy()
            # What is always zero in the module is not in the variable at all, and gets a gradient of its own.
            distances.append(np.linalg.norm((ours - theirs).ravel()))
            lengths.append(np.linalg.norm(theirs.ravel()))
    return float(max(distances) / max(lengths)) if distances and max(lengths) > 0 else None


def steps_error(model: Any, module: Any, feeds: Sequence[Any]) -> float | None:
    """Return how far the losses of `STEPS` steps are from one another at most, as a share of the first.

    Plain gradient descent in training mode, on one batch. None where the model has nothing to train, or computes
    something else each time.
    """
    import tensorflow as tf
    import torch

    variables = model.trainable_variables
    if not variables:
        return None
    start = model.get_weights()
    again = [float(_loss_of_keras(model, feeds, training=True)) for _ in range(2)]
    model.set_weights(start)
    if again[0] != again[1]:
        return None
    module.train()
    optimiser = torch.optim.SGD(module.parameters(), lr=RATE)
    theirs, ours = [], []
    for _ in range(STEPS):
        with tf.GradientTape() as tape:
            loss = _loss_of_keras(model, feeds, training=True)
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(RATE * tf.convert_to_tensor(gradient))
        theirs.append(float(loss))
        optimiser.zero_grad()
        value = _loss_of_torch(module, feeds)
        value.backward()
        optimiser.step()
        ours.append(value.item())
    return float(np.max(np.abs(np.subtract(theirs, ours))) / abs(theirs[0]))


def _targets(shapes: Sequence[Sequence[int]]) -> list[Any]:
    generator = np.random.default_rng(5)
    return [generator.standard_normal(shape).astype(np.float32) for shape in shapes]


def _loss_of_keras(model: Any, feeds: Sequence[Any], training: bool) -> Any:
    import keras
    import tensorflow as tf

    outputs = keras.tree.flatten(model(list(feeds) if len(feeds) > 1 else feeds[0], training=training))
    outputs = [output for output in outputs if output.dtype.is_floating]
    targets = _targets([output.shape for output in outputs])
    return sum(tf.reduce_mean((output - target) ** 2) for output, target in zip(outputs, targets, strict=True))


def _loss_of_torch(module: Any, feeds: Sequence[Any]) -> Any:
    import torch

    # PyTorch 2.13 crashes in the gradient of a GroupNorm whose input has channels last in memory and needs none itself.
    inputs = [torch.from_numpy(feed).requires_grad_(feed.dtype == np.float32) for feed in feeds]
    outputs = torch.utils._pytree.tree_leaves(module(*inputs))
    outputs = [output for output in outputs if output.is_floating_point()]
    targets = map(torch.from_numpy, _targets([output.shape for output in outputs]))
    return sum(((output - target) ** 2).mean() for output, target in zip(outputs, targets, strict=True))
