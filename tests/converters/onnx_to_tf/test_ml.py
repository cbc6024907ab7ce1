"""Classical machine learning against onnxruntime, with a symbolic batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.backend.node_suite import compare
from tests.converters.ensembles import FEATURES, classes, trees
from tests.converters.onnx_to_tf.cases import one_node, run
from translate.errors import CannotTranslateError

DOMAIN = "ai.onnx.ml"
OLD_ONNXRUNTIME = tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 31)
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


@pytest.mark.parametrize("labels", [{"classlabels_int64s": [5, 6, 9]}, {"classlabels_strings": ["a", "b", "c"]}])
@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_tree_ensemble_classifier(post_transform, labels):
    attributes, leaves = trees(5, 4, 2)
    attributes |= classes(leaves, [0, 1, 2], normal(3 * len(leaves))) | labels | {"post_transform": post_transform}
    against_onnxruntime("TreeEnsembleClassifier", WITH_NAN, attributes, 2)


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("spoken_of", [0, 1])
@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_tree_ensemble_classifier_of_two_classes(post_transform, spoken_of, positive):
    if (post_transform, spoken_of, positive) == ("LOGISTIC", 0, True) and OLD_ONNXRUNTIME:
        pytest.skip("this onnxruntime leaves LOGISTIC out where no weight is negative")
    attributes, leaves = trees(5, 4, 3)
    weights = np.random.default_rng(4).normal(0, 0.3, len(leaves))
    attributes |= classes(leaves, [spoken_of], (abs(weights) if positive else weights).tolist())
    attributes |= {"classlabels_int64s": [3, 4], "post_transform": post_transform}
    against_onnxruntime("TreeEnsembleClassifier", X, attributes, 2)
    if spoken_of == 0:
        against_onnxruntime("TreeEnsembleClassifier", X, attributes | {"base_values": [0.3]}, 2)


CASES = [
    ("Binarizer", X, {"threshold": 0.2}),
    ("CategoryMapper", np.array([["a", "z"]], object), {"cats_strings": ["a", "b"], "cats_int64s": [4, 5]}),
    ("CategoryMapper", np.array([[4, 7]]), {"cats_strings": ["a", "b"], "cats_int64s": [4, 5]}),
    ("FeatureVectorizer", X, {"inputdimensions": [4]}),
    ("Imputer", WITH_NAN, {"imputed_value_floats": normal(4), "replaced_value_float": float("nan")}),
    ("Imputer", X.astype(np.int64), {"imputed_value_int64s": [7], "replaced_value_int64": 0}),
    ("LabelEncoder", np.array([[1, 2, 3]]), {"keys_int64s": [1, 2], "values_int64s": [4, 5]}),
    ("LabelEncoder", np.array([1.5, 2], np.float32), {"keys_floats": [1.5], "values_strings": ["one"]}),
    ("LabelEncoder", np.array(["a", "z"], object), {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0]}),
    ("LinearRegressor", X, {"coefficients": normal(8), "intercepts": [0.1, 0.2], "targets": 2}),
    ("Normalizer", X, {"norm": "MAX"}),
    ("Normalizer", X, {"norm": "L1"}),
    ("Normalizer", X, {"norm": "L2"}),
    ("OneHotEncoder", np.array([[1, 2], [3, 9]]), {"cats_int64s": [1, 2, 3]}),
    ("OneHotEncoder", np.array(["a", "z"], object), {"cats_strings": ["a", "b"]}),
    ("Scaler", X, {"offset": normal(4), "scale": normal(4)}),
    ("Scaler", X.astype(np.int64), {"offset": [1.0], "scale": [0.5]}),
]


@pytest.mark.parametrize(("op", "x", "attributes"), CASES)
def test_same_as_onnxruntime(op, x, attributes):
    against_onnxruntime(op, x, attributes)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_classifier(post_transform):
    attributes = {"coefficients": normal(12), "intercepts": normal(3), "post_transform": post_transform}
    against_onnxruntime("LinearClassifier", X, attributes | {"classlabels_strings": ["a", "b", "c"]}, 2)
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


def test_an_unknown_category_is_an_error_where_zeros_are_not_allowed():
    attributes = {"cats_int64s": [1, 2], "zeros": 0}
    run("OneHotEncoder", [np.array([1, 2])], attributes, 3, domain=DOMAIN)
    with pytest.raises(Exception, match="no known category"):
        run("OneHotEncoder", [np.array([1, 9])], attributes, 3, domain=DOMAIN)


REFUSED = [
    ("LinearRegressor", {"coefficients": [1.0] * 4, "post_transform": "PROBIT"}, "PROBIT"),
    ("LinearClassifier", {"coefficients": [1.0] * 4, "classlabels_ints": [0, 1]}, "4 coefficients for 2 classes"),
]


@pytest.mark.parametrize(("op", "attributes", "reason"), REFUSED)
def test_refused(op, attributes, reason):
    outputs = 2 if op == "LinearClassifier" else 1
    with pytest.raises(CannotTranslateError, match=reason):
        run(op, [X], attributes, 3, domain=DOMAIN, outputs=outputs, dynamic=False)
