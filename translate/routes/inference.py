"""PyTorch in eval mode, or ONNX → TensorFlow, stage by stage; a result is published only when it is proven."""

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
from translate.publish import publish, staging
from translate.routes.constants import record_constants
from translate.routes.destination import default_output, serving_version
from translate.routes.formats import NEAR, WRITERS, Format, Task, quantize_tflite
from translate.routes.result import Engine, NotEqualError, Result, Stages, size_on_disk, source_label, with_sample

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.converters.saved_model_to_tflite import Quantize
    from translate.models.base import Array, Model, Spec
    from translate.serving import Serving
    from translate.verify.cases import InputPlan
    from translate.verify.tolerance import Allowed
    from translate.verify.verdict import Verdict


def inference_to_tensorflow(
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
    unsafe_load: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate one function, that of a PyTorch module in eval mode or an ONNX model, in any format, and prove it.

    All arguments are those of `torch2tf`. Raises what that raises.
    """
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
        plan = with_sample(plan, sample)
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
                    record_constants(built, [original])
                    write_provenance(built, provenance(source, {"": model}, engine, verdict, options, weights))
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
