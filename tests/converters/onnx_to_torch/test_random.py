"""Random numbers: their distribution, that they are drawn anew, and that PyTorch's seed repeats them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.converters.nodes import one_node
from tests.converters.onnx_to_torch.cases import run, translated

X = np.full([200, 50], 0.25, np.float32)


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "mean", "deviation"),
    [
        ("RandomNormal", [], {"shape": [200, 50], "mean": 2.0, "scale": 0.5}, 2.0, 0.5),
        ("RandomNormalLike", [X], {"mean": -1.0, "scale": 2.0}, -1.0, 2.0),
        ("RandomUniform", [], {"shape": [200, 50], "low": 1.0, "high": 3.0}, 2.0, 2 / 12**0.5),
        ("RandomUniformLike", [X], {}, 0.5, 1 / 12**0.5),
        ("Bernoulli", [X], {}, 0.25, 0.1875**0.5),
        ("Multinomial", [np.log(np.float32([[1, 3]]))], {"sample_size": 10000}, 0.75, 0.1875**0.5),
    ],
)
def test_distribution(op, inputs, attributes, mean, deviation):
    (y,) = run(op, inputs, attributes)
    assert y.size == 10000
    assert y.mean() == pytest.approx(mean, abs=6 * deviation / 100)
    assert y.std() == pytest.approx(deviation, rel=0.1)


def test_each_run_draws_anew_and_a_seed_repeats_it():
    module = translated(one_node("RandomNormalLike", [X[:2]], {}))
    x = torch.from_numpy(X[:2])
    torch.manual_seed(0)
    first, second = module(x)[0], module(x)[0]
    torch.manual_seed(0)
    assert torch.equal(module(x)[0], first)
    assert not torch.equal(first, second)
