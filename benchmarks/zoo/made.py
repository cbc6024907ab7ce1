"""Layers of Keras as data: what to call, with what, without importing Keras."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Made:
    """A layer that is yet to be made; it reads like the code that makes it."""

    kind: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]

    def __str__(self) -> str:
        said = [_said(argument) for argument in self.arguments]
        said += [f"{name}={_said(value)}" for name, value in self.options.items()]
        return f"{self.kind}({', '.join(said)})"

    def build(self) -> Any:
        """Return the layer of `keras.layers`, with the layers inside it."""
        import keras

        arguments = [_built(argument) for argument in self.arguments]
        return getattr(keras.layers, self.kind)(
            *arguments, **{name: _built(value) for name, value in self.options.items()}
        )


class _Layers:
    """`keras.layers`, as far as the catalogue is concerned."""

    def __getattr__(self, kind: str) -> Callable[..., Made]:
        return lambda *arguments, **options: Made(kind, arguments, options)


L = _Layers()


@dataclass(frozen=True)
class Row:
    """A model of one layer.

    `shapes` are those of its inputs without the batch. Integers are below `integers`; with zero the inputs are
    float32. `call` are further arguments of the call; `before` is a layer that the first input goes through. Several
    inputs are given as a list, or each for itself (`separate`).
    """

    layer: Made
    shapes: tuple[tuple[int | None, ...], ...]
    integers: int = 0
    call: Mapping[str, Any] = field(default_factory=dict)
    before: Made | None = None
    separate: bool = False

    def __str__(self) -> str:
        """Name the layer, and of the rest what is out of the ordinary."""
        parts = [str(self.layer), *(f"{name}={_said(value)}" for name, value in self.call.items())]
        if self.before is not None:
            parts.append(f"after {self.before}")
        return " ".join(parts)

    def build(self) -> Any:
        """Return the Keras model, with random weights; variances are positive."""
        import keras
        import numpy as np

        keras.utils.set_random_seed(0)
        dtype = "int32" if self.integers else "float32"
        inputs = [keras.Input(shape, name=name, dtype=dtype) for shape, name in zip(self.shapes, "xyz", strict=False)]
        values = list(inputs)
        if self.before is not None:
            values[0] = self.before.build()(values[0])
        given = values if self.separate or len(values) == 1 else [values]
        model = keras.Model(inputs, self.layer.build()(*given, **self.call))
        generator = np.random.default_rng(0)
        for variable in model.weights:
            if variable.dtype == "float32":
                noise = generator.standard_normal(variable.shape) * 0.4
                variable.assign(np.abs(noise) + 0.5 if "variance" in variable.path else noise)
        return model


def _said(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_said, value))}]"
    return str(value) if isinstance(value, Made) else repr(value)


def _built(value: Any) -> Any:
    if isinstance(value, list):
        return [_built(each) for each in value]
    return value.build() if isinstance(value, Made) else value
