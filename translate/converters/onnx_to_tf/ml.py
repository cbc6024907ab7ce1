"""Classical machine learning (domain ai.onnx.ml): encoders, scalers and linear models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.onnx_to_tf.table import lower
from translate.errors import UnsupportedError

DOMAIN = "ai.onnx.ml"


@lower("ArrayFeatureExtractor", domain=DOMAIN)
def array_feature_extractor(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Pick the features at the indices `y` off the last axis of `x`; a vector becomes a matrix of one row."""
    picked = tf.gather(x, tf.reshape(y, [-1]), axis=-1)
    return picked[tf.newaxis] if rank(x) == 1 else picked


@lower("Binarizer", domain=DOMAIN)
def binarizer(x: tf.Tensor, *, threshold: float = 0.0) -> tf.Tensor:
    """Return 1 where `x` is above `threshold`, else 0; dtype and shape are unchanged."""
    return tf.cast(x > tf.cast(threshold, x.dtype), x.dtype)


@lower("CategoryMapper", domain=DOMAIN)
def category_mapper(
    x: tf.Tensor,
    *,
    cats_int64s: Sequence[int] | None = None,
    cats_strings: Sequence[str] | None = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> tf.Tensor:
    """Turn the strings `cats_strings` into the integers `cats_int64s`, or the other way round; same shape."""
    numbers, texts = _constant(cats_int64s, tf.int64), _constant(cats_strings, tf.string)
    if x.dtype == tf.string:
        return _mapped(x, texts, numbers, tf.constant(default_int64, tf.int64))
    return _mapped(x, numbers, texts, tf.constant(default_string))


@lower("FeatureVectorizer", domain=DOMAIN)
def feature_vectorizer(*xs: tf.Tensor, inputdimensions: Sequence[int] | None = None) -> tf.Tensor:
    """Join features, each [N, F], along the last axis as float32; `inputdimensions` cuts or pads them to its sizes."""
    columns = [tf.cast(x if rank(x) == 2 else tf.reshape(x, [-1, 1]), tf.float32) for x in xs]
    if inputdimensions is not None:
        columns = [
            tf.pad(x[:, :size], [[0, 0], [0, tf.maximum(size - dims(x)[1], 0)]])
            for x, size in zip(columns, inputdimensions, strict=True)
        ]
    return tf.concat(columns, 1)


@lower("Imputer", domain=DOMAIN)
def imputer(
    x: tf.Tensor,
    *,
    imputed_value_floats: Sequence[float] | None = None,
    imputed_value_int64s: Sequence[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> tf.Tensor:
    """Replace what is missing, that is equal to the replaced value (or NaN), with one value per feature; [N, F]."""
    if imputed_value_floats:
        values, replaced = tf.constant(imputed_value_floats, x.dtype), replaced_value_float
        if math.isnan(replaced):
            return tf.where(tf.math.is_nan(x), values, x)
    else:
        values, replaced = tf.constant(imputed_value_int64s, x.dtype), replaced_value_int64
    return tf.where(x == tf.cast(replaced, x.dtype), values, x)


@lower("LabelEncoder", since=2, domain=DOMAIN)
def label_encoder(
    x: tf.Tensor,
    *,
    default_float: float = -0.0,
    default_int64: int = -1,
    default_string: str = "_Unused",
    default_tensor: np.ndarray | None = None,
    keys_floats: Sequence[float] | None = None,
    keys_int64s: Sequence[int] | None = None,
    keys_strings: Sequence[str] | None = None,
    keys_tensor: np.ndarray | None = None,
    values_floats: Sequence[float] | None = None,
    values_int64s: Sequence[int] | None = None,
    values_strings: Sequence[str] | None = None,
    values_tensor: np.ndarray | None = None,
) -> tf.Tensor:
    """Map each element of `x` from the keys to the values, or to the default; the shape is unchanged."""
    keys = next(given for given in (keys_tensor, keys_floats, keys_int64s, keys_strings) if given is not None)
    if values_tensor is not None:
        values = tf.convert_to_tensor(values_tensor)
        text = values.dtype == tf.string
        usual = default_string if text else default_float if values.dtype.is_floating else default_int64
        default = tf.constant(usual if default_tensor is None else default_tensor.item(), values.dtype)
    elif values_floats is not None:
        values, default = tf.constant(values_floats, tf.float32), tf.constant(default_float, tf.float32)
    elif values_int64s is not None:
        values, default = tf.constant(values_int64s, tf.int64), tf.constant(default_int64, tf.int64)
    else:
        values, default = _constant(values_strings, tf.string), tf.constant(default_string)
    return _mapped(x, _constant(keys, x.dtype), values, default)


@lower("LinearClassifier", domain=DOMAIN)
def linear_classifier(
    x: tf.Tensor,
    *,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    coefficients: Sequence[float],
    intercepts: Sequence[float] | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classify [N, F] by linear scores; returns the labels, [N], and the scores of all classes, [N, classes].

    Limits: one row of coefficients for two classes (implementations differ), and `post_transform` PROBIT and
    SOFTMAX_ZERO, are refused.
    """
    labels = labels_of(classlabels_ints, classlabels_strings)
    classes = int(labels.shape[0])
    if len(coefficients) != classes * _known_features(x):
        raise UnsupportedError(f"{len(coefficients)} coefficients for {classes} classes of {x.shape[1]} features")
    scores = transformed(_linear(x, coefficients, intercepts, classes), post_transform)
    return tf.gather(labels, tf.argmax(scores, 1)), scores


@lower("LinearRegressor", domain=DOMAIN)
def linear_regressor(
    x: tf.Tensor,
    *,
    coefficients: Sequence[float] | None = None,
    intercepts: Sequence[float] | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> tf.Tensor:
    """Return x [N, F] times the coefficients plus the intercepts, [N, targets].

    Limits: `post_transform` PROBIT and SOFTMAX_ZERO are refused.
    """
    return transformed(_linear(x, coefficients or (), intercepts, targets), post_transform)


@lower("Normalizer", domain=DOMAIN)
def normalizer(x: tf.Tensor, *, norm: Literal["MAX", "L1", "L2"] = "MAX") -> tf.Tensor:
    """Divide each row of `x` by its norm, as float32; MAX is the largest value, as in onnxruntime, not its size."""
    x = tf.cast(x, tf.float32)
    if norm == "MAX":
        size = tf.reduce_max(x, -1, keepdims=True)
    else:
        size = tf.norm(x, 1 if norm == "L1" else 2, -1, keepdims=True)
    return tf.where(size == 0, x, x / size)


@lower("OneHotEncoder", domain=DOMAIN)
def one_hot_encoder(
    x: tf.Tensor,
    *,
    cats_int64s: Sequence[int] | None = None,
    cats_strings: Sequence[str] | None = None,
    zeros: int = 1,
) -> tf.Tensor:
    """Return 1 at each element's category, else 0, in a new last axis, as float32.

    With `zeros=0` an element of no category is an error when the model runs.
    """
    if x.dtype == tf.string:
        equal = x[..., tf.newaxis] == _constant(cats_strings, tf.string)
    else:
        equal = tf.cast(x, tf.int64)[..., tf.newaxis] == _constant(cats_int64s, tf.int64)
    if not zeros:
        tf.debugging.Assert(tf.reduce_all(tf.reduce_any(equal, -1)), ["an element is of no known category"])
    return tf.cast(equal, tf.float32)


@lower("Scaler", domain=DOMAIN)
def scaler(x: tf.Tensor, *, offset: Sequence[float] | None = None, scale: Sequence[float] | None = None) -> tf.Tensor:
    """Return (x - offset) scale, one or one per feature, as float32; the shape is unchanged."""
    x = tf.cast(x, tf.float32)
    x = x if offset is None else x - tf.constant(offset, tf.float32)
    return x if scale is None else x * tf.constant(scale, tf.float32)


@lower("SVMRegressor", domain=DOMAIN)
def svm_regressor(
    x: tf.Tensor,
    *,
    coefficients: Sequence[float] | None = None,
    kernel_params: Sequence[float] | None = None,
    kernel_type: Literal["LINEAR", "POLY", "RBF", "SIGMOID"] = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: Literal["NONE"] = "NONE",
    rho: Sequence[float] | None = None,
    support_vectors: Sequence[float] | None = None,
) -> tf.Tensor:
    """Return the support vector regression of x [N, F], [N, 1]; `one_class` gives its sign, 1 or -1."""
    x = tf.cast(x, tf.float32)
    weights = tf.constant(coefficients, tf.float32)[:, tf.newaxis]
    if n_supports:
        vectors = tf.reshape(tf.constant(support_vectors, tf.float32), [n_supports, -1])
        x = _kernel(x, vectors, kernel_type, kernel_params or (0.0, 0.0, 0.0))
    result = tf.matmul(x, weights) + tf.constant(rho, tf.float32)
    return tf.where(result > 0, 1.0, -1.0) if one_class else result


def _constant(values: Any, dtype: tf.DType) -> tf.Tensor:
    if values is None:
        raise UnsupportedError(f"no list of {dtype.name} is given")
    return tf.constant(values, dtype)


def _mapped(x: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, default: tf.Tensor) -> tf.Tensor:
    equal = x[..., tf.newaxis] == keys
    if keys.dtype.is_floating:
        equal |= tf.math.is_nan(x)[..., tf.newaxis] & tf.math.is_nan(keys)
    place = tf.argmax(tf.cast(equal, tf.int32), -1)
    return tf.where(tf.reduce_any(equal, -1), tf.gather(values, place), default)


def labels_of(numbers: Sequence[int] | None, texts: Sequence[str] | None) -> tf.Tensor:
    """Return the labels of all classes, int64 or string; raises `UnsupportedError` without any."""
    return tf.constant(texts) if texts else _constant(numbers, tf.int64)


def _known_features(x: tf.Tensor) -> int:
    if x.shape.rank != 2 or x.shape[1] is None:
        raise UnsupportedError("the number of features is not known")
    return int(x.shape[1])


def _linear(x: tf.Tensor, coefficients: Sequence[float], intercepts: Sequence[float] | None, targets: int) -> tf.Tensor:
    weights = np.reshape(np.asarray(coefficients, np.float32), [targets, -1])
    scores = tf.matmul(tf.cast(x, tf.float32), tf.constant(weights), transpose_b=True)
    return scores if not intercepts else scores + tf.constant(intercepts, tf.float32)


def _kernel(x: tf.Tensor, vectors: tf.Tensor, kind: str, parameters: Sequence[float]) -> tf.Tensor:
    """Return the kernel of each row of `x`, [N, F], with each of `vectors`, [S, F]: [N, S]."""
    gamma, coef0, degree = parameters
    if kind == "RBF":
        return tf.exp(-gamma * tf.reduce_sum(tf.math.squared_difference(x[:, tf.newaxis], vectors), -1))
    product = tf.matmul(x, vectors, transpose_b=True)
    if kind == "POLY":
        return tf.pow(gamma * product + coef0, degree)
    return tf.tanh(gamma * product + coef0) if kind == "SIGMOID" else product


def transformed(scores: tf.Tensor, post_transform: str) -> tf.Tensor:
    """Apply a post transform to scores, [N, classes]; raises `UnsupportedError` for one that is not covered."""
    if post_transform == "NONE":
        return scores
    if post_transform == "LOGISTIC":
        return tf.sigmoid(scores)
    if post_transform == "SOFTMAX":
        return tf.nn.softmax(scores)
    raise UnsupportedError(f"post_transform={post_transform!r}")
