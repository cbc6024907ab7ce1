"""What a model is made of, and whether it can be translated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from translate.compilation import Compilation, compile_with_xla
from translate.errors import CannotTranslateError, ExportError, Problem, UnsupportedError
from translate.graphs import TENSORFLOW_KINDS, to_onnx

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Model, Spec


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found.

    `operators` counts the operators of a model's TensorFlow graph, and where it has none the ONNX operators that it was
    exported as;
    `trainable` and `frozen` are numbers of values in parameters and in other weights;
    `translates_to` is where there is a route to (None: nowhere), `problems` are the nodes in its way, and `refusal`
    what the exporter said if it refused the model. `xla` is whether XLA compiles it, where that was asked.
    """

    kind: str
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    operators: Mapping[str, int]
    trainable: int
    frozen: int
    translates_to: str | None
    problems: tuple[Problem, ...] = ()
    refusal: str = ""
    notes: tuple[str, ...] = ()
    xla: Compilation | None = None

    @property
    def route(self) -> str:
        """The command that would translate it."""
        return "tf2torch" if self.kind in TENSORFLOW_KINDS else "torch2tf"


def inspect(model: Model, notes: list[str], *, xla: bool = False) -> Inspection:
    """Look at an open model, and export it to find out whether it can be translated.

    With `xla` also find out whether XLA compiles it, or what it becomes in TensorFlow. Raises `UsageError` for a model
    that is neither.
    """
    from translate.routes import count_weights

    operators: Mapping[str, int] = {}
    counted = (0, 0)
    problems: tuple[Problem, ...] = ()
    refusal = ""
    prepared: ir.Model | None = None
    try:
        exported = to_onnx(model, notes)
        operators, counted = _operators(_qualified(node) for node in exported.graph.all_nodes()), _weights(exported)
        problems = _problems(exported, model.kind)
        prepared = None if problems or model.kind in TENSORFLOW_KINDS else exported
    except CannotTranslateError as error:
        problems = error.problems
    except (ExportError, UnsupportedError) as error:
        refusal = str(error)
    if (problems or refusal) and _translates_by_layers(model):
        problems, refusal = (), ""
    function = getattr(model, "function", None)
    if function is not None:
        operators, counted = _graph_operators(function.graph), count_weights(function.graph)
    return Inspection(
        kind=model.kind,
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        operators=operators,
        trainable=counted[0],
        frozen=counted[1],
        translates_to=None if problems or refusal else "PyTorch" if model.kind in TENSORFLOW_KINDS else "TensorFlow",
        problems=problems,
        refusal=refusal,
        notes=tuple(dict.fromkeys(notes)),
        xla=compile_with_xla(model, prepared) if xla and (prepared or model.kind in TENSORFLOW_KINDS) else None,
    )


def _problems(exported: ir.Model, kind: str) -> tuple[Problem, ...]:
    """Return what of a graph, which is changed, the table of the other framework lacks. Raises as the passes do."""
    from translate.converters import onnx_to_tf, onnx_to_torch, passes

    if kind in TENSORFLOW_KINDS:
        passes.prepare_for_torch(exported)
        return tuple(onnx_to_torch.preflight(exported))
    passes.prepare(exported)
    return tuple(onnx_to_tf.preflight(exported))


def _translates_by_layers(model: Model) -> bool:
    """Say whether the layers of a Keras model can be translated, which `tf2torch` tries before its graph."""
    from translate.routes.result import Stages
    from translate.routes.ways import Way, in_turn, make, ways_of

    def attempt(way: Way) -> bool:
        if way == "graph":
            return False
        make(way, model, Stages(None), [], channels_first=False)
        return True

    return in_turn(ways_of(model, "auto"), attempt, [])


def _operators(names: Iterable[str]) -> Mapping[str, int]:
    return dict(Counter(names).most_common())


def _qualified(node: ir.Node) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _weights(exported: ir.Model) -> tuple[int, int]:
    """Return how many values the parameters and the other weights of a graph have."""
    from translate.converters.weights import weights

    sizes = [(_count_values(value), trainable) for value, trainable in weights(exported).items()]
    return sum(size for size, trainable in sizes if trainable), sum(size for size, trainable in sizes if not trainable)


def _count_values(value: ir.Value) -> int:
    return 0 if value.const_value is None else int(value.const_value.size)


def _graph_operators(graph: Any) -> Mapping[str, int]:
    """Count the operators of a TensorFlow graph and of the functions that it calls."""
    definition = graph.as_graph_def()
    functions = (node for function in definition.library.function for node in function.node_def)
    return _operators(node.op for node in (*definition.node, *functions))
