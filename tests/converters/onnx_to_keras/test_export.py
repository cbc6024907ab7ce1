"""Keras models from PyTorch modules: equal numbers at several sizes, weights in layers of their own, names."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from translate.converters.onnx_to_keras import functional
from translate.converters.passes import prepare_for_keras
from translate.converters.torch_to_onnx import export
from translate.errors import CannotTranslateError
from translate.models import open_model

pytestmark = pytest.mark.xdist_group("onnx_to_keras")


def translated(net: nn.Module, *inputs: str) -> Any:
    model = export(open_model(net.eval(), inputs=inputs))
    prepare_for_keras(model)
    return functional(model)


def randomised(net: nn.Module) -> nn.Module:
    """Give parameters and statistics values that no initialisation hides."""
    torch.manual_seed(0)
    for tensor in (*net.parameters(), *net.buffers()):
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5) if tensor.dim() == 1 else tensor.data.normal_()
    return net.eval()


def check(net: nn.Module, inputs: list[str], *shapes: tuple[int, ...]) -> Any:
    """Compare on inputs of `shapes`, and return the Keras model."""
    net = randomised(net)
    model = translated(net, *inputs)
    for shape in shapes:
        x = torch.randn(shape)
        with torch.no_grad():
            expected = net(x)
        found = model(x.numpy())
        expected = expected if isinstance(expected, dict) else {"": expected}
        found = found if isinstance(found, dict) else {"": found}
        assert found.keys() == expected.keys()
        for name, tensor in expected.items():
            array = tensor.numpy()
            np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4 * np.abs(array).max(), err_msg=name)
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert trainable == sum(parameter.numel() for parameter in net.parameters())
    return model


class Images(nn.Module):
    """Convolutions, normalisations and pools in which Keras differs from PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 8, 3, padding=1)
        self.strided = nn.Conv2d(8, 8, (3, 2), stride=2, padding=(1, 0), bias=False)
        self.depthwise = nn.Conv2d(8, 16, 3, groups=8, padding=1)
        self.uneven = nn.Conv2d(8, 8, 3, groups=8, stride=(2, 1))
        self.grouped = nn.Conv2d(8, 4, 3, groups=2)
        self.dilated = nn.Conv2d(8, 4, 3, dilation=2, stride=2, padding=3)
        self.up = nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1)
        self.sparse = nn.ConvTranspose2d(8, 3, 2, stride=3)
        self.norm = nn.BatchNorm2d(8, momentum=0.3, eps=1e-3)
        self.bare = nn.BatchNorm2d(8, affine=False)
        self.groups = nn.GroupNorm(2, 8)
        self.instance = nn.InstanceNorm2d(8, affine=True)
        self.slope = nn.PReLU(8)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.slope(self.norm(self.plain(x)))
        return {
            "strided_y": self.strided(y),
            "depthwise_y": self.depthwise(y),
            "uneven_y": self.uneven(y),
            "grouped_y": self.grouped(y),
            "dilated_y": self.dilated(y),
            "up_y": self.up(y),
            "sparse_y": self.sparse(y),
            "bare_y": self.bare(y),
            "groups_y": self.groups(y),
            "instance_y": self.instance(y),
            "add": y + 1,
            "most": F.max_pool2d(y - 9, 3, 2, 1),
            "ceiling": F.max_pool2d(y, 3, 2, ceil_mode=True),
            "mean": F.avg_pool2d(y, 3, 2, 1),
            "counted": F.avg_pool2d(y, 3, 2, 1, count_include_pad=False, ceil_mode=True),
            "over": F.avg_pool2d(y, 2, 3, 1, ceil_mode=True),
            "whole": F.adaptive_avg_pool2d(y, 1),
        }


def test_images() -> None:
    model = check(Images(), ["x:batch,3,12,11"], (2, 3, 12, 11), (1, 3, 12, 11))
    assert isinstance(model.get_layer("depthwise"), keras.layers.DepthwiseConv2D)
    norm = model.get_layer("norm")
    assert (norm.momentum, norm.epsilon) == pytest.approx((0.7, 1e-3))
    assert len(model.get_layer("bare").trainable_weights) == 0


class Resized(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y = self.conv(x)
        return {
            "twice": F.interpolate(y, scale_factor=2),
            "smooth": F.interpolate(y, scale_factor=2, mode="bilinear"),
            "odd": F.interpolate(y, size=(5, 17)),
            "corners": F.interpolate(y, size=(5, 17), mode="bilinear", align_corners=True),
            "cubic": F.interpolate(y, scale_factor=1.5, mode="bicubic"),
            "shuffled": F.pixel_shuffle(y, 2),
            "reflected": F.pad(y, (1, 2, 0, 1), mode="reflect"),
        }


def test_resizing() -> None:
    check(Resized(), ["x:batch,3,8,7"], (2, 3, 8, 7))


def test_images_of_open_sizes() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Upsample(scale_factor=2))
    check(net, ["input:batch,3,height,width"], (2, 3, 10, 14), (1, 3, 24, 8))


class Sequences(nn.Module):
    """Shape arithmetic, bare parameters and attention, at open lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = nn.Parameter(torch.zeros(40, 8))
        self.scale = nn.Parameter(torch.zeros(()))
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.weighed = nn.MultiheadAttention(8, 2, batch_first=True)
        self.register_buffer("mask", torch.ones(70, 70).tril().log())

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        batch, length, _ = x.shape
        y = torch.cat([self.token.expand(batch, -1, -1), x], 1)
        y = (y + self.positions[: length + 1]) * self.scale
        y = y + self.mask[: length + 1, : length + 1].exp() @ y
        after, weights = self.weighed(y, y, y)
        order = torch.arange(length, device=x.device).flip(0)
        return {
            "encoded": self.encoder(y),
            "after": after,
            "weights": weights,
            "reversed": x[:, order],
            "inner": y[:, 1:-1],
            "counted": torch.full((batch, length), 2.0) * length,
            "rows": self.weighed.out_proj(y.reshape(-1, 8)).view(batch, -1, 4, 2),
        }


def test_sequences_of_open_length() -> None:
    model = check(Sequences(), ["x:batch,seq,8"], (2, 5, 8), (1, 9, 8))
    assert [tuple(weight.shape) for weight in model.get_layer("positions").trainable_weights] == [(1, 40, 8)]
    assert not model.get_layer("mask").trainable


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(5, 6, num_layers=2, batch_first=True)
        self.both = nn.GRU(6, 4, bidirectional=True)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        y, last = self.gru(x)
        z, ends = self.both(y.transpose(0, 1), last.new_ones(2, x.shape[0], 4))
        return {"z": z, "last": last, "ends": ends}


def test_recurrent_layers() -> None:
    model = check(Recurrent(), ["x:batch,seq,5"], (2, 7, 5), (4, 3, 5))
    assert isinstance(model.get_layer("both"), keras.layers.Bidirectional)


def test_an_lstm_has_the_sum_of_two_biases() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(5, 6, bidirectional=True, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lstm(x)[0]

    net = randomised(Net())
    model = translated(net, "x:batch,seq,5")
    x = torch.randn(3, 4, 5)
    np.testing.assert_allclose(model(x.numpy()), net(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    forward = model.get_layer("lstm").forward_layer
    expected = (net.lstm.bias_ih_l0 + net.lstm.bias_hh_l0).detach().numpy()
    np.testing.assert_allclose(forward.cell.bias, expected)


class Tied(nn.Module):
    """A weight that embeds and decodes, one that a layer and something else read, and a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.decoder = nn.Linear(6, 11)
        self.decoder.weight = self.words.weight
        self.twice = nn.Linear(6, 6)
        self.shared = nn.Linear(6, 6, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.twice(self.twice(self.words(ids)))
        return self.decoder(self.shared(x) + self.shared.weight.sum(0))


def test_shared_weights_are_stored_once() -> None:
    net = randomised(Tied())
    model = translated(net, "ids:batch,seq:int64")
    ids = torch.tensor([[1, 10, 3], [0, 5, 5]])
    np.testing.assert_allclose(model(ids.numpy()), net(ids).detach().numpy(), rtol=1e-4, atol=1e-4)
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == sum(p.numel() for p in net.parameters())
    assert isinstance(model.get_layer("words"), keras.layers.ReversibleEmbedding)


def test_names_inputs_and_outputs_are_those_of_the_source() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.Sequential(nn.Linear(3, 4), nn.ReLU())

        def forward(self, add: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.relu(add) + b, torch.ones(2)

    model = translated(Net(), "add:batch,3", "b:batch,4")
    assert {tensor.name: tensor.shape for tensor in model.inputs} == {"add": (None, 3), "b": (None, 4)}
    assert "relu_0" in [layer.name for layer in model.layers]
    # Names do not depend on what the process has built before.
    again = translated(Net(), "add:batch,3", "b:batch,4")
    assert [op.name for op in again.operations] == [op.name for op in model.operations]
    one, constant = model({"add": np.ones((5, 3), np.float32), "b": np.ones((5, 4), np.float32)})
    assert one.shape == (5, 4) and np.array_equal(constant, [1, 1])


LOOP = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[batch, 3] x, int64 n) => (float[batch, 3] y, int64[2, found] z)
{
  go = Constant<value_int = 1>()
  b = Cast<to = 9>(go)
  y = Loop<body = step (int64 i, bool c, float[batch, 3] before) => (bool more, float[batch, 3] after)
    { more = Identity(c)  after = Add(before, before) }>(n, b, x)
  z = NonZero(x)
}
"""


def test_everything_that_keras_cannot_say_is_named_at_once() -> None:
    model = ir.from_proto(onnx.parser.parse_model(LOOP))
    prepare_for_keras(model)
    with pytest.raises(CannotTranslateError) as raised:
        functional(model)
    assert {problem.operator for problem in raised.value.problems} == {"Loop", "NonZero"}
    assert all(problem.hint == "--format saved_model" for problem in raised.value.problems)


def test_sizes_that_no_tensor_has_are_refused() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.arange(x.shape[1] * x.shape[0])

    with pytest.raises(CannotTranslateError, match="a size is computed that no tensor has"):
        translated(Net(), "x:batch,seq,5")
