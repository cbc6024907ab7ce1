"""Gradients of PyTorch models, and gradient descent on a copy of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch

from translate.errors import UsageError
from translate.models.base import Array, Gradients, Loss
from translate.models.perturb import is_floating, neighbouring_feeds
from translate.models.torch_arrays import to_array, to_tensor
from translate.models.torch_double import double_arithmetic
from translate.models.torch_flat import FlatModule
from translate.models.torch_model import TorchModel
from translate.models.torch_results import flatten

_Result = TypeVar("_Result")


def gradients(
    model: TorchModel, feeds: Mapping[str, Array], loss: Loss, *, double: bool, seed: int | None
) -> Gradients | None:
    """As `Model.gradients`. Raises `UsageError` when PyTorch cannot differentiate the model."""

    def work(flat: FlatModule, tensors: list[torch.Tensor]) -> Gradients:
        names = [spec.name for spec in model.inputs]
        inputs = {name: tensor for name, tensor in zip(names, tensors, strict=True) if tensor.is_floating_point()}
        parameters = {name: tensor for name, tensor in flat.owner.named_parameters() if tensor.is_floating_point()}
        _, found = _differentiate(flat, tensors, [*inputs.values(), *parameters.values()], loss)
        arrays = [None if gradient is None else to_array(gradient) for gradient in found]
        return Gradients(
            inputs=dict(zip(inputs, arrays, strict=False)),
            parameters=dict(zip(parameters, arrays[len(inputs) :], strict=True)),
            tied=_tied(flat),
        )

    return _on_copy(model, work, feeds, double, seed)


def descend(
    model: TorchModel,
    feeds: Mapping[str, Array],
    loss: Loss,
    parameters: Sequence[str],
    learning_rate: float,
    steps: int,
    *,
    double: bool,
    seed: int | None,
) -> list[float] | None:
    """As `Model.descend`. Raises `UsageError` when PyTorch cannot differentiate the model."""

    def work(flat: FlatModule, tensors: list[torch.Tensor]) -> list[float]:
        by_name = dict(flat.owner.named_parameters(remove_duplicate=False))
        chosen = [by_name[name] for name in parameters]
        curve = []
        for _ in range(steps):
            value, found = _differentiate(flat, tensors, chosen, loss)
            curve.append(value)
            with torch.no_grad():
                for parameter, gradient in zip(chosen, found, strict=True):
                    if gradient is not None:
                        parameter.sub_(learning_rate * gradient)
        with torch.no_grad():
            outputs = flatten(flat.call(tensors))
        return [*curve, loss({name: to_array(output) for name, output in outputs.items()})[0]]

    return _on_copy(model, work, feeds, double, seed)


def _on_copy(
    model: TorchModel,
    work: Callable[[FlatModule, list[torch.Tensor]], _Result],
    feeds: Mapping[str, Array],
    double: bool,
    seed: int | None,
) -> _Result | None:
    """Call `work` with a copy of the module and its inputs; None where that cannot be run in double precision."""
    if seed is not None:
        return work(model.flat.perturbed(seed), model.upload(neighbouring_feeds(feeds, seed)))
    if not double:
        return work(copy.deepcopy(model.flat), model.upload(feeds))
    wide = {name: a.astype(np.float64) if is_floating(a.dtype) else a for name, a in feeds.items()}
    try:
        flat, tensors = model.flat.doubled(), model.upload(wide)
        with double_arithmetic(above_autograd=True):
            return work(flat, tensors)
    except (RuntimeError, TypeError, ValueError, AssertionError, UsageError):
        # Not every operator has a kernel for float64.
        return None


def _differentiate(
    flat: FlatModule, tensors: Sequence[torch.Tensor], sources: Sequence[torch.Tensor], loss: Loss
) -> tuple[float, list[torch.Tensor | None]]:
    """Return the loss and its gradient with respect to each of `sources`, None where it does not depend on one."""
    for source in sources:
        source.requires_grad_()
    # cuDNN has no backward pass for recurrent layers in eval mode.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        # Clones, for a model may write into its inputs.
        outputs = flatten(flat.call([tensor.clone() for tensor in tensors]))
        value, cotangents = loss({name: to_array(output) for name, output in outputs.items()})
        wanted = [name for name in cotangents if outputs[name].requires_grad]
        if not wanted or not sources:
            return value, [None] * len(sources)
        directions = [to_tensor(cotangents[name]).to(outputs[name]) for name in wanted]
        try:
            found = torch.autograd.grad([outputs[name] for name in wanted], sources, directions, allow_unused=True)
        except RuntimeError as error:
            raise UsageError(f"PyTorch cannot differentiate the model: {str(error).partition(chr(10))[0]}") from error
    return value, list(found)


def _tied(flat: FlatModule) -> dict[str, str]:
    listed = {id(parameter): name for name, parameter in flat.owner.named_parameters()}
    everything = flat.owner.named_parameters(remove_duplicate=False)
    return {name: listed[id(parameter)] for name, parameter in everything if listed[id(parameter)] != name}
