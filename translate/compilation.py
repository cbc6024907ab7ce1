"""Whether XLA compiles what a model is, or becomes, in TensorFlow."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from translate.errors import Problem, UsageError, in_a_line, merge
from translate.verify.cases import Case

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Model


# How XLA names a place in a graph: an operation that it does not know, and one with a size that it cannot know.
_MISSING = re.compile(r"(?P<kind>\w+) \(No registered '\w+' OpKernel for XLA.*?\{\{node (?P<node>[^}]*)\}\}")
_COMPUTED = re.compile(r"node `(?P<node>[^`]*)` with op (?P<kind>\w+) must be a compile-time constant")
_ELSEWHERE = re.compile(r"\[\[.*?\{\{node (?P<node>[^}]*)\}\}")
# TensorFlow's operations that return as much as they find.
_SIZED_BY_DATA = {"Where", "Unique", "UniqueV2"}


@dataclass(frozen=True)
class Compilation:
    """What XLA did at these `sizes`.

    `problems` are the nodes that it cannot compile, and `refusal` is what it said where that names none: `problems` are
    those whose sizes depend on data then. Both are empty where the compiled model ran.
    """

    sizes: Mapping[str, int]
    problems: tuple[Problem, ...] = ()
    refusal: str = ""

    @property
    def runs(self) -> bool:
        """Whether XLA compiled it, and the compiled model ran."""
        return not self.problems and not self.refusal

    def __str__(self) -> str:
        if not self.runs:
            return "\n".join(["cannot compile it:", *filter(None, [self.refusal]), *map(str, self.problems)])
        sizes = ", ".join(f"{name}={size}" for name, size in self.sizes.items()) or "its only sizes"
        return f"compiles it, and it runs, at {sizes}"


def compile_with_xla(model: Model, prepared: ir.Model | None) -> Compilation:
    """Compile a TensorFlow model, or the TensorFlow function of a graph that is `prepared` for it, and run it once.

    Sizes are the first of those that a verdict is made at, or all the same where these do not fit; inputs are random.
    Raises `UsageError` for a model that TensorFlow does not run as a function.
    """
    from translate.models.inputs import example_feeds
    from translate.verify.sizes import size_choices

    function = _function(model, prepared)
    first = size_choices(model)[0]
    # A signature does not say which of its open sizes have to be equal.
    cases = [Case("random", sizes, 0, example_feeds(model.inputs, sizes)) for sizes in (first, dict.fromkeys(first, 3))]
    for case in cases:
        found = _compile(model, function, case, prepared)
        if found.runs or _runs(function, model, case):
            break
    return found


def _runs(function: Callable[..., Any], model: Model, case: Case) -> bool:
    """Say whether the function runs without XLA."""
    import tensorflow as tf

    try:
        function(*(tf.constant(case.feeds[spec.name]) for spec in model.inputs))
    except (tf.errors.OpError, ValueError):
        return False
    return True


def _compile(model: Model, function: Callable[..., Any], case: Case, prepared: ir.Model | None) -> Compilation:
    import tensorflow as tf

    from translate.converters.onnx_to_tf.cast import INT4

    tensors = [tf.constant(case.feeds[spec.name]) for spec in model.inputs]
    compiled = tf.function(function, jit_compile=True, autograph=False)
    open_sized: list[Problem] = []
    try:
        concrete = compiled.get_concrete_function(*tensors)
        if any(held.dtype in INT4 for held in (*concrete.inputs, *concrete.outputs, *concrete.graph.variables)):
            return Compilation(case.sizes, refusal="TensorFlow hands it integers of 4 bits that it reads wrong")
        open_sized = _sized_by_data(concrete.graph, prepared)
        if open_sized:
            _run_apart(model, concrete, case)
        else:
            compiled(*tensors)
    except (tf.errors.OpError, ValueError, NotImplementedError, UsageError) as error:
        problems = _problems(error, prepared)
        refusal = "" if problems else str(error) if open_sized else in_a_line(error)
        return Compilation(case.sizes, tuple(problems or open_sized), refusal)
    return Compilation(case.sizes)


def _sized_by_data(graph: Any, prepared: ir.Model | None) -> list[Problem]:
    """Return the nodes whose results have sizes that depend on data."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    reason = "the size of its result depends on data"
    return merge([_problem(node.name, reason, prepared) for node in nodes if node.op in _SIZED_BY_DATA])


def _run_apart(model: Model, concrete: Any, case: Case) -> None:
    """Compile and run a function in a process of its own: on sizes that depend on data, XLA crashes at times.

    Raises `UsageError` where it fails.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from translate.models.device import placement
    from translate.models.open import open_model
    from translate.verify.cold_start import cold_start

    frozen = convert_variables_to_constants_v2(concrete, lower_control_flow=False)
    inputs, outputs = ([tensor.name for tensor in tensors] for tensors in (frozen.inputs, frozen.outputs))
    with tempfile.TemporaryDirectory() as folder:
        path = tf.io.write_graph(frozen.graph, folder, "graph.pb", as_text=False)
        opened = open_model(path, graph_inputs=inputs, graph_outputs=outputs)
        renamed = {there.name: case.feeds[here.name] for there, here in zip(opened.inputs, model.inputs, strict=True)}
        cold_start(
            "the compiled model",
            path,
            opened,
            replace(case, feeds=renamed),
            graph_inputs=inputs,
            graph_outputs=outputs,
            placement=placement(xla=True),
        )


def _problems(error: Exception, prepared: ir.Model | None) -> list[Problem]:
    """Read in XLA's complaint which nodes it is about; they are those of `prepared` where that is known."""
    message = str(error)
    found = {(at["node"], f"XLA has no {at['kind']}") for at in _MISSING.finditer(message)}
    found |= {(at["node"], f"a size that {at['kind']} needs depends on data") for at in _COMPUTED.finditer(message)}
    if not found:
        found = {(at["node"], in_a_line(error)) for at in _ELSEWHERE.finditer(message)}
    return merge([_problem(place, reason, prepared) for place, reason in sorted(found)])


def _problem(place: str, reason: str, prepared: ir.Model | None) -> Problem:
    """Say which node of the source a place in TensorFlow's graph belongs to."""
    from translate.converters.lowering.table import as_problem, opset_of
    from translate.converters.onnx_to_tf.target import scope_name

    nodes = () if prepared is None else prepared.graph.all_nodes()
    # Every node is lowered in a scope called like it; the innermost is the last.
    scopes = {(f"/{place}/".rfind(f"/{scope_name(node.name)}/"), node.name): node for node in nodes if node.name}
    (where, _), node = max(scopes.items(), default=((-1, ""), None))
    if prepared is None or node is None or where < 0:
        return Problem(place.rpartition("/")[2], place, 0, reason)
    return as_problem(node, opset_of(node, prepared.opset_imports), reason)


def _function(model: Model, prepared: ir.Model | None) -> Callable[..., Any]:
    """Return a function of the model's inputs in order."""
    if prepared is not None:
        from translate.converters.onnx_to_tf.export import module

        function: Callable[..., Any] = module(prepared).serving_default
        return function
    from translate.models.keras_model import KerasModel
    from translate.models.traced import TracedModel

    if isinstance(model, TracedModel):
        return lambda *tensors: model.apply(dict(zip((spec.name for spec in model.inputs), tensors, strict=True)))
    if isinstance(model, KerasModel):
        return lambda *tensors: model.function(*tensors)
    raise UsageError(f"--xla: XLA compiles functions of TensorFlow, and this is a {model.kind}")
