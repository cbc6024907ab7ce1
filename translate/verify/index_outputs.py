"""Outputs that are indices: which of two nearly equal values comes first is a matter of rounding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from translate.models.base import Array, Model
from translate.models.onnx_model import OnnxModel
from translate.models.perturb import neighbouring_feeds
from translate.verify.noise import PERTURBED_RUNS, Measurement, copies, finite_distances, pool, widened
from translate.verify.tolerance import calibrated
from translate.verify.verdict import OutputParity

# What keeps the elements and their order.
_PASSES_ON = ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten")


@dataclass(frozen=True)
class IndexOutput:
    """Where an output of indices comes from: `operator` looked along `axis` of the value called `value`."""

    value: str
    axis: int
    operator: str


def index_outputs(graph: ir.Model) -> dict[str, IndexOutput]:
    """Return the outputs of `graph` that ArgMax, ArgMin or TopK found, reshaped or cast at most, by name."""
    found: dict[str, IndexOutput] = {}
    for output in graph.graph.outputs:
        origin: ir.Value | None = output
        while origin is not None and (node := origin.producer()) is not None and node.op_type in _PASSES_ON:
            origin = node.inputs[0]
        index = None if origin is None else _index(origin)
        if index is not None:
            # See `OnnxModel`: the exporter keeps an output's own name here when an input has the same.
            found[output.metadata_props.get("translate.name", output.name) or ""] = index
    return found


def _index(value: ir.Value) -> IndexOutput | None:
    node = value.producer()
    if node is None or node.domain not in ("", "ai.onnx") or node.inputs[0] is None or node.inputs[0].name is None:
        return None
    if node.op_type in ("ArgMax", "ArgMin"):
        return IndexOutput(node.inputs[0].name, node.attributes.get_int("axis", 0), node.op_type)
    if node.op_type == "TopK" and value.index() == 1:
        return IndexOutput(node.inputs[0].name, node.attributes.get_int("axis", -1), node.op_type)
    return None


class IndexJudge:
    """Judges index outputs by the values that they point to, which come from the source as an ONNX graph."""

    def __init__(self, graph: ir.Model) -> None:
        self.outputs = index_outputs(graph)
        self.model = OnnxModel(graph)

    def judge(self, parity: OutputParity, source: Array, target: Array, feeds: Mapping[str, Array]) -> OutputParity:
        """Judge once more an output that failed as integers: a difference that rounding explains is a near tie.

        `source` and `target` are its values for `feeds`. What is no index output stays as it was judged.
        """
        index = self.outputs.get(parity.name)
        if index is None or source.shape != target.shape or source.dtype != target.dtype:
            return parity
        values, allowed = self._values(index.value, feeds)
        if values is None:
            return parity
        near, wrong = near_ties(source, target, values, index.axis, allowed)
        if wrong:
            said = f"{wrong} of {source.size} indices point to other values of {index.value} than rounding explains"
            return replace(parity, problems=(said,))
        note = (
            f"{near} of {source.size} indices differ in near ties: the values of {index.value} that the "
            f"{index.operator} chose from are within {allowed:.3g}, which rounding explains"
        )
        return replace(parity, error=0.0, problems=(), notes=(*parity.notes, note))

    def _values(self, name: str, feeds: Mapping[str, Array]) -> tuple[Array | None, float]:
        """Return the value called `name`, None where it cannot be had, and by how much two of its elements may err."""
        values = _look_up(self.model, feeds, name)
        if values is None or values.dtype.kind in "iub":
            return values, 0.0
        found = [
            finite_distances(widened(values), widened(other))
            for seed in range(PERTURBED_RUNS)
            if (other := _look_up(self.model.perturbed(seed), neighbouring_feeds(feeds, seed), name)) is not None
            and other.shape == values.shape
        ]
        noise = pool([Measurement("one ulp", distances) for distances in found]) if found else None
        # Both of the values that are compared may be off by as much.
        return values, 2 * calibrated(values, noise).maximum


def _look_up(model: Model, feeds: Mapping[str, Array], name: str) -> Array | None:
    if name in feeds:
        return feeds[name]
    return model.values(copies(feeds), [name]).get(name)


def near_ties(source: Array, target: Array, values: Array, axis: int, allowed: float) -> tuple[int, int]:
    """Count the places where two arrays of indices differ in a near tie, and where they differ in more.

    `values` is what they index along `axis`; `source` and `target` have its elements' order, with as many indices as
    there were asked for along `axis`. Values at both indices that are within `allowed` are a near tie. An index out of
    range, or twice in the target where the source has it once, is never one.
    """
    count = source.size * values.shape[axis] // values.size
    shape = list(values.shape)
    shape[axis] = count
    ours, theirs = source.reshape(shape).astype(np.int64), target.reshape(shape).astype(np.int64)
    differ = ours != theirs
    size = values.shape[axis]
    inside = (theirs >= -size) & (theirs < size)
    safe = np.where(inside, theirs, 0) % size
    wide = widened(values)
    with np.errstate(invalid="ignore"):
        distance = np.abs(np.take_along_axis(wide, ours % size, axis) - np.take_along_axis(wide, safe, axis))
    sorted_indices = np.sort(safe, axis)
    repeated = np.any(np.diff(sorted_indices, axis=axis) == 0, axis=axis, keepdims=True)
    # NaN is within no distance.
    near = differ & inside & ~repeated & (distance <= allowed)
    return int(near.sum()), int((differ & ~near).sum())
