"""TensorFlow → PyTorch, stage by stage; a result is published only when it is proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from translate.errors import CannotTranslateError, ExportError
from translate.graphs import to_onnx
from translate.publish import publish, staging
from translate.routes.result import NotEqualError, Result, Stages, size_on_disk, source_label, with_sample

if TYPE_CHECKING:
    import onnx_ir as ir
    from torch import fx

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

    `source`, `inputs`, `sample`, `weights`, `signature` and `unsafe_load` are those of `open_model`. `output` is what
    to write (`default_output(source, format)` in the working directory when None), in `format`: "pt2", an
    ExportedProgram; "python", a package folder of `model.py` and `model.safetensors`; "torchscript"; or "onnx". All
    else is as in `torch2tf`.

    Raises `UsageError` before any work when the output cannot be written, `OpenError`, `ExportError`,
    `CannotTranslateError`, and `NotEqualError` when the result fails the comparison; then nothing is written.
    """
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
                unsafe_load=unsafe_load,
                notes=notes,
            )
        with stage("export"):
            exported = to_onnx(model, notes)
            original = exported.clone()
        transposes = _prepare(exported, stage, notes)
        with stage("lower"):
            module = _lower(exported)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            buffers = sum(buffer.numel() for buffer in module.buffers())
            _save(module, exported, original, built, format, label)
        with stage("reload"):
            target = open_model(f"{built / 'model.py'}:load" if format == "python" else built, notes=notes)
        verdict = None
        if verify:
            with stage("verify"):
                verdict = _compare(model, target, module, with_sample(plan, sample, seed), rtol, atol, original, notes)
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
        transposes=transposes,
        notes=tuple(dict.fromkeys(notes)),
        verdict=verdict,
        seconds=stage.seconds,
    )
    if not proven:
        raise NotEqualError(result)
    return result


def to_torch(
    source: object, *, inputs: Sequence[str | Spec] = (), signature: str = "serving_default"
) -> fx.GraphModule:
    """Return a TensorFlow, Keras or ONNX model as a PyTorch module, in evaluation mode; nothing is compared.

    `source`, `inputs` and `signature` are those of `open_model`: a path, or a live Keras model. Raises its errors,
    `ExportError` and `CannotTranslateError`.
    """
    from translate.models.open import open_model

    notes: list[str] = []
    exported = to_onnx(open_model(source, inputs=inputs, signature=signature, notes=notes), notes)
    _prepare(exported, Stages(None), notes)
    return _lower(exported)


def default_output(source: object, format: Format) -> Path:
    """Return what `source` is written to in the working directory: `a/model.keras` → `model.pt2`, or `model_torch`."""
    label = source_label(source)
    # Of a factory, `make.py:build`, its name.
    name = label.rpartition(":")[2] if ":" in label and not Path(label).exists() else Path(label).resolve().stem
    return Path(f"{name}_torch" if format == "python" else f"{name}{_ENDINGS[format]}")


def _prepare(exported: ir.Model, stage: Stages, notes: list[str]) -> int:
    from translate.converters import passes

    with stage("passes"):
        report = passes.prepare_for_torch(exported)
        notes.extend(report.notes)
    return report.transposes


def _lower(exported: ir.Model) -> fx.GraphModule:
    from translate.converters import onnx_to_torch

    problems = onnx_to_torch.preflight(exported)
    if problems:
        raise CannotTranslateError("PyTorch", problems)
    return onnx_to_torch.module(exported)


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
        python.save_python(module, exported, path, f"Translated from {Path(label).name} by translate {__version__}.")
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
    from translate.comparison import Pair, compare_pair
    from translate.models.align import align

    old = [spec.name for spec in model.inputs]
    renames = _renames(module.meta["inputs"], target.inputs) | _renames(module.meta["outputs"], target.outputs)
    ours, theirs = align(model, target, renames, [])
    pair = Pair(ours, theirs, dict(zip(old, (spec.name for spec in ours.inputs), strict=True)), notes)
    return compare_pair(pair, plan, rtol=rtol, atol=atol, graph=original).verdict


def _renames(names: Sequence[str], specs: Sequence[Spec]) -> dict[str, str]:
    return {name: spec.name for name, spec in zip(names, specs, strict=True) if name != spec.name}
