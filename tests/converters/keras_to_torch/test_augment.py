"""Random augmentation: Keras's own in evaluation, and what its options promise in training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import layers as L

from tests.converters.keras_to_torch.cases import sequential
from tests.converters.keras_to_torch.test_models import load
from translate.converters.keras_to_torch import augment_color, convert, interface
from translate.converters.onnx_to_torch.python import save_python

IMAGES = np.random.default_rng(0).uniform(0, 255, (6, 9, 11, 3)).astype("float32")

LAYERS = [
    L.RandomFlip(),
    L.RandomRotation(0.2),
    L.RandomZoom(0.3),
    L.RandomZoom((-0.3, -0.2), (0.1, 0.4), fill_mode="wrap"),
    L.RandomTranslation(0.2, 0.3, fill_mode="constant", fill_value=7.0),
    L.RandomShear(0.3, 0.2),
    L.RandomPerspective(1.0, 0.4),
    L.RandomCrop(5, 6),
    L.RandomContrast(0.4),
    L.RandomBrightness(0.3),
    L.RandomHue(0.3),
    L.RandomSaturation((0.2, 0.7)),
    L.RandomGrayscale(0.5),
    L.RandomColorDegeneration((0.2, 0.8)),
    L.RandomColorJitter((0, 255), 0.2, 0.3, (0.3, 0.7), 0.2),
    L.RandomInvert(0.5),
    L.RandomPosterization((2, 6)),
    L.RandomSharpness(0.7),
    L.RandomGaussianBlur(1.0, 3, (0.3, 0.9)),
    L.RandomErasing(1.0),
    L.RandomErasing(1.0, fill_value=(1, 2, 3)),
    L.Solarization(0.3, 0.5),
]
ONLY_IN_EVALUATION = [L.RandomElasticTransform(), L.AugMix(), L.RandAugment(), L.CutMix(), L.MixUp()]


def name(layer: Any) -> str:
    return type(layer).__name__


def trained(layer: Any) -> Any:
    """Return the translated layer in training mode."""
    torch.manual_seed(0)
    return convert(sequential(IMAGES.shape[1:], layer)).train()


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
@pytest.mark.parametrize("layer", LAYERS + ONLY_IN_EVALUATION, ids=name)
def test_in_evaluation_nothing_changes_but_perhaps_the_dtype(layer, dtype):
    model = sequential(IMAGES.shape[1:], layer, dtype=dtype)
    images = IMAGES.astype(dtype)
    found = convert(model)(torch.from_numpy(images)).numpy()
    expected = np.asarray(model(images, training=False))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_in_training_the_numbers_have_the_distribution_of_keras(layer):
    model = sequential(IMAGES.shape[1:], layer)
    module = trained(layer)
    keras.utils.set_random_seed(0)
    ours = np.stack([module(torch.from_numpy(IMAGES)).numpy() for _ in range(40)])
    theirs = np.stack([np.asarray(model(IMAGES, training=True)) for _ in range(40)])
    assert ours.shape == theirs.shape
    spread = theirs.std(0).mean()
    # The means of pixels are apart by what 40 draws leave open, and the draws spread alike.
    assert np.abs(ours.mean(0) - theirs.mean(0)).mean() < 2 * spread * np.sqrt(2 / 40)
    assert 0.75 < ours.std(0).mean() / spread < 1.33


@pytest.mark.parametrize("layer", ONLY_IN_EVALUATION, ids=name)
def test_what_is_not_written_refuses_to_be_trained(layer):
    with pytest.raises(NotImplementedError, match=name(layer)):
        trained(layer)(torch.from_numpy(IMAGES))


@pytest.mark.parametrize(("mode", "axes"), [("horizontal", 3), ("vertical", 2), ("horizontal_and_vertical", (2, 3))])
def test_a_flip_is_one_of_two(mode, axes):
    module = trained(L.RandomFlip(mode))
    x = torch.from_numpy(IMAGES)
    flipped = torch.flip(x, [axes - 1] if isinstance(axes, int) else [axis - 1 for axis in axes])
    seen = set()
    for _ in range(10):
        for image, one, other in zip(module(x), x, flipped, strict=True):
            assert torch.equal(image, one) or torch.equal(image, other)
            seen.add(torch.equal(image, one))
    assert seen == {True, False}


def test_a_rotation_by_a_right_angle():
    x = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype("float32")
    model = sequential(x.shape[1:], L.RandomRotation((0.25, 0.25)))
    found = convert(model).train()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(found, np.rot90(x, 1, (1, 2)), atol=1e-5)
    np.testing.assert_allclose(found, np.asarray(model(x, training=True)), atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        L.RandomZoom((0.4, 0.4), (-0.2, -0.2), fill_mode="reflect"),
        L.RandomTranslation((0.3, 0.3), (-0.2, -0.2), fill_mode="constant", fill_value=5.0),
        L.RandomRotation((0.1, 0.1), fill_mode="wrap", interpolation="nearest"),
        L.RandomBrightness((0.2, 0.2)),
        L.RandomContrast((0.3, 0.3)),
        L.RandomPosterization((3, 3)),
        L.RandomSharpness((0.9, 0.9)),
        L.RandomSaturation((0.7, 0.7)),
        L.RandomColorDegeneration((0.4, 0.4)),
        L.RandomGaussianBlur(1.0, (3, 5), (0.6, 0.6)),
        L.RandomInvert(1.0),
        L.RandomGrayscale(1.0),
    ],
    ids=name,
)
def test_what_leaves_nothing_to_chance_is_the_same_in_training(layer):
    if name(layer) == "RandomContrast":
        # Its factor goes from 1 - 0.3 to 1 + 0.3.
        layer.factor = (-0.3, 0.3)
    if name(layer) in ("RandomInvert", "RandomGaussianBlur"):
        layer.factor = (1.0, 1.0)
    expected = np.asarray(sequential(IMAGES.shape[1:], layer)(IMAGES, training=True))
    found = trained(layer)(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    assert not np.allclose(found, IMAGES)


def test_equalization_is_the_same_in_training():
    layer = L.Equalization()
    levels = IMAGES.astype("uint8").astype("float32")
    module = augment_color.Equalization(256, (0.0, 255.0)).train()
    found = module(torch.from_numpy(levels).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(found, np.asarray(layer(levels, training=True)), atol=1e-4)


def test_a_seed_is_pytorch_s():
    module, x = trained(L.RandomZoom(0.4)), torch.from_numpy(IMAGES)
    torch.manual_seed(3)
    first = module(x)
    assert not torch.equal(module(x), first)
    torch.manual_seed(3)
    assert torch.equal(module(x), first)


@pytest.mark.parametrize(
    "layer",
    [L.RandomFlip("horizontal"), L.RandomRotation(0.2), L.RandomContrast(0.3), L.RandomHue(0.3), L.RandomErasing(1.0)],
    ids=name,
)
def test_images_with_channels_first(layer):
    options = layer.get_config() | {"data_format": "channels_first"}
    first = convert(sequential((3, 9, 11), type(layer).from_config(options))).train()
    last = trained(layer)
    torch.manual_seed(2)
    expected = last(torch.from_numpy(IMAGES))
    torch.manual_seed(2)
    found = first(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
    assert torch.equal(found.permute(0, 2, 3, 1), expected)


def test_a_nested_model_that_augments_is_a_module_that_does():
    inner = keras.Sequential([L.RandomFlip(), L.RandomZoom(0.2)], name="data_augmentation")
    x = keras.Input(IMAGES.shape[1:])
    model = keras.Model(x, L.Conv2D(2, 3)(L.Pipeline([L.RandomContrast(0.2), L.Rescaling(1 / 255)])(inner(x))))
    module, values = convert(model), torch.from_numpy(IMAGES)
    expected = np.asarray(model(IMAGES, training=False))
    np.testing.assert_allclose(module(values).detach().numpy(), expected, atol=1e-5)
    assert not torch.allclose(module.train()(values), module.eval()(values))
    # One at each edge: of the model, and of what it calls.
    assert module.code.count(".permute(") == 1


def test_labels_and_boxes_are_refused_by_name():
    images, labels = keras.Input((8, 8, 3), name="images"), keras.Input((4,), name="labels")
    model = keras.Model(
        {"images": images, "labels": labels}, L.RandomFlip(name="flip")(dict(images=images, labels=labels))
    )
    with pytest.raises(Exception, match=r"flip.*labels or boxes"):
        convert(model)


def test_an_exported_program_hands_images_on():
    module = convert(sequential(IMAGES.shape[1:], L.RandomFlip(), L.RandomRotation(0.2), L.Rescaling(1 / 255)))
    x = torch.from_numpy(IMAGES)
    exported = torch.export.export(module, (x,), dynamic_shapes=[{0: torch.export.Dim("batch")}])
    np.testing.assert_allclose(exported.module()(x[:2]).numpy(), IMAGES[:2] / 255, rtol=1e-6)


@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_torchscript_augments_in_training_as_well(layer):
    module, x = trained(layer), torch.from_numpy(IMAGES)
    script = torch.jit.script(module)
    torch.manual_seed(4)
    expected = module(x)
    torch.manual_seed(4)
    torch.testing.assert_close(script(x), expected)


def test_a_python_package_augments_in_training(tmp_path):
    model = sequential(IMAGES.shape[1:], *LAYERS, L.Conv2D(2, 3))
    module = convert(model)
    save_python(module, interface(module), tmp_path / "package", "Written by a test.")
    loaded = load(tmp_path / "package" / "model.py").load()
    x = torch.from_numpy(IMAGES)
    assert torch.equal(loaded(x), module(x))
    torch.manual_seed(1)
    expected = module.train()(x)
    torch.manual_seed(1)
    assert torch.equal(loaded.train()(x), expected)
    assert expected.shape == (6, 3, 4, 2)
    assert "translate.converters" not in (tmp_path / "package" / "model.py").read_text()
