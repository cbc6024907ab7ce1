"""Normalisations: of batches, layers, groups and neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from translate.converters.onnx_to_tf import reduce
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.shapes import axis_from_start, dims, rank
from translate.converters.onnx_to_tf.table import CHANNELS_LAST, lower


def _normalised(x: tf.Tensor, axes: Sequence[int], epsilon: float) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return x - mean over `axes`, divided by the standard deviation; the mean; and the deviation's inverse."""
    mean = reduce.mean(x, list(axes), True)
    # The mean is subtracted first, as PyTorch does: a large mean would cost digits in x·a + b.
    centred = x - mean
    inverse = tf.math.rsqrt(reduce.mean(tf.square(centred), list(axes), True) + epsilon)
    return centred * inverse, mean, inverse


@lower("BatchNormalization", domain=CHANNELS_LAST)
def batch_normalization(
    x: tf.Tensor,
    scale: tf.Tensor,
    b: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalise each channel of x [N, *spatial, C] by running statistics, or in training by those of the batch.

    scale, b, mean and variance are [C]. Training also returns the running statistics, moved towards the batch's.
    """
    if training_mode:
        axes = list(range(rank(x) - 1))
        wide = tf.cast(x, mean.dtype)
        batch_mean = reduce.mean(wide, axes, False)
        batch_variance = reduce.mean(tf.square(wide - batch_mean), axes, False)
        y = _batch_normalised(
            x, scale, b, tf.cast(batch_mean, mean.dtype), tf.cast(batch_variance, mean.dtype), epsilon
        )
        return (
            y,
            mean * momentum + batch_mean * (1 - momentum),
            variance * momentum + batch_variance * (1 - momentum),
        )
    if rank(x) == 4 and x.dtype == scale.dtype == mean.dtype == tf.float32:
        # tf.nn has this kernel only with epsilon raised to 1.001e-5.
        y, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=b, mean=mean, variance=variance, epsilon=epsilon, is_training=False
        )
        return y
    return _batch_normalised(x, scale, b, mean, variance, epsilon)


def _batch_normalised(
    x: tf.Tensor, scale: tf.Tensor, b: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, epsilon: float
) -> tf.Tensor:
    wide = mean.dtype
    factor = tf.cast(scale, wide) * tf.math.rsqrt(variance + epsilon)
    return tf.cast((tf.cast(x, wide) - mean) * factor + tf.cast(b, wide), x.dtype)


@lower("InstanceNormalization", domain=CHANNELS_LAST)
def instance_normalization(x: tf.Tensor, scale: tf.Tensor, b: tf.Tensor, *, epsilon: float = 1e-5) -> tf.Tensor:
    """Normalise each channel of each element of x [N, *spatial, C] over its spatial axes; scale and b are [C]."""
    y, _, _ = _normalised(x, range(1, rank(x) - 1), epsilon)
    return y * scale + b


@lower("GroupNormalization", since=18, domain=CHANNELS_LAST)
def group_normalization_18(
    x: tf.Tensor, scale: tf.Tensor, bias: tf.Tensor, *, epsilon: float = 1e-5, num_groups: int
) -> tf.Tensor:
    """Normalise each group of neighbouring channels of x [N, *spatial, C]; scale and bias are [groups]."""
    y = _group_normalised(x, num_groups, epsilon)
    return tf.reshape(y * scale[:, None] + bias[:, None], dims(x))


@lower("GroupNormalization", since=21, domain=CHANNELS_LAST)
def group_normalization(
    x: tf.Tensor, scale: tf.Tensor, bias: tf.Tensor, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> tf.Tensor:
    """Normalise each group of neighbouring channels of x [N, *spatial, C]; scale and bias are [C]."""
    y = _group_normalised(tf.cast(x, _stash_dtype(x, stash_type)), num_groups, epsilon)
    return tf.cast(tf.reshape(y, dims(x)), x.dtype) * scale + bias


def _group_normalised(x: tf.Tensor, groups: int, epsilon: float) -> tf.Tensor:
    *outer, channels = dims(x)
    grouped = tf.reshape(x, [*outer, groups, channels // groups])
    y, _, _ = _normalised(grouped, [*range(1, rank(x) - 1), rank(x)], epsilon)
    return y


@lower("LayerNormalization")
def layer_normalization(
    x: tf.Tensor,
    scale: tf.Tensor,
    b: tf.Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalise x [*outer, *normalised] over its axes from `axis` on, then scale and shift.

    scale and b broadcast to x. The mean and the inverse of the standard deviation [*outer, 1...] are returned, too.
    """
    axes = range(axis_from_start(axis, x), rank(x))
    y, mean, inverse = _normalised(tf.cast(x, _stash_dtype(x, stash_type)), axes, epsilon)
    y = tf.cast(y, x.dtype) * scale
    return y if b is None else y + b, mean, inverse


def _stash_dtype(x: tf.Tensor, stash_type: int) -> tf.DType:
    # float64 would lose digits in the default, float32.
    return tf.float64 if x.dtype == tf.float64 else tf_dtype(stash_type)


@lower("RMSNormalization", since=23)
def rms_normalization(
    x: tf.Tensor, scale: tf.Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tf.Tensor:
    """Divide x [*outer, *normalised] by its root mean square over its axes from `axis` on, then scale."""
    axes = range(axis_from_start(axis, x), rank(x))
    wide = tf.cast(x, _stash_dtype(x, stash_type))
    y = wide * tf.math.rsqrt(tf.reduce_mean(tf.square(wide), axes, keepdims=True) + epsilon)
    return tf.cast(y, x.dtype) * scale


@lower("LpNormalization")
def lp_normalization(x: tf.Tensor, *, axis: int = -1, p: int = 2) -> tf.Tensor:
    """Divide x by its p-norm along `axis`; zeros where that norm is zero."""
    norm = tf.norm(x, ord=p, axis=axis, keepdims=True)
    return tf.math.divide_no_nan(x, norm)


@lower("MeanVarianceNormalization")
def mean_variance_normalization(x: tf.Tensor, *, axes: Sequence[int] = (0, 2, 3)) -> tf.Tensor:
    """Subtract the mean of x over `axes` and divide by the standard deviation, plus the specification's 1e-9."""
    mean = reduce.mean(x, list(axes), True)
    deviation = tf.sqrt(reduce.mean(tf.square(x), list(axes), True) - tf.square(mean))
    return (x - mean) / (deviation + 1e-9)


@lower("LRN", domain=CHANNELS_LAST)
def lrn(x: tf.Tensor, *, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int) -> tf.Tensor:
    """Divide x [N, *spatial, C] by a power of the sum of squares of `size` neighbouring channels.

    y = x / (bias + alpha / size · Σ x²) ** beta, after Krizhevsky et al., "ImageNet Classification with Deep
    Convolutional Neural Networks", 2012.
    """
    before = (size - 1) // 2
    channels = dims(x)[-1]
    squares = tf.pad(tf.square(x), [(0, 0)] * (rank(x) - 1) + [(before, size - 1 - before)])
    total = tf.add_n([squares[..., start : start + channels] for start in range(size)])
    return x * tf.pow(bias + alpha / size * total, -beta)
