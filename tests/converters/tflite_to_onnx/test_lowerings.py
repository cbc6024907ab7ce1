"""Every operator of the table, converted from TensorFlow and compared with the TFLite interpreter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import Input, floats, ints
from tests.converters.tflite_to_onnx.cases import check, convert, operators, written
from translate.converters.tflite_to_onnx.lowerings import TABLE
from translate.converters.tflite_to_onnx.not_done import not_done

_GENERATOR = np.random.default_rng(1)
IMAGE = floats("n", 7, 6, 4)
FIXED = floats(2, 6, 6, 4)


def weights(*sizes: int) -> Any:
    return tf.constant(_GENERATOR.standard_normal(sizes).astype(np.float32))


@dataclass(frozen=True)
class Case:
    """A function and the operator that must be in the file that it becomes."""

    operator: str
    function: Callable[..., Any]
    inputs: tuple[Input, ...]


def case(operator: str, function: Callable[..., Any], *inputs: Input) -> Case:
    return Case(operator, function, inputs or (floats("n", 5),))


VECTOR, POSITIVE = floats("n", 5), floats("n", 5, low=0.1, high=3.0)
WHOLE = ints("n", 5, low=-4, high=9)
RAW = tf.raw_ops
F_CONV = weights(3, 2, 4, 5)
F_GROUPS = weights(3, 3, 2, 6)
F_DEPTH = weights(3, 3, 4, 2)
F_UP = weights(3, 3, 5, 4)
F_3D = weights(2, 2, 2, 3, 4)
DENSE = weights(5, 3)

CASES = [
    *(
        case(operator, function)
        for operator, function in {
            "ABS": tf.abs,
            "CEIL": tf.math.ceil,
            "COS": tf.cos,
            "ELU": tf.nn.elu,
            "EXP": tf.exp,
            "FLOOR": tf.floor,
            "HARD_SWISH": lambda x: x * tf.nn.relu6(x + 3) * np.float32(1 / 6),
            "LEAKY_RELU": lambda x: tf.nn.leaky_relu(x, 0.3),
            "LOGISTIC": tf.sigmoid,
            "LOG_SOFTMAX": tf.nn.log_softmax,
            "NEG": tf.negative,
            "RELU": tf.nn.relu,
            "RELU6": tf.nn.relu6,
            "RELU_N1_TO_1": lambda x: tf.maximum(tf.minimum(x, 1.0), -1.0),
            "ROUND": tf.round,
            "SIGN": tf.sign,
            "SIN": tf.sin,
            "SOFTMAX": tf.nn.softmax,
            "SQUARE": tf.square,
            "TANH": tf.tanh,
            "ZEROS_LIKE": lambda x: tf.zeros_like(x) + x,
            "L2_NORMALIZATION": lambda x: tf.nn.l2_normalize(x, -1),
            "GELU": lambda x: tf.nn.gelu(x),
            "SHAPE": lambda x: tf.shape(x),
            "EXPAND_DIMS": lambda x: tf.expand_dims(x, 1),
            "TRANSPOSE": lambda x: tf.transpose(x),
            "TILE": lambda x: tf.tile(x, [1, 2]),
            "PACK": lambda x: tf.stack([x, x * 2], 1),
            "UNPACK": lambda x: tf.unstack(x, axis=1)[1:4],
            "SPLIT": lambda x: tf.split(tf.concat([x, x], 1), 2, 1),
            "SPLIT_V": lambda x: tf.split(x, [1, 4], 1),
            "CONCATENATION": lambda x: tf.concat([x, x + 1], 1),
            "REVERSE_V2": lambda x: tf.reverse(x, [1]),
            "PAD": lambda x: tf.pad(x, [[0, 0], [1, 2]]),
            "PADV2": lambda x: tf.pad(x, [[1, 0], [1, 2]], constant_values=1.5),
            "MIRROR_PAD": lambda x: tf.pad(x, [[0, 0], [1, 2]], "SYMMETRIC"),
            "STRIDED_SLICE": lambda x: x[:, 1:4:2],
            "SLICE": lambda x: tf.slice(x, [0, 1], [-1, 3]),
            "RESHAPE": lambda x: tf.reshape(x, [-1]),
            "MEAN": lambda x: tf.reduce_mean(x, 1),
            "SUM": lambda x: tf.reduce_sum(x, [0, 1], keepdims=True),
            "REDUCE_MAX": lambda x: tf.reduce_max(x, 1),
            "REDUCE_MIN": lambda x: tf.reduce_min(x, 0),
            "REDUCE_PROD": lambda x: tf.reduce_prod(x, 1),
            "ARG_MAX": lambda x: tf.argmax(x, 1),
            "ARG_MIN": lambda x: tf.argmin(x, 1, output_type=tf.int32),
            "TOPK_V2": lambda x: tf.math.top_k(x, 3),
            "CUMSUM": lambda x: tf.cumsum(x, 1, exclusive=True),
            "CAST": lambda x: tf.cast(x * 3, tf.int32),
            "FULLY_CONNECTED": lambda x: tf.nn.relu(x @ DENSE + tf.constant([1.0, 2.0, 3.0])),
            "FILL": lambda x: tf.fill(tf.shape(x), 2.5) + x,
            "WHERE": lambda x: tf.where(x > 0),
        }.items()
    ),
    case("GELU", lambda x: tf.nn.gelu(x, approximate=True)),
    case("LOG", tf.math.log, POSITIVE),
    case("SQRT", tf.sqrt, POSITIVE),
    case("RSQRT", tf.math.rsqrt, POSITIVE),
    case("POW", tf.pow, POSITIVE, floats("n", 5)),
    *(
        case(operator, function, VECTOR, VECTOR)
        for operator, function in {
            "ADD": tf.add,
            "SUB": tf.subtract,
            "MUL": lambda x, y: tf.nn.relu6(x * y),
            "DIV": tf.divide,
            "MAXIMUM": tf.maximum,
            "MINIMUM": tf.minimum,
            "SQUARED_DIFFERENCE": tf.math.squared_difference,
            "FLOOR_DIV": tf.math.floordiv,
            "FLOOR_MOD": tf.math.floormod,
            "ATAN2": tf.atan2,
            "EQUAL": tf.equal,
            "NOT_EQUAL": tf.not_equal,
            "LESS": tf.less,
            "LESS_EQUAL": tf.less_equal,
            "GREATER": tf.greater,
            "GREATER_EQUAL": tf.greater_equal,
            "LOGICAL_AND": lambda x, y: tf.logical_and(x > 0, y > 0),
            "LOGICAL_OR": lambda x, y: tf.logical_or(x > 0, y > 0),
            "SELECT_V2": lambda x, y: tf.where(x > 0, x, y[:, :1]),
            "SELECT": lambda x, y: RAW.Select(condition=x > 0, x=x, y=y),
            "REDUCE_ANY": lambda x, y: tf.reduce_any(x > y, 1),
            "REDUCE_ALL": lambda x, y: tf.reduce_all(x > y, 1),
            "ADD_N": lambda x, y: tf.add_n([x, y, x]),
            "BATCH_MATMUL": lambda x, y: tf.matmul(x[:, :, None], y[:, None]),
        }.items()
    ),
    case("FLOOR_DIV", tf.math.floordiv, WHOLE, ints("n", 5, low=1, high=4)),
    case("FLOOR_MOD", tf.math.floormod, WHOLE, ints("n", 5, low=1, high=4)),
    case("BITWISE_XOR", tf.bitwise.bitwise_xor, WHOLE, WHOLE),
    case("RIGHT_SHIFT", tf.bitwise.right_shift, ints("n", 5, dtype="uint32"), ints("n", 5, dtype="uint32")),
    case("RANGE", lambda x: tf.range(tf.shape(x)[0]) + 1),
    case("GATHER", lambda x, i: tf.gather(x, i, axis=1), VECTOR, ints(3)),
    case("GATHER", lambda x, i: tf.gather(x, i, batch_dims=1), VECTOR, ints("n", 2)),
    case("GATHER_ND", lambda x, i: tf.gather_nd(x, i), floats(4, 5), ints("n", 2, high=4)),
    case("ONE_HOT", lambda i: tf.one_hot(i, 4), ints("n", 3)),
    case("SCATTER_ND", lambda i, x: tf.scatter_nd(i, x, [4, 5]), ints(3, 1, high=4), floats(3, 5)),
    case("UNIQUE", lambda i: tf.unique(i)[0], ints("n", high=4)),
    case("SEGMENT_SUM", lambda x: tf.math.segment_sum(x, tf.constant([0, 0, 1])), floats(3, 4)),
    case("UNSORTED_SEGMENT_SUM", lambda x: tf.math.unsorted_segment_sum(x, tf.constant([2, 0, 2]), 3), floats(3, 4)),
    case("UNSORTED_SEGMENT_PROD", lambda x: tf.math.unsorted_segment_prod(x, tf.constant([2, 0, 2]), 3), floats(3, 4)),
    case("REVERSE_SEQUENCE", lambda x, n: tf.reverse_sequence(x, n, 1), floats(3, 5), ints(3, low=1)),
    case("MATRIX_DIAG", lambda x: RAW.MatrixDiag(diagonal=x), floats("n", 4)),
    case("MATRIX_SET_DIAG", lambda x, d: RAW.MatrixSetDiag(input=x, diagonal=d), floats(2, 4, 4), floats(2, 4)),
    case("BROADCAST_ARGS", lambda x, y: tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(y)), VECTOR, floats(1, 5)),
    case("CONV_2D", lambda x: tf.nn.relu(tf.nn.conv2d(x, F_CONV, 2, "SAME") + tf.constant([1.0, 2, 3, 4, 5])), IMAGE),
    case("CONV_2D", lambda x: tf.nn.conv2d(x, F_CONV, 1, "VALID", dilations=2), IMAGE),
    case("CONV_2D", lambda x: tf.nn.conv2d(x, F_GROUPS, 1, "SAME"), FIXED),
    case("DEPTHWISE_CONV_2D", lambda x: tf.nn.depthwise_conv2d(x, F_DEPTH, [1, 2, 2, 1], "SAME"), IMAGE),
    case("TRANSPOSE_CONV", lambda x: tf.nn.conv2d_transpose(x, F_UP, [2, 12, 12, 5], 2, "SAME"), FIXED),
    case(
        "TRANSPOSE_CONV",
        lambda x: tf.nn.conv2d_transpose(x, F_UP, tf.stack([tf.shape(x)[0], 15, 13, 5]), 2, "VALID"),
        IMAGE,
    ),
    case("CONV_3D", lambda x: tf.nn.conv3d(x, F_3D, [1, 2, 1, 1, 1], "SAME"), floats(1, 4, 5, 6, 3)),
    case(
        "CONV_3D_TRANSPOSE",
        lambda x: tf.nn.conv3d_transpose(x, F_3D, [1, 8, 10, 12, 3], 2, "SAME"),
        floats(1, 4, 5, 6, 4),
    ),
    case("MAX_POOL_2D", lambda x: tf.nn.max_pool2d(x, [3, 2], [2, 1], "SAME"), IMAGE),
    case("AVERAGE_POOL_2D", lambda x: tf.nn.avg_pool2d(x, [2, 3], [2, 2], "SAME"), IMAGE),
    case("RESIZE_BILINEAR", lambda x: RAW.ResizeBilinear(images=x, size=[9, 11], half_pixel_centers=True), IMAGE),
    case("RESIZE_BILINEAR", lambda x: RAW.ResizeBilinear(images=x, size=[9, 11], align_corners=True), IMAGE),
    case("RESIZE_NEAREST_NEIGHBOR", lambda x: RAW.ResizeNearestNeighbor(images=x, size=[5, 12]), IMAGE),
    case("SPACE_TO_DEPTH", lambda x: tf.nn.space_to_depth(x, 2), floats("n", 4, 6, 3)),
    case("DEPTH_TO_SPACE", lambda x: tf.nn.depth_to_space(x, 2), floats("n", 4, 6, 8)),
    case("SPACE_TO_BATCH_ND", lambda x: tf.space_to_batch(x, [2, 3], [[0, 1], [0, 0]]), IMAGE),
    case("BATCH_TO_SPACE_ND", lambda x: tf.batch_to_space(x, [2, 1], [[0, 1], [1, 0]]), floats(4, 3, 3, 2)),
    case("LOCAL_RESPONSE_NORMALIZATION", lambda x: tf.nn.lrn(x, 2, 1.0, 0.5, 0.75), floats("n", 3, 3, 8)),
    case("NON_MAX_SUPPRESSION_V4", lambda b, s: _suppress(b, s), floats(6, 4, low=0.0, high=1.0), floats(6)),
    case("WHILE", lambda x: tf.while_loop(lambda i, y: i < 3, lambda i, y: (i + 1, y * 2 + x), [0, x])[1], VECTOR),
    case("IF", lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x * 2, lambda: tf.exp(x)), VECTOR),
]


def _suppress(boxes: Any, scores: Any) -> Any:
    return RAW.NonMaxSuppressionV4(
        boxes=boxes,
        scores=scores,
        max_output_size=4,
        iou_threshold=0.4,
        score_threshold=-1.0,
        pad_to_max_output_size=True,
    )


@pytest.mark.parametrize("given", CASES, ids=[f"{one.operator}-{i}" for i, one in enumerate(CASES)])
def test_numbers(given: Case) -> None:
    content = convert(given.function, given.inputs)
    assert given.operator in operators(content)
    check(content, given.inputs, [{"n": 3}, {"n": 5}])


def f32(*numbers: Any) -> Any:
    return np.asarray(numbers, np.float32)


X = floats(2, 3, 4)
# Operators that the converter makes of no function that is small.
BY_HAND = {
    "RELU_0_TO_1": written("RELU_0_TO_1", [X], [X]),
    "RANK": written("RANK", [X], [ints()], kind="RankOptions"),
    "SQUEEZE": written("SQUEEZE", [floats(2, 1, 3, 1)], [floats(2, 3, 1)], kind="SqueezeOptions", squeezeDims=[1]),
    "BROADCAST_TO": written("BROADCAST_TO", [floats(3, 1), np.asarray([2, 3, 4], np.int32)], [X], version=2),
    "PRELU": written("PRELU", [X, f32(0.1, 0.2, 0.3, 0.4)], [X]),
    "LOGICAL_NOT": written("LOGICAL_NOT", [ints(4, high=2, dtype="bool")], [ints(4, dtype="bool")]),
    "EMBEDDING_LOOKUP": written("EMBEDDING_LOOKUP", [ints(4), weights(5, 3).numpy()], [floats(4, 3)]),
    "DYNAMIC_UPDATE_SLICE": written("DYNAMIC_UPDATE_SLICE", [floats(4, 5), floats(2, 3), ints(2)], [floats(4, 5)]),
    "FAKE_QUANT": written("FAKE_QUANT", [X], [X], kind="FakeQuantOptions", min=-1.5, max=1.0, numBits=8),
    "L2_POOL_2D": written(
        "L2_POOL_2D",
        [floats(1, 6, 6, 2)],
        [floats(1, 3, 3, 2)],
        kind="Pool2DOptions",
        padding=1,
        strideW=2,
        strideH=2,
        filterWidth=2,
        filterHeight=2,
    ),
    "BUCKETIZE": written("BUCKETIZE", [X], [ints(2, 3, 4)], kind="BucketizeOptions", boundaries=[-1.0, 0.5]),
    "RESHAPE": written("RESHAPE", [X], [floats(6, 4)], kind="ReshapeOptions", newShape=[6, -1]),
}


@pytest.mark.parametrize("operator", BY_HAND)
def test_numbers_of_one_operator(operator: str) -> None:
    content = BY_HAND[operator]
    assert operators(content) == {operator}
    taken = {
        "BROADCAST_TO": [floats(3, 1)],
        "LOGICAL_NOT": [ints(4, high=2, dtype="bool")],
        "EMBEDDING_LOOKUP": [ints(4)],
        "DYNAMIC_UPDATE_SLICE": [floats(4, 5), floats(2, 3), ints(2)],
        "SQUEEZE": [floats(2, 1, 3, 1)],
        "L2_POOL_2D": [floats(1, 6, 6, 2)],
    }
    check(content, taken.get(operator, [X]))


def test_every_lowering_has_a_case() -> None:
    here = {one.operator for one in CASES} | set(BY_HAND)
    elsewhere = {"QUANTIZE", "DEQUANTIZE", "UNIDIRECTIONAL_SEQUENCE_LSTM"}
    rows = {row.op_type for row in TABLE}
    assert rows == here | elsewhere
    assert not rows & {name for name, _ in not_done()}
