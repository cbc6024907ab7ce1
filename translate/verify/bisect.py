"""Find the first value at which two models part, and the operator that it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import onnx_ir as ir

from translate.models.base import Array, Model
from translate.models.onnx_model import OnnxModel
from translate.models.perturb import is_floating, neighbouring_feeds
from translate.origin import module_path, source_line, without_folders
from translate.verify import excerpt
from translate.verify.cases import Case
from translate.verify.noise import Method, Noise, copies, finite_distances, measure, root_mean_square, widened
from translate.verify.outputs import dtype_name, judge, tolerance_for
from translate.verify.verdict import OutputParity

# Where the two part:
# - "export": the exported ONNX graph is not what the source computes;
# - "translation": the target is not what the exported graph says;
# - "whole": all values between agree, and yet an output does not;
# - "unmatched": an output does not agree, and no value between could be compared.
Stage = Literal["export", "translation", "whole", "unmatched"]

# Values compared at a time at first; later as many as fit into this many bytes on each side.
_FIRST_VALUES = 32
_BYTES = 256 * 2**20
# These draw other numbers each time.
_RANDOM = {
    *("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("Bernoulli", "Multinomial"),
}

_Fetch: TypeAlias = Callable[[Sequence[str]], dict[str, Array]]


@dataclass(frozen=True)
class Finding:
    """The first value at which two models part.

    `value` is its name in the exported graph (an output's name where only that is known), `operator` and `node` what
    computes it, `module` the path of the PyTorch module and `source` the `file:line` that the node comes from, empty
    where that is not recorded. `after` judges the value itself, `before` those that it is computed from; `alone`
    judges the node once more on the very same inputs on both sides, None where it could not be run so. `nodes` are
    those between `before` and `after`, one unless there are values in between that cannot be compared. `compared` of
    `total` values were looked at until then. `reproducer` is the folder with `node.onnx`, `inputs.npz`,
    `expected.npz` and `actual.npz`, where one was asked for. `trail` judges every value that was compared until then,
    in the graph's order, for plots.
    """

    stage: Stage
    summary: str
    value: str
    compared: int
    total: int
    after: OutputParity
    before: tuple[OutputParity, ...] = ()
    alone: OutputParity | None = None
    operator: str = ""
    node: str = ""
    nodes: tuple[str, ...] = ()
    module: str = ""
    source: str = ""
    reproducer: Path | None = None
    trail: tuple[OutputParity, ...] = ()


def bisect(source: Model, target: Model, graph: ir.Model, case: Case, *, folder: Path | None = None) -> Finding | None:
    """Run both models on `case` and find the first value at which they part; None where they agree.

    `graph` is the source as `translate.routes.to_onnx` exports it, before any pass; its values' names are what the two
    sides have in common, see `Model.values`. A value has left the noise floor when it fails the calibrated verdict of
    outputs. It is to blame when its node, run alone on the inputs that it had, does not return it either: errors that
    have only added up over many nodes are passed by. `folder` is where the files that show it are written to.
    """
    bisection = _Bisection(source, target, graph, case.feeds, folder)
    try:
        return bisection.find()
    finally:
        bisection.release()


class _Bisection:
    """Both models and the graph between them, on one set of inputs."""

    def __init__(
        self, source: Model, target: Model, graph: ir.Model, feeds: Mapping[str, Array], folder: Path | None
    ) -> None:
        self.source = source
        self.target = target
        self.graph = graph
        self.feeds = feeds
        self.folder = folder
        self.onnx = OnnxModel(graph)
        # The graph may know the inputs by other names, in the same order.
        self.own_feeds = {own.name: feeds[spec.name] for own, spec in zip(self.onnx.inputs, source.inputs, strict=True)}
        self.values = {
            str(value.name): value
            for node in graph.graph
            for value in node.outputs
            if value.name and (node.domain, node.op_type) != ("", "Constant")
        }
        self.outputs = {
            str(value.name): spec.name for value, spec in zip(graph.graph.outputs, self.onnx.outputs, strict=True)
        }
        self.expected = source.run(copies(feeds))
        self.compared = 0

    def release(self) -> None:
        """Free what was made for the comparison."""
        self.onnx.release()
        self.source.release()

    def find(self) -> Finding | None:
        apart = None
        # An ONNX source is the graph itself.
        if self.source.kind != OnnxModel.kind:
            apart = self._outputs_apart(self.onnx.run(self.own_feeds))
            finding = self._search("export", self._source_values, self._onnx_values) if apart is not None else None
            if finding is not None:
                return finding
        finding = self._search("translation", self._all_values, self._target_values)
        if finding is not None:
            return finding
        if apart is not None:
            text = (
                f'the exported ONNX graph, run by onnxruntime, is not what the source computes: output "{apart.name}"'
            )
            return self._whole("export", f"{text} is {_over(apart)}, though no single node of it is to blame", apart)
        apart = self._outputs_apart(self.target.run(copies(self.feeds)))
        if apart is None:
            return None
        text = f'output "{apart.name}" is {_over(apart)}'
        if not self.compared:
            return self._whole(
                "unmatched",
                f"{text}; where it comes from cannot be told: the target knows no value of the graph",
                apart,
            )
        text = f"{text}, though all {self.compared} values that could be compared agree"
        return self._whole("whole", f"{text}, each for itself or as the sum of small errors", apart)

    def _whole(self, stage: Stage, summary: str, apart: OutputParity) -> Finding:
        return Finding(stage, summary, apart.name, self.compared, len(self.values), apart)

    def _outputs_apart(self, actual: Mapping[str, Array]) -> OutputParity | None:
        """Return the first output that does not agree with the source's."""
        for name, array in self.expected.items():
            # The noise only widens what is allowed, and takes long to measure.
            if _judge(name, array, actual[name], None).passed:
                continue
            parity = _judge(name, array, actual[name], self._output_noise.get(name))
            if not parity.passed:
                return parity
        return None

    @cached_property
    def _output_noise(self) -> dict[str, Noise]:
        measured = measure(self.source, self.feeds, self.expected)
        return {name: _noise(m.method, m.distances) for name, m in measured.items()}

    # --- values of each side, by their names in the graph

    def _source_values(self, names: Sequence[str]) -> dict[str, Array]:
        outputs = {name: self.expected[self.outputs[name]] for name in names if name in self.outputs}
        return outputs | self.source.values(self.feeds, [name for name in names if name not in outputs])

    def _onnx_values(self, names: Sequence[str]) -> dict[str, Array]:
        return self.onnx.values(self.own_feeds, names)

    def _all_values(self, names: Sequence[str]) -> dict[str, Array]:
        """The source's, and the exported graph's where a value exists only there."""
        if self.source.kind == OnnxModel.kind:
            return self._onnx_values(names)
        found = self._source_values(names)
        return self._onnx_values([name for name in names if name not in found]) | found

    def _target_values(self, names: Sequence[str]) -> dict[str, Array]:
        return self.target.values(self.feeds, names)

    def _noise(self, values: Mapping[str, Array]) -> dict[str, Noise]:
        """Measure the rounding error of each value by float64, where the source can."""
        names = [name for name, value in values.items() if is_floating(value.dtype) and name not in self.outputs]
        exact = self.source.values_double(self.feeds, names)
        wider = [name for name, array in exact.items() if array.dtype.itemsize > values[name].dtype.itemsize]
        return _distances("float64", wider, values, exact)

    def _perturbed_noise(self, names: Sequence[str]) -> dict[str, Noise]:
        """Measure the rounding error of the graph's own values by neighbouring numbers, which takes long."""
        seed = 0
        moved = self.onnx.perturbed(seed).values(neighbouring_feeds(self.own_feeds, seed), names)
        return _distances("one ulp", names, self._onnx_values(names), moved)

    # --- the search

    def _search(self, stage: Stage, expect: _Fetch, suspect: _Fetch) -> Finding | None:
        """Compare values in the order of the graph until one node is to blame."""
        self.compared = 0
        passed: dict[str, OutputParity] = {}
        for expected, actual in self._chunks(expect, suspect):
            noise = self._noise(expected)
            unknown = [name for name, value in expected.items() if is_floating(value.dtype) and name not in noise]
            doubtful = [name for name in unknown if not _judge(name, expected[name], actual[name], None).passed]
            noise |= self._perturbed_noise(doubtful) if doubtful else {}
            for name in expected:
                node = self.values[name].producer()
                if node is None or node.op_type in _RANDOM:
                    # What follows is judged on the random numbers that it was given.
                    passed[name] = OutputParity(name, dtype_name(expected[name]), expected[name].shape)
                    continue
                parity = _judge(name, expected[name], actual[name], noise.get(name))
                self.compared += 1
                if not parity.passed:
                    # In the export the source's values go in, and what comes out is what is suspected.
                    fetch, at_hand = (expect, expected) if stage == "export" else (suspect, actual)
                    finding = self._blame(stage, parity, passed, fetch, at_hand)
                    if finding is not None:
                        return finding
                passed[name] = parity
        return None

    def _chunks(self, expect: _Fetch, suspect: _Fetch) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        """Iterate over the values that both sides know, in the graph's order, as many at a time as memory allows."""
        names, start, count = list(self.values), 0, _FIRST_VALUES
        while start < len(names):
            chunk = names[start : start + count]
            start += count
            actual = suspect(chunk)
            known = [name for name in chunk if name in actual]
            expected = expect(known) if known else {}
            yield {name: expected[name] for name in known if name in expected}, actual
            size = sum(array.nbytes for array in actual.values())
            count = max(1, min(4 * count, int(count * _BYTES / size))) if size else 4 * count

    def _blame(
        self,
        stage: Stage,
        parity: OutputParity,
        passed: Mapping[str, OutputParity],
        fetch: _Fetch,
        at_hand: Mapping[str, Array],
    ) -> Finding | None:
        """Run the node of a value alone; None where it does what it should on the inputs that it had.

        `fetch` is the side that these come from, `at_hand` what it has returned last.
        """
        value = self.values[parity.name]
        before = [str(source.name) for source in excerpt.frontier(value, passed)]
        inputs = {name: at_hand[name] for name in before if name in at_hand}
        inputs |= {name: array for name, array in self.own_feeds.items() if name in before}
        earlier = [name for name in before if name not in inputs]
        inputs |= fetch(earlier) if earlier else {}
        mine = at_hand[parity.name]
        part = excerpt.cut(self.graph, value, inputs)
        nodes = [node.name or node.op_type for node in excerpt.computing(part)]
        node = value.producer()
        assert node is not None
        try:
            model, result = excerpt.run(part, inputs)
        except Exception as error:
            # onnxruntime and onnx.reference raise anything. What cannot be run alone cannot be acquitted.
            alone, words = None, f"; alone it cannot be run: {str(error).partition(chr(10))[0][:200]}"
            arrays = {"inputs": inputs}
        else:
            words = ""
            ((name, computed),) = result.items()
            expected, actual = (mine, computed) if stage == "export" else (computed, mine)
            alone = _judge(parity.name, expected, actual, None)
            if not alone.passed:
                # The noise only widens what is allowed, and takes long to measure.
                noise = {name: _noise(m.method, m.distances) for name, m in measure(model, inputs, result).items()}
                alone = _judge(parity.name, expected, actual, noise.get(name))
            if alone.passed:
                return None
            arrays = {"inputs": inputs, "expected": {parity.name: expected}, "actual": {parity.name: actual}}
        if self.folder is not None:
            excerpt.write(part, self.folder, arrays)
        finding = Finding(
            stage,
            "",
            parity.name,
            self.compared,
            len(self.values),
            parity,
            before=tuple(passed[name] for name in before if name in passed),
            alone=alone,
            operator=node.op_type,
            node=node.name or "",
            nodes=tuple(nodes),
            module=module_path(node),
            source=without_folders(source_line(node)),
            reproducer=self.folder,
            trail=(*passed.values(), parity),
        )
        return replace(finding, summary=_summary(finding) + words)


def _judge(name: str, expected: Array, actual: Array, noise: Noise | None) -> OutputParity:
    return judge(name, expected, actual, tolerance_for(name, expected, noise, None, None), noise, details=False)


def _distances(
    method: Method, names: Sequence[str], values: Mapping[str, Array], others: Mapping[str, Array]
) -> dict[str, Noise]:
    # A size that depends on the numbers may differ.
    return {
        name: _noise(method, finite_distances(widened(values[name]), widened(others[name])))
        for name in names
        if name in others and others[name].shape == values[name].shape
    }


def _noise(method: Method, distances: Array) -> Noise:
    return Noise(method, float(np.max(distances, initial=0.0)), root_mean_square(distances))


def _over(parity: OutputParity) -> str:
    """Say how far a value is off, in units of what rounding explains."""
    if not np.isfinite(parity.error):
        return f"wrong ({'; '.join(parity.problems)})"
    return f"{parity.error:.3g} times as far off as rounding explains"


def _summary(finding: Finding) -> str:
    place = f" in {finding.module}" if finding.module else ""
    line = f" ({finding.source})" if finding.source else ""
    name = f' "{finding.node}"' if finding.node else ""
    which = {"export": "the exporter's ONNX graph", "translation": "the target"}.get(finding.stage, "")
    worst = max((parity.error for parity in finding.before), default=0.0)
    inputs = (
        f"its inputs are within {worst:.2g} of what rounding explains" if finding.before else "its inputs are equal"
    )
    return (
        f"{which} first leaves the source at {finding.operator}{name}{place}{line}: {inputs}, its result "
        f'"{finding.value}" is {_over(finding.after)}'
    )
