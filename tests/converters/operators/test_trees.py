"""Tree ensembles as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from translate.converters.operators.trees import by_id, by_number
from translate.errors import UnsupportedError

# Two trees: one decision and two leaves, and a leaf alone.
NODES = {
    "tree_ids": [7, 7, 7, 8],
    "node_ids": [0, 1, 2, 0],
    "feature": [3, 0, 0, 0],
    "split": np.float32([0.5, 0, 0, 0]),
    "modes": ["BRANCH_LEQ", "LEAF", "LEAF", "LEAF"],
    "missing": None,
    "true_ids": [2, 0, 0, 0],
    "false_ids": [1, 0, 0, 0],
}


def trees(leaves, base=()):
    tree_ids, node_ids, targets, weights = zip(*leaves, strict=True)
    return by_id(
        **NODES,
        leaf_tree_ids=tree_ids,
        leaf_node_ids=node_ids,
        targets=targets,
        weights=np.float32(weights),
        base=np.float32(base),
    )


def test_nodes_are_found_by_their_ids():
    found = trees([(7, 1, 0, 1.5), (8, 0, 1, 2)])
    assert found.roots.tolist() == [0, 3]
    assert found.children.tolist() == [[1, 2], [1, 1], [2, 2], [3, 3]]
    assert found.depth == 1
    assert found.comparisons == ["BRANCH_LEQ"]
    assert found.leaves == [(1, 0, 1.5), (3, 1, 2)]


@pytest.mark.parametrize(
    ("function", "given", "nothing"),
    [("SUM", 5, 0), ("AVERAGE", 5, 0), ("MIN", 2, np.finfo("f4").max), ("MAX", 3, np.finfo("f4").min)],
)
def test_what_a_leaf_gives_twice_is_aggregated(function, given, nothing):
    gives = trees([(7, 1, 0, 2), (7, 1, 0, 3)]).gives(2, function, np.float32)
    assert gives[1].tolist() == [given, nothing]
    assert (gives[[0, 2, 3]] == np.float32(nothing)).all()


def test_leaves_follow_the_inner_nodes_and_sets_end_with_nan():
    found = by_number(
        roots=[0],
        feature=[0, 1],
        split=np.float32([0.5, 0]),
        modes=np.uint8([1, 6]),
        missing=[1, 0],
        members=np.float32([4, 5, np.nan]),
        true_ids=[1, 0],
        true_leaves=[0, 1],
        false_ids=[1, 2],
        false_leaves=[1, 1],
        targets=[0, 0, 1],
        weights=np.float32([1, 2, 3]),
    )
    assert found.mode == ["BRANCH_LT", "BRANCH_MEMBER", "LEAF", "LEAF", "LEAF"]
    assert found.children.tolist() == [[3, 1], [4, 2], [2, 2], [3, 3], [4, 4]]
    assert found.missing.tolist() == [True, False, False, False, False]
    assert found.members[1].tolist() == [4, 5]
    assert np.isnan(found.members[[0, 2, 3, 4]]).all()
    assert found.leaves == [(2, 0, 1), (3, 0, 2), (4, 1, 3)]
    assert found.depth == 2


def test_two_classes_may_share_one_score():
    assert trees([(7, 1, 0, 1)]).is_one_score(2)
    assert trees([(7, 1, 0, 1)], [0.5]).is_one_score(2)
    assert not trees([(7, 1, 1, 1)]).is_one_score(2)
    assert not trees([(7, 1, 0, 1)]).is_one_score(3)
    with pytest.raises(UnsupportedError, match="2 base values for 3 classes"):
        trees([(7, 1, 0, 1)], [1, 2]).is_one_score(3)
    with pytest.raises(UnsupportedError, match="single class"):
        trees([(7, 1, 0, 1)]).is_one_score(1)
