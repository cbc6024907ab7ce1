"""Where random numbers come from while a graph is built."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.draws import Draws, FixedDraws, GeneratorDraws, drawing_from, draws


def test_the_source_holds_for_a_while() -> None:
    fixed = FixedDraws()
    with drawing_from(fixed):
        assert draws() is fixed
    assert type(draws()) is Draws


def test_a_generator_goes_on_from_its_state() -> None:
    source = GeneratorDraws()
    assert not source.used
    first = source.uniform([100], 2.0, 4.0, tf.float32, seed=1).numpy()
    assert source.used and first.min() >= 2 and first.max() < 4
    # A seed in the model does not make each call the same.
    assert not np.array_equal(source.uniform([100], 2.0, 4.0, tf.float32, seed=1), first)
    source.generator.state.assign(tf.zeros([3], tf.int64))
    np.testing.assert_array_equal(source.uniform([100], 2.0, 4.0, tf.float32, seed=1), first)


def test_what_happens_has_its_probability() -> None:
    probability = tf.constant([0.0, 0.3, 1.0])
    happened = GeneratorDraws().happens(probability, [10_000, 3], None).numpy().mean(0)
    assert happened[0] == 0 and happened[2] == 1
    assert abs(happened[1] - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 10_000)


def test_fixed_numbers_are_those_of_pytorch() -> None:
    fixed = FixedDraws()
    np.testing.assert_array_equal(fixed.uniform([2], 2.0, 4.0, tf.float32, None), [3, 3])
    np.testing.assert_array_equal(fixed.normal([2], 1.0, 3.0, tf.float32, None), [4, 4])
    np.testing.assert_array_equal(fixed.happens(tf.constant([0.0, 0.1]), [2, 2], None), [[False, True], [False, True]])
