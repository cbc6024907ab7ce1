"""Tree ensembles (domain ai.onnx.ml): all rows go down all trees at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.ml import DOMAIN, numbers, transformed
from translate.converters.onnx_to_torch.table import lower
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
    "BRANCH_LEQ": torch.le,
    "BRANCH_LT": torch.lt,
    "BRANCH_GTE": torch.ge,
    "BRANCH_GT": torch.gt,
    "BRANCH_EQ": torch.eq,
    "BRANCH_NEQ": torch.ne,
}


@lower("TreeEnsemble", since=5, domain=DOMAIN)
def tree_ensemble(
    x: torch.Tensor,
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
) -> torch.Tensor:
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
    return transformed(result, TRANSFORMS[post_transform]).to(x.dtype)


@lower("TreeEnsembleRegressor", domain=DOMAIN)
def tree_ensemble_regressor(
    x: torch.Tensor,
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
) -> torch.Tensor:
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
    return transformed(result.to(torch.float32), post_transform)


@lower("TreeEnsembleClassifier", domain=DOMAIN)
def tree_ensemble_classifier(
    x: torch.Tensor,
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
) -> tuple[torch.Tensor, torch.Tensor]:
    """Classify [N, F] by the sum of what the leaves give; returns the labels, [N], and the scores, [N, classes].

    Two classes whose leaves give one number s follow onnxruntime: where no weight is negative, the scores are 1 - s
    and s and the second class wins above 0.5, else they are -s and s, and it wins above 0; only LOGISTIC changes them.
    Limits: a single class, labels that are strings, and `post_transform` PROBIT and SOFTMAX_ZERO, are refused.
    """
    labels = numbers(classlabels_int64s, torch.int64)
    classes = len(labels)
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
    scores = _aggregate(trees, x, classes, "SUM").to(torch.float32)
    if one:
        score = scores[:, 0]
        positive = min(weight for _, _, weight in trees.leaves) >= 0
        label = labels[(score > (0.5 if positive else 0)).to(torch.int64)]
        if post_transform == "LOGISTIC":
            return label, torch.sigmoid(torch.stack([-score, score], 1))
        return label, torch.stack([1 - score if positive else -score, score], 1)
    return labels[torch.argmax(scores, 1)], transformed(scores, post_transform)


def _aggregate(trees: Trees, x: torch.Tensor, targets: int, function: str) -> torch.Tensor:
    """Return, [N, targets], the aggregate over all trees of what the leaves that `x` comes to give, plus the base."""
    x = x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float32)
    reduce: Any = {"MIN": torch.amin, "MAX": torch.amax}.get(function, torch.sum)
    gives = to_torch(trees.gives(targets, function, np.float64 if x.dtype is torch.float64 else np.float32))
    # [N, trees, targets]
    result = reduce(gives[_leaves(trees, x)], 1)
    result = result / len(trees.roots) if function == "AVERAGE" else result
    return result + to_torch(trees.base).to(x.dtype) if trees.base.size else result


def _leaves(trees: Trees, x: torch.Tensor) -> torch.Tensor:
    """Return the leaf that each row of `x` comes to in each tree, [N, trees]."""
    children, feature = to_torch(trees.children.astype(np.int64)), to_torch(trees.feature.astype(np.int64))
    node = to_torch(trees.roots.astype(np.int64)).unsqueeze(0).expand([x.size(0), len(trees.roots)])
    for _ in range(trees.depth):
        value = torch.gather(x, 1, feature[node])
        node = children[node, _decide(trees, node, value).to(torch.int64)]
    return node


def _decide(trees: Trees, node: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Say which of the nodes [N, trees] lead on to what follows when true."""
    split = to_torch(trees.split).to(value.dtype)[node]
    true = torch.zeros_like(value, dtype=torch.bool)
    for mode in trees.comparisons:
        compared = COMPARE[mode](value, split)
        here = to_torch(trees.are(mode))
        true = compared if len(trees.comparisons) == 1 else torch.where(here[node], compared, true)
    if MEMBER in trees.mode:
        contained = torch.any(value.unsqueeze(-1) == to_torch(trees.members).to(value.dtype)[node], -1)
        true = torch.where(to_torch(trees.are(MEMBER))[node], contained, true)
    if trees.missing.any():
        true = torch.logical_or(true, torch.logical_and(torch.isnan(value), to_torch(trees.missing)[node]))
    return true
