"""Find the activations that TensorFlow writes as arithmetic and PyTorch computes in one step: SiLU, hard sigmoid."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from onnxscript.rewriter.pattern import RewriteRule

from translate.converters.passes.rewrite import holds, rule_set

# The first opset that has Swish.
_SWISH_OPSET = 24
_SIXTH = 1 / 6


def find_activations(model: ir.Model) -> None:
    """Replace, in place, arithmetic by Swish, HardSigmoid and HardSwish; the results are equal but for rounding."""
    found = [
        (_swish_arithmetic, _swish, None),
        (_sixth_part, _hard_sigmoid, _divides_by_six),
        (_product_with_sixth, _hard_sigmoid, _multiplies_by_a_sixth),
        (_hard_swish_arithmetic, _hard_swish, _is_sixth),
    ]
    # What is left unread is removed afterwards: a part may be read by others.
    rules = [RewriteRule(*parts, remove_nodes=False) for parts in found]
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


def _sixth_part(op: Any, x: Any, three: Any, zero: Any, six: Any, factor: Any) -> Any:
    return op.Div(op.Clip(op.Add(x, three), zero, six), factor)


def _divides_by_six(context: Any, factor: ir.Value, **bounds: ir.Value) -> bool:
    return _is_from_zero_to_six(**bounds) and holds(factor, 6.0)


def _product_with_sixth(op: Any, x: Any, three: Any, zero: Any, six: Any, factor: Any) -> Any:
    return op.Mul(op.Clip(op.Add(x, three), zero, six), factor)


def _multiplies_by_a_sixth(context: Any, factor: ir.Value, **bounds: ir.Value) -> bool:
    return _is_from_zero_to_six(**bounds) and holds(factor, _SIXTH)


def _is_from_zero_to_six(three: ir.Value, zero: ir.Value, six: ir.Value, **_: ir.Value) -> bool:
    return holds(three, 3.0) and holds(zero, 0.0) and holds(six, 6.0)


def _hard_sigmoid(op: Any, x: ir.Value, **_: ir.Value) -> Any:
    return op.HardSigmoid(x, alpha=_SIXTH, beta=0.5)


def _hard_swish_arithmetic(op: Any, x: Any) -> Any:
    return op.Mul(x, op.HardSigmoid(x, _outputs=["gate"]))


def _is_sixth(context: Any, gate: ir.Value, **_: Any) -> bool:
    node = gate.producer()
    assert node is not None
    alpha, beta = (node.attributes.get(name) for name in ("alpha", "beta"))
    # Attributes are float32.
    is_sixth = alpha is not None and np.float32(alpha.as_float()) == np.float32(_SIXTH)
    return bool(is_sixth) and (beta is None or beta.as_float() == 0.5)


def _hard_swish(op: Any, x: ir.Value, **_: Any) -> Any:
    return op.HardSwish(x)
