"""Classical machine learning (domain ai.onnx.ml): encoders, scalers, linear models and tree ensembles, on numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

from translate.converters.onnx_to_torch.dtypes import to_torch
from translate.converters.onnx_to_torch.table import lower
from translate.errors import UnsupportedError

DOMAIN = "ai.onnx.ml"
FLOATS = (torch.float32, torch.float64)
COMPARE = {
    "BRANCH_LEQ": torch.le,
    "BRANCH_LT": torch.lt,
    "BRANCH_GTE": torch.ge,
    "BRANCH_GT": torch.gt,
    "BRANCH_EQ": torch.eq,
    "BRANCH_NEQ": torch.ne,
}
MEMBER = "BRANCH_MEMBER"
LEAF = "LEAF"
# The same by number, and what else TreeEnsemble of opset 5 says in numbers.
MODES = (*COMPARE, MEMBER)
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


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
        values, default = _numbers(values_int64s, torch.int64), default_int64
    known = _numbers(keys.tolist() if isinstance(keys, np.ndarray) else keys, x.dtype)
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
    labels = _numbers(classlabels_ints, torch.int64)
    classes = len(labels)
    if len(coefficients) != classes * _known_features(x):
        raise UnsupportedError(f"{len(coefficients)} coefficients for {classes} classes of {x.shape[1]} features")
    scores = _transformed(_linear(x, coefficients, intercepts, classes), post_transform)
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
    return _transformed(_linear(x, coefficients or (), intercepts, targets), post_transform)


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
    return (x.to(torch.int64).unsqueeze(-1) == _numbers(cats_int64s, torch.int64)).to(torch.float32)


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
    weights = _numbers(coefficients, torch.float32).unsqueeze(1)
    if n_supports:
        vectors = _numbers(support_vectors, torch.float32).reshape([n_supports, -1])
        x = _kernel(x, vectors, kernel_type, kernel_params or (0.0, 0.0, 0.0))
    result = torch.matmul(x, weights) + _numbers(rho, torch.float32)
    return torch.where(result > 0, 1.0, -1.0) if one_class else result


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
    inner, leaves = len(nodes_modes), len(leaf_weights)
    # Leaves follow the inner nodes and lead to themselves.
    own = list(range(inner, inner + leaves))
    trees = Trees(
        roots=np.asarray(tree_roots),
        feature=np.asarray([*nodes_featureids, *[0] * leaves]),
        split=np.concatenate([nodes_splits, np.zeros(leaves, nodes_splits.dtype)]),
        mode=[MODES[mode] for mode in nodes_modes] + [LEAF] * leaves,
        missing=np.asarray([*(nodes_missing_value_tracks_true or [0] * inner), *[0] * leaves], bool),
        children=np.stack(
            [
                np.asarray([*np.asarray(ids) + inner * np.asarray(leafs), *own])
                for ids, leafs in ((nodes_falsenodeids, nodes_falseleafs), (nodes_truenodeids, nodes_trueleafs))
            ],
            1,
        ),
        members=_members(nodes_modes, membership_values),
    )
    payload = list(zip(own, leaf_targetids, leaf_weights.tolist(), strict=True))
    targets = n_targets if n_targets is not None else max(leaf_targetids) + 1
    result = trees.aggregate(x, payload, targets, AGGREGATES[aggregate_function])
    return _transformed(result, TRANSFORMS[post_transform]).to(x.dtype)


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
    trees, at = _trees(
        nodes_treeids or (),
        nodes_nodeids or (),
        nodes_featureids or (),
        _either(nodes_values, nodes_values_as_tensor),
        nodes_modes or (),
        nodes_missing_value_tracks_true,
        nodes_truenodeids or (),
        nodes_falsenodeids or (),
    )
    weights = _either(target_weights, target_weights_as_tensor).tolist()
    places = zip(target_treeids or (), target_nodeids or (), target_ids or (), weights, strict=True)
    payload = [(at[tree, node], target, weight) for tree, node, target, weight in places]
    result = trees.aggregate(x, payload, n_targets or 1, aggregate_function)
    base = _either(base_values, base_values_as_tensor)
    result = (result + torch.tensor(base.tolist(), dtype=result.dtype) if base.size else result).to(torch.float32)
    return _transformed(result, post_transform)


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
    labels = _numbers(classlabels_int64s, torch.int64)
    classes = len(labels)
    if classes < 2:
        raise UnsupportedError("a classifier of a single class")
    trees, at = _trees(
        nodes_treeids or (),
        nodes_nodeids or (),
        nodes_featureids or (),
        _either(nodes_values, nodes_values_as_tensor),
        nodes_modes or (),
        nodes_missing_value_tracks_true,
        nodes_truenodeids or (),
        nodes_falsenodeids or (),
    )
    weights = _either(class_weights, class_weights_as_tensor).tolist()
    places = zip(class_treeids or (), class_nodeids or (), class_ids or (), weights, strict=True)
    payload = [(at[tree, node], target, weight) for tree, node, target, weight in places]
    scores = trees.aggregate(x, payload, classes, "SUM")
    base = _either(base_values, base_values_as_tensor)
    two = classes == 2 and set(class_ids or ()) == {0} and base.size < 2
    if base.size not in (0, classes) and not two:
        raise UnsupportedError(f"{base.size} base values for {classes} classes")
    if two:
        score = (scores[:, 0] + float(base.sum())).to(torch.float32)
        positive = min(weights) >= 0
        label = labels[(score > (0.5 if positive else 0)).to(torch.int64)]
        if post_transform == "LOGISTIC":
            return label, torch.sigmoid(torch.stack([-score, score], 1))
        return label, torch.stack([1 - score if positive else -score, score], 1)
    if base.size:
        scores = scores + torch.tensor(base.tolist(), dtype=scores.dtype)
    scores = scores.to(torch.float32)
    return labels[torch.argmax(scores, 1)], _transformed(scores, post_transform)


@dataclass(frozen=True)
class Trees:
    """Decision trees in flat arrays over all their nodes; a leaf leads to itself.

    `roots` has one node for each tree; `feature`, `split`, `mode` and `missing` (whether NaN counts as true) say how
    a node decides, `children`, [nodes, 2], where it leads when false and when true, `members` what is in its set.
    """

    roots: np.ndarray
    feature: np.ndarray
    split: np.ndarray
    mode: Sequence[str]
    missing: np.ndarray
    children: np.ndarray
    members: dict[int, list[float]]

    def aggregate(
        self, x: torch.Tensor, payload: Sequence[tuple[int, int, float]], targets: int, function: str
    ) -> torch.Tensor:
        """Return, [N, targets], the aggregate over all trees of what the leaves that `x` comes to give.

        `payload` has (leaf, target, weight); what one leaf gives a target twice is aggregated too.
        """
        x = x if x.dtype in FLOATS else x.to(torch.float32)
        finite = torch.finfo(x.dtype)
        combine: Any = {"MIN": np.minimum, "MAX": np.maximum}.get(function, np.add)
        reduce: Any = {"MIN": torch.amin, "MAX": torch.amax}.get(function, torch.sum)
        nothing = {"MIN": finite.max, "MAX": finite.min}.get(function, 0)
        gives = np.full([len(self.mode), targets], nothing, np.float64 if x.dtype is torch.float64 else np.float32)
        for leaf, target, weight in payload:
            gives[leaf, target] = combine(gives[leaf, target], weight)
        # [N, trees, targets]
        result = reduce(to_torch(gives)[self._leaves(x)], 1)
        return result / len(self.roots) if function == "AVERAGE" else result

    def _leaves(self, x: torch.Tensor) -> torch.Tensor:
        """Return the leaf that each row of `x` comes to in each tree, [N, trees]."""
        children, feature = to_torch(self.children.astype(np.int64)), to_torch(self.feature.astype(np.int64))
        node = to_torch(self.roots.astype(np.int64)).unsqueeze(0).expand([x.size(0), len(self.roots)])
        for _ in range(self._depth()):
            value = torch.gather(x, 1, feature[node])
            node = children[node, self._decide(node, value).to(torch.int64)]
        return node

    def _decide(self, node: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        split = torch.tensor(self.split.tolist(), dtype=value.dtype)[node]
        used = [mode for mode in COMPARE if mode in self.mode]
        true = torch.zeros_like(value, dtype=torch.bool)
        for mode in used:
            compared = COMPARE[mode](value, split)
            here = torch.tensor([one == mode for one in self.mode])
            true = compared if len(used) == 1 else torch.where(here[node], compared, true)
        if self.members:
            length = max(len(members) for members in self.members.values())
            table = np.full([len(self.mode), length], np.nan)
            for i, members in self.members.items():
                table[i, : len(members)] = members
            sets = to_torch(table).to(value.dtype)[node]
            contained = torch.any(value.unsqueeze(-1) == sets, -1)
            true = torch.where(torch.tensor([one == MEMBER for one in self.mode])[node], contained, true)
        if self.missing.any():
            true = torch.logical_or(true, torch.logical_and(torch.isnan(value), to_torch(self.missing)[node]))
        return true

    def _depth(self) -> int:
        depth, nodes = 0, set(self.roots.tolist())
        while nodes := {child for node in nodes for child in self.children[node].tolist() if child != node}:
            depth += 1
        return depth


def _trees(
    tree_ids: Sequence[int],
    node_ids: Sequence[int],
    feature: Sequence[int],
    split: np.ndarray,
    modes: Sequence[str],
    missing: Sequence[int] | None,
    true_ids: Sequence[int],
    false_ids: Sequence[int],
) -> tuple[Trees, dict[tuple[int, int], int]]:
    """Return the trees of a TreeEnsembleClassifier or -Regressor, and each node's place by (tree, node)."""
    at = {key: i for i, key in enumerate(zip(tree_ids, node_ids, strict=True))}
    children = [
        [i, i] if mode == LEAF else [at[tree, false], at[tree, true]]
        for i, (tree, mode, false, true) in enumerate(zip(tree_ids, modes, false_ids, true_ids, strict=True))
    ]
    led_to = {child for i, pair in enumerate(children) for child in pair if child != i}
    trees = Trees(
        roots=np.asarray([i for i in range(len(modes)) if i not in led_to]),
        feature=np.asarray(feature),
        split=split,
        mode=list(modes),
        missing=np.asarray(missing if missing else [0] * len(modes), bool),
        children=np.asarray(children),
        members={},
    )
    return trees, at


def _members(modes: np.ndarray, values: np.ndarray | None) -> dict[int, list[float]]:
    """Return the set of each node that tests membership; the sets stand one after another, each ended by a NaN."""
    if values is None:
        return {}
    ends = np.flatnonzero(np.isnan(values))
    sets = [part[~np.isnan(part)].tolist() for part in np.split(values, ends)[: len(ends)]]
    return dict(zip(np.flatnonzero(modes == MODES.index(MEMBER)).tolist(), sets, strict=True))


def _either(values: Sequence[float] | None, tensor: np.ndarray | None) -> np.ndarray:
    return tensor if tensor is not None else np.asarray(values if values is not None else [], np.float32)


def _numbers(values: Any, dtype: torch.dtype) -> torch.Tensor:
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
    return F.linear(x.to(torch.float32), to_torch(weights), _numbers(intercepts, torch.float32) if intercepts else None)


def _kernel(x: torch.Tensor, vectors: torch.Tensor, kind: str, parameters: Sequence[float]) -> torch.Tensor:
    """Return the kernel of each row of `x`, [N, F], with each of `vectors`, [S, F]: [N, S]."""
    gamma, coef0, degree = parameters
    if kind == "RBF":
        return torch.exp(-gamma * torch.sum(torch.square(x.unsqueeze(1) - vectors), -1))
    product = F.linear(x, vectors)
    if kind == "POLY":
        return torch.pow(gamma * product + coef0, degree)
    return torch.tanh(gamma * product + coef0) if kind == "SIGMOID" else product


def _transformed(scores: torch.Tensor, post_transform: str) -> torch.Tensor:
    """Apply a post transform to scores, [N, classes]."""
    if post_transform == "NONE":
        return scores
    if post_transform == "LOGISTIC":
        return torch.sigmoid(scores)
    if post_transform == "SOFTMAX":
        return torch.softmax(scores, -1)
    raise UnsupportedError(f"post_transform={post_transform!r}")
