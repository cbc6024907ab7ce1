"""Gradients of traced functions, and gradient descent on their variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from translate.errors import UnsupportedError, in_a_line
from translate.manifest import Parameter
from translate.models.base import Array, Gradients, Loss
from translate.models.perturb import neighbouring_feeds, neighbours

if TYPE_CHECKING:
    from translate.models.traced import TracedModel


def gradients(model: TracedModel, feeds: Mapping[str, Array], loss: Loss, seed: int | None) -> Gradients:
    """As `Model.gradients`. Raises `UnsupportedError` naming the operator that has no gradient in TensorFlow."""
    parameters = _parameters(model)
    with _restored(model, seed):
        values = model.upload(feeds if seed is None else neighbouring_feeds(feeds, seed))
        inputs = {name: value for name, value in values.items() if value.dtype.is_floating}
        variables = [variable for variable, _ in parameters.values()]
        _, found = _differentiate(model, values, [*inputs.values(), *variables], loss)
    arrays = [None if gradient is None else np.asarray(gradient.numpy()) for gradient in found]
    own = zip(parameters.items(), arrays[len(inputs) :], strict=True)
    return Gradients(
        inputs=dict(zip(inputs, arrays, strict=False)),
        parameters={name: _source_order(array, parameter) for (name, (_, parameter)), array in own},
    )


def descend(
    model: TracedModel,
    feeds: Mapping[str, Array],
    loss: Loss,
    parameters: Sequence[str],
    learning_rate: float,
    steps: int,
    seed: int | None,
) -> list[float]:
    """As `Model.descend`. Raises `UnsupportedError` naming the operator that has no gradient in TensorFlow."""
    known = _parameters(model)
    variables = [known[name][0] for name in parameters]
    curve: list[float] = []
    with _restored(model, seed):
        values = model.upload(feeds if seed is None else neighbouring_feeds(feeds, seed))
        for _ in range(steps):
            value, found = _differentiate(model, values, variables, loss)
            curve.append(value)
            for variable, gradient in zip(variables, found, strict=True):
                if gradient is not None:
                    # Not tf.cast, which makes a float32 of the number first.
                    variable.assign_sub(tf.constant(learning_rate, variable.dtype) * gradient)
        return [*curve, loss(model.download(model.call(values)))[0]]


def _parameters(model: TracedModel) -> dict[str, tuple[Any, Parameter]]:
    """Return each floating-point trainable variable that the function reads, by its parameter's name in the source.

    A model whose manifest knows of no parameters is taken at its word: `a/b/kernel` is the parameter `a.b.kernel`.
    """
    variables = {v.name.partition(":")[0]: v for v in model.function.graph.variables if v.dtype.is_floating}
    if model.manifest is None or not model.manifest.parameters:
        own = {name: variable for name, variable in variables.items() if variable.trainable}
        return {name.replace("/", "."): (variable, Parameter(name, None, True)) for name, variable in own.items()}
    return {
        name: (variables[parameter.variable], parameter)
        for name, parameter in model.manifest.parameters.items()
        if parameter.trainable and parameter.variable in variables
    }


@contextmanager
def _restored(model: TracedModel, seed: int | None) -> Iterator[None]:
    """Give the variables their values back at the end; with a `seed` they start as `neighbours` of them."""
    variables = [variable for variable in model.function.graph.variables if variable.dtype.is_floating]
    before = [variable.numpy() for variable in variables]
    generator = np.random.default_rng(seed)
    try:
        for variable, value in zip(variables, before, strict=True):
            if seed is not None:
                variable.assign(neighbours(value, generator))
        yield
    finally:
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)


def _differentiate(
    model: TracedModel, values: Mapping[str, tf.Tensor], sources: Sequence[Any], loss: Loss
) -> tuple[float, list[tf.Tensor | None]]:
    """Return the loss and its gradient with respect to each of `sources`, None where it does not depend on one."""
    try:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            for source in sources:
                tape.watch(source)
            # The forward pass under a tape builds the backward one already.
            results = model.apply(values)
        value, cotangents = loss(model.download(results))
        found = tape.gradient(
            [results[name] for name in cotangents],
            sources,
            output_gradients=[tf.constant(array, results[name].dtype) for name, array in cotangents.items()],
        )
    except (LookupError, NotImplementedError, tf.errors.OpError) as error:
        # An operator without a gradient is a LookupError, one whose kernel lacks a case an OpError.
        raise UnsupportedError(f"TensorFlow cannot differentiate it: {_reason(error)}") from error
    # The gradient of an embedding is a tf.IndexedSlices.
    return value, [None if gradient is None else tf.convert_to_tensor(gradient) for gradient in found]


def _reason(error: Exception) -> str:
    missing = re.search(r"operation\s*'([^']+)' \(op type: (\w+)\)", str(error))
    if missing:
        return f"the operator {missing[2]} ({missing[1]}) has no gradient"
    return in_a_line(error)


def _source_order(array: Array | None, parameter: Parameter) -> Array | None:
    if array is None or parameter.permutation is None:
        return array
    return np.transpose(array, np.argsort(parameter.permutation))
