"""Operators of PyTorch's train mode in ONNX: what draws random numbers, and BatchNorm by the statistics of the batch.

PyTorch's exporter writes a BatchNorm in train mode as one of inference, and a Bernoulli draw as a comparison with
uniform numbers, which `translate torch2tf --trainable` could not tell from any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from types import MethodType
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from onnxscript.function_libs.torch_lib.tensor_typing import TFloat
from onnxscript.onnx_opset import opset20 as op
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm

# A part of a program with its own answer to whether gradients are wanted.
_WITH_GRADIENTS = torch.ops.higher_order.wrap_with_set_grad_enabled


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return these operators for `torch.onnx.export(custom_translation_table=...)`."""
    aten = torch.ops.aten
    return {
        aten.native_dropout.default: _dropout,
        aten.bernoulli.default: _bernoulli,
        aten.bernoulli.p: _bernoulli,
        aten._native_batch_norm_legit_functional.default: _batch_norm,
        aten._native_batch_norm_legit.no_stats: _batch_norm_without_statistics,
    }


def dropped(x: Any, p: float) -> Any:
    """Return `x` with elements zeroed at random, each with probability `p`, and the others divided by 1 - p."""
    return _dropout(x, p)[0]


def _dropout(x: TFloat, p: float, train: bool | None = True) -> Any:
    if p == 1 and train:
        # ONNX's would divide zero by zero.
        nothing = op.Mul(x, _number(0.0, x))
        return nothing, op.Cast(nothing, to=ir.DataType.BOOL)
    return op.Dropout(x, op.Constant(value=ir.tensor(np.float64(p))), op.Constant(value=ir.tensor(bool(train))))


def _bernoulli(x: TFloat, p: float | None = None) -> Any:
    """Draw 0 or 1 for each element of x: with the probability that it says itself, or with `p`."""
    if p is not None:
        x = op.Expand(_number(p, x), op.Shape(x))
    return op.Bernoulli(x)


def _batch_norm(
    x: TFloat,
    weight: TFloat | None,
    bias: TFloat | None,
    running_mean: TFloat,
    running_var: TFloat,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    """Normalise x [N, C, *spatial]; return it, the batch's mean and inverse deviation, and the moved statistics.

    PyTorch moves the variance towards the unbiased one, n / (n - 1) times that of the batch of n elements a channel.
    """
    weight, bias = _affine(x, weight, bias)
    if not training:
        y = op.BatchNormalization(x, weight, bias, running_mean, running_var, epsilon=eps)
        return y, running_mean, running_var, running_mean, running_var
    y, mean, variance = _by_batch(x, weight, bias, running_mean, eps)
    count = op.CastLike(op.Div(op.Size(x), op.Squeeze(op.Shape(x, start=1, end=2))), variance)
    bessel = op.Div(count, op.Sub(count, _number(1.0, count)))

    def moved(old: Any, new: Any) -> Any:
        return op.Add(op.Mul(old, _number(1 - momentum, old)), op.Mul(new, _number(momentum, old)))

    moved_mean, moved_variance = moved(running_mean, mean), moved(running_var, op.Mul(variance, bessel))
    return y, mean, _inverse_deviation(variance, eps), moved_mean, moved_variance


def _batch_norm_without_statistics(
    x: TFloat, weight: TFloat | None, bias: TFloat | None, training: bool, momentum: float, eps: float
) -> Any:
    weight, bias = _affine(x, weight, bias)
    y, mean, variance = _by_batch(x, weight, bias, bias, eps)
    return y, mean, _inverse_deviation(variance, eps)


def _affine(x: Any, weight: Any, bias: Any) -> tuple[Any, Any]:
    def filled(number: float) -> Any:
        return op.Expand(_number(number, x), op.Shape(x, start=1, end=2))

    return filled(1.0) if weight is None else weight, filled(0.0) if bias is None else bias


def _by_batch(x: Any, weight: Any, bias: Any, like: Any, eps: float) -> tuple[Any, Any, Any]:
    """Normalise x by its own mean and variance, and return these, too: [C] each, of the dtype of `like`."""
    nothing = op.Expand(_number(0.0, like), op.Shape(x, start=1, end=2))
    # ONNX moves the statistics that it is given; with a momentum of 0 it returns those of the batch.
    y, mean, variance = op.BatchNormalization(
        x, weight, bias, nothing, nothing, epsilon=eps, momentum=0.0, training_mode=1
    )
    return y, mean, variance


def _inverse_deviation(variance: Any, eps: float) -> Any:
    return op.Reciprocal(op.Sqrt(op.Add(variance, _number(eps, variance))))


def _number(value: float, like: Any) -> Any:
    """Return `value` as a scalar of the dtype of `like`, rounded once."""
    return op.CastLike(op.Constant(value=ir.tensor(np.float64(value))), like)


# --- what torch.export cannot follow ----------------------------------------------------------------------------


@contextmanager
def exportable(module: nn.Module) -> Iterator[None]:
    """Let the layers of `module` that keep statistics meanwhile write them so that torch.export sees it.

    A BatchNorm with a cumulative average (momentum=None) makes a Python number of its count of batches, and the
    operator of InstanceNorm does not say that it writes to its statistics.
    """
    changed: list[tuple[nn.Module, str]] = []
    for part in module.modules():
        if isinstance(part, _BatchNorm) and part.momentum is None and part.track_running_stats:
            changed.append((part, "forward"))
            part.forward = MethodType(_cumulative_batch_norm, part)  # type: ignore[method-assign]
        elif isinstance(part, _InstanceNorm) and part.track_running_stats:
            changed.append((part, "_apply_instance_norm"))
            part._apply_instance_norm = MethodType(_instance_norm, part)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for part, name in changed:
            delattr(part, name)


def detach_no_grad(program: ExportedProgram) -> None:
    """Detach, in place, what `program` computes within `torch.no_grad()`, of which nothing is left in ONNX.

    torch.export tells of it where gradients are on around it.
    """
    graph = program.graph
    regions = [node for node in graph.nodes if node.target is _WITH_GRADIENTS and node.args[0] is False]
    for result in [result for region in regions for result in region.users]:
        with graph.inserting_after(result):
            detached = graph.call_function(torch.ops.aten.detach.default, (result,))
        detached.meta = copy(result.meta)
        result.replace_all_uses_with(detached, delete_user_cb=lambda user, own=detached: user is not own)
        program.graph_signature.replace_all_uses(result.name, detached.name)
    program.graph_module.recompile()


def _cumulative_batch_norm(self: Any, x: Tensor) -> Tensor:
    self._check_input_dim(x)
    self.num_batches_tracked.add_(1)
    mean, variance = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
    # With a momentum of 1 the statistics become those of the batch.
    y = nn.functional.batch_norm(x, mean, variance, self.weight, self.bias, True, 1.0, self.eps)
    _move(self, mean, variance, 1 / self.num_batches_tracked.to(mean.dtype))
    return y


def _instance_norm(self: Any, x: Tensor) -> Tensor:
    """Normalise each channel of each element of x [N, C, *spatial]; the statistics are the mean of all elements'."""
    y = nn.functional.instance_norm(x, None, None, self.weight, self.bias, True, 0.0, self.eps)
    variance, mean = torch.var_mean(x.to(self.running_mean.dtype), list(range(2, x.dim())))
    _move(self, mean.mean(0), variance.mean(0), self.momentum or 0.0)
    return y


def _move(layer: _NormBase, mean: Tensor, variance: Tensor, share: float | Tensor) -> None:
    """Move the statistics of `layer` towards `mean` and `variance` by a `share` of the way."""
    for old, new in ((layer.running_mean, mean), (layer.running_var, variance)):
        assert old is not None
        old.copy_(old * (1 - share) + new * share)
