"""Random numbers: shapes and moments."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tests.converters.tf_to_onnx.cases import exported, floats, refuses, run

X = floats("n", 3)


def draw(function: Any, x: np.ndarray[Any, Any]) -> Any:
    model, _ = exported(function, [X])
    (y,) = run(model, {"x0": x})
    return y


def test_moments() -> None:
    x = np.zeros((20000, 3), np.float32)
    uniform = draw(lambda x: tf.random.uniform(tf.shape(x)), x)
    normal = draw(lambda x: tf.random.normal(tf.shape(x), 1.0, 2.0), x)
    whole = draw(lambda x: tf.random.uniform(tf.shape(x), 2, 5, tf.int32), x)
    assert uniform.shape == x.shape and uniform.dtype == np.float32 and 0 <= uniform.min() < uniform.max() <= 1
    assert abs(uniform.mean() - 0.5) < 0.01 and abs(normal.mean() - 1) < 0.05 and abs(normal.std() - 2) < 0.05
    assert whole.dtype == np.int32 and set(np.unique(whole)) == {2, 3, 4}


def test_classes_by_their_probability() -> None:
    x = np.log(np.tile(np.asarray([[0.2, 0.3, 0.5]], np.float32), (200, 1)))
    drawn = draw(lambda x: tf.random.categorical(x, 100), x)
    assert drawn.shape == (200, 100) and drawn.dtype == np.int64
    np.testing.assert_allclose(np.bincount(drawn.reshape(-1)) / drawn.size, [0.2, 0.3, 0.5], atol=0.02)


def test_numbers_that_follow_from_a_seed_are_refused() -> None:
    refuses(lambda x: tf.random.stateless_uniform(tf.shape(x), [1, 2]), X, match="generator")
