"""Find the activations that TensorFlow writes as arithmetic and PyTorch computes in one step: SiLU, hard sigmoid."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter.pattern import RewriteRule

from translate.converters.passes.rewrite import rule_set

# The first opset that has Swish.
_SWISH_OPSET = 24
_SIXTH = 1 / 6


def find_activations(model: ir.Model) -> None:
    """Replace, in place, arithmetic by Swish, HardSigmoid and HardSwish; the results are equal but for rounding."""
    pairs = [
        (_swish_arithmetic, _swish),
        (_sixth_part, _hard_sigmoid),
        (_product_with_sixth, _hard_sigmoid),
    ]
    # What is left unread is removed afterwards: a part may be read by others.
    rules = [RewriteRule(pattern, replacement, remove_nodes=False) for pattern, replacement in pairs]
    rules.append(RewriteRule(_hard_swish_arithmetic, _hard_swish, _is_sixth, remove_nodes=False))
    # In a sum or a product, either operand may come first. Each is found only once what it is made of is there.
    for rule in rules:
        rule_set([rule], commute=True).apply_to_model(model)


def _swish_arithmetic(op: Any, x: Any) -> Any:
    return op.Mul(x, op.Sigmoid(x))


def _swish(op: Any, x: ir.Value) -> Any:
    y = op.Swish(x)
    # The model's own opset is older.
    y.producer().version = _SWISH_OPSET
    return y


def _sixth_part(op: Any, x: Any) -> Any:
    return op.Div(op.Clip(op.Add(x, 3.0), 0.0, 6.0), 6.0)


def _product_with_sixth(op: Any, x: Any) -> Any:
    return op.Mul(op.Clip(op.Add(x, 3.0), 0.0, 6.0), _SIXTH)


def _hard_sigmoid(op: Any, x: ir.Value) -> Any:
    return op.HardSigmoid(x, alpha=_SIXTH, beta=0.5)


def _hard_swish_arithmetic(op: Any, x: Any) -> Any:
    return op.Mul(x, op.HardSigmoid(x, beta=0.5, _outputs=["gate"]))


def _is_sixth(context: Any, gate: ir.Value, **_: Any) -> bool:
    node = gate.producer()
    assert node is not None
    return "alpha" in node.attributes and abs(node.attributes["alpha"].as_float() - _SIXTH) < 1e-6


def _hard_swish(op: Any, x: ir.Value, **_: Any) -> Any:
    return op.HardSwish(x)
