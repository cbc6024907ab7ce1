"""Classical machine learning (domain ai.onnx.ml): encoders, scalers, linear models and tree ensembles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from translate.converters.onnx_to_tf.shapes import dims, rank
from translate.converters.onnx_to_tf.table import lower
from translate.errors import UnsupportedError

DOMAIN = "ai.onnx.ml"
FLOATS = (tf.float32, tf.float64)
COMPARE = {
    "BRANCH_LEQ": tf.less_equal,
    "BRANCH_LT": tf.less,
    "BRANCH_GTE": tf.greater_equal,
    "BRANCH_GT": tf.greater,
    "BRANCH_EQ": tf.equal,
    "BRANCH_NEQ": tf.not_equal,
}
MEMBER = "BRANCH_MEMBER"
LEAF = "LEAF"
# The same by number, and what else TreeEnsemble of opset 5 says in numbers.
MODES = (*COMPARE, MEMBER)
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@lower("ArrayFeatureExtractor", domain=DOMAIN)
def array_feature_extractor(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Pick the features at the indices `y` off the last axis of `x`; a vector becomes a matrix of one row."""
    picked = tf.gather(x, tf.reshape(y, [-1]), axis=-1)
    return picked[tf.newaxis] if rank(x) == 1 else picked


@lower("Binarizer", domain=DOMAIN)
def binarizer(x: tf.Tensor, *, threshold: float = 0.0) -> tf.Tensor:
    """Return 1 where `x` is above `threshold`, else 0; dtype and shape are unchanged."""
    return tf.cast(x > tf.cast(threshold, x.dtype), x.dtype)


@lower("CategoryMapper", domain=DOMAIN)
def category_mapper(
    x: tf.Tensor,
    *,
    cats_int64s: Sequence[int] | None = None,
    cats_strings: Sequence[str] | None = None,
    default_int64: int = -1,
    default_string: str = "_Unused",
) -> tf.Tensor:
    """Turn the strings `cats_strings` into the integers `cats_int64s`, or the other way round; same shape."""
    numbers, texts = _constant(cats_int64s, tf.int64), _constant(cats_strings, tf.string)
    if x.dtype == tf.string:
        return _mapped(x, texts, numbers, tf.constant(default_int64, tf.int64))
    return _mapped(x, numbers, texts, tf.constant(default_string))


@lower("FeatureVectorizer", domain=DOMAIN)
def feature_vectorizer(*xs: tf.Tensor, inputdimensions: Sequence[int] | None = None) -> tf.Tensor:
    """Join features, each [N, F], along the last axis as float32; `inputdimensions` cuts or pads them to its sizes."""
    columns = [tf.cast(x if rank(x) == 2 else tf.reshape(x, [-1, 1]), tf.float32) for x in xs]
    if inputdimensions is not None:
        columns = [
            tf.pad(x[:, :size], [[0, 0], [0, tf.maximum(size - dims(x)[1], 0)]])
            for x, size in zip(columns, inputdimensions, strict=True)
        ]
    return tf.concat(columns, 1)


@lower("Imputer", domain=DOMAIN)
def imputer(
    x: tf.Tensor,
    *,
    imputed_value_floats: Sequence[float] | None = None,
    imputed_value_int64s: Sequence[int] | None = None,
    replaced_value_float: float = 0.0,
    replaced_value_int64: int = 0,
) -> tf.Tensor:
    """Replace what is missing, that is equal to the replaced value (or NaN), with one value per feature; [N, F]."""
    if imputed_value_floats:
        values, replaced = tf.constant(imputed_value_floats, x.dtype), replaced_value_float
        if math.isnan(replaced):
            return tf.where(tf.math.is_nan(x), values, x)
    else:
        values, replaced = tf.constant(imputed_value_int64s, x.dtype), replaced_value_int64
    return tf.where(x == tf.cast(replaced, x.dtype), values, x)


@lower("LabelEncoder", since=2, domain=DOMAIN)
def label_encoder(
    x: tf.Tensor,
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
) -> tf.Tensor:
    """Map each element of `x` from the keys to the values, or to the default; the shape is unchanged."""
    keys = next(given for given in (keys_tensor, keys_floats, keys_int64s, keys_strings) if given is not None)
    if values_tensor is not None:
        values = tf.convert_to_tensor(values_tensor)
        text = values.dtype == tf.string
        usual = default_string if text else default_float if values.dtype.is_floating else default_int64
        default = tf.constant(usual if default_tensor is None else default_tensor.item(), values.dtype)
    elif values_floats is not None:
        values, default = tf.constant(values_floats, tf.float32), tf.constant(default_float, tf.float32)
    elif values_int64s is not None:
        values, default = tf.constant(values_int64s, tf.int64), tf.constant(default_int64, tf.int64)
    else:
        values, default = _constant(values_strings, tf.string), tf.constant(default_string)
    return _mapped(x, _constant(keys, x.dtype), values, default)


@lower("LinearClassifier", domain=DOMAIN)
def linear_classifier(
    x: tf.Tensor,
    *,
    classlabels_ints: Sequence[int] | None = None,
    classlabels_strings: Sequence[str] | None = None,
    coefficients: Sequence[float],
    intercepts: Sequence[float] | None = None,
    multi_class: int = 0,
    post_transform: str = "NONE",
) -> tuple[tf.Tensor, tf.Tensor]:
    """Classify [N, F] by linear scores; returns the labels, [N], and the scores of all classes, [N, classes].

    Limits: one row of coefficients for two classes (implementations differ), and `post_transform` PROBIT and
    SOFTMAX_ZERO, are refused.
    """
    labels = _labels(classlabels_ints, classlabels_strings)
    classes = int(labels.shape[0])
    if len(coefficients) != classes * _known_features(x):
        raise UnsupportedError(f"{len(coefficients)} coefficients for {classes} classes of {x.shape[1]} features")
    scores = _transformed(_linear(x, coefficients, intercepts, classes), post_transform)
    return tf.gather(labels, tf.argmax(scores, 1)), scores


@lower("LinearRegressor", domain=DOMAIN)
def linear_regressor(
    x: tf.Tensor,
    *,
    coefficients: Sequence[float] | None = None,
    intercepts: Sequence[float] | None = None,
    post_transform: str = "NONE",
    targets: int = 1,
) -> tf.Tensor:
    """Return x [N, F] times the coefficients plus the intercepts, [N, targets].

    Limits: `post_transform` PROBIT and SOFTMAX_ZERO are refused.
    """
    return _transformed(_linear(x, coefficients or (), intercepts, targets), post_transform)


@lower("Normalizer", domain=DOMAIN)
def normalizer(x: tf.Tensor, *, norm: Literal["MAX", "L1", "L2"] = "MAX") -> tf.Tensor:
    """Divide each row of `x` by its norm, as float32; MAX is the largest value, as in onnxruntime, not its size."""
    x = tf.cast(x, tf.float32)
    if norm == "MAX":
        size = tf.reduce_max(x, -1, keepdims=True)
    else:
        size = tf.norm(x, 1 if norm == "L1" else 2, -1, keepdims=True)
    return tf.where(size == 0, x, x / size)


@lower("OneHotEncoder", domain=DOMAIN)
def one_hot_encoder(
    x: tf.Tensor,
    *,
    cats_int64s: Sequence[int] | None = None,
    cats_strings: Sequence[str] | None = None,
    zeros: int = 1,
) -> tf.Tensor:
    """Return 1 at each element's category, else 0, in a new last axis, as float32.

    With `zeros=0` an element of no category is an error when the model runs.
    """
    if x.dtype == tf.string:
        equal = x[..., tf.newaxis] == _constant(cats_strings, tf.string)
    else:
        equal = tf.cast(x, tf.int64)[..., tf.newaxis] == _constant(cats_int64s, tf.int64)
    if not zeros:
        tf.debugging.Assert(tf.reduce_all(tf.reduce_any(equal, -1)), ["an element is of no known category"])
    return tf.cast(equal, tf.float32)


@lower("Scaler", domain=DOMAIN)
def scaler(x: tf.Tensor, *, offset: Sequence[float] | None = None, scale: Sequence[float] | None = None) -> tf.Tensor:
    """Return (x - offset) scale, one or one per feature, as float32; the shape is unchanged."""
    x = tf.cast(x, tf.float32)
    x = x if offset is None else x - tf.constant(offset, tf.float32)
    return x if scale is None else x * tf.constant(scale, tf.float32)


@lower("SVMRegressor", domain=DOMAIN)
def svm_regressor(
    x: tf.Tensor,
    *,
    coefficients: Sequence[float] | None = None,
    kernel_params: Sequence[float] | None = None,
    kernel_type: Literal["LINEAR", "POLY", "RBF", "SIGMOID"] = "LINEAR",
    n_supports: int = 0,
    one_class: int = 0,
    post_transform: Literal["NONE"] = "NONE",
    rho: Sequence[float] | None = None,
    support_vectors: Sequence[float] | None = None,
) -> tf.Tensor:
    """Return the support vector regression of x [N, F], [N, 1]; `one_class` gives its sign, 1 or -1."""
    x = tf.cast(x, tf.float32)
    weights = tf.constant(coefficients, tf.float32)[:, tf.newaxis]
    if n_supports:
        vectors = tf.reshape(tf.constant(support_vectors, tf.float32), [n_supports, -1])
        x = _kernel(x, vectors, kernel_type, kernel_params or (0.0, 0.0, 0.0))
    result = tf.matmul(x, weights) + tf.constant(rho, tf.float32)
    return tf.where(result > 0, 1.0, -1.0) if one_class else result


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
    return tf.cast(_transformed(result, TRANSFORMS[post_transform]), x.dtype)


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
    result = tf.cast(result + base.astype(result.dtype.as_numpy_dtype) if base.size else result, tf.float32)
    return _transformed(result, post_transform)


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
    labels = _labels(classlabels_int64s, classlabels_strings)
    classes = len(classlabels_int64s or classlabels_strings or ())
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
    base = _either(base_values, base_values_as_tensor).astype(scores.dtype.as_numpy_dtype)
    two = classes == 2 and set(class_ids or ()) == {0} and base.size < 2
    if base.size not in (0, classes) and not two:
        raise UnsupportedError(f"{base.size} base values for {classes} classes")
    if two:
        score = tf.cast(scores[:, 0] + base.sum(), tf.float32)
        positive = min(weights) >= 0
        label = tf.gather(labels, tf.cast(score > (0.5 if positive else 0), tf.int32))
        if post_transform == "LOGISTIC":
            return label, tf.sigmoid(tf.stack([-score, score], 1))
        return label, tf.stack([1 - score if positive else -score, score], 1)
    scores = tf.cast(scores + base if base.size else scores, tf.float32)
    return tf.gather(labels, tf.argmax(scores, 1)), _transformed(scores, post_transform)


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
        self, x: tf.Tensor, payload: Sequence[tuple[int, int, float]], targets: int, function: str
    ) -> tf.Tensor:
        """Return, [N, targets], the aggregate over all trees of what the leaves that `x` comes to give.

        `payload` has (leaf, target, weight); what one leaf gives a target twice is aggregated too.
        """
        x = x if x.dtype in FLOATS else tf.cast(x, tf.float32)
        finite = np.finfo(x.dtype.as_numpy_dtype)
        combine: Any = {"MIN": np.minimum, "MAX": np.maximum}.get(function, np.add)
        reduce = {"MIN": tf.reduce_min, "MAX": tf.reduce_max}.get(function, tf.reduce_sum)
        finite = np.finfo(x.dtype.as_numpy_dtype)
        nothing = {"MIN": finite.max, "MAX": finite.min}.get(function, 0)
        gives = np.full([len(self.mode), targets], nothing, x.dtype.as_numpy_dtype)
        for leaf, target, weight in payload:
            gives[leaf, target] = combine(gives[leaf, target], weight)
        result = reduce(tf.gather(tf.constant(gives), self._leaves(x)), 1)
        return result / len(self.roots) if function == "AVERAGE" else result

    def _leaves(self, x: tf.Tensor) -> tf.Tensor:
        """Return the leaf that each row of `x` comes to in each tree, [N, trees]."""
        children, feature = tf.constant(self.children, tf.int32), tf.constant(self.feature, tf.int32)
        node = tf.tile(tf.constant(self.roots, tf.int32)[tf.newaxis], [dims(x)[0], 1])

        def step(node: tf.Tensor) -> tuple[tf.Tensor]:
            value = tf.gather(x, tf.gather(feature, node), batch_dims=1)
            true = tf.cast(self._decide(node, value), tf.int32)
            return (tf.gather_nd(children, tf.stack([node, true], -1)),)

        return tf.while_loop(lambda node: True, step, (node,), maximum_iterations=self._depth())[0]

    def _decide(self, node: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
        split = tf.gather(tf.constant(self.split, value.dtype), node)
        used = [mode for mode in COMPARE if mode in self.mode]
        true = tf.zeros_like(value, tf.bool)
        for mode in used:
            compared = COMPARE[mode](value, split)
            here = tf.constant([one == mode for one in self.mode])
            true = compared if len(used) == 1 else tf.where(tf.gather(here, node), compared, true)
        if self.members:
            length = max(len(members) for members in self.members.values())
            table = np.full([len(self.mode), length], np.nan, value.dtype.as_numpy_dtype)
            for i, members in self.members.items():
                table[i, : len(members)] = members
            contained = tf.reduce_any(value[..., tf.newaxis] == tf.gather(tf.constant(table), node), -1)
            true = tf.where(tf.gather(tf.constant([one == MEMBER for one in self.mode]), node), contained, true)
        if self.missing.any():
            true |= tf.math.is_nan(value) & tf.gather(tf.constant(self.missing), node)
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


def _constant(values: Any, dtype: tf.DType) -> tf.Tensor:
    if values is None:
        raise UnsupportedError(f"no list of {dtype.name} is given")
    return tf.constant(values, dtype)


def _mapped(x: tf.Tensor, keys: tf.Tensor, values: tf.Tensor, default: tf.Tensor) -> tf.Tensor:
    equal = x[..., tf.newaxis] == keys
    if keys.dtype.is_floating:
        equal |= tf.math.is_nan(x)[..., tf.newaxis] & tf.math.is_nan(keys)
    place = tf.argmax(tf.cast(equal, tf.int32), -1)
    return tf.where(tf.reduce_any(equal, -1), tf.gather(values, place), default)


def _labels(numbers: Sequence[int] | None, texts: Sequence[str] | None) -> tf.Tensor:
    return tf.constant(texts) if texts else _constant(numbers, tf.int64)


def _known_features(x: tf.Tensor) -> int:
    if x.shape.rank != 2 or x.shape[1] is None:
        raise UnsupportedError("the number of features is not known")
    return int(x.shape[1])


def _linear(x: tf.Tensor, coefficients: Sequence[float], intercepts: Sequence[float] | None, targets: int) -> tf.Tensor:
    weights = np.reshape(np.asarray(coefficients, np.float32), [targets, -1])
    scores = tf.matmul(tf.cast(x, tf.float32), tf.constant(weights), transpose_b=True)
    return scores if not intercepts else scores + tf.constant(intercepts, tf.float32)


def _kernel(x: tf.Tensor, vectors: tf.Tensor, kind: str, parameters: Sequence[float]) -> tf.Tensor:
    """Return the kernel of each row of `x`, [N, F], with each of `vectors`, [S, F]: [N, S]."""
    gamma, coef0, degree = parameters
    if kind == "RBF":
        return tf.exp(-gamma * tf.reduce_sum(tf.math.squared_difference(x[:, tf.newaxis], vectors), -1))
    product = tf.matmul(x, vectors, transpose_b=True)
    if kind == "POLY":
        return tf.pow(gamma * product + coef0, degree)
    return tf.tanh(gamma * product + coef0) if kind == "SIGMOID" else product


def _transformed(scores: tf.Tensor, post_transform: str) -> tf.Tensor:
    """Apply a post transform to scores, [N, classes]."""
    if post_transform == "NONE":
        return scores
    if post_transform == "LOGISTIC":
        return tf.sigmoid(scores)
    if post_transform == "SOFTMAX":
        return tf.nn.softmax(scores)
    raise UnsupportedError(f"post_transform={post_transform!r}")
