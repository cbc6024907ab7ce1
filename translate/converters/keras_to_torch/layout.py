"""In which order a tensor's axes are, and what it takes to have them in another.

Keras puts channels last, PyTorch's layers want them second. Each tensor is held in one order, together with what that
order is; a layer says which one it needs, and a permutation is written where a tensor is held in another. Between two
convolutions there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from translate.converters.onnx_to_torch.values import static_size

# The axis of Keras's tensor that stands at each place.
Order: TypeAlias = tuple[int, ...]
# The order that a layer wants for a tensor of a number of axes; None where any will do, if all inputs have the same.
Layout: TypeAlias = Callable[[Any, int], Order | None]


class Flow:
    """A tensor of the Keras model: its `value` in PyTorch, the `order` of its axes, and its Keras mask [N, T]."""

    def __init__(self, value: Any, order: Order | None = None, mask: Any = None) -> None:
        self.order: Order = tuple(range(value.ndim)) if order is None else order
        self.mask = mask
        self._values = {self.order: value}

    @property
    def value(self) -> Any:
        """The tensor as it is held."""
        return self._values[self.order]

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.order)

    def ordered(self, order: Order) -> Any:
        """Return the tensor with its axes in `order`, permuted once however many ask for it."""
        if order not in self._values:
            self._values[order] = self.value.permute(*(self.order.index(axis) for axis in order))
        return self._values[order]


def shape_of(value: Any, order: Order, letters: str) -> str:
    """Return a shape as it is written, `[N, 64, H, W]`: for a size that is open the letter of Keras's axis."""
    sizes = [static_size(value, axis) for axis in range(value.ndim)]
    named = (letters[axis] if size is None else str(size) for axis, size in zip(order, sizes, strict=True))
    return f"[{', '.join(named)}]"


def identity(rank: int) -> Order:
    """Return Keras's own order."""
    return tuple(range(rank))


def channels_second(rank: int) -> Order:
    """Return the order [N, C, *spatial] of a tensor that Keras has as [N, *spatial, C]."""
    return identity(rank) if rank < 3 else (0, rank - 1, *range(1, rank - 1))


def as_keras(operation: Any, rank: int) -> Order:
    """Take tensors as Keras has them."""
    return identity(rank)


def channels_first(layer: Any, rank: int) -> Order:
    """Take tensors as [N, C, *spatial], by the layer's own `data_format`."""
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return identity(rank) if first else channels_second(rank)


def channels_first_video(layer: Any, rank: int) -> Order:
    """Take tensors as [N, T, C, *spatial], states as [N, C, *spatial], by the `data_format` of the layer's cell."""
    spatial = layer.cell.rank
    if layer.data_format == "channels_first" or rank < spatial + 2:
        return identity(rank)
    return channels_second(rank) if rank == spatial + 2 else (0, 1, rank - 1, *range(2, rank - 1))


def axis_second(layer: Any, rank: int) -> Order:
    """Take tensors with the layer's `axis` second."""
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    axis %= rank
    return (0, axis, *(other for other in range(1, rank) if other != axis))


def any_order(operation: Any, rank: int) -> None:
    """Take tensors in whatever order they are held."""


def common_order(flows: Iterable[Flow]) -> Order | None:
    """Return one order in which an operation that broadcasts can take all of `flows`; None for Keras's own.

    That is the order of most of them, and not Keras's where they are at odds.
    """
    tensors = [flow for flow in flows if flow.rank > 0]
    if len({flow.rank for flow in tensors}) != 1:
        return None
    orders = [flow.order for flow in tensors]
    return max(orders, key=lambda order: (orders.count(order), order != identity(len(order))))
