"""Activations by name."""

from __future__ import annotations

import numpy as np
import pytest

from translate.converters.operators.rnn import named_activations
from translate.errors import UnsupportedError

FUNCTIONS = {
    "tanh": np.tanh,
    "leakyrelu": lambda x, alpha: alpha * x,
    "affine": lambda x, alpha, beta: alpha * x + beta,
}


def test_activations_take_alpha_and_beta_off_the_front():
    names = ["Affine", "TANH", "LeakyRelu", "affine", "LeakyReLU"]
    found = named_activations(FUNCTIONS, names, [2, 3], [5])
    # What is left out of the lists has its default: 1 and 0, and 0.01.
    assert [function(1.0) for function in found] == [7, np.tanh(1), 3, 1, 0.01]


def test_an_unknown_activation_is_named():
    with pytest.raises(UnsupportedError, match="'Swish' is unknown"):
        named_activations(FUNCTIONS, ["Swish"], None, None)
