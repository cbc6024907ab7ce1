"""PyTorch without chance: every random draw gives one known number, so that models in train mode can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from translate.errors import UsageError

_aten: Any = torch.ops.aten
_MIDDLE = 0.5


@contextmanager
def fixed_draws() -> Iterator[None]:
    """Let what may happen do so, and make uniform numbers the middle, normal ones the mean and one deviation more.

    So dropout drops nothing but still divides by the share that it keeps. TensorFlow does the same in
    `onnx_to_tf.draws.FixedDraws`. A draw that neither knows raises `UsageError` in the call.
    """
    with _FixedDraws():  # type: ignore[no-untyped-call]
        yield


class _FixedDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        kind = func.overloadpacket
        if kind is _aten.native_dropout:
            return _dropout(*args)
        if kind in (_aten.bernoulli, _aten.bernoulli_):
            x, *rest = args
            # Arguments that are the default do not come here.
            default = 0.5 if func is _aten.bernoulli_.float else x
            happens = torch.as_tensor(rest[0] if rest else kwargs.get("p", default), device=x.device) > 0
            result = happens.to(x.dtype).expand(x.shape)
            return x.copy_(result) if kind is _aten.bernoulli_ else result.clone()
        if kind is _aten.uniform_:
            low, high = _limits(args[1:], kwargs, ("from", "to"))
            return args[0].fill_((low + high) * _MIDDLE)
        if kind is _aten.normal_:
            mean, deviation = _limits(args[1:], kwargs, ("mean", "std"))
            return args[0].fill_(mean + deviation)
        if kind in (_aten.rand, _aten.randn):
            return torch.full(args[0], _MIDDLE if kind is _aten.rand else 1.0, **_placement(kwargs))
        if kind in (_aten.rand_like, _aten.randn_like):
            return torch.full_like(args[0], _MIDDLE if kind is _aten.rand_like else 1.0, **_placement(kwargs))
        if torch.Tag.nondeterministic_seeded in func.tags and _may_drop(func, args, kwargs):
            raise UsageError(f"{func} draws random numbers that have no counterpart in TensorFlow here")
        return func(*args, **kwargs)


def _dropout(x: torch.Tensor, p: float, train: bool | None = True) -> tuple[torch.Tensor, torch.Tensor]:
    kept = torch.full_like(x, p < 1 or not train, dtype=torch.bool)
    return (x / (1 - p) if train and p < 1 else x * kept), kept


def _may_drop(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a kernel that draws does so in this call: one of attention does not where it drops nothing."""
    places = {argument.name: place for place, argument in enumerate(func._schema.arguments)}
    if "dropout_p" not in places:
        return True
    place = places["dropout_p"]
    return bool(args[place] if place < len(args) else kwargs.get("dropout_p", 0.0))


def _limits(args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, str]) -> tuple[float, float]:
    given = dict(zip(names, args, strict=False)) | kwargs
    return float(given.get(names[0], 0.0)), float(given.get(names[1], 1.0))


def _placement(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in kwargs.items() if name not in ("generator", "names")}
