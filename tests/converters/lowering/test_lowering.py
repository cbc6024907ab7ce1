"""The machinery that both targets share, shown on a target of its own: numpy, where a "graph" value is a `Lazy`."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
import pytest

from translate.converters.lowering import Context, Interpreter, Table
from translate.converters.lowering.table import as_problem
from translate.errors import CannotTranslateError, UnsupportedError
from translate.origin import source_line


@dataclass
class Lazy:
    """A value that is "computed when the model runs": the walk must not look inside."""

    array: np.ndarray


class NumpyTarget:
    def __init__(self):
        self.evaluated = 0

    def tensor(self, value):
        return value if isinstance(value, Lazy) else Lazy(np.asarray(value))

    def host(self, value):
        return None if isinstance(value, Lazy) else np.asarray(value)

    def evaluate(self, call):
        self.evaluated += 1
        results = call()
        results = results if isinstance(results, tuple) else (results,)
        return tuple(result.array if isinstance(result, Lazy) else result for result in results)

    def refine(self, result, value):
        return result

    def placeholder(self, value):
        return Lazy(np.zeros(()))

    def scope(self, node):
        return nullcontext()


TABLE = Table("numpy", {"": 20}, {("", "Det"): "nobody needs it"})
lower = TABLE.lower


@lower("Add")
def add(a: Lazy, b: Lazy) -> Lazy:
    return Lazy(a.array + b.array)


@lower("Softmax")
def old_softmax(x: Lazy, *, axis: int = 1) -> Lazy:
    raise AssertionError("the row of opset 1 was chosen")


@lower("Softmax", since=13)
def softmax(x: Lazy, *, axis: int = -1) -> Lazy:
    e = np.exp(x.array)
    return Lazy(e / e.sum(axis, keepdims=True))


@lower("Reshape")
def reshape(x: Lazy, shape: np.ndarray, *, allowzero: int = 0) -> Lazy:
    return Lazy(x.array.reshape(shape))


@lower("Resize")
def resize(x: Lazy, *, mode: Literal["nearest", "linear"] = "nearest") -> Lazy:
    if x.array.ndim > 4:
        raise UnsupportedError("more than four axes")
    return x


@lower("Concat")
def concat(*xs: Lazy, axis: int) -> Lazy:
    return Lazy(np.concatenate([x.array for x in xs], axis))


@lower("Clip")
def clip(x: Lazy, low: Lazy | None = None, high: Lazy | None = None) -> Lazy:
    x = x if low is None else Lazy(np.maximum(x.array, low.array))
    return x if high is None else Lazy(np.minimum(x.array, high.array))


@lower("If")
def if_(condition: np.ndarray, *, then_branch: ir.Graph, else_branch: ir.Graph, context: Context) -> tuple[Lazy, ...]:
    return tuple(context.run(then_branch if condition else else_branch))


def value(name, shape=None):
    return ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT), shape=None if shape is None else ir.Shape(shape))


def run(nodes, inputs, outputs, bindings, opset=20):
    graph = ir.Graph(inputs, outputs, nodes=nodes, opset_imports={"": opset})
    target = NumpyTarget()
    results = Interpreter(TABLE, {"": opset}, target).run(graph, dict(zip(inputs, bindings, strict=True)))
    return results, target


def test_the_newest_row_that_is_not_newer_than_the_model_wins():
    x = value("x")
    node = ir.node("Softmax", [x])
    (y,), _ = run([node], [x], node.outputs, [Lazy(np.zeros((2, 4)))], opset=18)
    np.testing.assert_allclose(y.array, 0.25)
    assert TABLE.find("", "Softmax", 12).since == 1


def test_a_row_may_not_be_registered_twice():
    with pytest.raises(ValueError, match="twice"):
        lower("Add")(add)


def test_absent_optional_and_variadic_inputs():
    x, high = value("x"), value("high")
    clipped = ir.node("Clip", [x, None, high])
    both = ir.node("Concat", [clipped.outputs[0], x, x], {"axis": 0})
    (y,), _ = run([clipped, both], [x, high], both.outputs, [Lazy(np.array([1.0, 5.0])), Lazy(np.array(2.0))])
    np.testing.assert_array_equal(y.array, [1, 2, 1, 5, 1, 5])


def test_what_is_known_is_evaluated_once_and_stays_on_the_host():
    x, a, b = value("x"), value("a"), value("b")
    total = ir.node("Add", [a, b])
    node = ir.node("Reshape", [x, total.outputs[0]])
    bindings = [Lazy(np.zeros(6)), np.array([1, 2]), np.array([1, 1])]
    (y,), target = run([total, node], [x, a, b], node.outputs, bindings)
    assert y.array.shape == (2, 3)
    assert target.evaluated == 1


def test_all_problems_are_reported_together_and_like_ones_counted():
    x, shape = value("x", [2, 3]), value("shape")
    nodes = [
        ir.node("Det", [x], name="det_1"),
        ir.node("Det", [x], name="det_2"),
        ir.node("Resize", [x], {"mode": "cubic"}, name="up"),
        ir.node("Reshape", [x, shape], name="reshape"),
        ir.node("Softmax", [x], {"axes": 1}, name="softmax"),
        ir.node("Add", [x], name="add"),
        ir.node("Fancy", [x], domain="com.example", name="fancy"),
    ]
    with pytest.raises(CannotTranslateError) as caught:
        run(nodes, [x, shape], [nodes[-1].outputs[0]], [Lazy(np.zeros((2, 3))), Lazy(np.array([3, 2]))])
    reasons = {problem.operator: problem.reason for problem in caught.value.problems}
    assert reasons["Det"] == "no numpy lowering: nobody needs it"
    assert reasons["Resize"] == "mode='cubic' is not covered (only 'nearest', 'linear')"
    assert "input 1 (shape) must be known" in reasons["Reshape"]
    assert reasons["Softmax"] == "attribute axes=1 is not covered"
    assert reasons["Add"] == "input b is missing"
    assert reasons["com.example::Fancy"] == "no numpy lowering"
    assert 'Det "det_1" and 1 more' in str(caught.value)
    assert "6 operators (7 nodes) cannot be translated to numpy" in str(caught.value)


def test_a_lowering_may_refuse_a_case():
    x = value("x")
    node = ir.node("Resize", [x], name="up")
    with pytest.raises(CannotTranslateError, match="more than four axes"):
        run([node], [x], node.outputs, [Lazy(np.zeros((1, 1, 1, 1, 1)))])


def test_what_the_target_itself_refuses_is_a_problem_too_with_its_cause():
    x, shape = value("x"), value("shape")
    node = ir.node("Reshape", [x, shape], name="reshape")
    with pytest.raises(CannotTranslateError, match="numpy refuses it: cannot reshape") as caught:
        run([node], [x, shape], node.outputs, [Lazy(np.zeros(6)), np.array([4, 2])])
    assert isinstance(caught.value.__cause__, ValueError)


def test_an_opset_above_the_ceiling_is_refused():
    x = value("x")
    node = ir.node("Resize", [x])
    with pytest.raises(CannotTranslateError, match="opset 21 is newer than 20"):
        run([node], [x], node.outputs, [Lazy(np.zeros(1))], opset=21)


def test_a_branch_sees_what_is_outside_of_it():
    x, condition = value("x"), value("condition")
    doubled = ir.node("Add", [x, x])
    inner = ir.node("Add", [doubled.outputs[0], x])
    then_branch = ir.Graph([], inner.outputs, nodes=[inner], name="then")
    other = ir.node("Add", [x, x])
    else_branch = ir.Graph([], other.outputs, nodes=[other], name="else")
    node = ir.node("If", [condition], {"then_branch": then_branch, "else_branch": else_branch})
    (y,), _ = run([doubled, node], [x, condition], node.outputs, [Lazy(np.array(2.0)), np.array(True)])
    assert y.array == 6


def test_a_problem_names_the_line_of_the_source():
    node = ir.node("Add", [value("a", ["batch", 3]), None], name="n")
    outer, inner = 'File "/net.py", line 10, in forward', 'File "/models/block.py", line 88, in forward'
    torch_code = 'File "/site-packages/torch/nn/modules/linear.py", line 134, in forward'
    trace = f"{outer}\n  y = self.block(x)\n{inner}\n  return self.fc(x)\n{torch_code}\n"
    node.metadata_props["pkg.torch.onnx.stack_trace"] = trace
    assert source_line(node) == "/models/block.py:88"
    assert as_problem(node, 20, "because").inputs == "a float[batch,3]; -"
