"""Classical machine learning against onnxruntime."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tests.converters import classical
from tests.converters.classical import CASES, DOMAIN, X, normal, support_vectors
from tests.converters.onnx_to_torch.cases import run
from translate.errors import CannotTranslateError

against_onnxruntime = functools.partial(classical.against_onnxruntime, run)


@pytest.mark.parametrize(("op", "x", "attributes"), CASES)
def test_same_as_onnxruntime(op, x, attributes):
    against_onnxruntime(op, x, attributes)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_linear_classifier(post_transform):
    attributes = {"coefficients": normal(12), "intercepts": normal(3), "post_transform": post_transform}
    against_onnxruntime("LinearClassifier", X, attributes | {"classlabels_ints": [4, 5, 6]}, 2)


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
def test_svm_regressor(kernel):
    against_onnxruntime("SVMRegressor", X, support_vectors(kernel))


def test_nan_is_a_key_like_any_other():
    attributes = {"keys_floats": [1.0, float("nan")], "values_int64s": [10, 20]}
    (actual,) = run("LabelEncoder", [np.array([np.nan, 1, 7], np.float32)], attributes, 4, domain=DOMAIN)
    np.testing.assert_array_equal(actual, [20, 10, -1])


def test_labels_that_are_text_are_refused():
    attributes = {"coefficients": normal(12), "classlabels_strings": ["a", "b", "c"]}
    with pytest.raises(CannotTranslateError, match="PyTorch has no strings"):
        run("LinearClassifier", [X], attributes, 3, outputs=2, domain=DOMAIN, dynamic=False)
