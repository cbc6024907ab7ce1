"""Tree ensembles (domain ai.onnx.ml): all rows go down all trees at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.ml import DOMAIN, labels_of, transformed
from translate.converters.onnx_to_tf.shapes import dims
from translate.converters.onnx_to_tf.table import lower
from translate.converters.operators.trees import (
    AGGREGATES,
    MEMBER,
    TRANSFORMS,
    Trees,
    by_id,
    by_number,
    either,
)

COMPARE = {
    "BRANCH_LEQ": tf.less_equal,
    "BRANCH_LT": tf.less,
    "BRANCH_GTE": tf.greater_equal,
    "BRANCH_GT": tf.greater,
    "BRANCH_EQ": tf.equal,
    "BRANCH_NEQ": tf.not_equal,
}


@lower("TreeEnsemble", since=5, domain=DOMAIN)
def tree_ensemble(
    x: tf.Tensor,
    *,
    aggregate_function: int = 1,
    leaf_targetids: Sequence[int],
    leaf_weights: np.ndarray,
    membership_values: np.ndarray | None = None,
    n_targets: int | None = None,
    nodes_falseleafs: Sequence[int],
    nodes_falsenodeids: Sequence[int],
    nodes_featureids: Sequence[int],
    nodes_hitrates: np.ndarray | None = None,
    nodes_missing_value_tracks_true: Sequence[int] | None = None,
    nodes_modes: np.ndarray,
    nodes_splits: np.ndarray,
    nodes_trueleafs: Sequence[int],
    nodes_truenodeids: Sequence[int],
    post_transform: int = 0,
    tree_roots: Sequence[int],
) -> tf.Tensor:
    """Return the aggregate of what the leaves give that x [N, F] comes to, [N, n_targets].

    Limits: `post_transform` PROBIT and SOFTMAX_ZERO are refused.
    """
    trees = by_number(
        tree_roots,
        nodes_featureids,
        nodes_splits,
        nodes_modes,
        nodes_missing_value_tracks_true,
        membership_values,
        nodes_truenodeids,
        nodes_trueleafs,
        nodes_falsenodeids,
        nodes_falseleafs,
        leaf_targetids,
        leaf_weights,
    )
    targets = n_targets if n_targets is not None else max(leaf_targetids) + 1
    result = _aggregate(trees, x, targets, AGGREGATES[aggregate_function])
    return tf.cast(transformed(result, TRANSFORMS[post_transform]), x.dtype)


@lower("TreeEnsembleRegressor", domain=DOMAIN)
def tree_ensemble_regressor(
    x: tf.Tensor,
    *,
    aggregate_function: str = "SUM",
    base_values: Sequence[float] | None = None,
    base_values_as_tensor: np.ndarray | None = None,
    n_targets: int | None = None,
    nodes_falsenodeids: Sequence[int] | None = None,
    nodes_featureids: Sequence[int] | None = None,
    nodes_hitrates: Sequence[float] | None = None,
    nodes_hitrates_as_tensor: np.ndarray | None = None,
    nodes_missing_value_tracks_true: Sequence[int] | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Sequence[int] | None = None,
    nodes_treeids: Sequence[int] | None = None,
    nodes_truenodeids: Sequence[int] | None = None,
    nodes_values: Sequence[float] | None = None,
    nodes_values_as_tensor: np.ndarray | None = None,
    post_transform: str = "NONE",
    target_ids: Sequence[int] | None = None,
    target_nodeids: Sequence[int] | None = None,
    target_treeids: Sequence[int] | None = None,
    target_weights: Sequence[float] | None = None,
    target_weights_as_tensor: np.ndarray | None = None,
) -> tf.Tensor:
    """Return the aggregate of what the leaves give that x [N, F] comes to, plus base values: float32 [N, n_targets].

    Limits: `post_transform` PROBIT and SOFTMAX_ZERO are refused.
    """
    trees = by_id(
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        either(nodes_values, nodes_values_as_tensor),
        nodes_modes,
        nodes_missing_value_tracks_true,
        nodes_truenodeids,
        nodes_falsenodeids,
        target_treeids,
        target_nodeids,
        target_ids,
        either(target_weights, target_weights_as_tensor),
        either(base_values, base_values_as_tensor),
    )
    result = _aggregate(trees, x, n_targets or 1, aggregate_function)
    return transformed(tf.cast(result, tf.float32), post_transform)


@lower("TreeEnsembleClassifier", domain=DOMAIN)
def tree_ensemble_classifier(
    x: tf.Tensor,
    *,
    base_values: Sequence[float] | None = None,
    base_values_as_tensor: np.ndarray | None = None,
    class_ids: Sequence[int] | None = None,
    class_nodeids: Sequence[int] | None = None,
    class_treeids: Sequence[int] | None = None,
    class_weights: Sequence[float] | None = None,
    class_weights_as_tensor: np.ndarray | None = None,
    classlabels_int64s: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    nodes_falsenodeids: Sequence[int] | None = None,
    nodes_featureids: Sequence[int] | None = None,
    nodes_hitrates: Sequence[float] | None = None,
    nodes_hitrates_as_tensor: np.ndarray | None = None,
    nodes_missing_value_tracks_true: Sequence[int] | None = None,
    nodes_modes: Sequence[str] | None = None,
    nodes_nodeids: Sequence[int] | None = None,
    nodes_treeids: Sequence[int] | None = None,
    nodes_truenodeids: Sequence[int] | None = None,
    nodes_values: Sequence[float] | None = None,
    nodes_values_as_tensor: np.ndarray | None = None,
    post_transform: str = "NONE",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classify [N, F] by the sum of what the leaves give; returns the labels, [N], and the scores, [N, classes].

    Two classes whose leaves give one number s follow onnxruntime: where no weight is negative, the scores are 1 - s
    and s and the second class wins above 0.5, else they are -s and s, and it wins above 0; only LOGISTIC changes them.
    Limits: a single class, and `post_transform` PROBIT and SOFTMAX_ZERO, are refused.
    """
    labels = labels_of(classlabels_int64s, classlabels_strings)
    classes = len(classlabels_int64s or classlabels_strings or ())
    trees = by_id(
        nodes_treeids,
        nodes_nodeids,
        nodes_featureids,
        either(nodes_values, nodes_values_as_tensor),
        nodes_modes,
        nodes_missing_value_tracks_true,
        nodes_truenodeids,
        nodes_falsenodeids,
        class_treeids,
        class_nodeids,
        class_ids,
        either(class_weights, class_weights_as_tensor),
        either(base_values, base_values_as_tensor),
    )
    one = trees.is_one_score(classes)
    scores = tf.cast(_aggregate(trees, x, classes, "SUM"), tf.float32)
    if one:
        score = scores[:, 0]
        positive = min(weight for _, _, weight in trees.leaves) >= 0
        label = tf.gather(labels, tf.cast(score > (0.5 if positive else 0), tf.int32))
        if post_transform == "LOGISTIC":
            return label, tf.sigmoid(tf.stack([-score, score], 1))
        return label, tf.stack([1 - score if positive else -score, score], 1)
    return tf.gather(labels, tf.argmax(scores, 1)), transformed(scores, post_transform)


def _aggregate(trees: Trees, x: tf.Tensor, targets: int, function: str) -> tf.Tensor:
    """Return, [N, targets], the aggregate over all trees of what the leaves that `x` comes to give, plus the base."""
    x = x if x.dtype in (tf.float32, tf.float64) else tf.cast(x, tf.float32)
    reduce = {"MIN": tf.reduce_min, "MAX": tf.reduce_max}.get(function, tf.reduce_sum)
    gives = tf.constant(trees.gives(targets, function, x.dtype.as_numpy_dtype))
    result = reduce(tf.gather(gives, _leaves(trees, x)), 1)
    result = result / len(trees.roots) if function == "AVERAGE" else result
    return result + trees.base.astype(x.dtype.as_numpy_dtype) if trees.base.size else result


def _leaves(trees: Trees, x: tf.Tensor) -> tf.Tensor:
    """Return the leaf that each row of `x` comes to in each tree, [N, trees]."""
    children, feature = tf.constant(trees.children, tf.int32), tf.constant(trees.feature, tf.int32)
    node = tf.tile(tf.constant(trees.roots, tf.int32)[tf.newaxis], [dims(x)[0], 1])

    def step(node: tf.Tensor) -> tuple[tf.Tensor]:
        value = tf.gather(x, tf.gather(feature, node), batch_dims=1)
        true = tf.cast(_decide(trees, node, value), tf.int32)
        return (tf.gather_nd(children, tf.stack([node, true], -1)),)

    return tf.while_loop(lambda node: True, step, (node,), maximum_iterations=trees.depth)[0]


def _decide(trees: Trees, node: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Say which of the nodes [N, trees] lead on to what follows when true."""
    split = tf.gather(tf.constant(trees.split, value.dtype), node)
    true = tf.zeros_like(value, tf.bool)
    for mode in trees.comparisons:
        compared = COMPARE[mode](value, split)
        here = tf.constant(trees.are(mode))
        true = compared if len(trees.comparisons) == 1 else tf.where(tf.gather(here, node), compared, true)
    if MEMBER in trees.mode:
        members = tf.gather(tf.constant(trees.members, value.dtype), node)
        contained = tf.reduce_any(value[..., tf.newaxis] == members, -1)
        true = tf.where(tf.gather(tf.constant(trees.are(MEMBER)), node), contained, true)
    if trees.missing.any():
        true |= tf.math.is_nan(value) & tf.gather(tf.constant(trees.missing), node)
    return true
