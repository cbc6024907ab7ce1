"""Packages of Keras models: they read well, pass the linters, and are whole modules without this project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers as L
from torch import nn

from tests.converters.keras_to_torch.cases import feed, outputs, randomise
from translate.converters.keras_to_torch import convert, interface
from translate.converters.onnx_to_torch.python import save_python

# The models are made once, for all tests.
pytestmark = [pytest.mark.once, pytest.mark.xdist_group("packages_of_keras_models")]


def classes(model: Any, x: np.ndarray) -> Any:
    """Give the batch normalisations of an application the statistics of `x`, so that the signal gets through."""
    norms = [layer for layer in model.layers if isinstance(layer, L.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    model(x, training=True)
    for layer in norms:
        layer.momentum = 0.99
    return model


def application(name: str, scale: float, size: int = 32) -> tuple[Any, list[np.ndarray]]:
    x = np.random.default_rng(0).random((3, size + 1, size, 3)).astype("float32") * scale
    make = getattr(keras.applications, name)
    return classes(make(weights=None, input_shape=x.shape[1:], classes=10, classifier_activation=None), x), [x]


# Right padded, left padded, holes, and nothing at all.
IDS = np.array([[3, 5, 2, 0, 0, 0], [0, 0, 7, 1, 4, 4], [1, 0, 2, 0, 3, 0], [0] * 6], "int32")


def masked_gru() -> tuple[Any, list[np.ndarray]]:
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = L.Embedding(20, 6, mask_zero=True, name="words")(ids)
    x = L.Bidirectional(L.GRU(5, return_sequences=True), name="context")(x)
    x = L.Add(name="both")([L.GlobalAveragePooling1D(name="pool")(x), L.Bidirectional(L.GRU(5), name="summary")(x)])
    return keras.Model(ids, L.Dense(3, activation="softmax", name="head")(x)), [IDS[:3]]


def transformer() -> tuple[Any, list[np.ndarray]]:
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = L.Embedding(20, 8, mask_zero=True, name="words")(ids)
    for block in ("block1", "block2"):
        y = L.MultiHeadAttention(2, 4, dropout=0.1, name=f"{block}_attention")(x, x)
        x = L.LayerNormalization(name=f"{block}_norm1")(x + L.Dropout(0.1, name=f"{block}_drop")(y))
        y = L.Dense(8, name=f"{block}_down")(L.Dense(16, activation="gelu", name=f"{block}_up")(x))
        x = L.LayerNormalization(name=f"{block}_norm2")(x + y)
    return keras.Model(ids, L.Dense(3, name="head")(L.GlobalAveragePooling1D(name="pool")(x))), [IDS]


class Block(L.Layer):
    """Layers that nobody has named, as attributes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.ffn = keras.Sequential([L.Dense(12, activation="relu"), L.Dense(6)])
        self.heads = [L.Dense(6), L.Dense(6)]

    def call(self, x: Any) -> Any:
        for head in self.heads:
            x = x + head(x)
        return self.ffn(x)


def custom_layers() -> tuple[Any, list[np.ndarray]]:
    x = values = keras.Input((6,), name="values")
    for name in ("first", "second"):
        x = Block(name=name)(x)
    return keras.Model(values, x), [feed((3, 6))]


def nested() -> tuple[Any, list[np.ndarray]]:
    a = keras.Input((8, 8, 3), name="patch")
    x = L.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="conv")(a)
    x = L.BatchNormalization(name="bn")(x)
    encoder = keras.Model(a, [x, L.GlobalAveragePooling2D(name="pool")(x)], name="encoder")
    hidden = L.Dense(8, activation="relu", name="hidden")
    head = keras.Sequential([keras.Input((12,)), hidden, L.Dropout(0.5), L.Dense(1, name="score")], name="head")
    left, right = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    (x, u), (y, v) = encoder(left), encoder(right)
    shared = L.Dense(4, name="shared")
    score = head(L.Concatenate(name="joined")([u, v, shared(shared(u))]))
    encoder.get_layer("conv").trainable = False
    model = keras.Model({"left": left, "right": right}, {"score": score, "difference": L.Subtract(name="sub")([x, y])})
    return model, [feed((3, 8, 8, 3)), feed((3, 8, 8, 3), 1)]


def unet() -> tuple[Any, list[np.ndarray]]:
    x = image = keras.Input((None, None, 3), name="image")
    skips = []
    for level in ("down1", "down2"):
        x = L.Conv2D(4, 3, padding="same", activation="relu", name=f"{level}_conv1")(x)
        x = L.Conv2D(4, 3, padding="same", activation="relu", name=f"{level}_conv2")(x)
        skips.append(x)
        x = L.MaxPooling2D(2, name=f"{level}_pool")(x)
    x = L.Dropout(0.3, name="dropout")(L.Conv2D(8, 3, padding="same", name="bottom")(x))
    for level in ("up2", "up1"):
        x = L.Conv2DTranspose(4, 2, strides=2, padding="same", name=f"{level}_transpose")(x)
        x = L.Concatenate(name=f"{level}_concat")([x, skips.pop()])
        x = L.Conv2D(4, 3, padding="same", activation="relu", name=f"{level}_conv")(x)
    return keras.Model(image, L.Conv2D(2, 1, activation="softmax", name="mask")(x)), [feed((3, 16, 12, 3))]


MODELS = {
    "resnet50": lambda: application("ResNet50", 2, 64),
    "mobilenet_v2": lambda: application("MobileNetV2", 2),
    "efficientnet_b0": lambda: application("EfficientNetB0", 255),
    "masked_gru": masked_gru,
    "transformer": transformer,
    "custom_layers": custom_layers,
    "nested": nested,
    "unet": unet,
}
# Random networks this deep leave the range of half precision.
DEEP = ("resnet50", "mobilenet_v2", "efficientnet_b0")
# Everything that is asked of a package where nothing but torch and safetensors can be imported.
ALONE = """
import builtins, copy, importlib, sys
real = builtins.__import__
def refuse(name, *rest, **options):
    if name.partition(".")[0] in ("translate", "onnx", "onnx_ir", "onnxscript", "tensorflow", "keras"):
        raise ModuleNotFoundError(name)
    return real(name, *rest, **options)
import torch
builtins.__import__ = refuse
from torch.export import Dim, export
from torch.utils._pytree import tree_leaves, tree_map
sys.path.insert(0, ".")
for name, feeds in torch.load("cases.pt").items():
    model = importlib.import_module(name).load()
    with torch.no_grad():
        result = {"plain": tree_leaves(model(*feeds))}
        batch = Dim("batch")
        program = export(model, tuple(feeds), dynamic_shapes=tuple({0: batch} for _ in feeds)).module()
        result["exported"] = tree_leaves(program(*(x[:2] for x in feeds)))
        wide = lambda x: x.double() if x.is_floating_point() else x
        result["double"] = tree_leaves(copy.deepcopy(model).double()(*map(wide, feeds)))
        narrow = lambda x: x.half() if x.is_floating_point() else x
        if name not in sys.argv[1:]:
            result["half"] = tree_leaves(copy.deepcopy(model).half()(*map(narrow, feeds)))
        before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
        model.train()
        result["trained"] = [tree_leaves(model(*feeds)) for _ in range(2)]
        result["moved"] = [key for key, tensor in model.state_dict().items() if not torch.equal(tensor, before[key])]
        model.load_state_dict(before)
        result["evaluated"] = tree_leaves(model.eval()(*feeds))
    result["frozen"] = [key for key, parameter in model.named_parameters() if not parameter.requires_grad]
    result["keys"] = list(before)
    torch.save(result, name + ".pt")
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Write all packages into one folder, and run them; return it, the modules, and what Keras says."""
    folder = tmp_path_factory.mktemp("packages")
    cases, made = {}, {}
    for name, make in MODELS.items():
        keras.utils.set_random_seed(0)
        keras.backend.clear_session()
        model, feeds = make()
        if name not in DEEP:
            randomise(model)
        module = convert(model)
        save_python(module, interface(module), folder / name, "Written by a test.")
        cases[name] = [torch.from_numpy(array) for array in feeds]
        given = dict(zip(module.meta["inputs"], feeds, strict=True)) if len(feeds) > 1 else feeds[0]
        expected = [np.asarray(one) for one in keras.tree.flatten(model(given, training=False))]
        made[name] = module, outputs(module, feeds), expected
    torch.save(cases, folder / "cases.pt")
    subprocess.run([sys.executable, "-c", ALONE, *DEEP], check=True, cwd=folder, timeout=300)
    return folder, made


def source_of(packages: tuple[Path, Any], name: str) -> str:
    return (packages[0] / name / "model.py").read_text()


def test_they_pass_the_linters(packages):
    bin_ = Path(sys.executable).parent
    if not (bin_ / "ruff").exists():
        pytest.skip("the newest set has no linters")
    folder = packages[0]
    for command in (
        ["ruff", "check", "--isolated", "--line-length", "120", *MODELS],
        ["ruff", "check", "--config", str(Path(__file__).parents[3] / "pyproject.toml"), *MODELS],
        ["ruff", "format", "--check", "--isolated", "--line-length", "120", *MODELS],
        ["mypy", "--strict", "--config-file", "", *MODELS],
    ):
        done = subprocess.run(
            [bin_ / command[0], *command[1:]], cwd=folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", MODELS)
def test_they_are_the_models_alone(name, packages):
    folder, made = packages
    module, ours, expected = made[name]
    result = torch.load(folder / f"{name}.pt")
    assert result["keys"] == list(module.state_dict())
    for got, own, theirs in zip(result["plain"], ours, expected, strict=True):
        assert np.array_equal(got.numpy(), own)
        spread = np.abs(theirs - theirs[::-1]).max()
        assert np.abs(theirs - own).max() < 1e-3 * spread
    kinds = [("exported", 2, 1e-4), ("double", None, 1e-3), ("evaluated", None, 0)]
    if name not in DEEP:
        kinds.append(("half", None, 5e-2))
    for kind, few, rtol in kinds:
        for got, own in zip(result[kind], ours, strict=True):
            assert got.dtype is {"double": torch.float64, "half": torch.float16}.get(kind, torch.float32)
            np.testing.assert_allclose(got.float().numpy(), own[:few], rtol=rtol, atol=rtol * np.abs(own).max())


@pytest.mark.parametrize("name", ["efficientnet_b0", "transformer", "nested", "unet"])
def test_dropout_drops_in_training_only(name, packages):
    result = torch.load(packages[0] / f"{name}.pt")
    once, again = result["trained"]
    assert not all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


def test_batch_norm_learns_in_training_only(packages):
    folder, made = packages
    moved = torch.load(folder / "resnet50.pt")["moved"]
    statistics = [key for key in made["resnet50"][0].state_dict() if re.search("running|batches", key)]
    assert moved == statistics
    assert torch.load(folder / "transformer.pt")["moved"] == []


def test_requires_grad_follows_trainable(packages):
    assert torch.load(packages[0] / "nested.pt")["frozen"] == ["encoder.conv.weight", "encoder.conv.bias"]


def test_blocks_that_repeat_are_written_once(packages):
    source = source_of(packages, "resnet50")
    assert 'for block in ("conv4_block2", "conv4_block3", "conv4_block4", "conv4_block5", "conv4_block6"):' in source
    assert source.count('layer("3_conv")') == 2  # with a projection and without
    # Layers keep their names.
    assert "self.conv4_block5_3_conv = nn.Conv2d(256, 1024, 1)" in source
    assert "        x = F.relu(self.conv1_bn(self.conv1_conv(F.pad(x, [3, 3, 3, 3]))))\n" in source


def test_a_masked_recurrent_layer_reads_as_people_write_it(packages):
    source = source_of(packages, "masked_gru")
    assert "y, _ = self.forward_layer(pack_steps(x, mask))" in source
    assert source.count("class Bidirectional") == 2
    assert source.count("def pack_steps(") == 1
    assert "context = Bidirectional()" in source


def test_a_step_that_may_look_nowhere_is_as_in_keras():
    # With the scores at hand Keras gives it nothing, without them everything.
    for dropout in (0.0, 0.1):
        ids = keras.Input((None,), dtype="int32")
        x = L.Embedding(20, 6, mask_zero=True)(ids)
        model = keras.Model(ids, L.MultiHeadAttention(2, 3, dropout=dropout)(x, x))
        randomise(model)
        np.testing.assert_allclose(outputs(convert(model), [IDS])[0], np.asarray(model(IDS)), rtol=1e-5, atol=1e-6)


def test_layers_that_nobody_named_are_called_like_the_attributes(packages):
    module = packages[1]["custom_layers"][0]
    assert isinstance(module.first.ffn.dense, nn.Linear)
    assert isinstance(module.second.heads.get_submodule("1"), nn.Linear)
    source = source_of(packages, "custom_layers")
    # One class for both.
    assert source.count("class Block(") == source.count("class Sequential(") == 1
    assert "self.first = Block()" in source and "self.second = Block()" in source
    assert "for head in self.heads:" in source


def test_shapes_are_said(packages):
    source = source_of(packages, "nested")
    assert '"""Return [N, 4, 4, 4], [N, 4] of x [N, 8, 8, 3]."""' in source
    assert "    difference  float32 [batch, 4, 4, 4]\n" in source
