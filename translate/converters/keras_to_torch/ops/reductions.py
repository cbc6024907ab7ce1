"""Operations that make one number of many: sums, extremes, moments, counts, and running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch

from translate.converters.keras_to_torch.here import axis_here
from translate.converters.keras_to_torch.layout import Flow, any_order
from translate.converters.keras_to_torch.ops.dtypes import axes_of, floating, truth
from translate.converters.keras_to_torch.table import lower
from translate.errors import UnsupportedError

Axes: TypeAlias = list[int]


def _prod(x: torch.Tensor, axes: Axes, keepdims: bool) -> torch.Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdims)
    return x


def _instead_of_nan(x: torch.Tensor, number: float) -> torch.Tensor:
    return torch.where(torch.isnan(x), number, x) if x.dtype.is_floating_point else x


def _nan_extreme(function: Callable[..., Any], x: torch.Tensor, axes: Axes, keepdims: bool, worst: float) -> Any:
    """Return the extreme of the numbers; NaN where there are none."""
    if not x.dtype.is_floating_point:
        return function(x, axes, keepdims)
    nothing = torch.all(torch.isnan(x), axes, keepdims)
    return torch.where(nothing, torch.nan, function(_instead_of_nan(x, worst), axes, keepdims))


def _nanvar(x: torch.Tensor, axes: Axes, keepdims: bool) -> torch.Tensor:
    x = floating(x)
    deviation = x - torch.nanmean(x, axes, keepdim=True)
    return torch.nanmean(torch.square(deviation), axes, keepdim=keepdims)


# From a tensor, the axes and whether to keep them as axes of size one.
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "All": lambda x, axes, keepdims: torch.all(truth(x), axes, keepdims),
    "Amax": torch.amax,
    "Amin": torch.amin,
    "Any": lambda x, axes, keepdims: torch.any(truth(x), axes, keepdims),
    "CountNonzero": lambda x, axes, keepdims: torch.sum(x != 0, axes, keepdims),
    "Max": torch.amax,
    "Mean": lambda x, axes, keepdims: torch.mean(floating(x), axes, keepdims),
    "Min": torch.amin,
    "Nanmax": lambda x, axes, keepdims: _nan_extreme(torch.amax, x, axes, keepdims, -torch.inf),
    "Nanmean": lambda x, axes, keepdims: torch.nanmean(floating(x), axes, keepdims),
    "Nanmin": lambda x, axes, keepdims: _nan_extreme(torch.amin, x, axes, keepdims, torch.inf),
    "Nanprod": lambda x, axes, keepdims: _prod(_instead_of_nan(x, 1.0), axes, keepdims),
    "Nanstd": lambda x, axes, keepdims: torch.sqrt(_nanvar(x, axes, keepdims)),
    "Nansum": torch.nansum,
    "Nanvar": _nanvar,
    "Prod": _prod,
    "Ptp": lambda x, axes, keepdims: torch.amax(x, axes, keepdims) - torch.amin(x, axes, keepdims),
    "Std": lambda x, axes, keepdims: torch.std(floating(x), axes, correction=0, keepdim=keepdims),
    "Sum": torch.sum,
    "Var": lambda x, axes, keepdims: torch.var(floating(x), axes, correction=0, keepdim=keepdims),
}


def _register(name: str, function: Callable[..., Any]) -> None:
    @lower(name, part="ops", layout=any_order)
    def row(op: Any, x: torch.Tensor) -> Any:
        axes = axes_of(op.axis, x.ndim)
        keepdims = bool(getattr(op, "keepdims", False))
        kept = [axis for axis in range(x.ndim) if axis not in axes]
        if getattr(op, "initial", None) is not None:
            raise UnsupportedError("an initial value")
        if x.ndim and not axes:
            raise UnsupportedError("a reduction over no axis")
        y = function(x, [axis_here(axis, x.ndim) for axis in axes], keepdims)
        if keepdims:
            return y
        # What is left is in the order in which it was.
        places = sorted(kept, key=lambda axis: axis_here(axis, x.ndim))
        return Flow(y, tuple(kept.index(axis) for axis in places))


for _name, _function in _REDUCTIONS.items():
    _register(_name, _function)


@lower("Logsumexp", part="ops", own_dtype=True)
def logsumexp(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the sum of exponentials."""
    return torch.logsumexp(x, axes_of(op.axis, x.ndim), bool(op.keepdims))


@lower("Argmax", "Argmin", "Nanargmax", "Nanargmin", part="ops")
def arg_extreme(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Find the largest or smallest element along an axis; of none but NaN, that is -1."""
    name = type(op).__name__
    function, worst = (torch.argmax, -torch.inf) if name.endswith("max") else (torch.argmin, torch.inf)
    skips_nan = name.startswith("Nan") and x.dtype.is_floating_point
    numbers = _instead_of_nan(x, worst) if skips_nan else x
    if op.axis is None:
        y = function(numbers.flatten(), 0)
        y = torch.where(torch.all(torch.isnan(x)), -1, y) if skips_nan else y
        return y.reshape([1] * x.ndim) if op.keepdims else y
    y = function(numbers, op.axis, bool(op.keepdims))
    return torch.where(torch.all(torch.isnan(x), op.axis, bool(op.keepdims)), -1, y) if skips_nan else y


@lower("Average", part="ops")
def average(op: Any, x: torch.Tensor, *, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Average, with weights for each element or for each place along an axis."""
    axes = axes_of(op.axis, x.ndim)
    x = floating(x)
    if weights is None:
        return torch.mean(x, axes)
    if op.axis is not None and weights.ndim != x.ndim:
        weights = weights.reshape([-1 if axis in axes else 1 for axis in range(x.ndim)])
    return torch.sum(x * weights, axes) / torch.sum(weights, [axis for axis in axes if axis < weights.ndim])


@lower("Cumsum", "Nancumsum", part="ops")
def cumsum(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Add up along an axis."""
    return torch.cumsum(*_running(op, x, 0.0))


@lower("Cumprod", "Nancumprod", part="ops")
def cumprod(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Multiply along an axis."""
    return torch.cumprod(*_running(op, x, 1.0))


def _running(op: Any, x: torch.Tensor, neutral: float) -> tuple[torch.Tensor, int]:
    x = _instead_of_nan(x, neutral) if type(op).__name__.startswith("Nan") else x
    return (x.flatten(), 0) if op.axis is None else (x, op.axis)


@lower("Moments", part="ops")
def moments(op: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean and the biased variance."""
    axes, keepdims = axes_of(op.axes, x.ndim), bool(op.keepdims)
    return torch.mean(x, axes, keepdims), torch.var(x, axes, correction=0, keepdim=keepdims)


@lower("Trapezoid", part="ops")
def trapezoid(op: Any, y: torch.Tensor) -> torch.Tensor:
    """Integrate along an axis by trapezoids of one width.

    Limits: one width for all.
    """
    if op.x is not None:
        raise UnsupportedError("other widths than one for all")
    return torch.trapezoid(floating(y), dx=float(op.dx), dim=op.axis)


@lower("Corrcoef", part="ops")
def corrcoef(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Correlate the rows of a matrix with each other."""
    deviation = floating(x) - torch.mean(floating(x), -1, True)
    covariance = torch.matmul(deviation, deviation.t())
    scale = torch.sqrt(torch.diagonal(covariance))
    return covariance / scale.unsqueeze(1) / scale.unsqueeze(0)


@lower("PSNR", part="ops")
def psnr(op: Any, x1: torch.Tensor, *, x2: torch.Tensor) -> torch.Tensor:
    """Return the ratio of the largest value to the error, in decibels."""
    return 10 * torch.log10(op.max_val**2 / torch.mean(torch.square(x1 - x2)))
