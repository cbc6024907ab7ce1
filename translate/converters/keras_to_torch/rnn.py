"""Recurrent layers on sequences [N, T, C]: PyTorch's own where Keras's are the same, else step by step."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import torch
from torch import nn

from translate.converters.keras_to_torch.cells import Cell, cell_of, loop
from translate.converters.keras_to_torch.conv_lstm import conv_lstm_cell
from translate.converters.keras_to_torch.core import dtype_of
from translate.converters.keras_to_torch.here import apply, constant, here, submodule
from translate.converters.keras_to_torch.layout import Order, channels_first_video, identity
from translate.converters.keras_to_torch.modules import keep_states, pack_steps, unpack_steps
from translate.converters.keras_to_torch.stored import Stored, added, gates
from translate.converters.keras_to_torch.table import lower
from translate.converters.onnx_to_torch.values import record
from translate.errors import UnsupportedError

# Which of Keras's gates each of PyTorch's is: i f g o of i f c o, r z n of z r h.
_GATES = {keras.layers.LSTM: (0, 1, 2, 3), keras.layers.GRU: (1, 0, 2), keras.layers.SimpleRNN: (0,)}
_MODULES: dict[Any, Any] = {keras.layers.LSTM: nn.LSTM, keras.layers.GRU: nn.GRU, keras.layers.SimpleRNN: nn.RNN}


def _is_native(layer: Any) -> bool:
    """Say whether torch.nn has the layer."""
    if type(layer) not in _MODULES or layer.cell.recurrent_dropout:
        return False
    if layer.compute_dtype != layer.variable_dtype:
        return False
    if isinstance(layer, keras.layers.SimpleRNN):
        return layer.activation in (keras.activations.tanh, keras.activations.relu)
    usual = (layer.activation, layer.recurrent_activation) == (keras.activations.tanh, keras.activations.sigmoid)
    return usual and getattr(layer, "reset_after", True)


def _tensors(layer: Any, suffix: str) -> dict[str, Stored]:
    """Return where the tensors of one direction are stored."""
    cell, order = layer.cell, _GATES[type(layer)]
    tensors = {
        "weight_ih": gates(cell.kernel, order),
        "weight_hh": gates(cell.recurrent_kernel, order),
    }
    if cell.bias is not None and len(cell.bias.shape) == 2:
        tensors["bias_ih"] = gates(cell.bias, order, row=0, transposed=False)
        tensors["bias_hh"] = gates(cell.bias, order, row=1, transposed=False)
    elif cell.bias is not None:
        tensors["bias_ih"] = gates(cell.bias, order, transposed=False)
        tensors["bias_hh"] = added(cell.bias)
    return {f"{name}_l0{suffix}": stored for name, stored in tensors.items()}


def _native(layers: Sequence[Any], x: torch.Tensor, states: Sequence[Any] | None, part: str) -> tuple[Any, list[Any]]:
    """Run one layer, or both directions of one, over x [N, T, C]: outputs [N, T, D * H], last states [D, N, H]."""
    layer = layers[0]
    cell = layer.cell
    options = {"nonlinearity": layer.activation.__name__} if isinstance(layer, keras.layers.SimpleRNN) else {}
    tensors = _tensors(layer, "") | (_tensors(layers[1], "_reverse") if len(layers) > 1 else {})

    def make() -> nn.Module:
        module: nn.Module = _MODULES[type(layer)](
            cell.kernel.shape[0],
            cell.units,
            bias=cell.bias is not None,
            batch_first=True,
            bidirectional=len(layers) > 1,
            dtype=dtype_of(cell.kernel),
            **options,
        )
        return module

    arguments: list[Any] = [x]
    if states is not None:
        arguments.append(tuple(states) if len(states) > 1 else states[0])
    y, last = submodule(make, tensors, *arguments, part=part)
    if cell.bias is not None and len(cell.bias.shape) == 1:
        _freeze_second_bias(part)
    return y, list(last) if isinstance(layer, keras.layers.LSTM) else [last]


def _freeze_second_bias(part: str) -> None:
    """Keep the bias at zero that PyTorch has beside Keras's one: trained both, they would learn twice as fast."""
    module = here().walk.made[id(here().operation), part]
    for name, parameter in module.named_parameters():
        if name.startswith("bias_hh"):
            parameter.requires_grad_(False)


def _sequence(
    layer: Any, x: torch.Tensor, mask: torch.Tensor | None, states: Sequence[Any] | None, part: str
) -> tuple[Any, list[Any]]:
    """Run a layer over x [N, T, C] in its direction: outputs [N, T, H], last states [N, H].

    A stateful layer begins where its last call ended.
    """
    if not layer.stateful:
        return _from(layer, x, mask, states, part)
    arrays = [keras.ops.convert_to_numpy(state) for state in keras.tree.flatten(layer.states)]
    if _is_conv_lstm(layer):
        arrays = [array.transpose(channels_first_video(layer, array.ndim)) for array in arrays]
    prefix = f"{part}_" if part.endswith("_layer") else ""
    kept = [constant(f"{prefix}state_{i}", array) for i, array in enumerate(arrays)]
    first = [state.clone() for state in kept] if states is None else states
    y, last = _from(layer, x, mask, first, part)
    return record(keep_states, y, last, kept), last


def _from(
    layer: Any, x: torch.Tensor, mask: torch.Tensor | None, states: Sequence[Any] | None, part: str
) -> tuple[Any, list[Any]]:
    """Run a layer from the states that it is given; none are zero."""
    if layer.go_backwards:
        x = torch.flip(x, [1])
        mask = None if mask is None else torch.flip(mask, [1])
    if not _is_native(layer) or (mask is not None and (layer.return_state or layer.stateful)):
        return loop(layer, _cell(layer, x, part), x, mask, states)
    x = _dropped(layer, x, part)
    first = None if states is None else [state.unsqueeze(0) for state in states]
    if mask is None:
        y, last = _native([layer], x, first, part)
        return y, [state[0] for state in last]
    y, _ = _native([layer], record(pack_steps, x, mask), first, part)
    y = record(unpack_steps, y, mask)
    return torch.where(mask.unsqueeze(2), y, 0.0) if layer.zero_output_for_mask else y, []


def _cell(layer: Any, x: Any, part: str) -> Cell:
    return conv_lstm_cell(layer.cell, x, part) if _is_conv_lstm(layer) else cell_of(layer.cell, x.size(0), part)


def _is_conv_lstm(layer: Any) -> bool:
    return isinstance(layer, keras.layers.ConvLSTM1D | keras.layers.ConvLSTM2D | keras.layers.ConvLSTM3D)


def _dropped(layer: Any, x: torch.Tensor, part: str) -> torch.Tensor:
    """Drop features of the input in training, the same at all steps."""
    if not layer.cell.dropout:
        return x
    kept = submodule(lambda: nn.Dropout1d(layer.cell.dropout), {}, x.transpose(1, 2), part=f"{part}dropout")
    return kept.transpose(1, 2)


def _needs_parts(layer: Any, given: Collection[str]) -> bool:
    plain = _is_native(layer) and not layer.cell.dropout and not layer.stateful
    return "mask" in given or not plain


def _mask_of_rnn(layer: Any, inputs: Any, mask: Any) -> Any:
    masks = keras.tree.flatten(mask)
    return [masks[0] if masks and layer.return_sequences else None]


@lower("LSTM", "GRU", "SimpleRNN", "RNN", own=_needs_parts, mask=_mask_of_rnn)
def rnn(
    layer: Any, x: torch.Tensor, *, initial_state: Any = None, mask: torch.Tensor | None = None
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Run over x [N, T, C]; a masked step repeats the output and leaves the state as it is.

    A stateful layer keeps its states in buffers, which zeros put back.

    Limits: custom cells of Keras's operations, whose states start at zero.
    """
    states = None if initial_state is None else keras.tree.flatten(initial_state)
    return _returned(layer, *_sequence(layer, x, mask, states, "" if here().path else "rnn"))


def _returned(layer: Any, y: torch.Tensor, last: Sequence[Any]) -> torch.Tensor | tuple[torch.Tensor, ...]:
    y = y if layer.return_sequences else y[:, -1]
    return (y, *last) if layer.return_state else y


@lower(
    *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
    layout=channels_first_video,
    own=lambda layer, given: True,
    mask=_mask_of_rnn,
)
def conv_lstm(
    layer: Any, x: torch.Tensor, *, initial_state: Any = None, mask: torch.Tensor | None = None
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Run over a video x [N, T, C, *spatial], the gates being convolutions of the image and of the state."""
    states = None if initial_state is None else keras.tree.flatten(initial_state)
    return _returned(layer, *_sequence(layer, x, mask, states, ""))


def _is_one_module(layer: Any) -> bool:
    """Say whether torch.nn has both directions in one."""
    forward, backward = layer.forward_layer, layer.backward_layer
    alike = type(forward) is type(backward) and not forward.go_backwards and backward.go_backwards
    if not (alike and _is_native(forward) and _is_native(backward)):
        return False
    names = ("units", "use_bias", "activation", "recurrent_activation", "dropout")
    same = all(getattr(forward.cell, n, None) == getattr(backward.cell, n, None) for n in names)
    return same and not forward.cell.dropout and not forward.stateful


def _directions_need_parts(layer: Any, given: Collection[str]) -> bool:
    return "mask" in given or not _is_one_module(layer)


def _mask_of_bidirectional(layer: Any, inputs: Any, mask: Any) -> Any:
    masks = keras.tree.flatten(mask)
    one = masks[0] if masks and layer.return_sequences else None
    return [one, one] if layer.merge_mode is None else [one]


@lower("LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells", own=lambda layer, given: True)
def cell(layer: Any, x: torch.Tensor, *, states: Any) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Take one step from the states before it: the output for x [N, C], and the states after it."""
    one = cell_of(layer, x.size(0), "")
    return one.step(one.prepare(x), keras.tree.flatten(states))


def _layout_of_bidirectional(layer: Any, rank: int) -> Order:
    inner = layer.forward_layer
    return channels_first_video(inner, rank) if _is_conv_lstm(inner) else identity(rank)


@lower("Bidirectional", layout=_layout_of_bidirectional, own=_directions_need_parts, mask=_mask_of_bidirectional)
def bidirectional(
    layer: Any, x: torch.Tensor, *, initial_state: Any = None, mask: torch.Tensor | None = None
) -> torch.Tensor | tuple[torch.Tensor, ...]:
    """Run a recurrent layer over x in both directions.

    Limits: those of the layer.
    """
    forward, backward = layer.forward_layer, layer.backward_layer
    states = None if initial_state is None else keras.tree.flatten(initial_state)
    if here().path:
        pairs = None
        if states is not None:
            half = len(states) // 2
            pairs = [torch.stack([states[i], states[half + i]]) for i in range(half)]
        y, both = _native([forward, backward], x, pairs, "")
        last = [state[direction] for direction in range(2) for state in both]
        ahead, back = (both[0][0], both[0][1]) if not layer.return_sequences else torch.chunk(y, 2, 2)
        if layer.return_sequences and layer.merge_mode == "concat":
            return (y, *last) if layer.return_state else y
    else:
        half = 0 if states is None else len(states) // 2
        ahead, first = _sequence(forward, x, mask, None if states is None else states[:half], "forward_layer")
        back, second = _sequence(backward, x, mask, None if states is None else states[half:], "backward_layer")
        last = first + second
        ahead, back = (ahead, torch.flip(back, [1])) if layer.return_sequences else (ahead[:, -1], back[:, -1])
    channels = _layout_of_bidirectional(layer, ahead.ndim).index(ahead.ndim - 1)
    merged = _merged(layer.merge_mode, ahead, back, channels)
    return (*merged, *last) if layer.return_state else merged[0] if len(merged) == 1 else merged


def _merged(mode: str | None, ahead: torch.Tensor, back: torch.Tensor, axis: int) -> tuple[torch.Tensor, ...]:
    if mode == "concat":
        return (torch.cat([ahead, back], axis),)
    if mode == "sum":
        return (ahead + back,)
    if mode == "ave":
        return ((ahead + back) / 2,)
    return (ahead * back,) if mode == "mul" else (ahead, back)


@lower("TimeDistributed")
def time_distributed(layer: Any, x: torch.Tensor, *, mask: torch.Tensor | None = None) -> Any:
    """Apply a layer to each step of x [N, T, ...], all at once.

    Limits: layers that return one tensor.
    """
    steps = x.size(1)
    flat = x.flatten(0, 1)
    y = apply(layer.layer, flat, mask=None if mask is None or mask.ndim < 3 else mask.flatten(0, 1))
    if isinstance(y, list | tuple | dict):
        raise UnsupportedError("a layer that returns several tensors, at each step")
    return record(torch.unflatten, y, 0, [-1, steps])
