"""PyTorch → TensorFlow, stage by stage; a result is published only when it is proven."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from translate.errors import UsageError
from translate.graphs import TENSORFLOW_KINDS, to_onnx
from translate.provenance import comparison_options, provenance, write_provenance
from translate.publish import next_version, publish, staging
from translate.routes.formats import NEAR, WRITERS, Format, Task, check, quantize_tflite
from translate.routes.result import Engine, NotEqualError, Result, Stages, size_on_disk, source_label, with_sample

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.converters.saved_model_to_tflite import Quantize
    from translate.models.base import Array, Model, Spec
    from translate.serving import Serving
    from translate.verify.cases import InputPlan
    from translate.verify.tolerance import Allowed
    from translate.verify.verdict import Verdict


def torch2tf(
    source: object,
    output: str | Path | None = None,
    *,
    inputs: Sequence[str | Spec] = (),
    sample: str | Path | None = None,
    weights: str | Path | None = None,
    engine: Engine = "native",
    format: Format = "saved_model",
    quantize: Quantize | None = None,
    least_snr: float | None = None,
    flex: bool = False,
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
    """Translate a PyTorch or ONNX model to TensorFlow and prove that it computes the same thing.

    `source`, `inputs`, `sample`, `weights` and `unsafe_load` are those of `open_model`. `output` is what to write
    (`default_output(source, format)` in the working directory when None), in `format`: "saved_model", a folder;
    "keras", a functional model; "tflite"; or "onnx", the graph in the middle. An existing result there is replaced
    only with `force`, and only once the new one is proven. `engine` "onnx2tf" and `serving` are for a SavedModel: with
    `serving` a version for TF Serving is written instead, which never replaces another; `force` then allows to write
    its configuration again. `quantize` and `flex` are for TFLite, see `saved_model_to_tflite.convert`. What is
    quantised is first compared without that, and then has to be near the source, by the signal-to-noise ratio
    `least_snr` in decibels (`NEAR` when None); "int8" needs real inputs, from `plan` or `sample`.

    `plan` says on which inputs the two are compared (random ones of the seeds `seed` and `seed + 1` when None, and the
    sample); `rtol` and `atol`, a number or one for each output, give the classic test instead of the calibrated one.
    `progress` is called with the name of each stage as it begins.

    Raises `UsageError` before any work when the output cannot be written, `OpenError`, `ExportError`,
    `CannotTranslateError`, and `NotEqualError` when the SavedModel fails the comparison; then nothing is written.
    """
    others = {"--serving": serving, "--engine onnx2tf": engine == "onnx2tf"}
    check(format, {**others, "--quantize": quantize, "--least-snr": least_snr is not None, "--flex": flex})
    writer = WRITERS[format]
    label = source_label(source)
    destination = Path(default_output(source, format) if output is None else output)
    if serving is not None:
        destination = serving_version(serving, output, force=force)
    if least_snr is not None and quantize is None:
        raise UsageError("--least-snr goes with --quantize")
    if quantize == "int8" and sample is None and not (plan and plan.data):
        raise UsageError("--quantize int8 needs real inputs, to measure ranges on: --data PATH")
    if engine == "onnx2tf":
        from translate.converters import onnx2tf_engine

        onnx2tf_engine.check_installed()
    stage = Stages(progress)
    notes: list[str] = []
    with staging(destination, force=force and serving is None, ending=writer.ending) as built:
        with stage("open"):
            from translate.comparison import Pair, compare_pair
            from translate.models.open import open_model

            model = open_model(
                source, inputs=inputs, sample=sample, weights=weights, unsafe_load=unsafe_load, notes=notes
            )
        if model.kind in TENSORFLOW_KINDS:
            raise UsageError(f"torch2tf translates PyTorch and ONNX models; this is a {model.kind}")
        if model.kind == "ONNX" and format == "onnx":
            raise UsageError(f"{label} is ONNX already")
        with stage("export"):
            exported = to_onnx(model, notes)
            source_names = [spec.name for spec in model.inputs]
            if format != "onnx":
                model = name_inputs(model, exported, notes)
            # The passes change the graph; the verdict asks the source's own what its integers index.
            original = exported.clone()
        options = comparison_options(inputs, plan, rtol, atol, weights=weights, sample=sample)
        plan = with_sample(plan, sample, seed)
        if serving is not None:
            from translate.serving import with_batches

            plan = with_batches(plan, model, serving)
        aliases = dict(zip(source_names, (spec.name for spec in model.inputs), strict=True))
        samples = partial(_real_inputs, model, plan, aliases)
        task = Task(exported, built, engine, flex, samples, stage, notes)

        def prove(plan: InputPlan, near: float | None, rtol: Allowed, atol: Allowed) -> tuple[Pair, Verdict | None]:
            with stage("reload"):
                # What was written refers to itself, and would lie beside what is read.
                gc.collect()
                pair = Pair(model, open_model(built, notes=notes), aliases, notes)
            if not verify:
                return pair, None
            with stage("verify"):
                return pair, compare_pair(pair, plan, rtol=rtol, atol=atol, near=near, graph=original).verdict

        transposes = writer.write(task)
        if quantize is None:
            pair, verdict = prove(plan, None, rtol, atol)
        else:
            # What goes wrong on the way would hide in the noise of the quantised: without that it has to be equal.
            pair, verdict = prove(plan, None, None, None)
            if verdict is None or verdict.passed:
                if verify:
                    notes.append("before it was quantised, the file was equal to the source")
                quantize_tflite(task, quantize)
                if quantize == "int8":
                    # Beyond the ranges that were measured on it numbers are cut off, and random inputs lie there.
                    plan = replace(plan, seeds=(), edges=())
                    notes.append("quantised to int8, it was compared on the data that its ranges were measured on")
                pair, verdict = prove(plan, NEAR[quantize] if least_snr is None else least_snr, rtol, atol)
        proven = verdict is None or verdict.passed
        trainable, frozen = writer.count(pair.target)
        if proven:
            with stage("publish"):
                if format == "saved_model":
                    write_provenance(built, provenance(source, model, engine, verdict, options, weights))
                if serving is None:
                    publish(built, destination)
                else:
                    from translate.serving.release import release

                    destination = release(serving, built, pair, plan, original)
        size = size_on_disk(destination if proven else built)
    result = Result(
        command="torch2tf",
        format=format,
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


def serving_version(serving: Serving, output: str | Path | None, *, force: bool) -> Path:
    """Return the folder of the version to write. Raises `UsageError` where it cannot be, or `output` is another."""
    from translate.serving import check as check_serving

    if output is not None:
        raise UsageError("-o and --serving are two places; give one of them")
    check_serving(serving, force=force)
    return serving.base / str(next_version(serving.base, serving.version))


def default_output(source: object, format: Format = "saved_model") -> Path:
    """Return what `source` is written to in the working directory: `a/model.pt2` → `model_tf`, or `model.tflite`."""
    label, suffix = source_label(source), WRITERS[format].suffix
    if not Path(label).exists() and ":" in label:
        return Path(f"{label.rpartition(':')[2]}{suffix}")
    path = Path(label).resolve() if isinstance(source, str | Path) else Path(label)
    return Path(f"{path.name if path.is_dir() else path.stem}{suffix}")


def _real_inputs(model: Model, plan: InputPlan, aliases: Mapping[str, str]) -> Iterator[Mapping[str, Array]]:
    """Read the inputs that come from files, by the names of `model`."""
    from translate.verify.cases import cases

    for case in cases(model.inputs, plan=replace(plan, seeds=(), edges=()), aliases=aliases):
        yield case.feeds


def name_inputs(model: Model, exported: ir.Model, notes: list[str]) -> Model:
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
