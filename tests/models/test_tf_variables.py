"""Variables of TensorFlow and Keras: moved and put back to the bit, in their own memory."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from translate.models.tf_variables import moved, numbers

RNG = np.random.default_rng(0)


def make(dtype: str) -> list[tf.Variable]:
    shapes = [(), (3,), (40, 5), (2, 60)]
    return [tf.Variable(tf.cast(RNG.normal(size=shape), dtype)) for shape in shapes]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_number_moves_and_returns(dtype: str) -> None:
    variables = [*make(dtype), tf.Variable([1, 2]), tf.Variable(["text"])]
    before = [variable.numpy() for variable in variables]
    with moved(variables, 0):
        within = [variable.numpy() for variable in variables]
    with moved(variables, 0):
        again = [variable.numpy() for variable in variables]
    for first, second, old, variable in zip(within, again, before, variables, strict=True):
        assert (first == second).all()
        assert (variable.numpy() == old).all()
    # Of bfloat16, a few are whole numbers, which stay.
    assert all(np.mean(first != old) > 0.9 for first, old in zip(within[:4], before, strict=False))
    assert all((first == old).all() for first, old in zip(within[4:], before[4:], strict=True))


def test_variables_of_keras() -> None:
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    before = layer.kernel.numpy()
    with moved(layer.weights, 0):
        assert (layer.kernel.numpy() != before).all()
    np.testing.assert_array_equal(layer.kernel.numpy(), before)


def test_a_failure_restores() -> None:
    (*_, variable) = make("float32")
    before = variable.numpy()
    with pytest.raises(KeyError), moved([variable], 0):
        raise KeyError
    np.testing.assert_array_equal(variable.numpy(), before)


def test_numbers_are_no_copy() -> None:
    variable = tf.Variable(RNG.normal(size=(4, 5)))
    first, second = numbers(variable), numbers(variable)
    assert np.shares_memory(first, second) and not first.flags.writeable
    np.testing.assert_array_equal(first, variable.numpy())
