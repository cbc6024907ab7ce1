"""Random tree ensembles as attributes of ONNX nodes: shared by the tests of both tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.converters.classical import FEATURES, normal


def trees(count: int, depth: int, seed: int) -> tuple[dict[str, list[Any]], list[tuple[int, int]]]:
    """Random trees as attributes of a node, and where their leaves are."""
    generator = np.random.default_rng(seed)
    rows, leaves = [], []
    for tree in range(count):
        nodes, waiting, used = {}, [(0, 0)], 1
        while waiting:
            node, level = waiting.pop()
            if level == 0 or (level < depth and generator.random() < 0.85):
                mode = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"][generator.integers(4)]
                split = float(np.float32(generator.normal()))
                nodes[node] = (int(generator.integers(FEATURES)), split, used, used + 1, mode)
                waiting += [(used, level + 1), (used + 1, level + 1)]
                used += 2
            else:
                nodes[node] = (0, 0.0, 0, 0, "LEAF")
                leaves.append((tree, node))
        rows += [(tree, node, *nodes[node]) for node in sorted(nodes)]
    names = ["treeids", "nodeids", "featureids", "values", "truenodeids", "falsenodeids", "modes"]
    attributes = {f"nodes_{name}": list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
    attributes["nodes_missing_value_tracks_true"] = generator.integers(0, 2, len(rows)).tolist()
    return attributes, leaves


def classes(leaves: list[tuple[int, int]], ids: list[int], weights: list[float]) -> dict[str, Any]:
    repeated = [leaf for leaf in leaves for _ in ids]
    return {
        "class_treeids": [tree for tree, _ in repeated],
        "class_nodeids": [node for _, node in repeated],
        "class_ids": ids * len(leaves),
        "class_weights": weights,
    }


def regressor(function: str, base: list[float] | None) -> dict[str, Any]:
    """The attributes of a TreeEnsembleRegressor with two targets."""
    attributes, leaves = trees(7, 5, 1)
    attributes |= {"target_treeids": [tree for tree, _ in leaves for _ in range(2)]}
    attributes |= {"target_nodeids": [node for _, node in leaves for _ in range(2)]}
    attributes |= {"target_ids": [0, 1] * len(leaves), "target_weights": normal(2 * len(leaves))}
    return attributes | {"n_targets": 2, "aggregate_function": function} | ({"base_values": base} if base else {})


def classifier() -> dict[str, Any]:
    """The attributes of a TreeEnsembleClassifier with three classes, but for their labels."""
    attributes, leaves = trees(5, 4, 2)
    return attributes | classes(leaves, [0, 1, 2], normal(3 * len(leaves)))


def one_score(target: int, positive: bool) -> dict[str, Any]:
    """The attributes of a TreeEnsembleClassifier with two classes, whose leaves speak of one, but for their labels."""
    attributes, leaves = trees(5, 4, 3)
    weights = np.random.default_rng(4).normal(0, 0.3, len(leaves))
    return attributes | classes(leaves, [target], (abs(weights) if positive else weights).tolist())
