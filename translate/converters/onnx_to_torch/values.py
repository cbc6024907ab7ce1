"""The values that lowerings compute with: fx proxies that know dtype and sizes.

A lowering is plain PyTorch code. It is called with `Value`s, which write down every torch function, method and operator
that is applied to them, in the graph of the builder that is recording. A `Value` has `dtype`, `ndim` and `shape` like
a tensor; a size that is not known while translating is a `Value`, too: it stands for an int and reads `x.size(axis)`
in the code.
"""

from __future__ import annotations

import inspect
import operator
import types
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from translate.errors import UnsupportedError

if TYPE_CHECKING:
    from translate.converters.onnx_to_torch.builder import Builder

# Functions that make a tensor out of nothing, on a device that has to be said.
_FACTORIES = frozenset(
    {torch.arange, torch.empty, torch.eye, torch.full, torch.ones, torch.tensor, torch.zeros}
    | {torch.rand, torch.randn, torch.hann_window, torch.hamming_window, torch.blackman_window}
)


class _Dead:
    """Stands for the values of a world in which a call failed."""


DEAD = _Dead()

# The builder that is recording; none while constants are evaluated.
CURRENT: ContextVar[Builder | None] = ContextVar("builder", default=None)


class Value(fx.Proxy):
    """A tensor, or a number, that the translated model computes."""

    __array_ufunc__ = None

    def __init__(self, node: fx.Node) -> None:
        self.__dict__["node"] = node

    @property
    def tracer(self) -> Builder:  # type: ignore[override]  # fx's attribute; here whoever records at the moment
        """The builder that records what is done with the value now, which may be that of a branch."""
        return builder()

    @property
    def worlds(self) -> tuple[Any, ...]:
        """The value in each world: a meta tensor, a number, a tuple of them, or `DEAD`."""
        return tuple(self.__dict__["node"].meta["worlds"])

    @property
    def example(self) -> Any:
        """The value in the first world that is left."""
        return next(world for world in self.worlds if world is not DEAD)

    @property
    def dtype(self) -> torch.dtype:
        """The element type."""
        return self.example.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        ranks = {world.ndim for world in self.worlds if world is not DEAD}
        if len(ranks) > 1:
            raise UnsupportedError("the number of axes depends on the sizes of the inputs")
        return int(ranks.pop())

    @property
    def shape(self) -> tuple[Any, ...]:
        """The size of each axis: an int where it is known, a `Value` where it is not."""
        return tuple(self.size(axis) for axis in range(self.ndim))

    @property
    def device(self) -> Any:
        """Where the model computes."""
        return builder().device

    def size(self, axis: int) -> Any:
        """Return the size of an axis: an int where it is known, a `Value` where it is not."""
        known = static_size(self, axis)
        return builder().size(self, axis % self.ndim) if known is None else known

    def dim(self) -> int:
        """Return the number of axes."""
        return self.ndim

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.example, torch.Tensor):
            raise UnsupportedError("a computed tensor cannot be taken apart element by element")
        return (self[i] for i in range(len(self.example)))

    def __getitem__(self, index: Any) -> Any:
        return builder().create_proxy("call_function", operator.getitem, (self, index), {})

    def __len__(self) -> int:
        if isinstance(self.example, tuple | list):
            return len(self.example)
        raise UnsupportedError("the length of a computed tensor is not known")

    def __bool__(self) -> bool:
        raise UnsupportedError("what is translated here depends on a computed value")

    def __index__(self) -> int:
        raise UnsupportedError("a number must be known when the model is translated, but is computed")

    def __repr__(self) -> str:
        return f"Value({self.example})"

    @classmethod
    def __torch_function__(cls, function: Any, kinds: Any, args: Any = (), kwargs: dict[str, Any] | None = None) -> Any:
        """Record the call of a torch function."""
        if torch.overrides.is_tensor_method_or_property(function):
            return builder().create_proxy("call_method", function.__name__, args, kwargs or {})
        return builder().create_proxy("call_function", function, args, _given(function, kwargs or {}))


def _given(function: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the defaults, all of which functions that are written in Python hand on."""
    parameters = inspect.signature(function).parameters if isinstance(function, types.FunctionType) else {}
    return {
        name: value for name, value in kwargs.items() if name not in parameters or value is not parameters[name].default
    }


class Weight(Value):
    """A tensor that the translated model holds; it appears in the graph when something reads it.

    `path` is its name in the model, `readers` counts the nodes of the source that read it, `keep` says that it must
    stay what it is: its name, its axes, a parameter or a buffer.
    """

    path: str
    tensor: torch.Tensor
    readers: int
    keep: bool

    def __init__(self, path: str, tensor: torch.Tensor, readers: int = 1, keep: bool = False) -> None:
        self.__dict__.update(path=path, tensor=tensor, readers=readers, keep=keep, _example=tensor.detach().to("meta"))

    @property
    def node(self) -> fx.Node:  # type: ignore[override]
        """The node that reads it, in the graph under construction."""
        return builder().node_of(self)

    @property
    def worlds(self) -> tuple[Any, ...]:
        """The same in every world."""
        return (self.__dict__["_example"],) * len(builder().sizes)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value


def builder() -> Builder:
    """Return the builder that is recording."""
    current = CURRENT.get()
    assert current is not None, "nothing is recording"
    return current


def is_recording() -> bool:
    """Say whether a graph is under construction; otherwise lowerings compute at once."""
    return CURRENT.get() is not None


def record(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function of torch that would not notice by itself that it has to be recorded.

    That is the case where no argument is a tensor: `record(torch.arange, length)`. What is made from nothing is made
    on the device of the model's first input.
    """
    if not is_recording():
        return function(*args, **kwargs)
    if function in _FACTORIES and builder().device is not None:
        kwargs["device"] = builder().device
    return builder().create_proxy("call_function", function, args, kwargs)


def static_size(x: Any, axis: int) -> int | None:
    """Return the size of an axis of `x`, None where it is not known while translating."""
    if not isinstance(x, Value):
        return int(x.shape[axis])
    sizes = {int(world.shape[axis]) for world in x.worlds if world is not DEAD}
    return sizes.pop() if len(sizes) == 1 else None
