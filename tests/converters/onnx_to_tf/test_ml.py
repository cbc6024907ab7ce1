"""Classical machine learning against onnxruntime, with a symbolic batch."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tests.converters import classical
from tests.converters.classical import CASES, DOMAIN, X, normal, support_vectors
from tests.converters.onnx_to_tf.cases import run
from translate.errors import CannotTranslateError

against_onnxruntime = functools.partial(classical.against_onnxruntime, run)


WITH_STRINGS = [
    ("CategoryMapper", np.array([["a", "z"]], object), {"cats_strings": ["a", "b"], "cats_int64s": [4, 5]}),
    ("CategoryMapper", np.array([[4, 7]]), {"cats_strings": ["a", "b"], "cats_int64s": [4, 5]}),
    ("LabelEncoder", np.array([1.5, 2], np.float32), {"keys_floats": [1.5], "values_strings": ["one"]}),
    ("LabelEncoder", np.array(["a", "z"], object), {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0]}),
    ("OneHotEncoder", np.array(["a", "z"], object), {"cats_strings": ["a", "b"]}),
]


@pytest.mark.parametrize(("op", "x", "attributes"), [*CASES, *WITH_STRINGS])
def test_same_as_onnxruntime(op, x, attributes):
    against_onnxruntime(op, x, attributes)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_classifier(post_transform):
    attributes = {"coefficients": normal(12), "intercepts": normal(3), "post_transform": post_transform}
    against_onnxruntime("LinearClassifier", X, attributes | {"classlabels_strings": ["a", "b", "c"]}, 2)
    against_onnxruntime("LinearClassifier", X, attributes | {"classlabels_ints": [4, 5, 6]}, 2)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_svm_regressor(kernel):
    against_onnxruntime("SVMRegressor", X, support_vectors(kernel))


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
