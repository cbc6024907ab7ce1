"""onnxscript's rewrite rules, each tried only at the nodes that it can match, and what they ask of constants.

onnxscript tries every rule at every node. There are hundreds, since each order of the operands of sums and products
makes a rule of its own, and one that matches several outputs even looks through the whole graph each time. A number in
a pattern of onnxscript matches what differs from it by up to 1e-5 of it: the rules here ask `holds` instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import ml_dtypes
import onnx_ir as ir
from onnxscript.rewriter import RewriteRuleSet


def rule_set(rules: Iterable[Any], *, commute: bool = False) -> RewriteRuleSet:
    """Return the set of `rules`, which are tried in this order; with `commute`, operands of sums may swap."""
    # What applies the rules asks each whether it removes what it matched.
    groups = itertools.groupby(rules, lambda rule: bool(rule.remove_nodes))
    return RewriteRuleSet([_ByOperator(list(group), remove_nodes, commute) for remove_nodes, group in groups])


def holds(value: ir.Value, number: float) -> bool:
    """Say whether `value` is one constant, and that is `number` as the dtype of `value` rounds it.

    A number that the dtype does not have, such as a root, may be off by one unit in the last place: those who write it
    compute it in several ways.
    """
    tensor = ir.convenience.get_const_tensor(value)
    if tensor is None or tensor.size != 1 or not tensor.dtype.is_floating_point():
        return False
    found = tensor.numpy().reshape(-1)[0]
    nearest = float(found.dtype.type(number))
    allowed = 0.0 if nearest == number else float(ml_dtypes.finfo(found.dtype).eps) * abs(number)
    return abs(float(found) - nearest) <= allowed


class _ByOperator:
    """Rules in the place of one: at a node, those are tried whose pattern ends in the node's operator."""

    name = None
    as_function = False

    def __init__(self, rules: Sequence[Any], remove_nodes: bool, commute: bool) -> None:
        self.remove_nodes = remove_nodes
        self._rules = rules
        # A pattern may leave open which operator it ends in.
        ends = [rule._target_pattern.output_nodes[0].op_identifier() for rule in rules]
        # Swapping operands changes neither that operator nor the visitors.
        variants = [rule.commute() if commute else [rule] for rule in rules]
        self._by_operator = {
            operator: [
                rule for end, same in zip(ends, variants, strict=True) if end in (operator, None) for rule in same
            ]
            for operator in dict.fromkeys([*ends, None])
        }

    def try_rewrite(self, model: ir.Model, graph: Any, node: ir.Node, **options: Any) -> Any:
        """Return what the first rule that matches puts in the place of `node`, None where none does."""
        for rule in self._by_operator.get(node.op_identifier(), self._by_operator[None]):
            replacement = rule.try_rewrite(model, graph, node, **options)
            if replacement is not None:
                return replacement
        return None

    def graph_pre_visitor(self) -> None:
        """Tell the rules that a graph begins."""
        for rule in self._rules:
            if rule.graph_pre_visitor:
                rule.graph_pre_visitor()

    def graph_post_visitor(self) -> None:
        """Tell the rules that a graph ends."""
        for rule in self._rules:
            if rule.graph_post_visitor:
                rule.graph_post_visitor()
