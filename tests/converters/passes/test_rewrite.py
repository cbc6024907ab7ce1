"""Rules that are tried by operator rewrite what onnxscript's own set of them rewrites, in fewer trials."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from onnxscript.rewriter import RewriteRuleSet
from onnxscript.rewriter.pattern import RewriteRule

from translate.converters.passes.rewrite import holds, rule_set


def model(body: str) -> ir.Model:
    text = f'<ir_version: 8, opset_import: ["": 18]> g (float[4] x, float[4] z) => (float[4] y) {{ {body} }}'
    return ir.from_onnx_text(text)


def operators(graph: ir.Graph) -> list[str]:
    return [node.op_type for node in graph]


def absolute(op: Any, x: Any) -> Any:
    return op.Relu(op.Neg(x))


def negated(op: Any, x: Any) -> Any:
    return op.Add(x, op.Neg(x))


def to_abs(op: Any, x: ir.Value) -> Any:
    return op.Abs(x)


def to_sub(op: Any, x: ir.Value) -> Any:
    return op.Sub(x, x)


def rules() -> list[RewriteRule]:
    return [RewriteRule(absolute, to_abs), RewriteRule(negated, to_sub, remove_nodes=False)]


@pytest.mark.parametrize("commute", [True, False])
def test_the_result_is_that_of_the_plain_set(commute: bool) -> None:
    body = "a = Neg(x) b = Add(a, x) c = Neg(z) d = Relu(c) e = Add(b, d) f = Neg(e) y = Add(e, f)"
    plain, ours = model(body), model(body)
    count = RewriteRuleSet(rules(), commute=commute).apply_to_model(plain)
    assert rule_set(rules(), commute=commute).apply_to_model(ours) == count == (3 if commute else 2)
    assert operators(ours.graph) == operators(plain.graph)


def test_a_rule_is_tried_at_its_operator_only() -> None:
    tried: list[str] = []

    class Counting(RewriteRule):  # type: ignore[misc]  # onnxscript's classes have no types
        def try_rewrite(self, model: ir.Model, graph: Any, node: ir.Node, **options: Any) -> Any:
            tried.append(node.op_type)
            return super().try_rewrite(model, graph, node, **options)

    rule_set([Counting(absolute, to_abs)]).apply_to_model(model("a = Neg(x) b = Abs(a) c = Relu(b) y = Add(c, z)"))
    assert tried == ["Relu"]


def test_the_first_rule_wins() -> None:
    def to_neg(op: Any, x: ir.Value) -> Any:
        return op.Neg(x)

    both = [RewriteRule(absolute, to_abs), RewriteRule(absolute, to_neg)]
    changed = model("a = Neg(x) y = Relu(a)")
    rule_set(both).apply_to_model(changed)
    assert operators(changed.graph) == ["Abs"]


def test_visitors_see_every_graph() -> None:
    seen: list[str] = []
    rule = RewriteRule(
        absolute,
        to_abs,
        graph_pre_visitor=lambda: seen.append("before"),
        graph_post_visitor=lambda: seen.append("after"),
    )
    rule_set([rule]).apply_to_model(model("y = Add(x, z)"))
    assert seen == ["before", "after"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_a_constant_holds_its_number_and_no_other(dtype: Any) -> None:
    def value(number: Any) -> ir.Value:
        return ir.Value(name="c", const_value=ir.tensor(np.array(number, dtype)))

    step = float(ml_dtypes.finfo(dtype).eps)
    for number in (0.0, 0.5, 3.0, np.sqrt(0.5), 1 / 6):
        assert holds(value(number), number)
    # Three can be written; a root may be computed in several ways, of which none is off by more than the last bit.
    assert not holds(value(3 + 4 * step), 3.0)
    assert holds(value(np.sqrt(0.5) + step / 2), np.sqrt(0.5)) == (dtype != "float64")
    assert not holds(value(np.sqrt(0.5) + 2 * step), np.sqrt(0.5))
    assert not holds(value(1e-7), 0.0)
    assert not holds(value([0.5, 0.5]), 0.5)


def test_what_is_no_constant_holds_nothing() -> None:
    assert not holds(ir.Value(name="x"), 0.0)
    assert not holds(ir.Value(name="c", const_value=ir.tensor(np.array(3))), 3.0)
