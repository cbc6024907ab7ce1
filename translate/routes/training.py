"""A PyTorch module in eval and in train mode → one SavedModel that can be trained, stage by stage."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from translate.errors import CannotTranslateError, UsageError
from translate.manifest import update_name
from translate.provenance import comparison_options, provenance, write_provenance
from translate.publish import publish, staging
from translate.routes.constants import record_constants
from translate.routes.destination import default_output
from translate.routes.formats import count_weights
from translate.routes.inference import name_inputs
from translate.routes.result import NotEqualError, Result, Stages, Training, size_on_disk, source_label, with_sample
from translate.verify.joined import joined

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Model, Spec
    from translate.models.torch_model import TorchModel
    from translate.models.training_mode import TrainingModel
    from translate.verify import Verdict
    from translate.verify.cases import InputPlan
    from translate.verify.gradients import GradientVerdict
    from translate.verify.tolerance import Allowed


def trainable_to_tensorflow(
    source: object,
    output: str | Path | None = None,
    *,
    inputs: Sequence[str | Spec] = (),
    sample: str | Path | None = None,
    weights: str | Path | None = None,
    verify: bool = True,
    force: bool = False,
    plan: InputPlan | None = None,
    rtol: Allowed = None,
    atol: Allowed = None,
    unsafe_load: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate a PyTorch module as `torch2tf` does, with a signature `training` beside `serving_default`.

    `training` computes what the module does after `train()`: dropout is random, BatchNorm goes by the batch, and the
    buffers that PyTorch would write to change, in the variables that `serving_default` reads. It is proven with every
    random draw fixed on both sides: its outputs, those buffers after one call, and the gradients of its outputs with
    respect to every input and parameter. All arguments are those of `torch2tf`. Raises what that raises, and
    `UsageError` for a source that is recorded in one mode.
    """
    label = source_label(source)
    destination = Path(default_output(source) if output is None else output)
    stage = Stages(progress)
    notes: list[str] = []
    with staging(destination, force=force) as built:
        with stage("open"):
            own, trained = _open(source, inputs, sample, weights, unsafe_load, notes)
        with stage("export"):
            modes = _export(own, trained, notes)
        options = comparison_options(inputs, plan, rtol, atol, weights=weights, sample=sample)
        plan = with_sample(plan, sample)
        # In the staging folder, with which it goes.
        fixed = built.with_name("fixed")
        transposes, is_random = _lower(modes, built, fixed, stage, notes)
        with stage("reload"):
            from translate.models.saved_model import SavedModel
            from translate.models.training_signature import TrainingSignature

            gc.collect()
            target = SavedModel(built)
            training = TrainingSignature(fixed if is_random else built)
        verdict, gradients = None, None
        if verify:
            with stage("verify"):
                usual = _compare(modes.inference, target, plan, rtol, atol, notes)
                training_plan = _for_training(plan, trained)
                in_training = _compare(modes.training, training, training_plan, rtol, atol, notes)
                verdict = joined({"": usual, "training": _without_state(in_training, trained.updates)})
            if verdict.passed:
                with stage("gradients"):
                    gradients = _compare_gradients(modes.training, training, training_plan, trained.updates, notes)
        proven = all(proof is None or proof.passed for proof in (verdict, gradients))
        trainable, frozen = count_weights(target.loaded)
        model = modes.inference.model
        if proven:
            with stage("publish"):
                record_constants(built, [modes.inference.original, modes.training.original])
                models = {"": model, "training": modes.training.model}
                write_provenance(built, provenance(source, models, "native", verdict, options, weights, gradients))
                publish(built, destination)
        size = size_on_disk(destination if proven else built)
    result = Result(
        command="torch2tf",
        format="saved_model",
        source=label,
        source_kind=model.kind,
        engine="native",
        output=destination if proven else None,
        bytes=size,
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        trainable=trainable,
        frozen=frozen,
        transposes=transposes,
        notes=tuple(dict.fromkeys(notes)),
        verdict=verdict,
        seconds=stage.seconds,
        training=Training(trained.updates, is_random),
        gradients=gradients,
    )
    if not proven:
        raise NotEqualError(result)
    return result


@dataclass(frozen=True)
class _Mode:
    """The source in one mode: as a model, as the graph to be lowered, and as it was exported; see `Pair.aliases`."""

    model: Model
    graph: ir.Model
    original: ir.Model
    aliases: dict[str, str]


@dataclass(frozen=True)
class _Modes:
    inference: _Mode
    training: _Mode


def _open(
    source: object,
    inputs: Sequence[str | Spec],
    sample: str | Path | None,
    weights: str | Path | None,
    unsafe_load: bool,
    notes: list[str],
) -> tuple[TorchModel, TrainingModel]:
    from translate.models.open import open_model

    model = open_model(source, inputs=inputs, sample=sample, weights=weights, unsafe_load=unsafe_load, notes=notes)
    from translate.models.torch_model import TorchModel
    from translate.models.training_mode import TrainingModel

    if not isinstance(model, TorchModel):
        raise UsageError(f"--trainable needs a PyTorch module, which has a train mode; this is {model.kind}")
    return model, TrainingModel(model)


def _export(own: TorchModel, trained: TrainingModel, notes: list[str]) -> _Modes:
    from translate.converters.torch_to_onnx import export
    from translate.converters.torch_to_training import export_training

    inference = export(own, notes=notes)
    training = export_training(trained, inference)
    return _Modes(_mode(own, inference, notes), _mode(trained, training, notes))


def _mode(model: Model, graph: ir.Model, notes: list[str]) -> _Mode:
    names = [spec.name for spec in model.inputs]
    model = name_inputs(model, graph, notes)
    aliases = dict(zip(names, (spec.name for spec in model.inputs), strict=True))
    return _Mode(model, graph, graph.clone(), aliases)


def _lower(modes: _Modes, built: Path, fixed: Path, stage: Stages, notes: list[str]) -> tuple[int, bool]:
    """Write both modes to `built`, and to `fixed` train mode without chance, if there is any.

    Returns the number of transposes left in eval mode, and whether there is chance in train mode.
    """
    from translate.converters import onnx_to_tf, passes
    from translate.converters.metadata import UPDATED

    # The passes drop what the graph does not read.
    state = [value for value in modes.training.graph.graph.initializers.values() if UPDATED in value.metadata_props]
    graphs = {"": modes.inference.graph, "in train mode, ": modes.training.graph}
    with stage("passes"):
        reports = {name: passes.prepare(graph) for name, graph in graphs.items()}
        notes.extend(name + note for name, report in reports.items() for note in report.notes)
    with stage("lower"):
        problems = [problem for graph in graphs.values() for problem in onnx_to_tf.preflight(graph)]
        if problems:
            raise CannotTranslateError("TensorFlow", problems)
        trainable = onnx_to_tf.Trainable(modes.inference.graph, modes.training.graph, state)
        trainable.save(built)
        if trainable.is_random:
            trainable.save_fixed(fixed)
    return reports[""].transposes, trainable.is_random


def _compare(mode: _Mode, target: Model, plan: InputPlan, rtol: Allowed, atol: Allowed, notes: list[str]) -> Verdict:
    from translate.comparison import Pair, compare_pair

    pair = Pair(mode.model, target, mode.aliases, notes)
    rtol, atol = _known(rtol, mode.model), _known(atol, mode.model)
    return compare_pair(pair, plan, rtol=rtol, atol=atol, graph=mode.original).verdict


def _compare_gradients(
    mode: _Mode, target: Model, plan: InputPlan, updates: Sequence[str], notes: list[str]
) -> GradientVerdict | None:
    """Differentiate what train mode returns, at the largest sizes; None, and a note, where PyTorch itself cannot."""
    from translate.comparison import Pair, input_bounds, make_cases
    from translate.verify.gradients import compare_gradients

    pair = Pair(mode.model, target, mode.aliases, notes)
    # In a small batch a batch normalisation has next to no gradient.
    *_, case = make_cases(pair, plan, input_bounds(mode.original, pair))
    changed = {update_name(name) for name in updates}
    returned = [spec.name for spec in mode.model.outputs if spec.name not in changed]
    try:
        found = compare_gradients(mode.model, target, case, outputs=returned, steps=0)
    except UsageError as error:
        notes.append(f"gradients were not compared: {error}")
        return None
    if not found.gradients and not found.failure:
        notes.append("gradients were not compared: nothing that train mode returns has any")
        return None
    return found


def _known(allowed: Allowed, model: Model) -> Allowed:
    """Leave out the limits of outputs that there are only in the other mode."""
    if not isinstance(allowed, Mapping):
        return allowed
    names = {"", *(spec.name for spec in model.outputs)}
    return {name: limit for name, limit in allowed.items() if name in names}


def _for_training(plan: InputPlan, trained: TrainingModel) -> InputPlan:
    """Return `plan` with the batches that train mode takes, and random inputs alone: a sample may be one image."""
    sizes = {
        name: [size for size in asked if size >= trained.ranges.get(name, (1, 0))[0]]
        for name, asked in plan.sizes.items()
    }
    return replace(plan, sizes={name: asked for name, asked in sizes.items() if asked}, edges=(), data=())


def _without_state(verdict: Verdict, updates: Sequence[str]) -> Verdict:
    """Leave out the warnings that buffers hardly depend on the inputs: what they were before moves them, too."""
    moved = tuple(f'output "{update_name(name)}" hardly depends' for name in updates)
    return replace(verdict, warnings=tuple(text for text in verdict.warnings if not text.startswith(moved)))
