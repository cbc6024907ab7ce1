"""The layout pass: the same numbers, the same interface, and no more transposes than there have to be."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from tests.converters.passes.layout_harness import check, example, operators, parse, run, to_standard
from translate.converters.passes.layout import CHANNELS_LAST, FUSED, channels_last, cut
from translate.converters.passes.layout.flow import minimum_cut

RNG = np.random.default_rng(7)


def weight(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


# Every operator that is moved to the channels-last domain, and the transposes at its interface.
MOVED = {
    "Conv": ("float[N,4,9,8] x, float[6,2,3,3] w, float[6] b", "Conv<group=2, pads=[1,0,2,1]>(x, w, b)", 2),
    "Conv 1-D": ("float[N,4,9] x, float[6,4,3] w", "Conv<dilations=[2]>(x, w)", 2),
    "Conv 3-D": ("float[N,4,5,6,7] x, float[6,4,3,2,1] w", "Conv(x, w)", 2),
    "ConvTranspose": ("float[N,4,5,6] x, float[4,3,2,3] w", "ConvTranspose<strides=[2,1], group=2>(x, w)", 2),
    "ConvInteger": ("uint8[N,4,5,6] x, uint8[3,4,2,2] w", "ConvInteger(x, w)", 2),
    "MaxPool": ("float[N,4,9,8] x", "MaxPool<kernel_shape=[2,3], ceil_mode=1>(x)", 2),
    "AveragePool": ("float[N,4,9,8] x", "AveragePool<kernel_shape=[2,3], pads=[1,0,0,1]>(x)", 2),
    "LpPool": ("float[N,4,9,8] x", "LpPool<kernel_shape=[2,3]>(x)", 2),
    "GlobalAveragePool": ("float[N,4,9,8] x", "GlobalAveragePool(x)", 1),
    "GlobalMaxPool": ("float[N,4,9,8] x", "GlobalMaxPool(x)", 1),
    "GlobalLpPool": ("float[N,4,9,8] x", "GlobalLpPool(x)", 1),
    "BatchNormalization": (
        "float[N,4,9,8] x, float[4] a, float[4] b, float[4] c",
        "BatchNormalization(x, a, b, c, a)",
        2,
    ),
    "BatchNormalization 2-D": (
        "float[N,4] x, float[4] a, float[4] b, float[4] c",
        "BatchNormalization(x, a, b, c, a)",
        0,
    ),
    "InstanceNormalization": ("float[N,4,9] x, float[4] a, float[4] b", "InstanceNormalization(x, a, b)", 2),
    "GroupNormalization": ("float[N,4,9] x, float[2] a, float[2] b", "GroupNormalization<num_groups=2>(x, a, b)", 2),
    "LRN": ("float[N,5,9,8] x", "LRN<size=3>(x)", 2),
    "DepthToSpace": ("float[N,8,3,4] x", 'DepthToSpace<blocksize=2, mode="CRD">(x)', 2),
    "SpaceToDepth": ("float[N,3,4,6] x", "SpaceToDepth<blocksize=2>(x)", 2),
    "GridSample": ("float[2,3,4,6] x, float[2,5,7,2] g", "GridSample<align_corners=1>(x, g)", 2),
    "RoiAlign": (
        "float[2,3,9,8] x, float[5,4] r, int64[5] i",
        "RoiAlign<output_height=2, output_width=3>(x, r, i)",
        2,
    ),
    "Resize": ("float[N,3,4,6] x", 'Resize<mode="linear">(x, , scales)', 2),
}


@pytest.mark.parametrize("case", MOVED)
def test_operator_is_moved(case: str) -> None:
    inputs, call, transposes = MOVED[case]
    constants = "<float[4] scales = {1.0, 1.0, 2.0, 1.5}>" if "scales" in call else ""
    dtype = "int32" if case == "ConvInteger" else "float"
    model = parse(f"g ({inputs}) => ({dtype} y) {constants} {{ y = {call} }}")
    if "BatchNormalization" in case:  # a variance is positive
        feeds = {name: np.abs(array) + (name != "x") for name, array in example(model).items()}
    else:
        feeds = example(model)
    report = check(model, feeds)
    assert report.converted == 1
    # A weight that is an input of the graph has to be transposed when the model runs.
    assert report.transposes == transposes + (" w" in inputs)
    assert [node.domain for node in model.graph if node.op_type == case.split()[0]] == [CHANNELS_LAST]
    assert model.opset_imports[CHANNELS_LAST] == 20


def test_indices_of_max_pool_stay_flat_indices_of_channels_first() -> None:
    model = parse(
        """g (float[N,3,6,8] x) => (float y, int64 i, float z) {
            y, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x)
            z = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(y, i)
        }"""
    )
    assert check(model).transposes == 4


def test_training_mode_of_batch_normalization_moves_only_its_first_output() -> None:
    model = parse(
        """g (float[3,4,5] x, float[4] a, float[4] b, float[4] m, float[4] v) => (float y, float rm, float rv) {
            y, rm, rv = BatchNormalization<training_mode=1>(x, a, b, m, v)
        }"""
    )
    assert check(model, {name: np.abs(array) for name, array in example(model).items()}).transposes == 2


# Between two convolutions each of these leaves no transpose: text, and further weights.
PASSES = {
    "unary": ("b = Relu(a)", {}),
    "swish": ("s = Sigmoid(a)  b = Mul(a, s)", {}),
    "bias": ("b = Add(a, v)", {"v": weight(1, 8, 1, 1)}),
    "bias without batch": ("b = Add(v, a)", {"v": weight(8, 1, 1)}),
    "bias along the last axis": ("b = Add(v, a)", {"v": weight(10)}),
    "bias of full rank": ("b = Add(v, a)", {"v": weight(1, 8, 9, 10)}),
    "scalar": ("b = Mul(a, v)", {"v": weight(1)}),
    "prelu": ("b = PRelu(a, v)", {"v": weight(8, 1, 1)}),
    "where": ("c = Greater(a, v)  r = Relu(a)  b = Where(c, a, r)", {"v": weight(1, 8, 1, 1)}),
    "clip": ("b = Clip(a, v, v)", {"v": np.float32(0.3).reshape(())}),
    "cast": ("d = Cast<to=11>(a)  b = Cast<to=1>(d)", {}),
    "dropout": ("b = Dropout(a)", {}),
    "residual": ("r = Relu(a)  b = Add(a, r)", {}),
    "concat": ("r = Relu(a)  e = Concat<axis=1>(a, r)  b, f = Split<axis=1, num_outputs=2>(e)", {}),
    "concat of a constant": (
        "e = Concat<axis=-3>(v, a)  f, b = Split<axis=-3>(e, s)",
        {"v": weight(2, 3, 9, 10), "s": np.array([3, 8])},
    ),
    "pad": ("b = Pad(a, v)", {"v": np.array([0, 0, 1, 2, 0, 0, 0, 3])}),
    "pad with axes": ("b = Pad(a, v, , x2)", {"v": np.array([1, 2, 0, 3]), "x2": np.array([3, -2])}),
    "reduce and keep": ("r = ReduceMean(a, v)  b = Mul(a, r)", {"v": np.array([-1, 2])}),
    "reduce the channels": ("r = ReduceMax(a, v)  b = Sub(a, r)", {"v": np.array([1])}),
    "squeeze and excite": (
        """r = ReduceMean<keepdims=0>(a, v)  q = MatMul(r, m)  s = Sigmoid(q)
           u = Unsqueeze(s, v)  b = Mul(a, u)""",
        {"v": np.array([2, 3]), "m": weight(8, 8)},
    ),
    "argmax": (
        "r = ArgMax<axis=1>(a)  d = Cast<to=1>(r)  b = Mul(a, d)",
        {},
    ),
    "softmax": ("b = Softmax<axis=1>(a)", {}),
    "slice": (
        "b = Slice(a, s, e, v)",
        {"s": np.array([1, 2]), "e": np.array([8, 9]), "v": np.array([2, -1])},
    ),
    "slice without axes": ("b = Slice(a, s, e)", {"s": np.array([0, 0, 1]), "e": np.array([8, 8, 9])}),
    "gather": ("b = Gather<axis=1>(a, v)", {"v": np.array([7, 0, 1, 2, 3, 4, 6, 5])}),
    "unsqueeze and squeeze": ("u = Unsqueeze(a, v)  t = Relu(u)  b = Squeeze(t, v)", {"v": np.array([2])}),
    "tile": ("b = Tile(a, v)", {"v": np.array([1, 1, 2, 3])}),
    "expand": ("r = ReduceMax(a, v)  b = Expand(r, s)", {"v": np.array([1, 2]), "s": np.array([2, 8, 3, 10])}),
    "cumsum": ("b = CumSum(a, v)", {"v": np.array(1)}),
    "topk": ("b, i = TopK<axis=1>(a, v)", {"v": np.array([8])}),
    "quantize": (
        "q = QuantizeLinear<axis=1>(a, v, z)  b = DequantizeLinear<axis=1>(q, v, z)",
        {"v": np.linspace(0.1, 0.2, 8, dtype=np.float32), "z": np.full(8, 128, np.uint8)},
    ),
    "flatten the image and back": (
        "r = Reshape(a, s)  t = Relu(r)  b = Reshape(t, u)",
        {"s": np.array([0, 0, -1]), "u": np.array([0, 8, 9, 10])},
    ),
    "split the channels and back": (
        "r = Reshape(a, s)  t = Relu(r)  b = Reshape(t, u)",
        {"s": np.array([0, 2, 4, 9, 10]), "u": np.array([0, 8, 9, 10])},
    ),
    "shape": ("s = Shape(a)  r = ReduceMax(a, v)  b = Expand(r, s)", {"v": np.array([1, 2])}),
    "part of shape": (
        "s = Shape<start=2>(a)  z = Concat<axis=0>(v, s)  r = GlobalMaxPool(a)  b = Expand(r, z)",
        {"v": np.array([1, 8])},
    ),
    "gather elements": (
        "c = GatherElements<axis=1>(a, i)  b = Relu(c)",
        {"i": RNG.integers(0, 8, (2, 8, 9, 10))},
    ),
    "layer norm over the channels, by hand": (
        """m = ReduceMean(a, v)  d = Sub(a, m)  q = Mul(d, d)  r = ReduceMean(q, v)  s = Sqrt(r)  e = Div(d, s)
           b = Mul(e, w2)""",
        {"v": np.array([1]), "w2": weight(8, 1, 1)},
    ),
    "permute, layer norm, linear, permute": (
        """p = Transpose<perm=[0,2,3,1]>(a)  n = LayerNormalization<axis=-1>(p, g, h)  l = MatMul(n, m)
           q = Transpose<perm=[0,3,1,2]>(l)  s = Mul(q, w2)  b = Add(a, s)""",
        {"g": weight(8), "h": weight(8), "m": weight(8, 8), "w2": weight(8, 1, 1)},
    ),
}


def between_convolutions(body: str, weights: dict[str, np.ndarray]) -> ir.Model:
    """Put `body`, from `a` to `b` of shape [N, 8, 9, 10], between two convolutions."""
    inputs = "".join(f", {_type(array)} {name}" for name, array in weights.items())
    model = parse(
        f"""g (float[N,3,11,12] x, float[8,3,3,3] w0, float[4,8,1,1] w1{inputs}) => (float y) {{
            a = Conv(x, w0)
            {body}
            y = Conv(b, w1)
        }}""",
        {"w0": weight(8, 3, 3, 3), "w1": weight(4, 8, 1, 1), **weights},
    )
    return model


def _type(array: np.ndarray) -> str:
    name = {"float32": "float"}.get(array.dtype.name, array.dtype.name)
    return f"{name}[{','.join(map(str, array.shape))}]" if array.ndim else f"{name}[]"


@pytest.mark.parametrize("case", PASSES)
def test_transposes_pass_through(case: str) -> None:
    model = between_convolutions(*PASSES[case])
    assert check(model).transposes == 2


def test_names_stay_where_the_tensor_is_the_same() -> None:
    model = between_convolutions("b = Relu(a)", {})
    channels_last(model)
    assert [value.name for node in model.graph for value in node.outputs] == [
        "x_nhwc",
        "a_nhwc",
        "b_nhwc",
        "y_nhwc",
        "y",
    ]
    assert [str(node.outputs[0].shape) for node in model.graph][:2] == ["[N,11,12,3]", "[N,9,10,8]"]


def test_metadata_of_nodes_stays() -> None:
    model = between_convolutions("b = Softmax<axis=1>(a)", {})
    for node in model.graph:
        node.name = f"the {node.op_type} of {node.outputs[0].name}"
        node.metadata_props["pkg.torch.onnx.stack_trace"] = f"line of {node.outputs[0].name}"
    channels_last(model)
    named = {node.name: node.metadata_props for node in model.graph}
    assert named["the Softmax of b"]["pkg.torch.onnx.stack_trace"] == "line of b"
    assert named["the Conv of a"]["pkg.torch.onnx.stack_trace"] == "line of a"


def test_weights_are_stored_permuted_and_say_so() -> None:
    model = between_convolutions("b = Relu(a)", {})
    original = model.graph.initializers["w0"].const_value.numpy()
    channels_last(model)
    stored = model.graph.initializers["w0"]
    assert stored.metadata_props["translate.permutation"] == "2,3,1,0"
    assert list(stored.shape) == [3, 3, 3, 8]
    np.testing.assert_array_equal(stored.const_value.numpy(), original.transpose(2, 3, 1, 0))
    assert stored.const_value.numpy().flags.c_contiguous


def test_linear_layer_stores_its_weight_transposed() -> None:
    model = parse(
        "g (float[N,5] x, float[3,5] w) => (float y) { t = Transpose<perm=[1,0]>(w)  y = MatMul(x, t) }",
        {"w": weight(3, 5)},
    )
    assert check(model).transposes == 0
    assert operators(model) == ["MatMul"]
    assert list(model.graph.initializers["w"].shape) == [5, 3]


def test_tied_weight_is_left_alone() -> None:
    model = parse(
        """g (int64[N,S] ids, float[7,5] w) => (float y) {
            e = Gather(w, ids)
            t = Transpose<perm=[1,0]>(w)
            y = MatMul(e, t)
        }""",
        {"w": weight(7, 5)},
    )
    assert check(model).transposes == 0
    assert [(node.domain, node.op_type) for node in model.graph] == [("", "Gather"), (FUSED, "MatMul")]
    assert model.graph.initializers["w"].metadata_props == {}
    assert model.opset_imports[FUSED] == 1


def test_weight_with_a_majority_of_one_permutation() -> None:
    model = parse(
        """g (float[N,2] a, float[N,2] b, float[N,3] c, float[2,3] w) => (float x, float y, float z) {
            p = Transpose<perm=[1,0]>(w)
            q = Transpose<perm=[1,0]>(w)
            d = Neg(p)
            x = Gemm<transB=1>(a, d)
            y = Gemm<transB=1>(b, q)
            z = MatMul(c, p)
        }""",
        {"w": weight(2, 3)},
    )
    assert check(model).transposes == 0
    assert "Transpose" not in operators(model)


def test_attention() -> None:
    model = parse(
        """g (float[N,S,24] x, float[24,72] w, float[24,24] o) => (float y) <int64[5] s = {0,-1,3,4,6},
              int64 i0 = {0}, int64 i1 = {1}, int64 i2 = {2}, int64[3] f = {0,-1,24}> {
            a = MatMul(x, w)
            r = Reshape(a, s)
            t = Transpose<perm=[2,0,3,1,4]>(r)
            q = Gather<axis=0>(t, i0)
            k = Gather<axis=0>(t, i1)
            v = Gather<axis=0>(t, i2)
            kt = Transpose<perm=[0,1,3,2]>(k)
            l = MatMul(q, kt)
            p = Softmax<axis=-1>(l)
            m = MatMul(p, v)
            b = Transpose<perm=[0,2,1,3]>(m)
            c = Reshape(b, f)
            y = MatMul(c, o)
        }""",
        {"w": weight(24, 72), "o": weight(24, 24)},
    )
    assert check(model).transposes == 2


def test_patch_embedding() -> None:
    model = parse(
        """g (float[N,3,8,8] x, float[6,3,4,4] w, float[6,6] m) => (float y) <int64[3] s = {0,6,-1}> {
            a = Conv<strides=[4,4]>(x, w)
            r = Reshape(a, s)
            t = Transpose<perm=[0,2,1]>(r)
            y = MatMul(t, m)
        }""",
        {"w": weight(6, 3, 4, 4), "m": weight(6, 6)},
    )
    assert check(model).transposes == 1
    assert [value.name for node in model.graph for value in node.outputs if node.op_type != "Constant"] == [
        "x_nhwc",
        "a_nhwc",
        "t",
        "y",
    ]


def test_transpose_of_axes_of_size_one_is_a_reshape() -> None:
    model = parse("g (float[N,4,1] x) => (float y) { a = GlobalMaxPool(x)  y = Exp(a) }")
    assert check(model).transposes == 0
    assert "Transpose" not in operators(model)


def test_channel_shuffle() -> None:
    model = between_convolutions(
        "r = Reshape(a, s)  t = Transpose<perm=[0,2,1,3,4]>(r)  b = Reshape(t, u)",
        {"s": np.array([0, 2, 4, 9, 10]), "u": np.array([0, 8, 9, 10])},
    )
    assert check(model).transposes == 3


def test_u_net() -> None:
    model = parse(
        """g (float[N,3,H,W] x, float[4,3,3,3] a, float[6,4,3,3] b, float[6,4,2,2] c, float[2,8,1,1] d) => (float y) {
            e = Conv<pads=[1,1,1,1]>(x, a)
            f = Relu(e)
            p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(f)
            h = Conv<pads=[1,1,1,1]>(p, b)
            i = Relu(h)
            u = ConvTranspose<strides=[2,2]>(i, c)
            j = Concat<axis=1>(u, f)
            y = Conv(j, d)
        }""",
        {"a": weight(4, 3, 3, 3), "b": weight(6, 4, 3, 3), "c": weight(6, 4, 2, 2), "d": weight(2, 8, 1, 1)},
    )
    assert check(model, {"x": weight(2, 3, 4, 6)}).transposes == 2


def test_group_normalization_is_put_together() -> None:
    model = parse(
        """g (float[N,3,11,12] x, float[8,3,3,3] w, float[8,8,1,1] v, float[2] a, float[2] b, float[8,1,1] c)
            => (float y) <int64[3] s = {0,2,-1}> {
            p = Conv(x, w)
            q = Reshape(p, s)
            r = InstanceNormalization<epsilon=0.001>(q, a, b)
            t = Shape(p)
            u = Reshape(r, t)
            m = Mul(u, c)
            y = Conv(m, v)
        }""",
        {
            "w": weight(8, 3, 3, 3),
            "v": weight(8, 8, 1, 1),
            "a": weight(2),
            "b": weight(2),
            "c": weight(8, 1, 1),
        },
        opset=21,
    )
    assert check(model).transposes == 2
    assert "GroupNormalization" in operators(model)


def test_relative_position_bias() -> None:
    model = parse(
        """g (float[N,3,4,4] x, float[7,3] t, int64[16,1] i) => (float y) <int64[3] s = {4,4,-1}> {
            r = GatherND(t, i)
            v = Reshape(r, s)
            p = Transpose<perm=[2,0,1]>(v)
            y = Add(x, p)
        }""",
        {"t": weight(7, 3), "i": RNG.integers(0, 7, (16, 1))},
    )
    assert check(model).transposes == 0


def test_unknown_rank_is_reported() -> None:
    model = parse("g (float[] x) => (float y) { y = LRN<size=3>(x) }")
    model.graph.node(0).name = "lrn"
    report = channels_last(model)
    assert report.unknown_rank == ["lrn"]
    assert operators(model) == ["LRN"]


def test_subgraphs_are_rewritten() -> None:
    model = parse(
        """g (bool c, float[N,3,5,6] x, float[4,3,1,1] w) => (float y) {
            z = Conv(x, w)
            y = If(c) <
                then_branch = t () => (float[N,4,5,6] a) {
                    r = Relu(z)
                    a = LRN<size=3>(r)
                },
                else_branch = e () => (float[N,4,5,6] b) { b = Neg(z) }
            >
        }""",
        {"w": weight(4, 3, 1, 1)},
    )
    report = check(model, {"c": np.array(True), "x": weight(2, 3, 5, 6)})
    assert report.converted == 2
    assert report.transposes == 3


def test_loop_body_is_rewritten() -> None:
    model = parse(
        """g (float[2,3,5,6] x, float[3,3,1,1] w) => (float[2,3,5,6] y) <int64 n = {3}, bool c = {1}> {
            y = Loop(n, c, x) <
                body = b (int64 i, bool go, float[2,3,5,6] s) => (bool on, float[2,3,5,6] t) {
                    on = Identity(go)
                    u = Conv(s, w)
                    v = Relu(u)
                    t = Conv(v, w)
                }
            >
        }""",
        {"w": weight(3, 3, 1, 1)},
    )
    assert check(model).transposes == 2


def test_output_that_is_also_read_keeps_its_name() -> None:
    model = parse(
        """g (float[N,3,5,6] x, float[4,3,1,1] w, float[4,4,1,1] v) => (float a, float b, float y) {
            a = Conv(x, w)
            b = Relu(a)
            y = Conv(b, v)
        }""",
        {"w": weight(4, 3, 1, 1), "v": weight(4, 4, 1, 1)},
    )
    assert check(model).transposes == 4


def test_transpose_that_cancels_at_an_output() -> None:
    model = parse(
        """g (float[N,3,5,6] x, float[4,3,1,1] w) => (float y, float z) {
            a = Conv(x, w)
            y = Transpose<perm=[0,2,3,1]>(a)
            i = Transpose<perm=[0,2,3,1]>(x)
            z = Transpose<perm=[0,3,1,2]>(i)
        }""",
        {"w": weight(4, 3, 1, 1)},
    )
    assert check(model).transposes == 1


def test_transposes_of_einsum_go_into_its_equation() -> None:
    model = parse(
        """g (float[N,3,4] x, float[N,4,5] y) => (float z) {
            a = Transpose<perm=[0,2,1]>(x)
            b = Transpose<perm=[2,0,1]>(y)
            e = Einsum<equation="bij,kbi->bjk">(a, b)
            z = Transpose<perm=[2,0,1]>(e)
        }"""
    )
    assert check(model).transposes == 0


def test_computed_weight_is_transposed_where_it_is_constant() -> None:
    model = parse(
        """g (float[N,3,5,6] x, float[4,3,2,2] w, float[4,1,1,1] s) => (float y) {
            m = Mul(w, s)
            y = Conv(x, m)
        }""",
        {"w": weight(4, 3, 2, 2), "s": weight(4, 1, 1, 1)},
    )
    assert check(model).transposes == 2
    assert list(model.graph.initializers["w"].shape) == [2, 2, 3, 4]


def test_minimum_cut() -> None:
    edges = [(0, 2, 3), (0, 3, 2), (2, 3, 1), (2, 1, 2), (3, 1, 4)]
    assert minimum_cut(4, edges, source=0, sink=1) == {0}
    assert minimum_cut(4, [(0, 2, 9), (2, 3, 1), (3, 1, 9)], source=0, sink=1) == {0, 2}


# Random graphs

UNARY = ["Relu", "Neg", "Exp", "Abs"]


def random_model(seed: int) -> ir.Model:
    """Make a random graph of layout-sensitive, layout-agnostic and layout-changing operators, of rank 4 and 3."""
    rng = np.random.default_rng(seed)
    lines: list[str] = []
    weights: dict[str, np.ndarray] = {}
    # Every tensor has these sizes in some order, so that any two can be brought together.
    tensors = {"x": (4, 3, 5, 6)}

    def add(text: str, shape: tuple[int, ...]) -> None:
        name = f"v{len(tensors)}"
        lines.append(f"{name} = {text}")
        tensors[name] = shape

    def constant(array: np.ndarray) -> str:
        name = f"c{len(weights)}"
        weights[name] = array
        return name

    for _ in range(14):
        name = list(tensors)[int(rng.integers(max(0, len(tensors) - 5), len(tensors)))]
        shape = tensors[name]
        axis = int(rng.integers(len(shape)))
        kind = rng.integers(12)
        if kind == 0:
            perm = tuple(int(a) for a in rng.permutation(len(shape)))
            add(f"Transpose<perm={list(perm)}>({name})", tuple(shape[a] for a in perm))
        elif kind == 1:
            channels = shape[1]
            kernel = constant(rng.normal(size=(channels, channels, *[1] * (len(shape) - 2))).astype(np.float32) / 2)
            add(f"Conv({name}, {kernel})", shape)
        elif kind == 2:
            add(f"{rng.choice(UNARY[:2])}({name})", shape)
        elif kind == 3:
            same = [other for other, other_shape in tensors.items() if other_shape == shape]
            add(f"Add({name}, {rng.choice(same)})", shape)
        elif kind == 4:
            bias = constant(rng.normal(size=[d if rng.random() < 0.5 else 1 for d in shape][axis:]).astype(np.float32))
            add(f"Mul({bias}, {name})", shape)
        elif kind == 5:
            keep = int(rng.integers(2)) if len(shape) > 3 else 1
            kept = tuple(1 if a == axis else d for a, d in enumerate(shape) if keep or a != axis)
            axes = constant(np.array([axis]))
            add(f"ReduceMean<keepdims={keep}>({name}, {axes})", kept)
        elif kind == 6:
            add(f"Softmax<axis={axis}>({name})", shape)
        elif kind == 7:
            if len(shape) == 4:
                at = int(rng.integers(3))
                target = (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
            else:
                target = (*shape[:axis], 1, *shape[axis:])
            add(f"Reshape({name}, {constant(np.array(target))})", target)
        elif kind == 8 and len(shape) > 2:
            spatial = len(shape) - 2
            add(f"MaxPool<kernel_shape={[3] * spatial}, pads={[1] * 2 * spatial}>({name})", shape)
        elif kind == 9 and shape[axis] > 1:
            pads = [0] * (2 * len(shape))
            pads[axis] = -1
            target = tuple(d - (a == axis) for a, d in enumerate(shape))
            add(f"Pad({name}, {constant(np.array(pads))})", target)
        elif kind == 10:
            matrix = constant(rng.normal(size=(shape[-1], shape[-1])).astype(np.float32) / 2)
            add(f"MatMul({name}, {matrix})", shape)
        elif kind == 11:
            flipped = f"t{len(lines)}"
            swap = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
            lines.append(f"{flipped} = Transpose<perm={swap}>({name})")
            add(f"MatMul({name}, {flipped})", (*shape[:-1], shape[-2]))
    outputs = list(tensors)[-3:]
    declared = ", ".join(f"{_type(array)} {name}" for name, array in weights.items())
    text = (
        f"g (float[4,3,5,6] x{', ' if declared else ''}{declared}) => ({', '.join(f'float {o}' for o in outputs)}) {{\n"
    )
    return parse(text + "\n".join(lines) + "\n}", weights)


@pytest.mark.parametrize("seed", range(60))
def test_random_graph(seed: int) -> None:
    model = random_model(seed)
    wrapped = sum(2 for node in model.graph if node.op_type in ("Conv", "MaxPool"))
    before = operators(model).count("Transpose")
    assert check(model).transposes <= before + wrapped


def test_initializer_that_a_caller_may_override_is_not_constant() -> None:
    model = parse("g (float[N,3,5,6] x, float[4,3,1,1] w) => (float y) { y = Conv(x, w) }", {"w": weight(4, 3, 1, 1)})
    model.graph.inputs.append(model.graph.initializers["w"])
    feeds = {"x": weight(2, 3, 5, 6), "w": weight(4, 3, 1, 1)}
    expected = run(model, feeds)
    assert channels_last(model).transposes == 3
    np.testing.assert_allclose(run(to_standard(model), feeds)[0], expected[0], rtol=1e-5, atol=1e-5)


def mixer(blocks: int) -> ir.Model:
    """Return blocks that multiply along either axis: each of them keeps a transpose."""
    lines, x = [], "x"
    for block in range(blocks):
        across = (
            f"t{block} = Transpose<perm=[0,2,1]>({x})\nm{block} = MatMul(t{block}, rows)\nr{block} = Relu(m{block})"
        )
        back = f"u{block} = Transpose<perm=[0,2,1]>(r{block})\na{block} = Add({x}, u{block})"
        along = f"c{block} = MatMul(a{block}, columns)\nb{block} = Add(a{block}, c{block})"
        lines += [across, back, along]
        x = f"b{block}"
    declared = "float[2,4,3] x, float[4,4] rows, float[3,3] columns"
    body = "\n".join(lines)
    weights = {"rows": weight(4, 4) / 4, "columns": weight(3, 3) / 4}
    return parse(f"g ({declared}) => (float y) {{ {body}\ny = Relu({x}) }}", weights)


def test_transposes_that_have_to_stay_are_not_tried_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def explored(blocks: int) -> int:
        count = 0
        original = cut.find_move

        def counted(*given: Any) -> Any:
            nonlocal count
            count += 1
            return original(*given)

        with monkeypatch.context() as patch:
            patch.setattr(cut, "find_move", counted)
            assert check(mixer(blocks)).transposes == blocks
        return count

    assert explored(24) < 2.5 * explored(12)
