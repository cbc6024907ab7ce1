"""Classical machine learning against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.backend.node_suite import compare
from tests.converters.ensembles import FEATURES, classes, trees
from tests.converters.nodes import one_node
from tests.converters.onnx_to_torch.cases import run
from translate.errors import CannotTranslateError

DOMAIN = "ai.onnx.ml"
GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((17, FEATURES), np.float32)
WITH_NAN = np.where(GENERATOR.random(X.shape) < 0.2, np.float32(np.nan), X)


def normal(size: int) -> list[float]:
    return GENERATOR.normal(size=size).tolist()


def against_onnxruntime(op: str, x: np.ndarray, attributes: dict[str, Any], outputs: int = 1, opset: int = 3) -> None:
    model = one_node(op, [x], attributes, opset, outputs=outputs, domain=DOMAIN)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = session.run(None, {"x0": x})
    # The number of features is part of the model.
    actual = run(op, [x], attributes, opset, outputs=outputs, domain=DOMAIN, dynamic=False)
    for one, other in zip(actual, expected, strict=True):
        compare(one, other, 1e-5, 1e-6)


@pytest.mark.parametrize("base", [None, [0.5, -0.25]])
@pytest.mark.parametrize("function", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_tree_ensemble_regressor(function, base):
    attributes, leaves = trees(7, 5, 1)
    attributes |= {"target_treeids": [tree for tree, _ in leaves for _ in range(2)]}
    attributes |= {"target_nodeids": [node for _, node in leaves for _ in range(2)]}
    attributes |= {"target_ids": [0, 1] * len(leaves), "target_weights": normal(2 * len(leaves))}
    attributes |= {"n_targets": 2, "aggregate_function": function} | ({"base_values": base} if base else {})
    against_onnxruntime("TreeEnsembleRegressor", WITH_NAN, attributes)
    against_onnxruntime("TreeEnsembleRegressor", X.astype(np.float64), attributes)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_tree_ensemble_classifier(post_transform):
    attributes, leaves = trees(5, 4, 2)
    attributes |= classes(leaves, [0, 1, 2], normal(3 * len(leaves))) | {"post_transform": post_transform}
    against_onnxruntime("TreeEnsembleClassifier", WITH_NAN, attributes | {"classlabels_int64s": [5, 6, 9]}, 2)


@pytest.mark.parametrize("positive", [True, False])
def test_tree_ensemble_classifier_of_two_classes(positive):
    attributes, leaves = trees(5, 4, 3)
    weights = np.random.default_rng(4).normal(0, 0.3, len(leaves))
    attributes |= classes(leaves, [0], (abs(weights) if positive else weights).tolist())
    attributes |= {"classlabels_int64s": [3, 4]}
    against_onnxruntime("TreeEnsembleClassifier", X, attributes, 2)
    against_onnxruntime("TreeEnsembleClassifier", X, attributes | {"base_values": [0.3]}, 2)


CASES = [
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


@pytest.mark.parametrize(("op", "x", "attributes"), CASES)
def test_same_as_onnxruntime(op, x, attributes):
    against_onnxruntime(op, x, attributes)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_classifier(post_transform):
    attributes = {"coefficients": normal(12), "intercepts": normal(3), "post_transform": post_transform}
    against_onnxruntime("LinearClassifier", X, attributes | {"classlabels_ints": [4, 5, 6]}, 2)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_svm_regressor(kernel):
    attributes = {"coefficients": normal(5), "support_vectors": normal(20), "n_supports": 5, "rho": [0.3]}
    attributes |= {"kernel_type": kernel, "kernel_params": [0.4, 0.5, 3.0]}
    against_onnxruntime("SVMRegressor", X, attributes)


def test_nan_is_a_key_like_any_other():
    attributes = {"keys_floats": [1.0, float("nan")], "values_int64s": [10, 20]}
    (actual,) = run("LabelEncoder", [np.array([np.nan, 1, 7], np.float32)], attributes, 4, domain=DOMAIN)
    np.testing.assert_array_equal(actual, [20, 10, -1])


def test_labels_that_are_text_are_refused():
    attributes = {"coefficients": normal(12), "classlabels_strings": ["a", "b", "c"]}
    with pytest.raises(CannotTranslateError, match="PyTorch has no strings"):
        run("LinearClassifier", [X], attributes, 3, outputs=2, domain=DOMAIN, dynamic=False)
