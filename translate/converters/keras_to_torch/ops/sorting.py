"""Operations that order numbers, or ask where they are among others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from translate.converters.keras_to_torch.ops.dtypes import alike, as_tensors, axes_of, floating
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import Value, record
from translate.errors import UnsupportedError


@lower("Sort", part="ops")
def sort(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Sort along an axis."""
    x, axis = (x.flatten(), 0) if op.axis is None else (x, op.axis)
    return torch.sort(x, dim=axis)[0]


@lower("Argsort", part="ops")
def argsort(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return which elements come one after the other when they are sorted; of equals, the first is first."""
    x, axis = (x.flatten(), 0) if op.axis is None else (x, op.axis)
    return torch.argsort(x, dim=axis, stable=True)


@lower("TopK", part="ops")
def top_k(op: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the k largest elements of the last axis, and where they are; of equals, the first ones."""
    # torch.topk does not say which of equal elements it takes; a stable sort does.
    values, positions = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[..., : op.k], positions[..., : op.k]


@lower("InTopK", part="ops")
def in_top_k(op: Any, targets: torch.Tensor, *, predictions: torch.Tensor) -> Any:
    """Say whether less than k predictions [N, C] are larger than that of the target [N]."""
    own = torch.gather(predictions, 1, targets.to(torch.int64).unsqueeze(1))
    return torch.sum(predictions > own, 1) < op.k


def _quantile(function: Callable[..., torch.Tensor], op: Any, x: torch.Tensor, q: Any) -> torch.Tensor:
    axes = axes_of(op.axis, x.ndim)
    x = floating(x)
    rest = x.ndim - len(axes)
    # What the quantile is of, as one axis at the end.
    flat = torch.movedim(x, axes, list(range(rest, x.ndim))) if axes != list(range(rest, x.ndim)) else x
    flat = flat.flatten(rest) if len(axes) > 1 else flat
    y = function(flat, q, dim=-1, interpolation=getattr(op, "method", "linear"))
    if op.keepdims:
        before = y.ndim - rest
        for axis in axes:
            y = y.unsqueeze(axis + before)
    return y


def _fractions(q: Any, x: torch.Tensor, whole: float) -> Any:
    """Return which quantiles are asked for, between 0 and 1: a number or a tensor of the dtype of x."""
    if isinstance(q, Value):
        shares: Any = q.to(x.dtype)
        return shares / whole if whole != 1 else shares
    if isinstance(q, list | tuple):
        return record(torch.tensor, [one / whole for one in q], dtype=x.dtype)
    return q / whole


@lower("Median", part="ops")
def median(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the number in the middle, or half way between the two that are."""
    return _quantile(torch.quantile, op, x, 0.5)


@lower("Nanmedian", part="ops")
def nanmedian(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Return the number in the middle of those that are not NaN."""
    return _quantile(torch.nanquantile, op, x, 0.5)


@lower("Quantile", "Nanquantile", part="ops")
def quantile(op: Any, x: torch.Tensor, *, q: Any) -> torch.Tensor:
    """Return the numbers that are larger than shares of the others.

    Limits: of `quantile`, the method "linear".
    """
    if type(op).__name__ == "Quantile":
        if op.method != "linear":
            raise UnsupportedError("a method that Keras follows in custom layers and forgets in functional models")
        return _quantile(torch.quantile, op, x, _fractions(q, floating(x), 1))
    return _quantile(torch.nanquantile, op, x, _fractions(q, floating(x), 1))


@lower("Percentile", "Nanpercentile", part="ops")
def percentile(op: Any, x: torch.Tensor, *, q: Any) -> torch.Tensor:
    """Return the numbers that are larger than so many of a hundred others."""
    function = torch.quantile if type(op).__name__ == "Percentile" else torch.nanquantile
    return _quantile(function, op, x, _fractions(q, floating(x), 100))


@lower("SearchSorted", part="ops", own_dtype=True)
def search_sorted(op: Any, sorted_sequence: torch.Tensor, *, values: Any) -> torch.Tensor:
    """Say at which places numbers would be put into a sorted sequence."""
    (values,) = as_tensors(values)
    return torch.searchsorted(*alike(sorted_sequence, values), right=op.side == "right", out_int32=True)


@lower("Digitize", part="ops")
def digitize(op: Any, x: torch.Tensor, *, bins: Any) -> torch.Tensor:
    """Say between which boundaries a number is."""
    if not isinstance(bins, Value):
        bins = record(torch.tensor, [float(one) for one in bins])
    return torch.bucketize(x, bins, right=True)


@lower("IsIn", part="ops")
def is_in(op: Any, x1: Any, *, x2: Any) -> torch.Tensor:
    """Say which numbers are among others."""
    return torch.isin(*alike(*as_tensors(x1, x2)), invert=bool(op.invert))


@lower("Bincount", part="ops")
def bincount(op: Any, x: torch.Tensor) -> torch.Tensor:
    """Count how often each number is there, along the last axis.

    Limits: no weights.
    """
    if op.weights is not None or op.sparse:
        raise UnsupportedError("weights, or a sparse result")
    count = torch.clamp(torch.amax(x) + 1, min=op.minlength).item()
    return torch.sum(x.unsqueeze(-1) == record(torch.arange, count), -2)


@lower("Histogram", part="ops")
def histogram(op: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Count the numbers in bins of one width; return the counts and the edges."""
    low, high = (torch.amin(x), torch.amax(x)) if op.range is None else op.range
    inside = (x >= low) & (x <= high)
    edges = low + (high - low) * (record(torch.arange, op.bins + 1) / op.bins)
    edges = edges.to(x.dtype)
    places = torch.searchsorted(edges[1:-1], x, right=True)
    hot = (places.unsqueeze(-1) == record(torch.arange, op.bins)) & inside.unsqueeze(-1)
    return torch.sum(hot.flatten(0, -2), 0), edges


@lower("Unique", part="ops")
def unique(op: Any, x: torch.Tensor) -> Any:
    """Return the distinct elements in ascending order, and perhaps which one each is and how often each is there.

    Limits: sorted, in their number, without their first places.
    """
    if op.size is not None or op.return_index or not op.sorted:
        raise UnsupportedError("a number of elements that is given, their first places, or no order")
    flat, axis = (x.flatten(), 0) if op.axis is None else (x, op.axis % x.ndim)
    y, which, counts = torch.unique(flat, sorted=True, return_inverse=True, return_counts=True, dim=axis)
    results = [y]
    if op.return_inverse:
        results.append(which.reshape(x.shape) if op.axis is None else which)
    if op.return_counts:
        results.append(counts)
    return tuple(results) if len(results) > 1 else y
