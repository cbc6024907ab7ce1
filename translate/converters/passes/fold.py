"""Fold constants and rewrite patterns with onnxscript's optimizer, without ever touching a weight.

The optimizer's own default rules fuse BatchNormalization into the convolution before it and drop biases that are
zero: right for inference, but the result could no longer be trained or checkpointed under the source's names. So the
weights' values are hidden from it, and the rules are listed here one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import onnx_ir.passes.common as common
from onnxscript.optimizer import fold_constants_ir
from onnxscript.rewriter import RewritePass
from onnxscript.rewriter.pattern import Constant, RewriteRule
from onnxscript.rewriter.rules import common as rules

from translate.converters.passes.rewrite import rule_set
from translate.converters.weights import weights


def _neutral(operator: str, number: int) -> RewriteRule:
    """Return the rule that drops `operator` where its second operand is `number` exactly.

    onnxscript's own rules take 1e-10 for 0 and 1.000001 for 1.
    """

    def pattern(op: Any, x: Any) -> Any:
        return getattr(op, operator)(x, Constant(number, rel_tol=0.0, abs_tol=0.0))

    def identity(op: Any, x: Any, **_: Any) -> Any:
        return op.Identity(x)

    return RewriteRule(pattern, identity)


RULES = (
    *_neutral("Mul", 1).commute(),
    _neutral("Div", 1),
    *_neutral("Add", 0).commute(),
    _neutral("Sub", 0),
    rules.dropout_zero_rule,
    rules.dropout_inference_rule,
    rules.no_op_cast_rule,
    rules.no_op_expand_rule,
    rules.no_op_transpose_rule,
    rules.no_op_dynamic_scatter_nd_rule,
    rules.no_op_static_scatter_nd_rule,
    rules.cast_cast_rule,
    rules.cast_constant_of_shape_rule,
    rules.cast_constant_of_shape_without_value_rule,
    rules.collapse_slice_rule,
    rules.collapse_slice2_rule,
    rules.slice_split_rule,
    rules.squeeze_reshape_1d_rule,
    rules.unsqueeze_unsqueeze_rule,
    rules.transpose_transpose_rule,
    rules.reshape_reshape_rule,
    # A Reshape whose result has one unknown dimension at most needs no shape arithmetic: -1 says it.
    rules.materialize_reshape_shape_rule,
    rules.fuse_pad_into_conv_rule,
    # torch's exporter writes a constant zero where a layer has no bias. (A trained bias is hidden, whatever it holds.)
    rules.remove_optional_bias_from_conv_rule,
    rules.remove_optional_bias_from_conv_transpose_rule,
    rules.remove_optional_bias_from_gemm_rule,
)


def fold(model: ir.Model) -> None:
    """Evaluate, in place, what depends on no input and no weight of `model`, and simplify what remains."""
    _cast_like_as_cast(model)
    rewrite = RewritePass(rule_set(RULES))
    optimise = ir.passes.PassManager([_FoldConstants(), rewrite, common.RemoveUnusedNodesPass()], steps=3)
    with _hidden(model, list(weights(model))):
        optimise(model)
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
        common.LiftSubgraphInitializersToMainGraphPass()(model)
        common.DeduplicateInitializersPass()(model)
        common.CommonSubexpressionEliminationPass()(model)
    common.RemoveUnusedNodesPass()(model)


def _cast_like_as_cast(model: ir.Model) -> None:
    """Turn CastLike into Cast where the dtype is known: the optimizer would too, but it loses `saturate`."""
    for node in model.graph.all_nodes():
        like = node.inputs[1] if (node.domain, node.op_type) == ("", "CastLike") else None
        if like is not None and like.dtype is not None:
            node.op_type = "Cast"
            node.resize_inputs(1)
            node.attributes["to"] = ir.AttrInt64("to", like.dtype)


class _FoldConstants(ir.passes.InPlacePass):
    def call(self, model: ir.Model) -> ir.passes.PassResult:
        result = fold_constants_ir(model, onnx_shape_inference=True)
        return ir.passes.PassResult(model, bool(result))


@contextmanager
def _hidden(model: ir.Model, values: list[ir.Value]) -> Iterator[None]:
    """Take the values of these initializers out of sight, so that no rule can fold or drop them."""
    tensors = [value.const_value for value in values]
    for value in values:
        model.graph.initializers.pop(str(value.name))
        value.const_value = None
    try:
        yield
    finally:
        for value, tensor in zip(values, tensors, strict=True):
            value.const_value = tensor
            model.graph.initializers[str(value.name)] = value
