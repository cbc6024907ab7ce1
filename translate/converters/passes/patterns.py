"""Find the layers that TensorFlow writes as arithmetic: normalisations, GELU and products of more than two axes.

Each becomes the one operator that ONNX has for it, with the same weights. The results are equal but for rounding.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript.rewriter import RewriteRuleClassBase

from translate.converters.passes.rewrite import holds, rule_set


def find_patterns(model: ir.Model) -> None:
    """Replace, in place, arithmetic by the operators that it stands for."""
    switches = list(itertools.product((True, False), repeat=2))
    rule_set([_SameShape.rule()]).apply_to_model(model)
    common.IdentityEliminationPass()(model)
    rules = [kind.rule(*given) for kind in (_BatchNormalization, _LayerNormalization, _Bias) for given in switches]
    rules += [kind.rule() for kind in (_BroadcastBoth, _GeluByErfc, _GeluByErf, _GeluByTanh, _TensorDot)]
    # In a sum or a product, either operand may come first.
    rule_set(rules, commute=True).apply_to_model(model)
    common.RemoveUnusedNodesPass()(model)


class _Rule(RewriteRuleClassBase):  # type: ignore[misc]  # onnxscript's classes have no types
    def __init__(self, *switches: bool) -> None:
        # What is left unread is removed afterwards: a statistic may be read by others.
        super().__init__(remove_nodes=False)
        self.switches = switches


class _BatchNormalization(_Rule):
    """`x * inv + (beta - mean * inv)` with `inv = gamma / sqrt(variance + epsilon)`, along the last axis."""

    def pattern(self, op: Any, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any, epsilon: Any) -> Any:
        has_gamma, has_beta = self.switches
        factor = op.Reciprocal(op.Sqrt(op.Add(variance, epsilon)))
        if has_gamma:
            factor = op.Mul(factor, gamma)
        shift = op.Sub(beta, op.Mul(mean, factor)) if has_beta else op.Mul(op.Neg(mean), factor)
        return op.Add(op.Mul(x, factor), shift)

    def check(self, context: Any, x: ir.Value, epsilon: ir.Value, **weights: ir.Value | None) -> bool:
        vectors = [_vector_on_last_axis(value) for value in weights.values() if value is not None]
        sizes = {_vector_size(value) for value in vectors}
        return _rank(x) >= 2 and _scalar(epsilon) is not None and len(sizes) == 1 and None not in sizes

    def rewrite(
        self,
        op: Any,
        x: ir.Value,
        mean: ir.Value,
        variance: ir.Value,
        epsilon: ir.Value,
        gamma: ir.Value | None = None,
        beta: ir.Value | None = None,
    ) -> Any:
        axes, known = _rank(x), _vector_on_last_axis(mean)
        assert known is not None
        scale = op.initializer(_filled(known, 1), f"{mean.name}_one") if gamma is None else _vector_on_last_axis(gamma)
        shift = op.initializer(_filled(known, 0), f"{mean.name}_zero") if beta is None else _vector_on_last_axis(beta)
        inner = op.Transpose(x, perm=[0, axes - 1, *range(1, axes - 1)]) if axes > 2 else x
        y = op.BatchNormalization(inner, scale, shift, known, _vector_on_last_axis(variance), epsilon=_scalar(epsilon))
        return op.Transpose(y, perm=[0, *range(2, axes), 1]) if axes > 2 else y


class _SameShape(_Rule):
    """What was reshaped and is squeezed to the shape that it had before."""

    def pattern(self, op: Any, x: Any, sizes: Any, axes: Any) -> Any:
        return op.Squeeze(op.Reshape(x, sizes), axes, _outputs=["y"])

    def check(self, context: Any, x: ir.Value, y: ir.Value, **_: Any) -> bool:
        return x.shape is not None and x.shape.is_static() and x.shape == y.shape

    def rewrite(self, op: Any, x: ir.Value, **_: Any) -> Any:
        return op.Identity(x)


class _BroadcastBoth(_Rule):
    """What is broadcast to the shape that its own and another one are broadcast to, which Expand finds by itself."""

    def pattern(self, op: Any, x: Any, sizes: Any) -> Any:
        return op.Expand(x, sizes)

    def check(self, context: Any, x: ir.Value, sizes: ir.Value, **_: Any) -> bool:
        return _other_shape(x, sizes) is not None

    def rewrite(self, op: Any, x: ir.Value, sizes: ir.Value, **_: Any) -> Any:
        shape = _other_shape(x, sizes)
        assert shape is not None
        return op.Expand(x, shape if shape.dtype is ir.DataType.INT64 else op.Cast(shape, to=ir.DataType.INT64))


def _other_shape(x: ir.Value, sizes: ir.Value) -> ir.Value | None:
    """Return the shape that `sizes`, where the axes of `x` are one, are, and that of `x` elsewhere."""
    chosen = _through_casts(sizes).producer()
    if chosen is None or chosen.op_type != "Where":
        return None
    condition, shape, own = chosen.inputs
    test = None if condition is None else condition.producer()
    if test is None or test.op_type != "Equal" or shape is None or not _is_shape_of(own, x):
        return None
    tested, one = test.inputs
    return shape if tested is own and one is not None and _numbers(one) == [1] else None


def _is_shape_of(value: ir.Value | None, x: ir.Value) -> bool:
    """Whether `value` is the shape of `x`, perhaps with axes of size one before it."""
    node = None if value is None else _through_casts(value).producer()
    if node is not None and node.op_type == "Concat" and len(node.inputs) == 2 and node.inputs[0] is not None:
        ones = _numbers(node.inputs[0])
        return ones is not None and set(ones) == {1} and _is_shape_of(node.inputs[1], x)
    return node is not None and node.op_type == "Shape" and node.inputs[0] is x and not node.attributes


class _Bias(_Rule):
    """A vector that is added to the channels, the last axis by then, of what a convolution alone computes."""

    def pattern(self, op: Any, x: Any, weight: Any, bias: Any, starts: Any, ends: Any, axes: Any) -> Any:
        transposed, sliced = self.switches
        y = (op.ConvTranspose if transposed else op.Conv)(x, weight, _outputs=["y"])
        if sliced:
            y = op.Slice(y, starts, ends, axes, _outputs=["part"])
        return op.Add(op.Transpose(y, _outputs=["moved"]), bias)

    def check(self, context: Any, y: ir.Value, bias: ir.Value, moved: ir.Value, **values: Any) -> bool:
        part, axes = values.get("part"), values.get("axes")
        # Slices of spatial axes alone leave each channel whole.
        whole = axes is None or 1 not in (_numbers(axes) or [1])
        between = [value for value in (y, part, moved) if value is not None]
        alone = all(len(value.uses()) == 1 and not value.is_graph_output() for value in between)
        rank = _rank(y)
        node = moved.producer()
        assert node is not None
        perm = list(node.attributes["perm"].as_ints())
        size = None if y.shape is None else y.shape[1]
        vector = _vector_size(_vector_on_last_axis(bias))
        return alone and whole and perm == [0, *range(2, rank), 1] and vector is not None and vector == size

    def rewrite(
        self,
        op: Any,
        x: ir.Value,
        weight: ir.Value,
        bias: ir.Value,
        y: ir.Value,
        starts: ir.Value | None = None,
        ends: ir.Value | None = None,
        axes: ir.Value | None = None,
        **_: Any,
    ) -> Any:
        node, rank = y.producer(), _rank(y)
        assert node is not None
        attributes = {name: attribute.value for name, attribute in node.attributes.items()}
        result = getattr(op, node.op_type)(x, weight, _vector_on_last_axis(bias), **attributes)
        if starts is not None:
            result = op.Slice(result, starts, ends, axes)
        return op.Transpose(result, perm=[0, *range(2, rank), 1])


class _LayerNormalization(_Rule):
    """`x * inv + (beta - mean * inv)` with `inv = gamma / sqrt(variance + epsilon)`, all of the last axis of `x`."""

    def pattern(self, op: Any, x: Any, gamma: Any, beta: Any, axis: Any, epsilon: Any) -> Any:
        has_gamma, has_beta = self.switches
        mean = op.ReduceMean(x, axis, _outputs=["mean"])
        difference = op.Sub(x, mean)
        variance = op.ReduceMean(op.Mul(difference, difference), axis, _outputs=["variance"])
        factor = op.Reciprocal(op.Sqrt(op.Add(variance, epsilon)))
        if has_gamma:
            factor = op.Mul(factor, gamma)
        shift = op.Mul(op.Neg(mean), factor)
        if has_beta:
            shift = op.Add(shift, beta)
        return op.Add(op.Mul(x, factor), shift)

    def check(
        self,
        context: Any,
        x: ir.Value,
        axis: ir.Value,
        epsilon: ir.Value,
        mean: ir.Value,
        variance: ir.Value,
        gamma: ir.Value | None = None,
        beta: ir.Value | None = None,
        **_: Any,
    ) -> bool:
        along, last = _numbers(axis), _rank(x) - 1
        kept = all(_attribute(value, "keepdims", 1) == 1 for value in (mean, variance))
        vectors = [_vector_on_last_axis(value) for value in (gamma, beta) if value is not None]
        size = None if x.shape is None else x.shape[-1]
        sizes = {_vector_size(value) for value in vectors}
        whole = along in ([-1], [last]) and last >= 0 and isinstance(size, int)
        return whole and kept and _scalar(epsilon) is not None and sizes <= {size}

    def rewrite(
        self,
        op: Any,
        x: ir.Value,
        epsilon: ir.Value,
        gamma: ir.Value | None = None,
        beta: ir.Value | None = None,
        **_: Any,
    ) -> Any:
        assert x.shape is not None and x.dtype is not None
        if gamma is None:
            ones = ir.tensor(np.ones(_last_size(x), x.dtype.numpy()))
            scale = op.initializer(ones, f"{x.name}_one")
        else:
            scale = _vector_on_last_axis(gamma)
        shift = None if beta is None else _vector_on_last_axis(beta)
        inputs = [x, scale] if shift is None else [x, scale, shift]
        return op.LayerNormalization(*inputs, axis=-1, epsilon=_scalar(epsilon))


class _GeluByErfc(_Rule):
    """`x / 2 * (1 - erf(-x / sqrt(2)))`."""

    def pattern(self, op: Any, x: Any, half: Any, one: Any, root: Any) -> Any:
        return op.Mul(op.Mul(half, x), op.Sub(one, op.Erf(op.Mul(op.Neg(x), root))))

    def check(self, context: Any, half: ir.Value, one: ir.Value, root: ir.Value, **_: Any) -> bool:
        return holds(half, 0.5) and holds(one, 1.0) and holds(root, np.sqrt(0.5))

    def rewrite(self, op: Any, x: ir.Value, **_: Any) -> Any:
        return op.Gelu(x)


class _GeluByErf(_Rule):
    """`x / 2 * (1 + erf(x / sqrt(2)))`."""

    def pattern(self, op: Any, x: Any, half: Any, one: Any, root: Any) -> Any:
        return op.Mul(op.Mul(half, x), op.Add(one, op.Erf(op.Div(x, root))))

    def check(self, context: Any, half: ir.Value, one: ir.Value, root: ir.Value, **_: Any) -> bool:
        return holds(half, 0.5) and holds(one, 1.0) and holds(root, np.sqrt(2.0))

    def rewrite(self, op: Any, x: ir.Value, **_: Any) -> Any:
        return op.Gelu(x)


class _GeluByTanh(_Rule):
    """`x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3)))`."""

    def pattern(self, op: Any, x: Any, half: Any, one: Any, root: Any, factor: Any, three: Any) -> Any:
        inner = op.Mul(root, op.Add(x, op.Mul(factor, op.Pow(x, three))))
        return op.Mul(op.Mul(half, x), op.Add(one, op.Tanh(inner)))

    def check(
        self, context: Any, half: ir.Value, one: ir.Value, root: ir.Value, factor: ir.Value, three: ir.Value, **_: Any
    ) -> bool:
        pairs = [(half, 0.5), (one, 1.0), (root, np.sqrt(2 / np.pi)), (factor, 0.044715), (three, 3.0)]
        return all(holds(value, number) for value, number in pairs)

    def rewrite(self, op: Any, x: ir.Value, **_: Any) -> Any:
        return op.Gelu(x, approximate="tanh")


class _TensorDot(_Rule):
    """A product with a matrix for which all axes of `x` but the last were made one, and are made several again."""

    def pattern(self, op: Any, x: Any, rows: Any, matrix: Any, sizes: Any) -> Any:
        return op.Reshape(op.MatMul(op.Reshape(x, rows), matrix), sizes, _outputs=["y"])

    def check(self, context: Any, x: ir.Value, matrix: ir.Value, sizes: ir.Value, y: ir.Value, **_: Any) -> bool:
        if x.shape is None or matrix.shape is None or y.shape is None or len(matrix.shape) != 2:
            return False
        inner, outer = matrix.shape
        # As many columns as rows of the matrix: only the axes before the last were joined.
        fits = len(x.shape) >= 2 and x.shape[-1] == inner and isinstance(inner, int) and y.shape[-1] == outer
        return fits and len(y.shape) == len(x.shape) and (_same_before_last(x, sizes) or _as_before(x, sizes, outer))

    def rewrite(self, op: Any, x: ir.Value, matrix: ir.Value, **_: Any) -> Any:
        return op.MatMul(x, matrix)


def _same_before_last(x: ir.Value, sizes: ir.Value) -> bool:
    """Whether `sizes` are numbers, those of `x` before the last; one that is left open follows from the others."""
    numbers = _numbers(sizes)
    if numbers is None or x.shape is None or numbers[:-1].count(-1) > 1 or numbers[-1] == -1:
        return False
    return all(size in (-1, known) for size, known in zip(numbers[:-1], list(x.shape)[:-1], strict=True))


def _as_before(x: ir.Value, sizes: ir.Value, last: Any) -> bool:
    """Whether `sizes` are computed as those of `x` before the last one, and then `last`."""
    joined = _through_casts(sizes)
    if joined.producer() is None or joined.producer().op_type != "Concat" or len(joined.producer().inputs) != 2:  # type: ignore[union-attr]
        return False
    before, end = joined.producer().inputs  # type: ignore[union-attr]
    gather = None if before is None else _through_casts(before).producer()
    if end is None or _numbers(end) != [last] or gather is None or gather.op_type != "Gather":
        return False
    shape, which = gather.inputs
    if shape is None or which is None or _numbers(which) != list(range(_rank(x) - 1)):
        return False
    source = _through_casts(shape).producer()
    return source is not None and source.op_type == "Shape" and source.inputs[0] is x and not source.attributes


def _through_casts(value: ir.Value) -> ir.Value:
    node = value.producer()
    while node is not None and node.op_type == "Cast" and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _rank(value: ir.Value) -> int:
    return -1 if value.shape is None else len(value.shape)


def _last_size(value: ir.Value) -> int:
    size = None if value.shape is None else value.shape[-1]
    assert isinstance(size, int)
    return size


def _numbers(value: ir.Value) -> list[int] | None:
    tensor = ir.convenience.get_const_tensor(value)
    return None if tensor is None else [int(number) for number in tensor.numpy().reshape(-1)]


def _scalar(value: ir.Value) -> float | None:
    tensor = ir.convenience.get_const_tensor(value)
    return float(tensor.numpy().reshape(-1)[0]) if tensor is not None and tensor.size == 1 else None


def _vector_size(value: ir.Value | None) -> int | None:
    """Return the size of a stored vector, None for anything else."""
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return int(tensor.shape[0]) if tensor is not None and len(tensor.shape) == 1 else None  # type: ignore[arg-type]


def _vector_on_last_axis(value: ir.Value) -> ir.Value | None:
    """Return the stored vector that `value` is, as it stands or with axes of size one before it."""
    node = value.producer()
    if node is not None and node.op_type == "Reshape" and value.shape is not None:
        source = node.inputs[0]
        ones = all(size == 1 for size in list(value.shape)[:-1])
        return source if ones and _vector_size(source) == value.shape[-1] else None
    return value if _vector_size(value) is not None else None


def _attribute(value: ir.Value, name: str, default: int) -> int:
    node = value.producer()
    attribute = None if node is None else node.attributes.get(name)
    return default if attribute is None else attribute.as_int()


def _filled(vector: ir.Value, number: float) -> ir.TensorProtocol:
    assert vector.const_value is not None
    known = vector.const_value.numpy()
    return ir.tensor(np.full(known.shape, number, known.dtype))
