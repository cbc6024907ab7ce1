"""PyTorch → TensorFlow, stage by stage; a result is published only when it is proven."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from translate.errors import UsageError
from translate.graphs import TENSORFLOW_KINDS, to_onnx
from translate.provenance import comparison_options, provenance, write_provenance
from translate.publish import next_version, publish, staging
from translate.routes.result import Engine, NotEqualError, Result, Stages, size_on_disk, source_label, with_sample

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Model, Spec
    from translate.serving import Serving
    from translate.verify.cases import InputPlan
    from translate.verify.tolerance import Allowed


def torch2tf(
    source: object,
    output: str | Path | None = None,
    *,
    inputs: Sequence[str | Spec] = (),
    sample: str | Path | None = None,
    weights: str | Path | None = None,
    engine: Engine = "native",
    verify: bool = True,
    force: bool = False,
    serving: Serving | None = None,
    plan: InputPlan | None = None,
    rtol: Allowed = None,
    atol: Allowed = None,
    seed: int = 0,
    unsafe_load: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate a PyTorch or ONNX model to a TensorFlow SavedModel and prove that it computes the same thing.

    `source`, `inputs`, `sample`, `weights` and `unsafe_load` are those of `open_model`. `output` is the folder to
    write (`default_output(source)` in the working directory when None); an existing SavedModel there is replaced
    only with `force`, and only once the new one is proven. With `serving` a version for TF Serving is written instead,
    which never replaces another; `force` then allows to write its configuration again.

    `plan` says on which inputs the two are compared (random ones of the seeds `seed` and `seed + 1` when None, and the
    sample); `rtol` and `atol`, a number or one for each output, give the classic test instead of the calibrated one.
    `progress` is called with the name of each stage as it begins.

    Raises `UsageError` before any work when the output cannot be written, `OpenError`, `ExportError`,
    `CannotTranslateError`, and `NotEqualError` when the SavedModel fails the comparison; then nothing is written.
    """
    label = source_label(source)
    destination = Path(default_output(source) if output is None else output)
    if serving is not None:
        from translate.serving import check

        if output is not None:
            raise UsageError("-o and --serving are two places; give one of them")
        check(serving, force=force)
        destination = serving.base / str(next_version(serving.base, serving.version))
    if engine == "onnx2tf":
        from translate.converters import onnx2tf_engine

        onnx2tf_engine.check_installed()
    stage = Stages(progress)
    notes: list[str] = []
    with staging(destination, force=force and serving is None) as built:
        with stage("open"):
            from translate.models.open import open_model

            model = open_model(
                source, inputs=inputs, sample=sample, weights=weights, unsafe_load=unsafe_load, notes=notes
            )
        if model.kind in TENSORFLOW_KINDS:
            raise UsageError(f"torch2tf translates PyTorch and ONNX models; this is a {model.kind}")
        with stage("export"):
            exported = to_onnx(model, notes)
            source_names = [spec.name for spec in model.inputs]
            model = _name_inputs(model, exported, notes)
            # The passes change the graph; the verdict asks the source's own what its integers index.
            original = exported.clone()
        options = comparison_options(inputs, plan, rtol, atol, weights=weights, sample=sample)
        plan = with_sample(plan, sample, seed)
        if serving is not None:
            from translate.serving import with_batches

            plan = with_batches(plan, model, serving)
        transposes = _lower(exported, built, engine, stage, notes)
        with stage("reload"):
            from translate.models.saved_model import SavedModel

            # What was written refers to itself, and would lie beside what is read.
            gc.collect()
            target = SavedModel(built)
        from translate.comparison import Pair, compare_pair

        aliases = dict(zip(source_names, (spec.name for spec in model.inputs), strict=True))
        pair = Pair(model, target, aliases, notes)
        verdict = None
        if verify:
            with stage("verify"):
                verdict = compare_pair(pair, plan, rtol=rtol, atol=atol, graph=original).verdict
        proven = verdict is None or verdict.passed
        trainable, frozen = count_weights(target.loaded)
        if proven:
            with stage("publish"):
                write_provenance(built, provenance(source, model, engine, verdict, options, weights))
                if serving is None:
                    publish(built, destination)
                else:
                    from translate.serving.release import release

                    destination = release(serving, built, pair, plan, original)
        size = size_on_disk(destination if proven else built)
    result = Result(
        command="torch2tf",
        format="saved_model",
        source=label,
        source_kind=model.kind,
        engine=engine,
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
    )
    if not proven:
        raise NotEqualError(result)
    return result


def default_output(source: object) -> Path:
    """Return the folder in the working directory that `source` is written to: `a/model.pt2` → `model_tf`."""
    label = source_label(source)
    if not Path(label).exists() and ":" in label:
        return Path(f"{label.rpartition(':')[2]}_tf")
    path = Path(label).resolve() if isinstance(source, str | Path) else Path(label)
    return Path(f"{path.name if path.is_dir() else path.stem}_tf")


def _lower(exported: ir.Model, built: Path, engine: Engine, stage: Stages, notes: list[str]) -> int | None:
    """Write `exported` as a SavedModel to `built`; return the number of transposes left, None where nobody counts."""
    if engine == "onnx2tf":
        from translate.converters import onnx2tf_engine

        with stage("onnx2tf"):
            onnx2tf_engine.save(exported, built)
        return None
    from translate.converters import passes

    with stage("passes"):
        report = passes.prepare(exported)
        notes.extend(report.notes)
    with stage("lower"):
        from translate.converters import onnx_to_tf
        from translate.errors import CannotTranslateError

        problems = onnx_to_tf.preflight(exported)
        if problems:
            raise CannotTranslateError("TensorFlow", problems)
        onnx_to_tf.save(exported, built)
    return report.transposes


def _name_inputs(model: Model, exported: ir.Model, notes: list[str]) -> Model:
    """Rename the inputs of both, where a signature cannot have their names."""
    from translate.models.renamed import RenamedInputs, with_signature_names

    renamed = with_signature_names(model)
    if isinstance(renamed, RenamedInputs):
        for value in exported.graph.inputs:
            old = str(value.name)
            value.name = renamed.names.get(old, old)
            if value.name != old:
                notes.append(f'input "{old}" is called "{value.name}": TensorFlow allows only letters, digits and _')
    return renamed


def count_weights(loaded: Any) -> tuple[int, int]:
    """Return how many values the trainable and the other variables of a loaded SavedModel have."""
    trainable = sum(int(variable.shape.num_elements()) for variable in getattr(loaded, "trainable_variables", ()))
    every = sum(int(variable.shape.num_elements()) for variable in getattr(loaded, "variables", ()))
    return trainable, every - trainable
