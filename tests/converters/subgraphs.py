"""Models with control flow, in ONNX's text form: shared by the tests of both tables."""

from __future__ import annotations

import onnx


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 18]> {text}')


# Adds up while the sum is small, and stacks every sum.
SUM = """g (int64 m, bool first, float[n] x, float limit) => (float[n] last, float[k, n] sums) {
  last, sums = Loop (m, first, x) <
    body = b (int64 i, bool going, float[n] s) => (bool on, float[n] t, float[n] out) {
      t = Add (s, x)
      out = Identity (t)
      axis = Constant<value_ints=[0]> ()
      total = ReduceSum<keepdims=0> (t, axis)
      on = Less (total, limit)
    }>
}"""
# Grows by one element in each step; how often it runs is an input.
GROW = """g (int64 m, float[n] x) => (float[k] y) {
  y = Loop (m, , x) <
    body = b (int64 i, bool going, float[p] s) => (bool on, float[q] t) {
      on = Identity (going)
      f = Cast<to=1> (i)
      axis = Constant<value_ints=[0]> ()
      e = Unsqueeze (f, axis)
      t = Concat<axis=0> (s, e)
    }>
}"""
# Running product, backwards, over the last axis of x.
PRODUCT = """g (float[b] x0, float[b,t] x) => (float[b] last, float[b,t] all) {
  last, all = Scan<num_scan_inputs=1, scan_input_axes=[-1], scan_output_axes=[1], scan_input_directions=[1],
    scan_output_directions=[1], body = b (float[b] s, float[b] e) => (float[b] n, float[b] o) {
      n = Mul (s, e)
      o = Identity (n)
    }> (x0, x)
}"""
# Branches whose results have different sizes; one reads a value from outside.
CHOOSE = """g (bool c, float[n] x) => (float[m] y) {
  z = Neg (x)
  y = If (c) <
    then_branch = t () => (float[p] a) { a = Concat<axis=0> (z, z) },
    else_branch = e () => (float[q] a) { a = Abs (x) }>
}"""
# One more axis with each of so many steps.
DEEPEN = """g (float[n] x) => (float[] y) {
  m = Constant<value_int=%d> ()
  y = Loop (m, , x) <
    body = b (int64 i, bool going, float[] s) => (bool on, float[] t) {
      on = Identity (going)
      axis = Constant<value_ints=[0]> ()
      t = Unsqueeze (s, axis)
    }>
}"""
