"""If, Loop and Scan: sizes that stay open, conditions, captured values, gradients, and what is refused.

Models are in ONNX's text form. Each result is computed by the module, and where torch.export covers the case by the
exported program, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch

from tests.converters.onnx_to_torch.cases import translated
from tests.converters.subgraphs import CHOOSE, DEEPEN, GROW, PRODUCT, SUM, parse
from translate.converters.onnx_to_torch.export import exported
from translate.converters.passes import prepare_for_torch
from translate.errors import CannotTranslateError


def program(text: str) -> torch.nn.Module:
    """The module after torch.export."""
    graph = ir.from_proto(parse(text))
    prepare_for_torch(graph)
    return exported(translated(parse(text)), graph).module()


def tensors(inputs: list[Any]) -> list[torch.Tensor]:
    return [torch.from_numpy(np.array(value)) for value in inputs]


# The same without what is stacked.
LAST = SUM.replace("last, sums =", "last =").replace(", float[k, n] sums", "").replace(", float[n] out) {", ") {")
LAST = LAST.replace("out = Identity (t)", "")
# A state that goes through all rows of x, as recurrent layers of Keras do.
RECURRENT = """g (float[b,t,2] x, float[2,2] w) => (float[t,b,2] all, float[b,2] last) {
  rows = Transpose<perm=[1,0,2]> (x)
  shape = Shape (x)
  steps_ = Gather (shape, one)
  steps = Squeeze (steps_)
  batch = Gather (shape, zero)
  sizes = Concat<axis=0> (batch, two)
  start = ConstantOfShape (sizes)
  last, all = Loop (steps, , start) <
    body = b (int64 i, bool going, float[b,2] s) => (bool on, float[b,2] t, float[b,2] out) {
      on = Identity (going)
      row = Gather (rows, i)
      product = MatMul (s, w)
      sum = Add (row, product)
      t = Tanh (sum)
      out = Identity (t)
    }>
}""".replace(") {\n  rows", ")\n<int64[1] one = {1}, int64[1] zero = {0}, int64[1] two = {2}> {\n  rows")
# Powers of x: one step, and some that are counted.
POWERS = """g (float[n] x) => (float[n] last, float[k,n] all) {
  m = Constant<value_int=%d> ()
  last, all = Loop (m, , x) <
    body = b (int64 i, bool going, float[n] s) => (bool on, float[n] t, float[n] out) {
      on = Identity (going)
      t = Mul (s, x)
      out = Identity (s)
    }>
}"""
X = np.float32([1, -2, 3])


def recurrent(x: np.ndarray, w: np.ndarray) -> list[np.ndarray]:
    """RECURRENT, in numpy."""
    state, states = np.zeros([len(x), 2], np.float32), []
    for row in x.swapaxes(0, 1):
        state = np.tanh(row + state @ w)
        states.append(state)
    return [np.stack(states), state]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


W = random(2, 2)
RUNS = [
    (SUM, [np.int64(3), np.array(True), X, np.float32(100)], [4 * X, np.stack([2 * X, 3 * X, 4 * X])]),
    (SUM, [np.int64(9), np.array(True), X, np.float32(5)], [3 * X, np.stack([2 * X, 3 * X])]),
    (SUM, [np.int64(2**62), np.array(True), X, np.float32(5)], [3 * X, np.stack([2 * X, 3 * X])]),
    (SUM, [np.int64(4), np.array(False), X, np.float32(5)], [X, np.zeros([0, 3])]),
    (SUM, [np.int64(0), np.array(True), X, np.float32(100)], [X, np.zeros([0, 3])]),
    (LAST, [np.int64(9), np.array(True), X, np.float32(5)], [3 * X]),
    (LAST, [np.int64(0), np.array(True), X, np.float32(5)], [X]),
    (RECURRENT, [random(3, 5, 2), W], recurrent(random(3, 5, 2), W)),
    (RECURRENT, [random(1, 8, 2), W], recurrent(random(1, 8, 2), W)),
    (RECURRENT, [random(2, 1, 2), W], recurrent(random(2, 1, 2), W)),
    # No steps, which PyTorch's scan refuses.
    (RECURRENT, [random(3, 0, 2), W], [np.zeros([0, 3, 2]), np.zeros([3, 2])]),
    (PRODUCT, [X[:2], np.zeros([2, 0], np.float32)], [X[:2], np.zeros([2, 0])]),
    (PRODUCT, [X[:2], np.float32([[1, 2, 3], [4, 5, 6]])], [X[:2] * [6, 120], [[6, 6, 3], [-240, -60, -12]]]),
    (CHOOSE, [np.array(True), X], [np.array([*-X, *-X])]),
    (CHOOSE, [np.array(False), X[:1]], [abs(X[:1])]),
    (POWERS % 3, [X], [X**4, np.stack([X, X**2, X**3])]),
    (POWERS % 20, [X[:1]], [X[:1], np.ones([20, 1])]),
]


@pytest.mark.parametrize(("text", "inputs", "expected"), RUNS)
def test_run(text: str, inputs: list[Any], expected: list[Any]) -> None:
    for actual, wanted in zip(translated(parse(text))(*tensors(inputs)), expected, strict=True):
        np.testing.assert_allclose(actual.numpy(), wanted, rtol=1e-5)


@pytest.mark.parametrize("text", list(dict.fromkeys(text for text, _, _ in RUNS)))
def test_the_exported_program_runs_at_all_sizes(text: str) -> None:
    run = program(text)
    for own, inputs, expected in RUNS:
        if own == text:
            for actual, wanted in zip(run(*tensors(inputs)), expected, strict=True):
                np.testing.assert_allclose(actual.numpy(), wanted, rtol=1e-5)


def test_a_condition_that_is_always_true_is_not_tested() -> None:
    text = RECURRENT.replace("(steps, , start)", "(steps, yes, start)").replace(
        "two = {2}", "two = {2}, bool yes = {1}"
    )
    assert "while_loop" not in translated(parse(text)).code


def test_few_steps_are_written_out_and_many_are_a_scan() -> None:
    assert "scan" not in translated(parse(POWERS % 3)).code
    assert translated(parse(POWERS % 20)).code.count("torch.ops.higher_order.scan(") == 1


def test_a_known_condition_leaves_one_branch() -> None:
    module = translated(
        parse(
            """g (float[n] x) => (float[n] y) {
             c = Constant<value_int=0> ()
             d = Cast<to=9> (c)
             y = If (d) < then_branch = t () => (float[n] a) { a = Nonsense (x) },
                          else_branch = e () => (float[n] a) { a = Neg (x) } >
           }"""
        )
    )
    assert "cond" not in module.code
    torch.testing.assert_close(module(torch.from_numpy(X))[0], torch.from_numpy(-X))


def test_a_loop_that_torch_cannot_express_is_written_out() -> None:
    (y,) = translated(parse(DEEPEN % 6))(torch.from_numpy(X))
    assert list(y.shape) == [1] * 6 + [3]


def test_gradients_flow_through_loops_and_branches() -> None:
    x = torch.from_numpy(X.copy()).requires_grad_()
    last, _ = translated(parse(POWERS % 20))(x)
    last.sum().backward()
    torch.testing.assert_close(x.grad, 21 * x.detach() ** 20)
    x = torch.from_numpy(X.copy()).requires_grad_()
    # PyTorch has no gradient of branches whose results have different sizes.
    (y,) = translated(parse(CHOOSE.replace("Concat<axis=0> (z, z)", "Add (z, z)")))(torch.tensor(True), x)
    y.sum().backward()
    torch.testing.assert_close(x.grad, torch.full([3], -2.0))


def test_a_shape_that_grows_as_often_as_an_input_says_is_refused() -> None:
    with pytest.raises(CannotTranslateError, match="shape of what it carries changes, and how often it runs is not"):
        translated(parse(GROW))


def test_a_problem_in_a_loop_is_counted_once() -> None:
    with pytest.raises(CannotTranslateError) as caught:
        translated(parse(SUM.replace("t = Add (s, x)", "t = Nonsense (s, x)")))
    assert [(problem.operator, problem.count) for problem in caught.value.problems] == [("Nonsense", 1)]
