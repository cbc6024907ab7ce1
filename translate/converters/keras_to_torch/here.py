"""Where a row is at work: the layers and tensors that it makes, hung where its Keras layer is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import keras
import torch
from torch import nn

from translate.converters.keras_to_torch.functional import PRODUCTS, as_function, mixed
from translate.converters.keras_to_torch.layout import Flow, Order, identity
from translate.converters.keras_to_torch.stored import Stored, same
from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.values import Value, builder
from translate.models.tf_variables import numbers

if TYPE_CHECKING:
    from translate.converters.keras_to_torch.scope import Scope
    from translate.converters.keras_to_torch.walk import Walk


@dataclass(frozen=True)
class Here:
    """The call that is being translated: of `operation`, which hangs at `path`, with its tensors in `order`."""

    walk: Walk
    scope: Scope
    operation: Any
    path: str
    order: Order | None = None


_HERE: ContextVar[Here] = ContextVar("here")


def here() -> Here:
    """Return the call that is being translated."""
    return _HERE.get()


@contextmanager
def at(place: Here) -> Iterator[None]:
    """Make `place` the call that is being translated."""
    token = _HERE.set(place)
    try:
        yield
    finally:
        _HERE.reset(token)


def axis_here(axis: int, rank: int) -> int:
    """Return where the axis that Keras calls `axis` is, in the order in which the row has its tensors."""
    order = here().order
    axis %= rank
    return axis if order is None or len(order) != rank else order.index(axis)


def order_here(rank: int) -> Order:
    """Return the order in which the row has tensors of `rank` axes."""
    order = here().order
    return identity(rank) if order is None or len(order) != rank else order


def submodule(
    make: Callable[[], nn.Module],
    stored: Mapping[str, Stored | Any],
    *args: Any,
    part: str = "",
    **kwargs: Any,
) -> torch.Tensor:
    """Call the layer of PyTorch that `make` makes, which hangs where the Keras layer is, or there as its `part`.

    `stored` says by the names of its tensors which Keras variable is in them; None for one that it has not. It is made
    once, however often the Keras layer is called.
    """
    place = here()
    path = place.scope.path(place, part)
    key = id(place.operation), part
    made = place.walk.made.get(key)
    dtype = compute_dtype(place.operation)
    if made is None:
        made = make().eval()
        if type(made) in PRODUCTS and dtype not in (None, next(made.parameters()).dtype):
            made = mixed(made)
        place.walk.made[key] = made
        for name, value in stored.items():
            if value is not None:
                fill(made, name, value if isinstance(value, Stored) else same(value))
    place.scope.hang(path, made)
    # A layer whose weights have another dtype than it computes in, and of which there is no kind that takes that.
    other = type(made) in PRODUCTS and dtype not in (None, next(made.parameters()).dtype)
    if builder().parent is None and not other:
        return cast(torch.Tensor, builder().create_proxy("call_module", path, args, kwargs))
    tensors: dict[str, Any] = {
        name: place.scope.weight(f"{path}.{name}", tensor)
        for name, tensor in [*made.named_parameters(), *made.named_buffers()]
    }
    if isinstance(made, tuple(PRODUCTS)) and dtype is not None:
        tensors = {name: tensor if tensor.dtype is dtype else tensor.to(dtype) for name, tensor in tensors.items()}
    return cast(torch.Tensor, as_function(made, tensors, *args))


def compute_dtype(operation: Any) -> torch.dtype | None:
    """Return the dtype that a layer brings inputs and weights to, if they are floats; None where it takes any."""
    if not isinstance(operation, keras.Layer) or not operation.autocast:
        return None
    dtype = getattr(torch, operation.compute_dtype or "float32", None)
    return dtype if isinstance(dtype, torch.dtype) and dtype.is_floating_point else None


def made_before(part: str = "") -> nn.Module | None:
    """Return the layer that an earlier call of the same Keras layer made."""
    return here().walk.made.get((id(here().operation), part))


def fill(module: nn.Module, name: str, stored: Stored) -> None:
    """Put into the tensor `name` of `module` what the Keras variable holds."""
    tensor = tensor_of(stored)
    if name in module._parameters:
        # Set, not registered: recurrent layers keep a list of their own.
        setattr(module, name, nn.Parameter(tensor, requires_grad=bool(stored.variable.trainable)))
    else:
        module.register_buffer(name, tensor)
    here().walk.stored[id(getattr(module, name))] = stored


def tensor_of(stored: Stored) -> torch.Tensor:
    """Return a copy of what the variable holds."""
    return to_torch(stored.get(numbers(stored.variable)))


def parameter(name: str, stored: Stored | Any, *, buffer: bool = False, as_stored: bool = False) -> Any:
    """Return a tensor of its own, which hangs at the Keras layer's place as `name`.

    It comes in the dtype that the layer computes in, or with `as_stored` in that of the variable.
    """
    stored = stored if isinstance(stored, Stored) else same(stored)
    place = here()
    tensor = place.walk.tensors.get((id(stored.variable), name))
    if tensor is None:
        tensor = tensor_of(stored)
        if not buffer:
            tensor = nn.Parameter(tensor, requires_grad=bool(stored.variable.trainable))
        place.walk.tensors[id(stored.variable), name] = tensor
        place.walk.stored[id(tensor)] = stored
    weight = place.scope.weight(place.scope.path(place, name), tensor)
    dtype = compute_dtype(place.operation)
    if as_stored or dtype in (None, weight.dtype) or not weight.dtype.is_floating_point:
        return weight
    return weight.to(dtype)


def tensor_in(part: str, name: str) -> Any:
    """Return the tensor `name` of the layer that `submodule` made as `part`."""
    place = here()
    path = place.scope.path(place, part)
    return place.scope.weight(f"{path}.{name}", getattr(place.walk.made[id(place.operation), part], name))


def constant(name: str, array: Any) -> Any:
    """Return a buffer of its own, which hangs at the Keras layer's place as `name`."""
    place = here()
    tensor = place.walk.tensors.setdefault((id(place.operation), name), to_torch(array).clone())
    return place.scope.weight(place.scope.path(place, name), tensor)


def apply(operation: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
    """Call another Keras layer, which is a part of this one, on values in the row's order; return values likewise."""
    place = here()

    def flow(value: Any) -> Any:
        return Flow(value, order_here(value.ndim), mask) if isinstance(value, Value) else value

    given = keras.tree.map_structure(flow, list(args)), keras.tree.map_structure(flow, kwargs)
    result = place.walk.apply(place.scope, operation, *given, within=place.path)
    return keras.tree.map_structure(lambda one: one.ordered(order_here(one.rank)), result)
