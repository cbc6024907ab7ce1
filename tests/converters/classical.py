"""Cases of domain ai.onnx.ml: shared by the tests of both tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from tests.backend.node_suite import compare
from tests.converters.nodes import one_node

DOMAIN = "ai.onnx.ml"
FEATURES = 4
GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((17, FEATURES), np.float32)
WITH_NAN = np.where(GENERATOR.random(X.shape) < 0.2, np.float32(np.nan), X)


def normal(size: int) -> list[float]:
    return GENERATOR.normal(size=size).tolist()


def against_onnxruntime(
    run: Callable[..., list[Any]],
    op: str,
    x: np.ndarray,
    attributes: dict[str, Any],
    outputs: int = 1,
    opset: int = 3,
) -> None:
    model = one_node(op, [x], attributes, opset, outputs=outputs, domain=DOMAIN)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x0": x})
    # The number of features is part of the model.
    actual = run(op, [x], attributes, opset, outputs=outputs, domain=DOMAIN, dynamic=False)
    for one, other in zip(actual, expected, strict=True):
        compare(one, other, 1e-5, 1e-6)


# Operator, input and attributes; without strings.
CASES: list[tuple[str, np.ndarray, dict[str, Any]]] = [
    ("Binarizer", X, {"threshold": 0.2}),
    ("FeatureVectorizer", X, {"inputdimensions": [4]}),
    ("Imputer", WITH_NAN, {"imputed_value_floats": normal(4), "replaced_value_float": float("nan")}),
    ("Imputer", X.astype(np.int64), {"imputed_value_int64s": [7], "replaced_value_int64": 0}),
    ("LabelEncoder", np.array([[1, 2, 3]]), {"keys_int64s": [1, 2], "values_int64s": [4, 5]}),
    ("LabelEncoder", np.array([1.5, 2], np.float32), {"keys_floats": [1.5], "values_int64s": [3]}),
    ("LinearRegressor", X, {"coefficients": normal(8), "intercepts": [0.1, 0.2], "targets": 2}),
    ("Normalizer", X, {"norm": "MAX"}),
    ("Normalizer", X, {"norm": "L1"}),
    ("Normalizer", X, {"norm": "L2"}),
    ("OneHotEncoder", np.array([[1, 2], [3, 9]]), {"cats_int64s": [1, 2, 3]}),
    ("Scaler", X, {"offset": normal(4), "scale": normal(4)}),
    ("Scaler", X.astype(np.int64), {"offset": [1.0], "scale": [0.5]}),
]


def support_vectors(kernel: str) -> dict[str, Any]:
    """The attributes of a SVMRegressor."""
    attributes = {"coefficients": normal(5), "support_vectors": normal(20), "n_supports": 5, "rho": [0.3]}
    return attributes | {"kernel_type": kernel, "kernel_params": [0.4, 0.5, 3.0]}
