"""A Keras functional model under construction: its layers, the weights that they hold, and the sizes that are open."""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from keras import KerasTensor, layers, ops

from translate.converters.onnx_to_keras.worlds import Array, Size, Worlds, fixed
from translate.errors import UnsupportedError

# A constant of more bytes is stored beside the weights: the file holds constants of operations as text.
_LARGEST_CONSTANT = 2**14


@dataclass(frozen=True, eq=False)
class Weight:
    """A weight of the source: `role` says whether a layer may hold it as its own.

    "own": it has one kind of reader only. "tied": embeddings are looked up in it, and what is multiplied by its
    transpose. "shared": several kinds of readers have it, and so none.
    """

    value: ir.Value
    trainable: bool
    role: str

    @property
    def name(self) -> str:
        """Its name in the source."""
        return str(self.value.name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of its axes, in the order in which the passes store them."""
        assert self.value.const_value is not None
        return tuple(self.value.const_value.shape.numpy())

    @property
    def dtype(self) -> str:
        """Keras's name of its dtype."""
        assert self.value.const_value is not None
        return str(self.value.const_value.dtype.numpy().name)

    def numpy(self) -> Array:
        """Return its numbers."""
        assert self.value.const_value is not None
        return self.value.const_value.numpy()


@dataclass(frozen=True, eq=False)
class Sizes:
    """Numbers that follow from open sizes: what they are in each world, and how to compute them as a tensor."""

    worlds: tuple[Array, ...]
    compute: Callable[[], KerasTensor]

    def entries(self) -> list[Size]:
        """Return each number, of a vector, as it is in the worlds."""
        return [
            tuple(int(number) for number in numbers) for numbers in zip(*(w.ravel() for w in self.worlds), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Origin:
    """What a tensor was before it was reshaped, the sizes of that, and those that the tensor has itself."""

    tensor: Any
    sizes: Sequence[Size]
    after: Sequence[Size]


class Builder:
    """What the lowerings share while one model is built."""

    def __init__(self, inputs: Sequence[KerasTensor], worlds: Worlds, names: Sequence[str]) -> None:
        self.worlds = worlds
        self._inputs = inputs
        # Names that are given away, in lower case: files of weights may lie on systems that do not tell cases apart.
        self._names = {name.lower() for name in names}
        # Layers that are called after the source's.
        self.named: list[layers.Layer] = []
        # By the identity of what they hold, which is kept alive beside them.
        self._layers: dict[Any, tuple[layers.Layer, Any]] = {}
        self._held: dict[int, tuple[KerasTensor, Any]] = {}
        self._ones: dict[Any, KerasTensor] = {}
        self._origins: dict[int, tuple[Any, Origin]] = {}
        # Where a tensor is that has an open size.
        self._places: dict[Size, tuple[KerasTensor, int]] = {}

    def origin(self, x: Any) -> Origin | None:
        """Return what tensor `x` was made of by nothing but reshaping."""
        found = self._origins.get(id(x))
        return None if found is None else found[1]

    def keep_origin(self, x: Any, sizes: Sequence[Size], origin: Any, before: Sequence[Size]) -> None:
        """Note that `x`, of the given sizes, is `origin`, which had those `before`."""
        if x is not origin:
            self._origins[id(x)] = x, Origin(origin, before, sizes)

    def unique(self, name: str) -> str:
        """Return a name for a layer like that of a weight's place in the source, `layer1.0.conv1`."""
        base = re.sub(r"\W+", "_", name).strip("_") or "layer"
        names = itertools.chain([base], (f"{base}_{number}" for number in itertools.count(1)))
        chosen = next(name for name in names if name.lower() not in self._names)
        self._names.add(chosen.lower())
        return chosen

    def found(self, value: ir.Value, tensor: KerasTensor) -> None:
        """Note the open sizes of `tensor`, which `value` became."""
        for axis, size in enumerate(self.worlds.shape(value) or ()):
            if fixed(size) is None and None not in size and len(tensor.shape or ()) > axis:
                self._places.setdefault(size, (tensor, axis))

    def layer(
        self,
        make: Callable[..., layers.Layer],
        weights: Sequence[Weight | Array | None],
        store: Callable[..., Sequence[Array]],
        **config: Any,
    ) -> Callable[..., Any] | None:
        """Return the layer that `make(**config)` makes for `weights`; None where it may not hold them.

        `store` brings the weights into the form and order of the layer's. The same weights make the same layer.
        """
        own = [weight for weight in weights if isinstance(weight, Weight)]
        given = [weight for weight in weights if weight is not None]
        if not own or any(weight.role != "own" for weight in own):
            return None
        kinds = {weight.trainable for weight in own} | ({False} if len(own) < len(given) else set())
        return None if len(kinds) > 1 else self._made(make, given, store, kinds.pop(), config)

    def normalization(
        self,
        make: Callable[..., layers.Layer],
        learned: Sequence[Weight | Array | None],
        statistics: Sequence[Weight | Array],
        **config: Any,
    ) -> Callable[..., Any] | None:
        """Return a layer that learns `learned` and counts `statistics`, as `layer` does."""
        own = [weight for weight in learned if isinstance(weight, Weight)]
        every = [weight for weight in (*learned, *statistics) if weight is not None]
        if any(isinstance(weight, Weight) and weight.role != "own" for weight in every):
            return None
        kinds = {weight.trainable for weight in own} | (
            {False} if len(own) < sum(w is not None for w in learned) else set()
        )
        return None if len(kinds) > 1 else self._made(make, every, lambda *a: a, kinds == {True} or not kinds, config)

    def tied(self, weight: Weight) -> Any:
        """Return the layer that looks up in `weight` [rows, size] and multiplies by its transpose."""
        rows, size = weight.shape
        config = {"input_dim": rows, "output_dim": size}
        return self._made(layers.ReversibleEmbedding, [weight], lambda w: [w], weight.trainable, config)

    def _made(
        self,
        make: Callable[..., layers.Layer],
        weights: Sequence[Weight | Array],
        store: Callable[..., Sequence[Array]],
        trainable: bool,
        config: Mapping[str, Any],
    ) -> Callable[..., Any]:
        key = make, tuple(map(id, weights)), repr(config)
        if key not in self._layers:
            own = [weight for weight in weights if isinstance(weight, Weight)]
            name = self.unique(_place(own)) if own else None
            dtype = own[0].dtype if own else str(np.asarray(weights[0]).dtype)
            self._layers[key] = make(name=name, dtype=dtype, trainable=trainable, **config), weights
            if own:
                self.named.append(self._layers[key][0])
        layer, _ = self._layers[key]

        def call(*inputs: Any, **options: Any) -> Any:
            fresh = not layer.built
            result = layer(*inputs, **options)
            if fresh:
                layer.set_weights(
                    [np.ascontiguousarray(array) for array in store(*(_numpy(weight) for weight in weights))]
                )
            return result

        return call

    def tensor(self, value: Any) -> Any:
        """Return `value` as a tensor, or as a constant that Keras's operations take like one."""
        if isinstance(value, Sizes):
            return value.compute()
        if not isinstance(value, Weight | np.ndarray):
            return value
        array = _numpy(value)
        trainable = isinstance(value, Weight) and value.trainable
        if not trainable and array.nbytes <= _LARGEST_CONSTANT:
            return array
        if id(value) not in self._held:
            # Layers hold real numbers.
            stored = array.astype(np.float32) if array.dtype.kind in "iub" else array
            if not np.array_equal(stored, array, equal_nan=stored is array):
                return array
            held = self._hold(value.name if isinstance(value, Weight) else "constant", stored, trainable)
            self._held[id(value)] = held if stored is array else ops.cast(held, array.dtype.name), value
        return self._held[id(value)][0]

    def _hold(self, name: str, array: Array, trainable: bool) -> KerasTensor:
        """Return `array` as what a layer computes that has it as its kernel: the product of a one and the kernel."""
        dtype = array.dtype.name
        leading = array.ndim > 0 and array.shape[0] == 1
        sizes = array.shape[1:] if leading else array.shape
        letters = string.ascii_lowercase[: len(sizes)]
        one = ops.reshape(self.one(dtype), (1, 1))
        if not sizes:
            layer = layers.Dense(1, use_bias=False, name=self.unique(name), dtype=dtype, trainable=trainable)
        else:
            layer = layers.EinsumDense(
                f"yz,z{letters}->y{letters}",
                output_shape=sizes,
                name=self.unique(name),
                dtype=dtype,
                trainable=trainable,
            )
        self.named.append(layer)
        held = layer(one)
        layer.set_weights([array.reshape(layer.weights[0].shape)])
        return ops.reshape(held, array.shape)

    def one(self, dtype: str) -> KerasTensor:
        """Return a scalar one, which does not depend on what the inputs hold."""
        if dtype not in self._ones:
            if not self._inputs:
                raise UnsupportedError("a Keras model has inputs, and this one has none")
            self._ones[dtype] = ops.add(ops.cast(ops.sum(ops.zeros_like(self._inputs[0], dtype="int32")), dtype), 1)
        return self._ones[dtype]

    def ones(self, size: Size) -> KerasTensor:
        """Return a vector of ones (int32) of an open size, made of a tensor that has an axis of it.

        Raises `UnsupportedError` where no tensor has.
        """
        if size not in self._ones:
            self._ones[size] = self._make_ones(size)
        return self._ones[size]

    def _make_ones(self, size: Size) -> KerasTensor:
        known = fixed(size)
        if known is not None:
            return ops.cast(ops.multiply(self.one("int32"), np.ones(known, np.int32)), "int32")
        if size in self._places:
            tensor, axis = self._places[size]
            line = tensor[tuple(slice(None) if i == axis else 0 for i in range(len(tensor.shape)))]
            return ops.ones_like(line, dtype="int32")
        if None not in size:
            for one in self._places:
                rest = tuple(whole - part for whole, part in zip(size, one, strict=True) if whole and part)
                if len(rest) == len(size) and min(rest) >= 0 and (rest in self._places or fixed(rest) is not None):
                    return ops.concatenate([self.ones(one), self.ones(rest)])
                if len(rest) == len(size) and fixed(rest) is not None:
                    return self.ones(one)[: rest[0]]
        raise UnsupportedError("a size is computed that no tensor has")

    def count(self, size: Size) -> KerasTensor:
        """Return an open size as a scalar (int64)."""
        return ops.sum(ops.cast(self.ones(size), "int64"))

    def positions(self, size: Size) -> Any:
        """Return 0, 1, 2, ... (int64) up to a size."""
        known = fixed(size)
        if known is not None:
            return np.arange(known)
        return ops.subtract(ops.cumsum(ops.cast(self.ones(size), "int64")), 1)


def _place(weights: Sequence[Weight]) -> str:
    """Return where the weights of a layer are in the source: `layer1.0.conv1`."""
    first = re.split(r"[./:]", weights[0].name)
    parts = [re.split(r"[./:]", weight.name) for weight in weights]
    shared = 0
    while shared < min(map(len, parts)) and len({one[shared] for one in parts}) == 1:
        shared += 1
    return "_".join(first[: min(shared, len(first) - 1)] or first)


def _numpy(weight: Weight | Array) -> Array:
    return weight.numpy() if isinstance(weight, Weight) else weight


_CURRENT: ContextVar[Builder] = ContextVar("builder")


def builder() -> Builder:
    """Return what the lowerings that are called now build with."""
    return _CURRENT.get()


@contextmanager
def building(builder: Builder) -> Iterator[None]:
    """Let `builder` be the current one."""
    token = _CURRENT.set(builder)
    try:
        yield
    finally:
        _CURRENT.reset(token)
