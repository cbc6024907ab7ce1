"""What PyTorch's exporter needs to keep sizes symbolic that could be, and to write attention as PyTorch computes it.

torch.export unrolls nn.LSTM, nn.GRU and nn.RNN over the sequence, and so fixes its length: while a model is exported
they are opaque operators, which become ONNX's LSTM, GRU and RNN. torch.linspace, affine_grid and the search for the
best order of a long einsum take plain integers, and so fix the sizes that they see: the first two are written with
arange, the last left out. Attention has a translation of its own, because torchlib's gives rows whose mask is all
False the mean of the values, where PyTorch gives zeros.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnxscript.function_libs.torch_lib.tensor_typing import TFloat
from onnxscript.onnx_opset import opset20 as op
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.modules import rnn
from torch.overrides import TorchFunctionMode

from translate.converters import torch_training
from translate.converters.torch_training import dropped
from translate.converters.torch_translations import translations
from translate.errors import UnsupportedError

# The module that nn.LSTM and the like call; it is private, and replaced while a model is exported.
_VF: Any = vars(rnn)["_VF"]
# The order of ONNX's gates among PyTorch's: LSTM i,f,g,o → i,o,f,c; GRU r,z,n → z,r,h.
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


@torch.library.custom_op("translate::lstm", mutates_args=())
def _lstm(
    input: Tensor,
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    options = (has_biases, num_layers, 0.0, False, bidirectional, batch_first)
    result: tuple[Tensor, Tensor, Tensor] = _VF.lstm(input, tuple(hx), tuple(params), *options)
    return result


@_lstm.register_fake
def _(
    input: Tensor,
    hx: Sequence[Tensor],
    params: Sequence[Tensor],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    output = _output_like(input, hx[0], bidirectional)
    return output, torch.empty_like(hx[0]), torch.empty_like(hx[1])


@torch.library.custom_op("translate::rnn", mutates_args=())
def _rnn(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    kind: str,
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    options = (has_biases, num_layers, 0.0, False, bidirectional, batch_first)
    result: tuple[Tensor, Tensor] = getattr(_VF, kind)(input, hx, tuple(params), *options)
    return result


@_rnn.register_fake
def _(
    input: Tensor,
    hx: Tensor,
    params: Sequence[Tensor],
    kind: str,
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Tensor, Tensor]:
    return _output_like(input, hx, bidirectional), torch.empty_like(hx)


def _output_like(input: Tensor, hidden: Tensor, bidirectional: bool) -> Tensor:
    """Return an empty [time, batch, directions * hidden] (or [batch, time, ...]) beside `input`."""
    return input.new_empty((*input.shape[:2], hidden.shape[2] * (2 if bidirectional else 1)))


class _OpaqueVF:
    """Stands for `torch._VF` inside torch.nn.modules.rnn."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_VF, name)

    def lstm(self, *arguments: Any) -> Any:
        return opaque_lstm(*arguments)

    def gru(self, *arguments: Any) -> Any:
        return opaque_rnn("gru", *arguments)

    def rnn_tanh(self, *arguments: Any) -> Any:
        return opaque_rnn("rnn_tanh", *arguments)

    def rnn_relu(self, *arguments: Any) -> Any:
        return opaque_rnn("rnn_relu", *arguments)


def opaque_lstm(input: Tensor, second: Any, third: Any, *options: Any) -> Any:
    """Call torch.lstm as one operator that torch.export does not look into; packed sequences are left alone."""
    # Packed sequences have another signature; a projection (proj_size) has a fifth weight: ONNX has neither.
    if isinstance(second, Tensor) or third[-1].shape[0] != third[0].shape[0]:
        return _VF.lstm(input, second, third, *options)
    return _layers(torch.ops.translate.lstm, input, second, third, options)


def opaque_rnn(kind: str, input: Tensor, hidden: Tensor, params: Any, *options: Any) -> Any:
    """Call torch.gru, torch.rnn_tanh or torch.rnn_relu, as `kind` says, in the same way."""
    if isinstance(params, Tensor):
        return getattr(_VF, kind)(input, hidden, params, *options)

    def layers(x: Tensor, states: Sequence[Tensor], weights: Sequence[Tensor], *options: Any) -> Any:
        return torch.ops.translate.rnn(x, states[0], weights, kind, *options)

    return _layers(layers, input, [hidden], params, options)


def _layers(run: Callable[..., Any], x: Tensor, states: Sequence[Tensor], params: Any, options: Sequence[Any]) -> Any:
    """Run recurrent layers as one operator; where dropout comes between them, as one each.

    `states` are [layers * directions, batch, hidden] each; the result is that of torch.lstm or torch.gru.
    """
    has_biases, num_layers, dropout, train, bidirectional, batch_first = options
    if not (train and dropout and num_layers > 1):
        return run(x, states, params, has_biases, num_layers, bidirectional, batch_first)
    directions, own = 2 if bidirectional else 1, len(params) // num_layers
    last: list[Sequence[Tensor]] = []
    for layer in range(num_layers):
        if layer:
            x = nn.functional.dropout(x, dropout, training=True)
        first = [state[layer * directions : (layer + 1) * directions] for state in states]
        weights = params[layer * own : (layer + 1) * own]
        x, *final = run(x, first, weights, has_biases, 1, bidirectional, batch_first)
        last.append(final)
    return (x, *(torch.cat(parts) for parts in zip(*last, strict=True)))


class _SymbolicSteps(TorchFunctionMode):
    """Write torch.linspace and affine_grid with arange where the number of steps is symbolic."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function is torch.linspace:
            named = dict(zip(("start", "end", "steps"), args, strict=False)) | kwargs
            if isinstance(named.get("steps"), torch.SymInt):
                return _linspace(
                    named["start"], named["end"], named["steps"], kwargs.get("dtype"), kwargs.get("device")
                )
        elif function is nn.functional.affine_grid:
            named = dict(zip(("theta", "size", "align_corners"), args, strict=False)) | kwargs
            if any(isinstance(size, torch.SymInt) for size in named["size"][2:]):
                return _affine_grid(named["theta"], named["size"], bool(named.get("align_corners")))
        return function(*args, **kwargs)


def _linspace(start: Any, end: Any, steps: Any, dtype: torch.dtype | None, device: Any) -> Tensor:
    """Return `steps` evenly spaced numbers; from both ends inwards, as torch.linspace does."""
    dtype = dtype or torch.get_default_dtype()
    index = torch.arange(steps, dtype=dtype, device=device)
    step = (end - start) / torch.sym_max(steps - 1, 1)  # type: ignore[no-untyped-call]
    return torch.where(index < (steps + 1) // 2, start + step * index, end - step * (steps - 1 - index))


def _affine_grid(theta: Tensor, size: Sequence[Any], align_corners: bool) -> Tensor:
    """Return where theta [N, d, d + 1] moves the elements of an image [N, C, *size]: [N, *size, d], from -1 to 1."""
    spatial = size[2:]
    axes = []
    for steps in spatial:
        index = torch.arange(steps, dtype=theta.dtype, device=theta.device)
        width = torch.sym_max(steps - 1, 1) if align_corners else steps  # type: ignore[no-untyped-call]
        axes.append((2 * index - (steps - 1)) / width)
    # The coordinates count x first, the axes y.
    coordinates = list(reversed(torch.meshgrid(*axes, indexing="ij")))
    places = torch.stack([*coordinates, torch.ones_like(coordinates[0])], -1)
    return (places.flatten(0, -2) @ theta.mT).reshape(-1, *spatial, len(spatial))


@contextlib.contextmanager
def symbolic_sizes() -> Iterator[None]:
    """Keep sizes symbolic where torch.export would fix them; see this module's docstring."""
    vars(rnn)["_VF"] = _OpaqueVF()
    validates = Distribution._validate_args
    # A distribution that checks its parameters branches on data.
    Distribution.set_default_validate_args(False)
    try:
        with _SymbolicSteps(), torch.backends.opt_einsum.flags(enabled=False):
            yield
    finally:
        vars(rnn)["_VF"] = _VF
        Distribution.set_default_validate_args(validates)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what torch.onnx.export needs to write these operators as ONNX nodes."""
    table: dict[Callable[..., Any], Callable[..., Any]] = {
        **translations(),
        **torch_training.translations(),
        torch.ops.translate.lstm.default: _onnx_lstm,
        torch.ops.translate.rnn.default: _onnx_rnn,
        # A program that was exported elsewhere has PyTorch's own operators.
        torch.ops.aten.lstm.input: _onnx_aten_lstm,
        torch.ops.aten.scaled_dot_product_attention.default: _onnx_attention,
        torch.ops.aten._grouped_mm.default: _onnx_grouped_mm,
    }
    # The operator of transformers' mixtures of experts; it exists once a model with experts was imported.
    if hasattr(torch.ops.transformers, "grouped_mm_fallback"):
        table[torch.ops.transformers.grouped_mm_fallback.default] = _onnx_grouped_mm
    return table


def _onnx_grouped_mm(
    input: TFloat, weight: TFloat, offs: Any = None, bias: Any = None, out_dtype: int | None = None
) -> Any:
    """Multiply the rows of `input` [rows, in] up to offs[0] by weight[0] [in, out], those up to offs[1] by weight[1]...

    Rows after the last offset are zero.
    """
    if offs is None or bias is not None or out_dtype is not None or len(weight.shape) != 3:
        raise UnsupportedError("grouped_mm with other operands than rows, their groups' ends and 3-D weights")
    ends = op.Cast(offs, to=ir.DataType.INT64)
    start, parts = op.Constant(value_ints=[0]), []
    for group in range(weight.shape[0]):
        end = op.Slice(ends, [group], [group + 1], [0])
        matrix = op.Gather(weight, op.Constant(value_int=group), axis=0)
        parts.append(op.MatMul(op.Slice(input, start, end, [0]), matrix))
        start = end
    rest = op.Slice(input, start, op.Shape(input, start=0, end=1), [0])
    size = op.Concat(op.Shape(rest, start=0, end=1), op.Shape(weight, start=2, end=3), axis=0)
    zeros = op.Expand(op.CastLike(op.Constant(value_float=0.0), input), size)
    return op.Concat(*parts, zeros, axis=0)


def _onnx_attention(
    query: TFloat,
    key: TFloat,
    value: TFloat,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Write softmax(query @ keyᵀ * scale + mask) @ value, all [*, heads, time, size], as PyTorch defines it."""

    def thinned(weights: Any) -> Any:
        return dropped(weights, dropout_p) if dropout_p else weights

    rank = len(query.shape)
    if enable_gqa:
        key, value = (_repeat_heads(tensor, query) for tensor in (key, value))
    if scale is None:
        size = op.CastLike(op.Shape(query, start=rank - 1), query)
        factor = op.Reciprocal(op.Sqrt(size))
    else:
        factor = op.CastLike(op.Constant(value_float=scale), query)
    transposed = op.Transpose(key, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = op.MatMul(op.Mul(query, factor), transposed)
    zero = op.CastLike(op.Constant(value_float=0.0), query)
    infinite = op.CastLike(op.Constant(value_float=float("-inf")), query)
    if is_causal:
        square = op.Expand(op.Constant(value_float=1.0), op.Shape(scores, start=rank - 2))
        attn_mask = op.Cast(op.Trilu(square, upper=0), to=ir.DataType.BOOL)
    if attn_mask is None:
        return op.MatMul(thinned(op.Softmax(scores, axis=-1)), value)
    # A row that may see nothing is zero, not the NaN of a softmax over nothing.
    if is_causal or attn_mask.dtype == ir.DataType.BOOL:
        weights = op.Softmax(op.Where(attn_mask, scores, infinite), axis=-1)
        return op.MatMul(thinned(op.Where(attn_mask, weights, zero)), value)
    scores = op.Add(scores, attn_mask)
    blind = op.Equal(op.ReduceMax(scores, [-1], keepdims=1), infinite)
    return op.MatMul(thinned(op.Where(blind, zero, op.Softmax(scores, axis=-1))), value)


def _repeat_heads(tensor: Any, query: Any) -> Any:
    """Repeat each of the heads [batch, heads, time, size] of a key or value as often as grouped queries need."""
    batch, time, size = (op.Shape(tensor, start=axis, end=axis + 1) for axis in (0, 2, 3))
    heads, groups = op.Shape(query, start=1, end=2), op.Shape(tensor, start=1, end=2)
    wide = op.Concat(batch, groups, op.Div(heads, groups), time, size, axis=0)
    return op.Reshape(op.Expand(op.Unsqueeze(tensor, [2]), wide), op.Concat(batch, heads, time, size, axis=0))


def _onnx_lstm(
    input: TFloat,
    hx: Sequence[TFloat],
    params: Sequence[TFloat],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    def layer(x: Any, weights: Any, states: Any, attributes: dict[str, Any]) -> Any:
        w, r, b = weights
        return op.LSTM(x, w, r, b, None, *states, **attributes)

    return _stack("LSTM", layer, input, list(hx), params, has_biases, num_layers, bidirectional, batch_first)


def _onnx_aten_lstm(
    input: TFloat,
    hx: Sequence[TFloat],
    params: Sequence[TFloat],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    # torchlib ignores the fifth weight, and so gives wrong numbers.
    if len(params) != num_layers * (2 if bidirectional else 1) * (4 if has_biases else 2):
        raise UnsupportedError("ONNX's LSTM has no projection: nn.LSTM with proj_size cannot be exported")
    return _onnx_lstm(input, hx, params, has_biases, num_layers, bidirectional, batch_first)


def _onnx_rnn(
    input: TFloat,
    hx: TFloat,
    params: Sequence[TFloat],
    kind: str,
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    def layer(x: Any, weights: Any, states: Any, attributes: dict[str, Any]) -> Any:
        w, r, b = weights
        if kind == "gru":
            # PyTorch multiplies the reset gate after the recurrent matrix.
            return op.GRU(x, w, r, b, None, *states, linear_before_reset=1, **attributes)
        activation = "Relu" if kind == "rnn_relu" else "Tanh"
        return op.RNN(x, w, r, b, None, *states, activations=[activation] * (1 + bidirectional), **attributes)

    cell = "GRU" if kind == "gru" else "RNN"
    return _stack(cell, layer, input, [hx], params, has_biases, num_layers, bidirectional, batch_first)


def _stack(
    cell: str,
    layer: Callable[..., Any],
    x: Any,
    states: list[Any],
    params: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """Write the layers one after the other: x [time, batch, features] → [time, batch, directions * hidden]."""
    directions = 2 if bidirectional else 1
    per_direction = 4 if has_biases else 2
    hidden = states[0].shape[2]
    attributes = {"hidden_size": hidden, "direction": "bidirectional" if bidirectional else "forward"}
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    last: list[list[Any]] = [[] for _ in states]
    for index in range(num_layers):
        own = params[index * directions * per_direction :][: directions * per_direction]
        weights = _weights(cell, own, has_biases, directions)
        begin, end = [index * directions], [(index + 1) * directions]
        first = states if num_layers == 1 else [op.Slice(state, begin, end, [0]) for state in states]
        y, *final = layer(x, weights, first, attributes)
        # y is [time, directions, batch, hidden].
        x = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), [0, 0, directions * hidden])
        for collected, state in zip(last, final, strict=True):
            collected.append(state)
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    return (x, *(states[0] if len(states) == 1 else op.Concat(*states, axis=0) for states in last))


def _weights(cell: str, params: Sequence[Any], has_biases: bool, directions: int) -> tuple[Any, Any, Any]:
    """Return ONNX's W, R [directions, gates * hidden, features] and B [directions, 2 * gates * hidden] or None."""
    per_direction = len(params) // directions
    groups = [params[index * per_direction :][:per_direction] for index in range(directions)]
    w = _join([op.Unsqueeze(_reorder(cell, group[0]), [0]) for group in groups])
    r = _join([op.Unsqueeze(_reorder(cell, group[1]), [0]) for group in groups])
    if not has_biases:
        return w, r, None
    biases = [op.Concat(_reorder(cell, group[2]), _reorder(cell, group[3]), axis=0) for group in groups]
    return w, r, _join([op.Unsqueeze(bias, [0]) for bias in biases])


def _reorder(cell: str, weight: Any) -> Any:
    gates = _GATES[cell]
    if len(gates) == 1:
        return weight
    parts = op.Split(weight, num_outputs=len(gates), axis=0)
    return op.Concat(*(parts[gate] for gate in gates), axis=0)


def _join(parts: Sequence[Any]) -> Any:
    return parts[0] if len(parts) == 1 else op.Concat(*parts, axis=0)
