"""Quantised TFLite files in real numbers, and how far their integers are from these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from translate.models.tflite_file import constant, operator_name, schema, unpack
from translate.models.tflite_model import TFLiteModel
from translate.models.tflite_reals import real_numbers

GENERATOR = np.random.default_rng(0)
FILTERS = tf.constant(GENERATOR.standard_normal((3, 3, 3, 8)).astype(np.float32))
DENSE = tf.constant(GENERATOR.standard_normal((8, 160)).astype(np.float32))


@tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")])
def network(image: tf.Tensor) -> dict[str, tf.Tensor]:
    x = tf.nn.relu6(tf.nn.conv2d(image, FILTERS, 2, "SAME"))
    return {"y": tf.reduce_mean(x, [1, 2]) @ DENSE}


def images(count: int) -> np.ndarray[Any, Any]:
    return GENERATOR.standard_normal((count, 8, 8, 3)).astype(np.float32)


def model(folder: Path, **settings: Any) -> TFLiteModel:
    module = tf.Module()
    module.network = network
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    for name, value in settings.items():
        setattr(converter, name, value)
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return TFLiteModel(path)


def full_int8(folder: Path, **settings: Any) -> TFLiteModel:
    return model(folder, representative_dataset=lambda: ([images(1)] for _ in range(8)), **settings)


def float16(folder: Path) -> TFLiteModel:
    found = model(folder)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    found.path.write_bytes(converter.convert())
    return TFLiteModel(found.path)


def kinds(content: bytes) -> set[str]:
    file = unpack(content)
    return {operator_name(file, one) for one in file.subgraphs[0].operators}


def test_float16_weights_are_no_integers(tmp_path: Path) -> None:
    found = float16(tmp_path)
    assert found.in_real_numbers() is None
    assert found.grids() == {}
    # Moved as the numbers of float32 that they are computed with, not by units of float16.
    feeds = {found.inputs[0].name: images(3)}
    exact, moved = found.run(feeds), found.run_perturbed(feeds, 0)
    name = found.outputs[0].name
    assert 0 < np.max(np.abs(exact[name] - moved[name])) < 1e-5 * np.max(np.abs(exact[name]))


def test_weights_of_int8_become_float32(tmp_path: Path) -> None:
    found = model(tmp_path)
    real = found.in_real_numbers()
    assert real is not None
    assert kinds(real.content()) <= kinds(found.content())
    feeds, name = {"image": images(4)}, found.outputs[0].name
    (filters,) = (t for t in unpack(found.content()).subgraphs[0].tensors if t.type == schema().TensorType.INT8)
    dense = real_numbers(unpack(found.content()), filters)
    assert dense is not None
    pooled = tf.reduce_mean(tf.nn.relu6(tf.nn.conv2d(feeds["image"], FILTERS, 2, "SAME")), [1, 2]).numpy()
    expected = pooled @ dense.T
    np.testing.assert_allclose(real.run(feeds)[name], expected, rtol=1e-4, atol=1e-5)
    # The interpreter rounds what it multiplies by the integers, which the real numbers do not.
    assert np.max(np.abs(found.run(feeds)[name] - expected)) > 1e-4


def test_each_operator_is_within_one_step_of_its_real_numbers(tmp_path: Path) -> None:
    found = full_int8(tmp_path)
    distances = found.operator_distances({"image": images(4)})
    assert set(distances) == {"CONV_2D", "MEAN", "FULLY_CONNECTED"}
    assert all(steps <= 1 for steps in distances.values())
    real, feeds, name = found.in_real_numbers(), {"image": images(4)}, found.outputs[0].name
    assert real is not None
    step = found.grids()[name].step
    integers, reals = found.run(feeds)[name], real.run(feeds)[name]
    assert np.max(np.abs(integers - reals)) < 3.5 * step
    # On the same grid.
    np.testing.assert_allclose(np.round(reals / step) * step, reals, atol=1e-5 * step * 127)


def test_a_wrong_scale_is_many_steps_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = full_int8(tmp_path)
    from translate.models import tflite_reals

    right: Callable[[Any], Any] = tflite_reals.scale_of
    monkeypatch.setattr(tflite_reals, "scale_of", lambda tensor: (right(tensor)[0] * 1.1, right(tensor)[1]))
    assert max(found.operator_distances({"image": images(4)}).values()) > 1


def test_integers_at_the_interface_stand_for_real_numbers(tmp_path: Path) -> None:
    found = full_int8(tmp_path, inference_input_type=tf.int8, inference_output_type=tf.uint8)
    (spec,), (result,) = found.inputs, found.outputs
    assert (spec.dtype, result.dtype) == ("int8", "uint8")
    assert (found.distributions["image"].low, found.distributions["image"].high) == (-128, 127)
    grid = found.grids()[result.name]
    assert grid.integers
    numbers = grid.real(np.asarray([grid.zero, grid.zero + 2], np.uint8))
    np.testing.assert_allclose(numbers, [0, 2 * grid.step], rtol=1e-6)


def test_four_bits_are_unpacked_the_lower_half_first() -> None:
    made = schema()
    file, tensor, buffer = made.ModelT(), made.TensorT(), made.BufferT()
    buffer.data = np.asarray([0x7F, 0x08], np.uint8)
    file.buffers, tensor.buffer, tensor.shape, tensor.type = [buffer], 0, [3], made.TensorType.INT4
    tensor.quantization = made.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [0.5], [1]
    stored = constant(file, tensor)
    assert stored is not None
    assert stored.astype(int).tolist() == [-1, 7, -8]
    assert np.asarray(real_numbers(file, tensor)).tolist() == [-1.0, 3.0, -4.5]
