"""Tree ensembles of domain ai.onnx.ml as arrays, whichever operator's attributes they are read from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from translate.converters.lowering.bind import Array
from translate.errors import UnsupportedError

COMPARISONS = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
MEMBER = "BRANCH_MEMBER"
LEAF = "LEAF"
# The same by number, and what else TreeEnsemble of opset 5 says in numbers.
MODES = (*COMPARISONS, MEMBER)
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")


@dataclass(frozen=True)
class Trees:
    """Decision trees in flat arrays over all their nodes; a leaf leads to itself.

    `roots` has one node for each tree; `feature`, `split`, `mode` and `missing` (whether NaN counts as true) say how
    a node decides, `children`, [nodes, 2], where it leads when false and when true, `members`, [nodes, most], what is
    in its set, with NaN behind. `leaves` are (leaf, target, weight): what it gives whom. `base` is added to the
    aggregate: one number for each target, or one for all, or nothing.
    """

    roots: Array
    feature: Array
    split: Array
    mode: Sequence[str]
    missing: Array
    children: Array
    members: Array
    leaves: Sequence[tuple[int, int, float]]
    base: Array

    @property
    def depth(self) -> int:
        """How many decisions lead from a root to the leaf farthest from it."""
        depth, nodes = 0, set(self.roots.tolist())
        while nodes := {child for node in nodes for child in self.children[node].tolist() if child != node}:
            depth += 1
        return depth

    @property
    def comparisons(self) -> list[str]:
        """The modes of comparison that a node has."""
        return [mode for mode in COMPARISONS if mode in self.mode]

    def are(self, mode: str) -> Array:
        """Say which nodes have `mode`: bool, [nodes]."""
        return np.array([one == mode for one in self.mode])

    def gives(self, targets: int, function: str, dtype: Any) -> Array:
        """Return what each node gives each target, [nodes, targets], so that `function` of it and others is right.

        What a leaf gives a target twice is aggregated, too.
        """
        combine: Any = {"MIN": np.minimum, "MAX": np.maximum}.get(function, np.add)
        nothing = {"MIN": np.finfo(dtype).max, "MAX": np.finfo(dtype).min}.get(function, 0)
        gives = np.full([len(self.mode), targets], nothing, dtype)
        for leaf, target, weight in self.leaves:
            gives[leaf, target] = combine(gives[leaf, target], weight)
        return gives

    def is_one_score(self, classes: int) -> bool:
        """Say whether the leaves give one number to decide between two classes.

        Raises `UnsupportedError` for a single class, and for base values that are not one for each number.
        """
        if classes < 2:
            raise UnsupportedError("a classifier of a single class")
        one = classes == 2 and {target for _, target, _ in self.leaves} == {0} and self.base.size < 2
        if self.base.size not in (0, classes) and not one:
            raise UnsupportedError(f"{self.base.size} base values for {classes} classes")
        return one


def by_id(
    tree_ids: Sequence[int] | None,
    node_ids: Sequence[int] | None,
    feature: Sequence[int] | None,
    split: Array,
    modes: Sequence[str] | None,
    missing: Sequence[int] | None,
    true_ids: Sequence[int] | None,
    false_ids: Sequence[int] | None,
    leaf_tree_ids: Sequence[int] | None,
    leaf_node_ids: Sequence[int] | None,
    targets: Sequence[int] | None,
    weights: Array,
    base: Array,
) -> Trees:
    """Return the trees of a TreeEnsembleClassifier or -Regressor, where ids of tree and node name a node."""
    tree_ids, modes = tree_ids or (), modes or ()
    at = {key: i for i, key in enumerate(zip(tree_ids, node_ids or (), strict=True))}
    children = [
        [i, i] if mode == LEAF else [at[tree, false], at[tree, true]]
        for i, (tree, mode, false, true) in enumerate(
            zip(tree_ids, modes, false_ids or (), true_ids or (), strict=True)
        )
    ]
    led_to = {child for i, pair in enumerate(children) for child in pair if child != i}
    places = zip(leaf_tree_ids or (), leaf_node_ids or (), targets or (), weights.tolist(), strict=True)
    return Trees(
        roots=np.asarray([i for i in range(len(modes)) if i not in led_to]),
        feature=np.asarray(feature or ()),
        split=split,
        mode=modes,
        missing=np.asarray(missing or [0] * len(modes), bool),
        children=np.asarray(children),
        members=np.empty([len(modes), 0]),
        leaves=[(at[tree, node], target, weight) for tree, node, target, weight in places],
        base=base,
    )


def by_number(
    roots: Sequence[int],
    feature: Sequence[int],
    split: Array,
    modes: Array,
    missing: Sequence[int] | None,
    members: Array | None,
    true_ids: Sequence[int],
    true_leaves: Sequence[int],
    false_ids: Sequence[int],
    false_leaves: Sequence[int],
    targets: Sequence[int],
    weights: Array,
) -> Trees:
    """Return the trees of a TreeEnsemble, where inner nodes are numbered, and leaves are numbered apart."""
    inner, leaves = len(modes), len(weights)
    # Leaves follow the inner nodes and lead to themselves.
    own = list(range(inner, inner + leaves))
    pairs = ((false_ids, false_leaves), (true_ids, true_leaves))
    return Trees(
        roots=np.asarray(roots),
        feature=np.asarray([*feature, *[0] * leaves]),
        split=np.concatenate([split, np.zeros(leaves, split.dtype)]),
        mode=[MODES[mode] for mode in modes] + [LEAF] * leaves,
        missing=np.asarray([*(missing or [0] * inner), *[0] * leaves], bool),
        children=np.stack([[*np.asarray(ids) + inner * np.asarray(leaf), *own] for ids, leaf in pairs], 1),
        members=_members(modes, members, inner + leaves),
        leaves=list(zip(own, targets, weights.tolist(), strict=True)),
        base=np.empty(0),
    )


def _members(modes: Array, values: Array | None, nodes: int) -> Array:
    """Return the set of each node that tests membership; the sets stand one after another, each ended by a NaN."""
    if values is None:
        return np.empty([nodes, 0])
    ends = np.flatnonzero(np.isnan(values))
    sets = [part[~np.isnan(part)] for part in np.split(values, ends)[: len(ends)]]
    table = np.full([nodes, max(map(len, sets), default=0)], np.nan)
    for node, members in zip(np.flatnonzero(modes == MODES.index(MEMBER)), sets, strict=True):
        table[node, : len(members)] = members
    return table


def either(values: Sequence[float] | None, tensor: Array | None) -> Array:
    """Return an attribute that is given as a list of floats or, for other dtypes, as a tensor."""
    return tensor if tensor is not None else np.asarray(values if values is not None else [], np.float32)
