"""What a model is made of, and whether it can be translated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from translate.errors import CannotTranslateError, ExportError, Problem, UnsupportedError
from translate.graphs import TENSORFLOW_KINDS

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Model, Spec
    from translate.models.saved_model import SavedModel


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found.

    `operators` counts the ONNX operators of a model as it was exported, or the TensorFlow operators of a SavedModel;
    `trainable` and `frozen` are numbers of values in parameters and in other weights;
    `translates_to` is where there is a route to (None: nowhere), `problems` are the nodes in its way, and `refusal`
    what the exporter said if it refused the model.
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

    @property
    def route(self) -> str:
        """The command that would translate it."""
        return "tf2torch" if self.kind in TENSORFLOW_KINDS else "torch2tf"


def inspect(model: Model, notes: list[str]) -> Inspection:
    """Look at an open model; all but a SavedModel is exported for it."""
    if model.kind == "TensorFlow SavedModel":
        return _inspect_saved_model(model, notes)  # type: ignore[arg-type]
    from translate.converters import onnx_to_tf, onnx_to_torch, passes
    from translate.converters.weights import weights
    from translate.graphs import to_onnx

    backward = model.kind in TENSORFLOW_KINDS
    try:
        exported = to_onnx(model, notes)
    except CannotTranslateError as error:
        return Inspection(
            model.kind, model.inputs, model.outputs, {}, 0, 0, None, problems=tuple(error.problems), notes=tuple(notes)
        )
    except ExportError as error:
        refusal = str(error)
        return Inspection(model.kind, model.inputs, model.outputs, {}, 0, 0, None, refusal=refusal, notes=tuple(notes))
    operators = Counter(_qualified(node) for node in exported.graph.all_nodes())
    sizes = [(_count_values(value), trainable) for value, trainable in weights(exported).items()]
    refusal = ""
    problems: tuple[Problem, ...] = ()
    try:
        if backward:
            passes.prepare_for_torch(exported)
            problems = tuple(onnx_to_torch.preflight(exported))
        else:
            passes.prepare(exported)
            problems = tuple(onnx_to_tf.preflight(exported))
    except UnsupportedError as error:
        refusal = str(error)
    return Inspection(
        kind=model.kind,
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        operators=dict(operators.most_common()),
        trainable=sum(size for size, trainable in sizes if trainable),
        frozen=sum(size for size, trainable in sizes if not trainable),
        translates_to=None if problems or refusal else "PyTorch" if backward else "TensorFlow",
        problems=problems,
        refusal=refusal,
        notes=tuple(dict.fromkeys(notes)),
    )


def _count_values(value: ir.Value) -> int:
    return 0 if value.const_value is None else int(value.const_value.size)


def _qualified(node: ir.Node) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def _inspect_saved_model(model: SavedModel, notes: list[str]) -> Inspection:
    from translate.routes import count_weights

    graph = model.function.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    trainable, frozen = count_weights(model.loaded or model.function.graph)
    return Inspection(
        kind=model.kind,
        inputs=model.inputs,
        outputs=model.outputs,
        operators=dict(Counter(node.op for node in nodes).most_common()),
        trainable=trainable,
        frozen=frozen,
        translates_to=None,
        notes=tuple(notes),
    )
