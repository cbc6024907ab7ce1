"""TensorFlow → PyTorch, stage by stage; a result is published only when it is proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from translate.errors import CannotTranslateError, ExportError, UsageError
from translate.graphs import to_onnx
from translate.publish import publish, staging
from translate.routes.result import NotEqualError, Result, Stages, size_on_disk, source_label, with_sample

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import fx

    from translate.converters.passes import PassReport
    from translate.converters.passes.layout import Turned
    from translate.models.base import Model, Spec
    from translate.verify import Verdict
    from translate.verify.cases import InputPlan
    from translate.verify.tolerance import Allowed

Format = Literal["pt2", "python", "torchscript", "onnx"]

# The ending of a result; a package is a folder.
_ENDINGS: Mapping[Format, str] = {"pt2": ".pt2", "python": "", "torchscript": ".pt", "onnx": ".onnx"}
# What a package holds, by which it is known.
_PACKAGE = "model.safetensors"


def tf2torch(
    source: object,
    output: str | Path | None = None,
    *,
    format: Format = "pt2",
    inputs: Sequence[str | Spec] = (),
    sample: str | Path | None = None,
    weights: str | Path | None = None,
    signature: str = "serving_default",
    graph_inputs: Sequence[str] = (),
    graph_outputs: Sequence[str] = (),
    channels_first: bool = False,
    verify: bool = True,
    force: bool = False,
    plan: InputPlan | None = None,
    rtol: Allowed = None,
    atol: Allowed = None,
    seed: int = 0,
    unsafe_load: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate a TensorFlow, Keras or ONNX model to PyTorch and prove that the result computes the same thing.

    `source`, `inputs`, `sample`, `weights`, `signature`, `graph_inputs`, `graph_outputs` and `unsafe_load` are those of
    `open_model`. `output` is what to write (`default_output(source, format)` in the working directory when None), in
    `format`: "pt2", an ExportedProgram; "python", a package folder of `model.py` and `model.safetensors`;
    "torchscript"; or "onnx". With `channels_first`, the images that the source takes and returns as `[N, *spatial, C]`
    are `[N, C, *spatial]` in the result. All else is as in `torch2tf`.

    Raises `UsageError` before any work when the output cannot be written, `OpenError`, `ExportError`,
    `CannotTranslateError`, and `NotEqualError` when the result fails the comparison; then nothing is written.
    """
    if channels_first and format == "onnx":
        raise UsageError("--channels-first is for results in PyTorch: in ONNX the source's own graph is kept")
    label = source_label(source)
    destination = Path(default_output(source, format) if output is None else output)
    stage = Stages(progress)
    notes: list[str] = []
    with staging(destination, force=force, ending=_ENDINGS[format], marker=_PACKAGE) as built:
        with stage("open"):
            from translate.models.open import open_model

            model = open_model(
                source,
                inputs=inputs,
                sample=sample,
                weights=weights,
                signature=signature,
                graph_inputs=graph_inputs,
                graph_outputs=graph_outputs,
                unsafe_load=unsafe_load,
                notes=notes,
            )
        with stage("export"):
            exported = to_onnx(model, notes)
            original = exported.clone()
        prepared = _prepare(exported, stage, notes, channels_first)
        with stage("lower"):
            module = _lower(exported, prepared.turned)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            buffers = sum(buffer.numel() for buffer in module.buffers())
            _save(module, exported, original, built, format, label)
        with stage("reload"):
            target = open_model(f"{built / 'model.py'}:load" if format == "python" else built, notes=notes)
        verdict = None
        if verify:
            with stage("verify"):
                # The permutations that were asked for, and nothing else.
                same = _in_source_order(target, module)
                verdict = _compare(model, same, module, with_sample(plan, sample, seed), rtol, atol, original, notes)
        proven = verdict is None or verdict.passed
        size = size_on_disk(built)
        if proven:
            with stage("publish"):
                publish(built, destination)
    result = Result(
        command="tf2torch",
        source=label,
        source_kind=model.kind,
        engine="native",
        format=format,
        output=destination if proven else None,
        bytes=size,
        inputs=tuple(model.inputs),
        outputs=tuple(model.outputs),
        trainable=parameters,
        frozen=buffers,
        transposes=prepared.transposes,
        notes=tuple(dict.fromkeys(notes)),
        verdict=verdict,
        seconds=stage.seconds,
    )
    if not proven:
        raise NotEqualError(result)
    return result


def to_torch(
    source: object,
    *,
    inputs: Sequence[str | Spec] = (),
    signature: str = "serving_default",
    channels_first: bool = False,
) -> fx.GraphModule:
    """Return a TensorFlow, Keras or ONNX model as a PyTorch module, in evaluation mode; nothing is compared.

    `source`, `inputs` and `signature` are those of `open_model`: a path, or a live Keras model, `tf.function`, concrete
    function or `tf.Module`. With `channels_first`, images are `[N, C, *spatial]` where the source has them channels
    last; `meta["channels_first"]` says which and how. Raises its errors, `ExportError` and
    `CannotTranslateError`.
    """
    from translate.models.open import open_model

    notes: list[str] = []
    exported = to_onnx(open_model(source, inputs=inputs, signature=signature, notes=notes), notes)
    prepared = _prepare(exported, Stages(None), notes, channels_first)
    return _lower(exported, prepared.turned)


def default_output(source: object, format: Format) -> Path:
    """Return what `source` is written to in the working directory: `a/model.keras` → `model.pt2`, or `model_torch`."""
    label = source_label(source)
    # Of a factory, `make.py:build`, its name.
    name = label.rpartition(":")[2] if ":" in label and not Path(label).exists() else Path(label).resolve().stem
    return Path(f"{name}_torch" if format == "python" else f"{name}{_ENDINGS[format]}")


def _prepare(exported: ir.Model, stage: Stages, notes: list[str], channels_first: bool) -> PassReport:
    from translate.converters import passes

    with stage("passes"):
        report = passes.prepare_for_torch(exported, images_first=channels_first)
        notes.extend(report.notes)
    if channels_first and not report.turned.inputs:
        names = ", ".join(str(value.name) for value in exported.graph.inputs)
        raise UsageError(f"--channels-first: no input is an image that is read channels first; the inputs are {names}")
    if channels_first:
        notes.append(_said(report.turned))
    return report


def _said(turned: Turned) -> str:
    names = [f"input {name}" for name in turned.inputs] + [f"output {name}" for name in turned.outputs]
    return f"channels first, where the source has them last: {', '.join(names)}"


def _in_source_order(target: Model, module: fx.GraphModule) -> Model:
    """Return `target` with the axes of its inputs and outputs as the source has them."""
    from translate.models.permuted import Permuted

    turned: Turned = module.meta["channels_first"]
    if not turned.inputs:
        return target
    return Permuted(
        target,
        _by_own_name(turned.inputs, module.meta["inputs"], target.inputs),
        _by_own_name(turned.outputs, module.meta["outputs"], target.outputs),
    )


def _by_own_name(
    turned: Mapping[str, tuple[int, ...]], names: Sequence[str], specs: Sequence[Spec]
) -> dict[str, tuple[int, ...]]:
    return {spec.name: turned[name] for name, spec in zip(names, specs, strict=True) if name in turned}


def _lower(exported: ir.Model, turned: Turned) -> fx.GraphModule:
    from translate.converters import onnx_to_torch

    problems = onnx_to_torch.preflight(exported)
    if problems:
        raise CannotTranslateError("PyTorch", problems)
    module = onnx_to_torch.module(exported)
    module.meta["channels_first"] = turned
    return module


def _save(
    module: fx.GraphModule, exported: ir.Model, original: ir.Model, path: Path, format: Format, label: str
) -> None:
    if format == "onnx":
        from translate.converters.onnx_file import save_onnx

        # The passes put operators of our own into the other.
        save_onnx(original, path)
        return
    import torch

    from translate import __version__
    from translate.converters.onnx_to_torch import export, python, script

    if format == "python":
        provenance = f"Translated from {Path(label).name} by translate {__version__}."
        turned: Turned = module.meta["channels_first"]
        if turned.inputs:
            provenance += f" {_said(turned)[0].upper()}{_said(turned)[1:]}."
        python.save_python(module, exported, path, provenance)
    elif format == "torchscript":
        script.save_torchscript(module, path)
    else:
        program = export.exported(module, exported)
        try:
            torch.export.save(program, path)
        except Exception as error:
            # torch.export documents no common base of what it raises.
            raise ExportError(f"torch.export.save refused the translated program: {error}") from error


def _compare(
    model: Model,
    target: Model,
    module: fx.GraphModule,
    plan: InputPlan,
    rtol: Allowed,
    atol: Allowed,
    original: ir.Model,
    notes: list[str],
) -> Verdict:
    """Compare under the source's names: the module knows which of its inputs and outputs are which."""
    from translate.comparison import Pair, compare_pair, input_bounds, make_cases
    from translate.models.align import align
    from translate.routes.integers import comparable, distance_notes, on_grids

    old = [spec.name for spec in model.inputs]
    renames = _renames(module.meta["inputs"], target.inputs) | _renames(module.meta["outputs"], target.outputs)
    source = comparable(model)
    ours, theirs = align(source, target, renames, [])
    if source is not model:
        ours, theirs = on_grids(model, ours, theirs)
    pair = Pair(ours, theirs, dict(zip(old, (spec.name for spec in ours.inputs), strict=True)), notes)
    verdict = compare_pair(pair, plan, rtol=rtol, atol=atol, graph=original).verdict
    if source is not model:
        case = next(make_cases(pair, plan, input_bounds(original, pair.aliases)))
        notes += distance_notes(model, source, {name: case.feeds[pair.aliases[name]] for name in old})
    return verdict


def _renames(names: Sequence[str], specs: Sequence[Spec]) -> dict[str, str]:
    return {name: spec.name for name, spec in zip(names, specs, strict=True) if name != spec.name}
