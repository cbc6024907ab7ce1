"""Tree ensembles against onnxruntime."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tests.converters import classical
from tests.converters.classical import WITH_NAN, X
from tests.converters.ensembles import classifier, one_score, regressor
from tests.converters.onnx_to_torch.cases import run

against_onnxruntime = functools.partial(classical.against_onnxruntime, run)


@pytest.mark.parametrize("base", [None, [0.5, -0.25]])
@pytest.mark.parametrize("function", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_tree_ensemble_regressor(function, base):
    attributes = regressor(function, base)
    against_onnxruntime("TreeEnsembleRegressor", WITH_NAN, attributes)
    against_onnxruntime("TreeEnsembleRegressor", X.astype(np.float64), attributes)


@pytest.mark.parametrize("post_transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_tree_ensemble_classifier(post_transform):
    attributes = classifier() | {"classlabels_int64s": [5, 6, 9], "post_transform": post_transform}
    against_onnxruntime("TreeEnsembleClassifier", WITH_NAN, attributes, 2)


@pytest.mark.parametrize("positive", [True, False])
def test_tree_ensemble_classifier_of_two_classes(positive):
    attributes = one_score(0, positive) | {"classlabels_int64s": [3, 4]}
    against_onnxruntime("TreeEnsembleClassifier", X, attributes, 2)
    against_onnxruntime("TreeEnsembleClassifier", X, attributes | {"base_values": [0.3]}, 2)
