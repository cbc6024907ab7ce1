"""Reductions over axes, and the positions of extrema."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from translate.converters.onnx_to_torch.shapes import axis_from_start, is_number
from translate.converters.onnx_to_torch.table import lower
from translate.converters.onnx_to_torch.widen import UNSIGNED, widened

Reduction = Callable[[torch.Tensor, list[int], bool], torch.Tensor]


def _axes(x: torch.Tensor, axes: np.ndarray | None, noop_with_empty_axes: int) -> list[int]:
    """Return the axes to reduce: all of them where none are given, unless that is to mean none."""
    if axes is None or axes.size == 0:
        return [] if noop_with_empty_axes else list(range(x.ndim))
    return [axis_from_start(int(axis), x) for axis in axes.flat]


def _lower_reductions(reductions: dict[str, Reduction]) -> None:
    def register(op_type: str, reduction: Reduction) -> None:
        @lower(op_type, since=13 if op_type == "ReduceSum" else 18)
        def reduce(
            x: torch.Tensor,
            axes: np.ndarray | None = None,
            *,
            keepdims: int = 1,
            noop_with_empty_axes: int = 0,
        ) -> torch.Tensor:
            return reduction(x, _axes(x, axes, noop_with_empty_axes), bool(keepdims))

    for op_type, reduction in reductions.items():
        register(op_type, reduction)


def _sum(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    # torch takes no axes for all axes; and adds up small integers in int64.
    if not axes:
        return x
    return (
        torch.sum(x, list(axes), keepdim)
        if x.dtype.is_floating_point
        else torch.sum(x, list(axes), keepdim, dtype=x.dtype)
    )


def _mean(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    return torch.mean(x, list(axes), keepdim) if axes else x


def _max(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    if any(is_number(x.size(axis), 0) for axis in axes):
        return _of_nothing(x, axes, keepdim, -torch.inf)
    return torch.amax(x, list(axes), keepdim) if axes else x


def _min(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    if any(is_number(x.size(axis), 0) for axis in axes):
        return _of_nothing(x, axes, keepdim, torch.inf)
    return torch.amin(x, list(axes), keepdim) if axes else x


def _of_nothing(x: torch.Tensor, axes: Sequence[int], keepdim: bool, value: float) -> torch.Tensor:
    """Return what the extremum of no elements is: `value`, or the bound of the integers or truth values next to it."""
    if x.dtype is torch.bool:
        value = value > 0
    elif not x.dtype.is_floating_point:
        value = torch.iinfo(x.dtype).max if value > 0 else torch.iinfo(x.dtype).min
    return torch.full_like(torch.sum(x, list(axes), keepdim), value, dtype=x.dtype)


def _prod(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    for axis in sorted(axes, reverse=True):
        x = torch.prod(x, axis, keepdim, dtype=x.dtype)
    return x


def _l1(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    return _sum(torch.abs(x), axes, keepdim)


def _l2(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    return torch.sqrt(_sum(torch.square(x), axes, keepdim))


def _log_sum(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    return torch.log(_sum(x, axes, keepdim))


def _log_sum_exp(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    # Without axes it is the logarithm of the exponential.
    return torch.logsumexp(x, list(axes), keepdim) if axes else x


def _sum_square(x: torch.Tensor, axes: Sequence[int], keepdim: bool) -> torch.Tensor:
    return _sum(torch.square(x), axes, keepdim)


def _floating(reduction: Reduction) -> Reduction:
    """Let a reduction that leaves the integers compute in float64, and cut its result back to them."""

    def reduce(x: torch.Tensor, axes: list[int], keepdim: bool) -> torch.Tensor:
        if x.dtype.is_floating_point:
            return reduction(x, axes, keepdim)
        return reduction(x.to(torch.float64), axes, keepdim).to(x.dtype)

    return reduce


_in_wider = widened(*UNSIGNED)

_lower_reductions(
    {
        "ReduceL1": _in_wider(_l1),
        "ReduceL2": _floating(_l2),
        "ReduceLogSum": _floating(_log_sum),
        "ReduceLogSumExp": _floating(_log_sum_exp),
        "ReduceMax": _in_wider(_max),
        "ReduceMean": _floating(_mean),
        "ReduceMin": _in_wider(_min),
        "ReduceProd": _in_wider(_prod),
        "ReduceSum": _in_wider(_sum),
        "ReduceSumSquare": _in_wider(_sum_square),
    }
)


@lower("ArgMax")
def argmax(x: torch.Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> torch.Tensor:
    """Return the int64 index of the first largest element along `axis`, or of the last one."""
    return _position(torch.argmax, x, axis, keepdims, select_last_index)


@lower("ArgMin")
def argmin(x: torch.Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> torch.Tensor:
    """Return the int64 index of the first smallest element along `axis`, or of the last one."""
    return _position(torch.argmin, x, axis, keepdims, select_last_index)


def _position(find: Callable[..., torch.Tensor], x: torch.Tensor, axis: int, keepdims: int, last: int) -> torch.Tensor:
    if last:
        return x.size(axis) - 1 - find(torch.flip(x, [axis]), axis, bool(keepdims))
    return find(x, axis, bool(keepdims))
