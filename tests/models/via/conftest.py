"""SavedModels that the runtimes are tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import translate
from translate.models.base import Array

FIXTURES = Path(__file__).parents[3] / "fixtures"


class Mixed(tf.Module):
    """Takes and returns one tensor of each common dtype."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None, 3], tf.float64, name="double"),
            tf.TensorSpec([], tf.int64, name="count"),
            tf.TensorSpec([None], tf.bool, name="flag"),
            tf.TensorSpec([None, 2], tf.float32, name="x"),
        ]
    )
    def mixed(self, text: tf.Tensor, double: tf.Tensor, count: tf.Tensor, flag: tf.Tensor, x: tf.Tensor) -> dict:
        return {
            "upper": tf.strings.upper(text),
            "raw_bytes": text,
            "same": double,
            "next": count + 1,
            "not": tf.logical_not(flag),
            "x": tf.identity(x),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.bfloat16, name="x")])
    def brain(self, x: tf.Tensor) -> dict:
        return {"y": 2 * x}

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def strict(self, x: tf.Tensor) -> dict:
        return {"y": tf.linalg.matvec(tf.eye(3), x)}


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    module = Mixed()
    signatures = {"serving_default": module.mixed, "brain": module.brain, "strict": module.strict}
    tf.saved_model.save(module, folder, signatures=signatures)
    return folder


@pytest.fixture
def feeds() -> dict[str, Array]:
    """Numbers that do not survive carelessness: any float32 bits, infinities, NaN, denormals, large integers."""
    bits = np.random.default_rng(0).integers(0, 2**32, (4000, 2), dtype=np.uint32)
    return {
        "text": np.array([b"ab", "ä".encode(), b"", b"c" * 50], object),
        "double": np.array([[1e300, -0.0, 5e-324], [np.nan, np.inf, -np.inf], [0.1, 1 / 3, 2**53]]),
        "count": np.array(2**62 + 1),
        "flag": np.array([True, False]),
        "x": bits.view(np.float32),
    }


def assert_identical(actual: dict[str, Array], expected: dict[str, Array]) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype, name
        np.testing.assert_array_equal(actual[name], array, err_msg=name)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fixture digits_cnn, translated."""
    folder = tmp_path_factory.mktemp("digits") / "digits_cnn_tf"
    translate.torch2tf(FIXTURES / "digits_cnn.pt2", folder, verify=False)
    return folder


@pytest.fixture(scope="session")
def planted(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with one weight, the largest of a convolution, changed by a tenth."""
    loaded = tf.saved_model.load(str(digits))
    weight = next(variable for variable in loaded.trainable_variables if len(variable.shape) == 4)
    value = weight.numpy()
    value[np.unravel_index(np.abs(value).argmax(), value.shape)] *= 1.1
    weight.assign(value)
    folder = tmp_path_factory.mktemp("planted")
    tf.saved_model.save(loaded, folder, signatures=loaded.signatures)
    return folder
