"""Convolutions: symbolic sizes, groups, strides with dilations, padding of every kind, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import torch

from tests.converters.nodes import normal
from tests.converters.onnx_to_tf.cases import check, gradients, onnxruntime, run
from translate.converters.onnx_to_tf.conv import conv
from translate.errors import CannotTranslateError

# name, input [N, C, *spatial], weights [M, C / group, *kernel], attributes
CONVS = [
    ("1d", (2, 4, 17), (6, 4, 3), {"pads": [1, 2], "strides": [2]}),
    ("1d dilated", (2, 4, 17), (6, 4, 3), {"dilations": [3], "pads": [6, 0]}),
    ("1d depthwise, strided and dilated", (2, 4, 17), (8, 1, 3), {"group": 4, "dilations": [2], "strides": [2]}),
    ("2d asymmetric pads", (2, 3, 9, 11), (5, 3, 3, 2), {"pads": [0, 1, 2, 0], "strides": [1, 2]}),
    ("2d same", (2, 3, 9, 11), (5, 3, 3, 2), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ("2d same lower", (2, 3, 9, 11), (5, 3, 2, 2), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    ("2d dilated and strided", (2, 3, 9, 11), (5, 3, 3, 2), {"dilations": [2, 3], "strides": [2, 1], "pads": [1] * 4}),
    ("2d groups", (2, 6, 9, 11), (4, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    ("2d groups, strided", (2, 6, 9, 11), (9, 2, 3, 2), {"group": 3, "strides": [2, 1], "pads": [0, 1, 1, 0]}),
    ("2d depthwise", (2, 6, 9, 11), (6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1]}),
    ("2d depthwise, unequal strides", (2, 6, 9, 11), (12, 1, 3, 3), {"group": 6, "strides": [2, 1]}),
    ("2d depthwise, dilated", (2, 6, 9, 11), (6, 1, 3, 3), {"group": 6, "dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    ("3d", (1, 2, 5, 6, 7), (3, 2, 3, 2, 3), {"pads": [1, 0, 1, 1, 1, 0], "strides": [1, 2, 1]}),
    (
        "3d groups, strided and dilated",
        (1, 4, 6, 6, 7),
        (4, 2, 2, 2, 3),
        {"group": 2, "dilations": [1, 2, 1], "strides": [2, 1, 2]},
    ),
]


@pytest.mark.parametrize(("x", "w", "attributes"), [case[1:] for case in CONVS], ids=[case[0] for case in CONVS])
def test_conv(x: tuple[int, ...], w: tuple[int, ...], attributes: dict[str, Any]) -> None:
    inputs = [normal(*x), normal(*w), normal(w[0])]
    # ONNX's reference implementation is wrong for auto_pad.
    expected = onnxruntime("Conv", inputs, attributes, opset=22)
    check("Conv", inputs, attributes, opset=22, known=[1, 2], expected=expected, rtol=1e-4, atol=1e-4)


def test_only_batch_and_channels_are_needed_to_be_known() -> None:
    """The kernel's size may come from the attribute alone."""
    x, w = normal(2, 3, 8, 8), normal(4, 3, 3, 3)
    check("Conv", [x, w], {"kernel_shape": [3, 3]}, rtol=1e-4, atol=1e-4)
    with pytest.raises(CannotTranslateError, match="the kernel's size is not known"):
        run("Conv", [x, w])


@pytest.mark.parametrize(("group", "w"), [(1, (4, 4, 3, 3)), (2, (6, 2, 3, 3)), (4, (8, 1, 3, 3))])
@pytest.mark.parametrize("dynamic", [False, True])
def test_gradients_are_those_of_torch(group: int, w: tuple[int, ...], dynamic: bool) -> None:
    arrays = [normal(2, 4, 7, 8), normal(*w), normal(w[0])]
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    torch.nn.functional.conv2d(*tensors, padding=1, stride=2, groups=group).sum().backward()
    attributes = {"group": group, "pads": [1, 1, 1, 1], "strides": [2, 2], "kernel_shape": [3, 3]}
    for actual, tensor in zip(gradients("Conv", arrays, attributes, dynamic=dynamic), tensors, strict=True):
        assert tensor.grad is not None
        np.testing.assert_allclose(actual, tensor.grad.numpy(), rtol=1e-4, atol=1e-4)


# name, input [N, C, *spatial], weights [C, M / group, *kernel], attributes as of torch
TRANSPOSED = [
    ("1d", (2, 4, 7), (4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    ("1d depthwise", (2, 4, 7), (4, 1, 4), {"stride": 2, "padding": 1, "groups": 4}),
    ("2d", (2, 4, 5, 6), (4, 3, 2, 2), {"stride": 2}),
    ("2d padded", (2, 4, 5, 6), (4, 3, 3, 4), {"stride": (2, 1), "padding": (1, 2), "output_padding": (1, 0)}),
    ("2d dilated", (2, 4, 5, 6), (4, 3, 3, 2), {"stride": 2, "dilation": (2, 3), "padding": 1}),
    ("2d groups", (2, 4, 5, 6), (4, 3, 3, 3), {"stride": 2, "groups": 2, "padding": 1}),
    ("2d depthwise", (2, 4, 5, 6), (4, 1, 4, 4), {"stride": 2, "groups": 4, "padding": 1}),
    ("3d", (1, 4, 3, 4, 5), (4, 2, 2, 3, 2), {"stride": (1, 2, 2), "groups": 2, "padding": (0, 1, 1)}),
]


@pytest.mark.parametrize(("x", "w", "options"), [case[1:] for case in TRANSPOSED], ids=[case[0] for case in TRANSPOSED])
def test_conv_transpose(x: tuple[int, ...], w: tuple[int, ...], options: dict[str, Any]) -> None:
    spatial = len(x) - 2
    arrays = [normal(*x), normal(*w), normal(w[1] * options.get("groups", 1))]
    function = [
        torch.nn.functional.conv_transpose1d,
        torch.nn.functional.conv_transpose2d,
        torch.nn.functional.conv_transpose3d,
    ]
    expected = function[spatial - 1](*map(torch.tensor, arrays), **options).numpy()
    every = {name: [value] * spatial if isinstance(value, int) else list(value) for name, value in options.items()}
    attributes: dict[str, Any] = {"group": options.get("groups", 1), "strides": every["stride"]}
    attributes["pads"] = every.get("padding", [0] * spatial) * 2
    attributes["output_padding"] = every.get("output_padding", [0] * spatial)
    attributes["dilations"] = every.get("dilation", [1] * spatial)
    check("ConvTranspose", arrays, attributes, expected=[expected], known=[1, 2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
def test_conv_transpose_to_a_multiple_of_its_input(auto_pad: str) -> None:
    x, w = normal(1, 2, 4, 5), normal(2, 3, 3, 3)
    for dynamic in (True, False):
        (y,) = run("ConvTranspose", [x, w], {"auto_pad": auto_pad, "strides": [2, 3]}, dynamic=dynamic, known=[1])
        assert y.shape == (1, 3, 8, 15)


def test_float64() -> None:
    x, w = normal(2, 4, 7, 8).astype(np.float64), normal(4, 2, 3, 3).astype(np.float64)
    check("Conv", [x, w], {"group": 2, "pads": [1, 1, 1, 1]}, known=[1], rtol=1e-12, atol=1e-12)


def test_depthwise_convolution_and_residual_survive_grappler(capfd: pytest.CaptureFixture[str]) -> None:
    x, w, b = (tf.constant(normal(*shape)) for shape in ((1, 5, 6, 4), (3, 3, 1, 4), (4,)))

    @tf.function
    def residual(x: tf.Tensor) -> tf.Tensor:
        return conv(x, w, b, group=4, pads=[1, 1, 1, 1]) + x

    np.testing.assert_allclose(residual(x), conv(x, w, b, group=4, pads=[1, 1, 1, 1]) + x, rtol=1e-5)
    assert "no registered kernels" not in capfd.readouterr().err
