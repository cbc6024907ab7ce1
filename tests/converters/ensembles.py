"""Random tree ensembles as attributes of ONNX nodes: shared by the tests of both tables."""

from __future__ import annotations

from typing import Any

import numpy as np

# Of the vectors that are classified.
FEATURES = 4


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
