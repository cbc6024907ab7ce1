"""The two ways of a TensorFlow model to a PyTorch module: by its Keras layers, and by its graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from translate.errors import CannotTranslateError, Problem, TranslateError, UnsupportedError, UsageError, in_a_line
from translate.graphs import to_onnx

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import fx

    from translate.converters.passes.layout import Turned
    from translate.models.base import Model
    from translate.routes.result import Stages

Way = Literal["layers", "graph"]
Route = Literal["auto", "layers", "graph"]

Result = TypeVar("Result")


@dataclass(frozen=True)
class Made:
    """A PyTorch module, and what is known of how it was made.

    `interface` is the ONNX graph by which its formats are written; `graph` is that of the source, where the way led
    over it. `transposes` counts those of activations that are left, `by_graph` says of Keras layers why they went by
    their graphs.
    """

    module: fx.GraphModule
    interface: ir.Model
    way: Way
    transposes: int
    graph: ir.Model | None = None
    by_graph: Mapping[str, str] = field(default_factory=dict)

    @property
    def turned(self) -> Turned:
        """The inputs and outputs that are channels first, where the source has them last."""
        turned: Turned = self.module.meta["channels_first"]
        return turned


def ways_of(model: Model, route: Route, *, writes_graph: bool = False) -> list[Way]:
    """Return the ways to try, in this order.

    Raises `UsageError` where the one that is asked for is none, for this model or because its graph is to be written.
    """
    if route == "layers" and writes_graph:
        raise UsageError("--route layers makes layers of PyTorch; --format onnx writes the source's graph")
    if route == "layers" and not _is_keras_3(model):
        kind = "model of Keras 2 (tf_keras)" if model.kind == "Keras model" else model.kind
        raise UsageError(f"--route layers is for models of Keras 3, and this is a {kind}")
    if route == "layers":
        return ["layers"]
    return ["graph"] if route == "graph" or writes_graph or not _is_keras_3(model) else ["layers", "graph"]


def in_turn(ways: Sequence[Way], attempt: Callable[[Way], Result], notes: list[str]) -> Result:
    """Return what `attempt` makes by the first of `ways` that does not fail; a note says why one before it did.

    What the last one raises is raised, with that note, and so is a `UsageError`, which no other way would mend.
    """
    failures: list[str] = []
    for way in ways[:-1]:
        known = len(notes)
        try:
            return attempt(way)
        except UsageError:
            raise
        except Exception as error:
            # Layers are called here that nobody may have tried: whatever that raises, the graph is left.
            notes[known:] = [f"translated by its graph, not layer by layer: {_reason(error)}"]
            failures.append(f"nor can it be translated layer by layer: {_reason(error)}")
    try:
        return attempt(ways[-1])
    except TranslateError as error:
        for failure in failures:
            error.add_note(failure)
        raise


def _reason(error: Exception) -> str:
    if isinstance(error, CannotTranslateError):
        return "; ".join(f"{problem.node} ({problem.operator}): {problem.reason}" for problem in error.problems)
    return str(error) if isinstance(error, TranslateError) else f"{in_a_line(error)}, which is a defect of translate"


def _is_keras_3(model: Model) -> bool:
    # Told by name first, so that other models do not load Keras.
    if model.kind != "Keras model":
        return False
    import keras

    from translate.models.keras_model import KerasModel

    return isinstance(model, KerasModel) and isinstance(model.model, keras.Model)


def make(way: Way, model: Model, stage: Stages, notes: list[str], *, channels_first: bool) -> Made:
    """Return `model` as a PyTorch module in evaluation mode, made in this way.

    Raises `UsageError` where the model has no images that could be `channels_first`, `ExportError` and
    `CannotTranslateError`.
    """
    made = (_by_layers if way == "layers" else _by_graph)(model, stage, notes, channels_first)
    made.module.meta["route"] = way
    if channels_first:
        notes.append(said_turned(made.turned))
    return made


def _by_layers(model: Model, stage: Stages, notes: list[str], channels_first: bool) -> Made:
    from translate.converters import keras_to_torch
    from translate.models.keras_model import KerasModel

    assert isinstance(model, KerasModel)
    names = [spec.name for spec in model.outputs]
    with stage("lower"):
        module = keras_to_torch.convert(model.model, model.inputs, names, by_graph=True, channels_first=channels_first)
    made = Made(
        module,
        keras_to_torch.interface(module),
        "layers",
        module.meta["permutes"],
        by_graph=module.meta["by_graph"],
    )
    if made.by_graph:
        why = "; ".join(f"{path}: {reason}" for path, reason in made.by_graph.items())
        notes.append(f"layers translated by their graphs: {why}")
    if channels_first and not made.turned.inputs:
        raise UnsupportedError("none of its layers reads an input channels first")
    return made


def _check_states(model: Model) -> None:
    """Refuse a Keras model whose layers keep their states from call to call: its graph begins with zeros each time."""
    from translate.models.keras_model import KerasModel

    if isinstance(model, KerasModel) and model.stateful:
        reason = "it keeps its states from call to call (stateful), which only the layers' route does, as pt2 or python"
        raise CannotTranslateError("PyTorch", [Problem("RNN", layer, 0, reason) for layer in model.stateful])


def _by_graph(model: Model, stage: Stages, notes: list[str], channels_first: bool) -> Made:
    from translate.converters import onnx_to_torch, passes

    _check_states(model)
    with stage("export"):
        exported = to_onnx(model, notes)
        # The passes put operators of our own into the other.
        original = exported.clone()
    with stage("passes"):
        report = passes.prepare_for_torch(exported, images_first=channels_first)
        notes.extend(report.notes)
    if channels_first and not report.turned.inputs:
        names = ", ".join(str(value.name) for value in exported.graph.inputs)
        raise UsageError(f"--channels-first: no input is an image that is read channels first; the inputs are {names}")
    with stage("lower"):
        problems = onnx_to_torch.preflight(exported)
        if problems:
            raise CannotTranslateError("PyTorch", problems)
        module = onnx_to_torch.module(exported)
    module.meta["channels_first"] = report.turned
    return Made(module, exported, "graph", report.transposes, original)


def said_turned(turned: Turned) -> str:
    """Say which inputs and outputs are channels first."""
    names = [f"input {name}" for name in turned.inputs] + [f"output {name}" for name in turned.outputs]
    return f"channels first, where the source has them last: {', '.join(names)}"
