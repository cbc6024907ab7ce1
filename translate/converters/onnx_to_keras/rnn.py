"""Recurrent layers, with the parameters of PyTorch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from keras import layers, ops

from translate.converters.onnx_to_keras.build import builder
from translate.converters.onnx_to_keras.table import LAYERS, Array, Tensor, lower
from translate.errors import UnsupportedError


@lower("LSTM", domain=LAYERS)
def lstm(
    x: Tensor,
    h: Tensor | None = None,
    c: Tensor | None = None,
    *parameters: Tensor | Array,
    hidden_size: int,
    bidirectional: int = 0,
    bias: int = 1,
    num_layers: int = 1,
    batch_first: int = 0,
) -> tuple[Tensor, ...]:
    """Run a stack of torch.nn.LSTM on x [T, N, I], or [N, T, I] if `batch_first`; states are [D * layers, N, H].

    Keras has one bias, the sum of PyTorch's two.
    """
    config = {"units": hidden_size, "use_bias": bool(bias)}
    stack = Stack(layers.LSTM, _summed, config, bool(bidirectional), num_layers)
    return stack.run(x, [h, c], parameters, bool(batch_first))


@lower("GRU", domain=LAYERS)
def gru(
    x: Tensor,
    h: Tensor | None = None,
    *parameters: Tensor | Array,
    hidden_size: int,
    bidirectional: int = 0,
    bias: int = 1,
    num_layers: int = 1,
    batch_first: int = 0,
) -> tuple[Tensor, ...]:
    """Run a stack of torch.nn.GRU on x [T, N, I], or [N, T, I] if `batch_first`; the state is [D * layers, N, H]."""
    config = {"units": hidden_size, "use_bias": bool(bias), "reset_after": True}
    stack = Stack(layers.GRU, _gates, config, bool(bidirectional), num_layers)
    return stack.run(x, [h], parameters, bool(batch_first))


@lower("RNN", domain=LAYERS)
def rnn(
    x: Tensor,
    h: Tensor | None = None,
    *parameters: Tensor | Array,
    hidden_size: int,
    bidirectional: int = 0,
    bias: int = 1,
    num_layers: int = 1,
    batch_first: int = 0,
    nonlinearity: Literal["tanh", "relu"] = "tanh",
) -> tuple[Tensor, ...]:
    """Run a stack of torch.nn.RNN on x [T, N, I], or [N, T, I] if `batch_first`; the state is [D * layers, N, H].

    Keras has one bias, the sum of PyTorch's two.
    """
    config = {"units": hidden_size, "use_bias": bool(bias), "activation": nonlinearity}
    stack = Stack(layers.SimpleRNN, _summed, config, bool(bidirectional), num_layers)
    return stack.run(x, [h], parameters, bool(batch_first))


def _summed(kernel: Array, recurrent: Array, *biases: Array) -> list[Array]:
    """Return Keras's weights for PyTorch's; the gates have the same order."""
    return [kernel.T, recurrent.T, *([biases[0] + biases[1]] if biases else [])]


def _gates(kernel: Array, recurrent: Array, *biases: Array) -> list[Array]:
    """Return Keras's weights, with the gates in the order z r h, for PyTorch's, r z h."""

    def ordered(array: Array) -> Array:
        r, z, h = np.split(array, 3)
        return np.concatenate([z, r, h])

    return [ordered(kernel).T, ordered(recurrent).T, *([np.stack([ordered(one) for one in biases])] if biases else [])]


@dataclass(frozen=True)
class Stack:
    """Recurrent layers of one `kind`, each on what the one below returns."""

    kind: type[layers.Layer]
    store: Callable[..., list[Array]]
    config: dict[str, Any]
    bidirectional: bool
    count: int

    def run(
        self, x: Tensor, states: Sequence[Tensor | None], parameters: Sequence[Any], batch_first: bool
    ) -> tuple[Tensor, ...]:
        """Return all hidden states, and each of the last states of all layers and directions as one tensor."""
        y = x if batch_first else ops.transpose(x, (1, 0, 2))
        directions = 2 if self.bidirectional else 1
        share = len(parameters) // self.count
        lasts: list[list[Tensor]] = [[] for _ in states]
        for number in range(self.count):
            layer = builder().layer(
                _MAKE[self.kind, self.bidirectional],
                parameters[number * share : (number + 1) * share],
                partial(_both, self.store) if self.bidirectional else self.store,
                **self.config,
            )
            if layer is None:
                raise UnsupportedError("Keras's layers hold their weights alone, and others read these")
            given = [
                state[number * directions + direction]
                for direction in range(directions)
                for state in states
                if state is not None
            ]
            y, *ends = layer(y, initial_state=given) if given else layer(y)
            for place, end in enumerate(ends):
                lasts[place % len(states)].append(end)
        y = y if batch_first else ops.transpose(y, (1, 0, 2))
        return y, *(ops.stack(ends) for ends in lasts)


def _single(kind: type[layers.Layer], **config: Any) -> layers.Layer:
    return kind(return_sequences=True, return_state=True, **config)


def _bidirectional(kind: type[layers.Layer], *, name: str, trainable: bool, **config: Any) -> layers.Layer:
    config |= {"return_sequences": True, "return_state": True, "trainable": trainable}
    there, back = (kind(go_backwards=back, name="backward" if back else "forward", **config) for back in (False, True))
    return layers.Bidirectional(there, backward_layer=back, name=name, trainable=trainable)


_MAKE = {
    (kind, bidirectional): partial(make, kind)
    for kind in (layers.LSTM, layers.GRU, layers.SimpleRNN)
    for bidirectional, make in ((False, _single), (True, _bidirectional))
}


def _both(store: Callable[..., list[Array]], *parameters: Array) -> list[Array]:
    half = len(parameters) // 2
    return [*store(*parameters[:half]), *store(*parameters[half:])]
