"""The operations of neural networks that have layers as well."""

from __future__ import annotations

import pytest
from keras import ops

from tests.converters.keras_to_torch.ops.operations import assert_operation, bools, ints, normal, uniform

IMAGES = normal(2, 7, 9, 4)

ACTIVATIONS = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "tanh_shrink",
]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    assert_operation(getattr(ops, name), normal(2, 3, 4))


def test_activations_over_other_axes():
    assert_operation(lambda x: ops.sparsemax(x, axis=1), normal(2, 3, 4))
    assert_operation(lambda x: ops.softmax(x, axis=(1, 2)), normal(2, 3, 4))
    assert_operation(lambda x: ops.threshold(x, 0.1, 0.3), normal(2, 3, 4))


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_windows(padding):
    assert_operation(lambda x: ops.max_pool(x, (2, 3), 2, padding), IMAGES, batch=True)
    assert_operation(lambda x: ops.average_pool(x, 3, 2, padding), IMAGES, batch=True)
    assert_operation(lambda x, k: ops.conv(x, k, 2, padding), IMAGES, normal(3, 2, 4, 5), atol=2e-5)
    assert_operation(lambda x, k: ops.conv(x, k, 2, padding), normal(2, 9, 4), normal(3, 4, 5), atol=2e-5)
    assert_operation(lambda x, k: ops.depthwise_conv(x, k, 2, padding), IMAGES, normal(3, 3, 4, 2), atol=2e-5)
    kernels = normal(3, 3, 4, 2), normal(1, 1, 8, 5)
    assert_operation(lambda x, d, p: ops.separable_conv(x, d, p, 2, padding), IMAGES, *kernels, atol=2e-5)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (2, 3), (4, 2), (3, 1)])
def test_transposed_convolutions(padding, size, stride):
    kernel = normal(size, size, 5, 4)
    assert_operation(lambda x, k: ops.conv_transpose(x, k, stride, padding), IMAGES, kernel, atol=2e-5)


def test_a_kernel_of_numbers():
    kernel = normal(3, 3, 4, 5)
    assert_operation(lambda x: ops.conv(x, kernel, 1, "same"), IMAGES, atol=2e-5, batch=True)


def test_adaptive_pools():
    assert_operation(lambda x: ops.adaptive_max_pool(x, (3, 2)), IMAGES)
    assert_operation(lambda x: ops.adaptive_average_pool(x, (2, 3)), IMAGES)


def test_normalisations():
    x, gamma, beta = normal(2, 3, 4), normal(4), normal(4, seed=1)
    assert_operation(ops.layer_normalization, x, gamma, beta)
    assert_operation(ops.rms_normalization, x, gamma)
    assert_operation(lambda x, m, v: ops.batch_normalization(x, m, v, axis=1), x, normal(3), uniform(3))
    assert_operation(
        lambda x, m, v, o, s: ops.batch_normalization(x, m, v, axis=-1, offset=o, scale=s),
        *(x, normal(4), uniform(4), gamma, beta),
    )


def test_attention():
    query, key, value = normal(2, 5, 4, 3), normal(2, 6, 4, 3, seed=1), normal(2, 6, 4, 3, seed=2)
    assert_operation(ops.dot_product_attention, query, key, value)
    assert_operation(
        lambda q, k, v, b, m: ops.dot_product_attention(q, k, v, bias=b, mask=m),
        *(query, key, value, normal(2, 4, 5, 6), bools(2, 1, 5, 6)),
    )
    assert_operation(
        lambda q, k, v: ops.dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        *(query, normal(2, 5, 2, 3, seed=1), normal(2, 5, 2, 3, seed=2)),
    )


def test_losses():
    shares = uniform(2, 3, 4)
    shares /= shares.sum(-1, keepdims=True)
    classes, p, logits = ints(2, 3, high=4), uniform(2, 3, 4, seed=1), normal(2, 3, 4, seed=1)
    assert_operation(ops.binary_crossentropy, shares, p)
    assert_operation(lambda t, o: ops.binary_crossentropy(t, o, from_logits=True), shares, logits)
    assert_operation(ops.categorical_crossentropy, shares, p)
    assert_operation(lambda t, o: ops.categorical_crossentropy(t, o, from_logits=True, axis=1), shares, logits)
    assert_operation(ops.sparse_categorical_crossentropy, classes, p)
    assert_operation(lambda t, o: ops.sparse_categorical_crossentropy(t, o, from_logits=True), classes, logits)


def test_blocks_and_channels():
    assert_operation(lambda x: ops.depth_to_space(x, 2), normal(2, 3, 4, 8), batch=True)
    assert_operation(lambda x: ops.space_to_depth(x, 2), normal(2, 4, 6, 3), batch=True)
    assert_operation(lambda x: ops.depth_to_space(x, 2, data_format="channels_first"), normal(2, 8, 3, 4))
    assert_operation(lambda x: ops.space_to_depth(x, 2, data_format="channels_first"), normal(2, 3, 4, 6))
    assert_operation(lambda x: ops.unfold(x, (2, 3), 1, 1, 2), normal(2, 4, 7, 9))
    assert_operation(lambda x: ops.fold(x, (6, 7), (2, 3), 1, 1, 1), normal(2, 24, 49), atol=1e-5)
