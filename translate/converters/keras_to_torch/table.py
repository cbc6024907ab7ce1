"""The table of Keras's layers and operations: class → one small function that says it in PyTorch.

A row is plain PyTorch code. It is called with the layer and with `Value`s (`onnx_to_torch/values.py`), which write
down what is done with them; its parameters have the names that Keras's `call` gives them, the first one excepted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from translate.converters.keras_to_torch.layout import Layout, as_keras
from translate.converters.keras_to_torch.not_done import NOT_DONE, NOT_DONE_OPERATIONS

Function = TypeVar("Function", bound=Callable[..., Any])

# Where Keras defines what can be a node of its graphs, and what we call the part.
_PARTS = {"keras.src.layers.": "layers", "keras.src.ops.": "ops", "keras.src.activations.": "activations"}


@dataclass(frozen=True)
class Row:
    """How one class of Keras is said in PyTorch.

    `layout` is the order of axes in which it takes its inputs and gives its outputs. `mask` computes the masks of its
    outputs from the layer, the mask that came with its input and the `Flow`s of its inputs; without it the mask is
    handed on as Keras's base layer does. `own` says of a layer and the names of the tensors that it is called with
    whether that makes a module of its own, with several layers in it. `drops_masks` is said of the layer that takes the
    masks off its inputs, so that no layer after it sees them. `own_dtype` is said of the operation that returns another
    dtype than Keras's symbolic tensors say.
    """

    part: str
    name: str
    function: Callable[..., Any]
    layout: Layout
    mask: Callable[..., Any] | None
    own: Callable[[Any, Collection[str]], bool] | None
    drops_masks: bool
    own_dtype: bool

    @property
    def limits(self) -> str:
        """The text after "Limits:" in the function's docstring: what this row refuses."""
        return (self.function.__doc__ or "").partition("Limits:")[2].strip()


class Table:
    """All rows, and the reasons why others are not there."""

    def __init__(self) -> None:
        self.not_done = dict(NOT_DONE)
        self.not_done_operations = dict(NOT_DONE_OPERATIONS)
        self._rows: dict[tuple[str, str], Row] = {}

    def lower(
        self,
        *names: str,
        part: str = "layers",
        layout: Layout = as_keras,
        mask: Callable[..., Any] | None = None,
        own: Callable[[Any, Collection[str]], bool] | None = None,
        drops_masks: bool = False,
        own_dtype: bool = False,
    ) -> Callable[[Function], Function]:
        """Register the decorated function as the row of the classes called `names`.

        Raises `ValueError` when there is such a row already.
        """

        def register(function: Function) -> Function:
            for name in names:
                if (part, name) in self._rows:
                    raise ValueError(f"{part}.{name} is in the table twice")
                self._rows[part, name] = Row(part, name, function, layout, mask, own, drops_masks, own_dtype)
            return function

        return register

    def __iter__(self) -> Iterator[Row]:
        return (self._rows[key] for key in sorted(self._rows))

    def find(self, operation: Any) -> Row | None:
        """Return the row of the class of `operation`, Keras's own; somebody's subclass has none."""
        kind = type(operation)
        part = next((part for place, part in _PARTS.items() if kind.__module__.startswith(place)), "")
        return self._rows.get((part, kind.__name__))


TABLE = Table()
lower = TABLE.lower
