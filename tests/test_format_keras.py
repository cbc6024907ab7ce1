"""`torch2tf --format keras`: a model of Keras's own layers, which loads, trains and goes back without us."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch

from translate import routes
from translate.errors import CannotTranslateError, UsageError
from translate.models.base import Array

pytestmark = pytest.mark.xdist_group("format_keras")

FIXTURES = Path(__file__).parents[1] / "fixtures"
# The axes of each fixture's input after the batch, and where it takes integers the number above them.
SHAPES = {
    "digits_cnn": ((1, 8, 8), None),
    "text_classifier": ((64,), 96),
    "char_lm": ((16,), 60),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The fixtures as Keras files, each proven."""
    folder = tmp_path_factory.mktemp("keras")
    files = {}
    for name in SHAPES:
        files[name] = folder / f"{name}.keras"
        result = routes.torch2tf(FIXTURES / f"{name}.pt2", files[name], format="keras")
        assert result.verdict is not None and result.verdict.passed
        assert result.format == "keras" and result.trainable == counted(source(name).parameters(), name)
    return files


def source(name: str) -> torch.nn.Module:
    return torch.export.load(FIXTURES / f"{name}.pt2").module()


def counted(parameters: Any, name: str) -> int:
    """Count parameters; of an LSTM's two biases Keras has the sum."""
    total = sum(parameter.numel() for parameter in parameters)
    if name == "text_classifier":
        total -= sum(p.numel() for key, p in source(name).named_parameters() if "bias_hh" in key)
    return total


def inputs(name: str, batch: int) -> Array:
    rng = np.random.default_rng(batch)
    shape, largest = SHAPES[name]
    if largest is None:
        return rng.standard_normal((batch, *shape)).astype(np.float32)
    return rng.integers(1, largest, (batch, *shape))


ALONE = """
import sys, numpy as np, keras
feeds = np.load(sys.argv[1])
results = {}
for key in feeds:
    name, _ = key.split(":")
    model = keras.models.load_model(f"{sys.argv[3]}/{name}.keras")
    results[key] = np.asarray(model(feeds[key]))
assert not any(module.split(".")[0] in ("translate", "torch", "onnx") for module in sys.modules)
np.savez(sys.argv[2], **results)
"""


def test_another_process_loads_it_with_keras_alone(written: dict[str, Path], tmp_path: Path) -> None:
    feeds = {f"{name}:{batch}": inputs(name, batch) for name in SHAPES for batch in (1, 3)}
    np.savez(tmp_path / "in.npz", **feeds)
    folder = written["digits_cnn"].parent
    command = [sys.executable, "-I", "-c", ALONE, tmp_path / "in.npz", tmp_path / "out.npz", folder]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, timeout=120)
    found = np.load(tmp_path / "out.npz")
    for key, feed in feeds.items():
        with torch.no_grad():
            expected = source(key.split(":")[0])(torch.from_numpy(feed)).numpy()
        np.testing.assert_allclose(found[key], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max(), err_msg=key)


@pytest.mark.parametrize("name", SHAPES)
def test_ten_steps_of_adam_lower_the_loss(written: dict[str, Path], name: str) -> None:
    model = keras.models.load_model(written[name])
    x = inputs(name, 8)
    classes = model.output_shape[-1]
    labels = np.random.default_rng(0).integers(0, classes, np.asarray(model(x)).shape[:-1])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=loss)
    before = [np.array(weight) for weight in model.trainable_weights]
    losses = model.fit(x, labels, epochs=10, batch_size=8, verbose=0).history["loss"]
    assert losses[-1] < 0.9 * losses[0], losses
    moved = [not np.array_equal(old, np.array(new)) for old, new in zip(before, model.trainable_weights, strict=True)]
    assert all(moved)


def test_gradients_are_those_of_pytorch(written: dict[str, Path]) -> None:
    import tensorflow as tf

    x = inputs("digits_cnn", 4)
    module = source("digits_cnn")
    module(torch.from_numpy(x)).square().mean().backward()
    expected = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    model = keras.models.load_model(written["digits_cnn"])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(x, training=False)))
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    found = {weight.path: gradient for weight, gradient in zip(model.trainable_weights, gradients, strict=True)}
    pairs = {
        "conv1.weight": np.transpose(found["conv1/kernel"], (3, 2, 0, 1)),
        "norm1.weight": found["norm1/gamma"],
        "norm2.bias": found["norm2/beta"],
        "head.weight": np.transpose(found["head/kernel"]),
    }
    for name, gradient in pairs.items():
        np.testing.assert_allclose(gradient, expected[name], rtol=1e-3, atol=1e-4 * np.abs(expected[name]).max())


def test_it_goes_back_to_pytorch(written: dict[str, Path], tmp_path: Path) -> None:
    result = routes.tf2torch(written["digits_cnn"], tmp_path / "back.pt2")
    assert result.verdict is not None and result.verdict.passed
    assert result.trainable == counted(source("digits_cnn").parameters(), "digits_cnn")


def test_an_existing_file_is_replaced_with_force_only(tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists"):
        routes.torch2tf(FIXTURES / "neural_net.pt2", path, format="keras")
    assert path.read_bytes() == b"precious"
    result = routes.torch2tf(FIXTURES / "neural_net.pt2", path, format="keras", force=True)
    assert result.verdict is not None and result.verdict.passed
    assert keras.models.load_model(path).count_params() == counted(source("neural_net").parameters(), "neural_net")


def test_what_keras_cannot_say_is_refused_whole_and_leaves_nothing(tmp_path: Path) -> None:
    class Found(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nonzero(x > 0)

    with pytest.raises(CannotTranslateError, match="NonZero") as raised:
        routes.torch2tf(Found(), tmp_path / "found.keras", inputs=["x:batch,4"], format="keras")
    assert "--format saved_model" in str(raised.value)
    assert not list(tmp_path.iterdir())


def residual() -> tuple[torch.nn.Module, list[str]]:
    from torchvision.models import resnet18

    return resnet18(num_classes=5), ["x:batch,3,64,64"]


def patches() -> tuple[torch.nn.Module, list[str]]:
    import timm

    return timm.create_model("vit_tiny_patch16_224", num_classes=5, img_size=64, depth=2), ["x:batch,3,64,64"]


def masked() -> tuple[torch.nn.Module, list[str]]:
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48)
    return BertForMaskedLM(config), ["input_ids:batch,seq:int64", "attention_mask:batch,seq:int64"]


@pytest.mark.zoo
@pytest.mark.parametrize("make", [residual, patches, masked])
def test_real_models(make: Callable[[], tuple[torch.nn.Module, list[str]]], tmp_path: Path) -> None:
    from tests.torchvision_ops import declare

    declare()
    torch.manual_seed(0)
    net, specs = make()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    result = routes.torch2tf(net.eval(), tmp_path / "net.keras", inputs=specs, format="keras")
    assert result.verdict is not None and result.verdict.passed
    assert result.trainable == sum(parameter.numel() for parameter in net.parameters())
    assert result.inputs[0].shape is not None and result.inputs[0].shape[0] == "batch"
