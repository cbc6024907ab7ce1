"""Classical machine learning (domain ai.onnx.ml): encoders, scalers and linear models, on numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.table import lower
from translate.errors import UnsupportedError

DOMAIN = "ai.onnx.ml"


@lower("ArrayFeatureExtractor", domain=DOMAIN)
def array_feature_extractor(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Pick the features at the indices `y` off the last axis of `x`; a vector becomes a matrix of one row."""
    picked = torch.index_select(x, x.ndim - 1, y.reshape([-1]))
    return picked.unsqueeze(0) if x.ndim == 1 else picked


@lower("Binarizer", domain=DOMAIN)
def binarizer(x: torch.Tensor, *, threshold: float = 0.0) -> torch.Tensor:
    """Return 1 where `x` is above `threshold`, else 0; dtype and shape are unchanged."""
    return (x > threshold).to(x.dtype)


@lower("FeatureVectorizer", domain=DOMAIN)
def feature_vectorizer(*xs: torch.Tensor, inputdimensions: Sequence[int] | None = None) -> torch.Tensor:
    """Join features, each [N, F], along the last axis as float32; `inputdimensions` cuts or pads them to its sizes."""
    columns = [(x if x.ndim == 2 else x.reshape([-1, 1])).to(torch.float32) for x in xs]
    if inputdimensions is not None:
        # Padding by a negative number cuts off.
        columns = [F.pad(x, [0, size - x.size(1)]) for x, size in zip(columns, inputdimensions, strict=True)]
    return torch.cat(columns, 1)


@lower("Imputer", domain=DOMAIN)
def imputer(
    x: torch.Tensor,
    *,
    imputed_value_floats: Sequence[float] | None = None,
    imputed_value_int64s: Sequence[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> torch.Tensor:
    """Replace what is missing, that is equal to the replaced value (or NaN), with one value per feature; [N, F]."""
    if imputed_value_floats:
        values, replaced = torch.tensor(imputed_value_floats, dtype=x.dtype), replaced_value_float
        if math.isnan(replaced):
            return torch.where(torch.isnan(x), values, x)
    else:
        values, replaced = torch.tensor(imputed_value_int64s, dtype=x.dtype), replaced_value_int64
    return torch.where(x == replaced, values, x)


@lower("LabelEncoder", since=2, domain=DOMAIN)
def label_encoder(
    x: torch.Tensor,
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
) -> torch.Tensor:
    """Map each element of `x` from the keys to the values, or to the default; the shape is unchanged.

    Limits: neither from nor to strings.
    """
    keys = next(given for given in (keys_tensor, keys_floats, keys_int64s, keys_strings) if given is not None)
    if values_tensor is not None:
        values = to_torch(values_tensor)
        usual = default_float if values.dtype.is_floating_point else default_int64
        default = usual if default_tensor is None else default_tensor.item()
    elif values_floats is not None:
        values, default = torch.tensor(values_floats, dtype=torch.float32), default_float
    else:
        values, default = numbers(values_int64s, torch.int64), default_int64
    known = numbers(keys.tolist() if isinstance(keys, np.ndarray) else keys, x.dtype)
    equal = x.unsqueeze(-1) == known
    if known.dtype.is_floating_point:
        equal = torch.logical_or(equal, torch.logical_and(torch.isnan(x).unsqueeze(-1), torch.isnan(known)))
    found = values[torch.argmax(equal.to(torch.int32), -1)]
    return torch.where(torch.any(equal, -1), found, default)


@lower("LinearClassifier", domain=DOMAIN)
def linear_classifier(
    x: torch.Tensor,
    *,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    coefficients: Sequence[float],
    intercepts: Sequence[float] | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Classify [N, F] by linear scores; returns the labels, [N], and the scores of all classes, [N, classes].

    Limits: labels that are strings, one row of coefficients for two classes (implementations differ), and
    `post_transform` PROBIT and SOFTMAX_ZERO, are refused.
    """
    labels = numbers(classlabels_ints, torch.int64)
    classes = len(labels)
    if len(coefficients) != classes * _known_features(x):
        raise UnsupportedError(f"{len(coefficients)} coefficients for {classes} classes of {x.shape[1]} features")
    scores = transformed(_linear(x, coefficients, intercepts, classes), post_transform)
    return labels[torch.argmax(scores, 1)], scores


@lower("LinearRegressor", domain=DOMAIN)
def linear_regressor(
    x: torch.Tensor,
    *,
    coefficients: Sequence[float] | None = None,
    intercepts: Sequence[float] | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> torch.Tensor:
    """Return x [N, F] times the coefficients plus the intercepts, [N, targets].

    Limits: `post_transform` PROBIT and SOFTMAX_ZERO are refused.
    """
    return transformed(_linear(x, coefficients or (), intercepts, targets), post_transform)


@lower("Normalizer", domain=DOMAIN)
def normalizer(x: torch.Tensor, *, norm: Literal["MAX", "L1", "L2"] = "MAX") -> torch.Tensor:
    """Divide each row of `x` by its norm, as float32; MAX is the largest value, as in onnxruntime, not its size."""
    x = x.to(torch.float32)
    orders = {"L1": 1, "L2": 2}
    size = torch.amax(x, -1, True) if norm == "MAX" else torch.linalg.vector_norm(x, orders[norm], -1, True)
    return torch.where(size == 0, x, x / size)


@lower("OneHotEncoder", domain=DOMAIN)
def one_hot_encoder(
    x: torch.Tensor,
    *,
    cats_int64s: Sequence[int] | None = None,
    cats_strings: Sequence[str] | None = None,
    zeros: Literal[1] = 1,
) -> torch.Tensor:
    """Return 1 at each element's category, else 0, in a new last axis, as float32.

    Limits: categories that are strings, and `zeros=0` (an element of no category is an error), are refused.
    """
    return (x.to(torch.int64).unsqueeze(-1) == numbers(cats_int64s, torch.int64)).to(torch.float32)


@lower("Scaler", domain=DOMAIN)
def scaler(
    x: torch.Tensor, *, offset: Sequence[float] | None = None, scale: Sequence[float] | None = None
) -> torch.Tensor:
    """Return (x - offset) scale, one or one per feature, as float32; the shape is unchanged."""
    x = x.to(torch.float32)
    x = x if offset is None else x - torch.tensor(offset, dtype=torch.float32)
    return x if scale is None else x * torch.tensor(scale, dtype=torch.float32)


@lower("SVMRegressor", domain=DOMAIN)
def svm_regressor(
    x: torch.Tensor,
    *,
    coefficients: Sequence[float] | None = None,
    kernel_params: Sequence[float] | None = None,
    kernel_type: Literal["LINEAR", "POLY", "RBF", "SIGMOID"] = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: Literal["NONE"] = "NONE",
    rho: Sequence[float] | None = None,
    support_vectors: Sequence[float] | None = None,
) -> torch.Tensor:
    """Return the support vector regression of x [N, F], [N, 1]; `one_class` gives its sign, 1 or -1."""
    x = x.to(torch.float32)
    weights = numbers(coefficients, torch.float32).unsqueeze(1)
    if n_supports:
        vectors = numbers(support_vectors, torch.float32).reshape([n_supports, -1])
        x = _kernel(x, vectors, kernel_type, kernel_params or (0.0, 0.0, 0.0))
    result = torch.matmul(x, weights) + numbers(rho, torch.float32)
    return torch.where(result > 0, 1.0, -1.0) if one_class else result


def numbers(values: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return a list of numbers as a tensor; raises `UnsupportedError` where there is none, or one of strings."""
    if values is None or any(isinstance(value, str) for value in values):
        raise UnsupportedError("PyTorch has no strings")
    return torch.tensor(values, dtype=dtype)


def _known_features(x: torch.Tensor) -> int:
    if x.ndim != 2 or not isinstance(x.size(1), int):
        raise UnsupportedError("the number of features is not known")
    return int(x.size(1))


def _linear(
    x: torch.Tensor, coefficients: Sequence[float], intercepts: Sequence[float] | None, targets: int
) -> torch.Tensor:
    weights = np.reshape(np.asarray(coefficients, np.float32), [targets, -1])
    return F.linear(x.to(torch.float32), to_torch(weights), numbers(intercepts, torch.float32) if intercepts else None)


def _kernel(x: torch.Tensor, vectors: torch.Tensor, kind: str, parameters: Sequence[float]) -> torch.Tensor:
    """Return the kernel of each row of `x`, [N, F], with each of `vectors`, [S, F]: [N, S]."""
    gamma, coef0, degree = parameters
    if kind == "RBF":
        return torch.exp(-gamma * torch.sum(torch.square(x.unsqueeze(1) - vectors), -1))
    product = F.linear(x, vectors)
    if kind == "POLY":
        return torch.pow(gamma * product + coef0, degree)
    return torch.tanh(gamma * product + coef0) if kind == "SIGMOID" else product


def transformed(scores: torch.Tensor, post_transform: str) -> torch.Tensor:
    """Apply a post transform to scores, [N, classes]; raises `UnsupportedError` for one that is not covered."""
    if post_transform == "NONE":
        return scores
    if post_transform == "LOGISTIC":
        return torch.sigmoid(scores)
    if post_transform == "SOFTMAX":
        return torch.softmax(scores, -1)
    raise UnsupportedError(f"post_transform={post_transform!r}")
