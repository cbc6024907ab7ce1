"""Dtypes that PyTorch lacks kernels for: the operator is computed in a wider dtype and brought back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from translate.converters.onnx_to_torch.values import Value

Function = TypeVar("Function", bound=Callable[..., Any])

# Every value of the first is a value of the second. The exception is uint64, which has no wider integer: as int64 it
# keeps its bits, so that sums, differences, products and left shifts are right (modulo 2^64).
WIDER = {
    torch.bool: torch.int32,
    torch.int8: torch.int32,
    torch.int16: torch.int32,
    torch.uint8: torch.int32,
    torch.uint16: torch.int32,
    torch.uint32: torch.int64,
    torch.uint64: torch.int64,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float8_e4m3fn: torch.float32,
    torch.float8_e4m3fnuz: torch.float32,
    torch.float8_e5m2: torch.float32,
    torch.float8_e5m2fnuz: torch.float32,
    torch.float8_e8m0fnu: torch.float32,
}

FLOAT8 = (
    torch.float8_e4m3fn,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2,
    torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
)
HALVES = (torch.float16, torch.bfloat16, *FLOAT8)
# uint8 has kernels for everything; the wider ones hardly for anything.
UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
SMALL_INTEGERS = (torch.int8, torch.int16, torch.uint8, torch.uint16)


def _dtype(x: Any) -> Any:
    # A value of the graph may stand for a number.
    return getattr(x.example if isinstance(x, Value) else x, "dtype", None)


def widen(x: Any, *dtypes: torch.dtype) -> Any:
    """Return `x` in a wider dtype if it is a tensor of one of `dtypes`, else `x` as it is."""
    return x.to(WIDER[x.dtype]) if _dtype(x) in dtypes else x


def widened(*dtypes: torch.dtype) -> Callable[[Function], Function]:
    """Make a function of tensors compute in a wider dtype where an argument has one of `dtypes`.

    All tensors of `dtypes` among the positional arguments are widened, and results that come out in the wider dtype of
    the first of them are brought back to its own. Usable as a decorator under `@lower` and as
    `widened(torch.uint32)(torch.pow)(x, y)`. Functions whose results have a dtype of their own (indices) call `widen`.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def wide(*inputs: Any, **attributes: Any) -> Any:
            narrow = next((x.dtype for x in inputs if _dtype(x) in dtypes), None)
            if narrow is None:
                return function(*inputs, **attributes)
            results = function(*(widen(x, *dtypes) for x in inputs), **attributes)
            if isinstance(results, tuple):
                return tuple(_narrowed(result, narrow) for result in results)
            return _narrowed(results, narrow)

        return wide  # type: ignore[return-value]

    return decorate


def _narrowed(result: Any, dtype: torch.dtype) -> Any:
    return result.to(dtype) if _dtype(result) == WIDER[dtype] else result
