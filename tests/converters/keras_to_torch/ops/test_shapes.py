"""Operations that move numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, ints, normal, uniform
from translate.converters.keras_to_torch import convert

A, B = normal(2, 3, 4), normal(2, 3, 4, seed=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.reshape(x, (2, -1)),
        ops.ravel,
        ops.transpose,
        lambda x: ops.swapaxes(x, 1, 2),
        lambda x: ops.moveaxis(x, 0, -1),
        lambda x: ops.expand_dims(x, (1, -1)),
        lambda x: ops.rearrange(x, "a b c -> c a b"),
        lambda x: ops.rearrange(x, "a b (c p) -> a (b p) c", p=2),
        lambda x: ops.rearrange(x, "a b c -> (a c) b"),
        lambda x: ops.flip(x, axis=1),
        ops.flip,
        ops.fliplr,
        ops.flipud,
        lambda x: ops.rot90(x, k=3, axes=(1, 2)),
        lambda x: ops.roll(x, 2, axis=1),
        lambda x: ops.roll(x, 2),
        lambda x: ops.repeat(x, 2, axis=1),
        lambda x: ops.tile(x, (1, 2, 1)),
        lambda x: ops.broadcast_to(x, (5, 2, 3, 4)),
        lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
    ],
)
def test_moves(call):
    assert_operation(call, A)


@pytest.mark.parametrize("mode", ["constant", "reflect", "symmetric"])
def test_padding(mode):
    assert_operation(lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 0)), mode=mode), A)
    assert_operation(lambda x: ops.pad(x, ((0, 0), (0, 0), (3, 1)), mode=mode), A, batch=True)


@pytest.mark.parametrize("name", ["dstack", "hstack", "vstack"])
def test_stacks(name):
    assert_operation(lambda x, y: getattr(ops, name)([x, y]), normal(2, 3), normal(2, 3, seed=1))


def test_joins():
    assert_operation(lambda x, y: ops.concatenate([x, y], 1), A, ints(2, 3, 4))
    assert_operation(lambda x, y: ops.stack([x, y], 1), A, ints(2, 3, 4))
    assert_operation(lambda x, y: ops.append(x, y, axis=1), A, B)
    assert_operation(lambda x, y: ops.append(x, y), A, B)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ops.split(x, 2, axis=2),
        lambda x: ops.split(x, [1, 3], axis=-1),
        lambda x: ops.array_split(x, 3, axis=2),
        lambda x: ops.hsplit(x, 3),
        lambda x: ops.vsplit(x, 2),
        lambda x: ops.dsplit(x, 2),
        lambda x: ops.unstack(x, axis=1),
    ],
)
def test_cuts(call):
    assert_operation(call, A)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x[:, ::-1, 1:],
        lambda x: x[..., 3:0:-1],
        lambda x: x[:, None, -1],
        lambda x: x[:, :, -2::-1],
        lambda x: x[:, :, ::-2],
        lambda x: x[:, 0:0],
    ],
)
def test_indexing(call):
    assert_operation(call, A)
    assert_operation(call, A, batch=True)


def test_diagonals():
    assert_operation(ops.diag, normal(3))
    assert_operation(lambda x: ops.diag(x, k=1), normal(3, 4))
    assert_operation(lambda x: ops.diagflat(x, k=1), normal(2, 2))
    assert_operation(lambda x: ops.diagonal(x, offset=1, axis1=1, axis2=2), A)
    assert_operation(lambda x: ops.trace(x, axis1=1, axis2=2), A)
    assert_operation(ops.trace, ints(3, 3))
    assert_operation(lambda x: ops.tril(x, k=-1), A)
    assert_operation(lambda x: ops.triu(x, k=1), A)


def test_grids_and_rows_of_numbers():
    assert_operation(lambda x, y: ops.meshgrid(x, y), normal(3), normal(4))
    assert_operation(lambda x, y: ops.meshgrid(x, y, indexing="ij"), normal(3), normal(4))
    assert_operation(lambda x, y: ops.linspace(x, y, num=5), normal(3), normal(3, seed=1))
    assert_operation(lambda x, y: ops.linspace(x, y, num=5, endpoint=False, axis=-1), normal(3), normal(3, seed=1))
    assert_operation(lambda x, y: ops.logspace(x, y, num=4), normal(3), normal(3, seed=1))
    assert_operation(lambda x, y: ops.geomspace(x, y, num=4), uniform(3), uniform(3, seed=1) + 1)
    assert_operation(lambda x: ops.diff(x, n=2), A)
    assert_operation(lambda x: ops.vander(x, N=3), normal(4))
    assert_operation(lambda x: ops.vander(x, increasing=True), normal(4))


def test_sizes():
    assert_operation(ops.size, A)
    assert_operation(ops.size, A, batch=True)


class Heads(keras.Layer):
    """Attention as people write it: with the sizes of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.out = keras.layers.Dense(24), keras.layers.Dense(6)

    def call(self, x: Any) -> Any:
        batch, steps = ops.shape(x)[0], ops.shape(x)[1]
        q, k, v = ops.split(self.project(x), 3, axis=-1)
        q, k, v = (ops.transpose(ops.reshape(y, (batch, steps, 2, 4)), (0, 2, 1, 3)) for y in (q, k, v))
        weights = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) / 2.0)
        return self.out(ops.reshape(ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3)), (batch, steps, 8)))


class Token(keras.Layer):
    """Puts a learnt step before the others."""

    def build(self, shape: Any) -> None:
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="random_normal", name="token")

    def call(self, x: Any) -> Any:
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1)


@pytest.mark.parametrize("steps", [5, None], ids=["known", "open"])
def test_sizes_that_a_layer_reads_stay_open(steps):
    model = keras.Sequential([keras.Input((steps, 6)), Token(), Heads()])
    module = convert(model)
    dims = {0: torch.export.Dim("batch")} | ({} if steps else {1: torch.export.Dim("steps")})
    exported = torch.export.export(module, (torch.from_numpy(normal(3, 5, 6)),), dynamic_shapes=[dims])
    for x in (normal(3, 5, 6), normal(2, steps or 7, 6, seed=1)):
        for run in (module, exported.module()):
            found = run(torch.from_numpy(x)).detach().numpy()
            np.testing.assert_allclose(found, np.asarray(model(x)), rtol=1e-5, atol=1e-6)
