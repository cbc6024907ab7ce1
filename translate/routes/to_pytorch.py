"""TensorFlow → PyTorch, stage by stage; a result is published only when it is proven."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from translate.errors import ExportError, ParityError, UsageError
from translate.publish import discard, publish, staging
from translate.routes.result import NotEqualError, Result, Stages, size_on_disk, source_label, with_sample
from translate.routes.ways import Made, Route, Way, in_turn, make, said_turned, ways_of

if TYPE_CHECKING:
    from torch import fx, nn

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
    route: Route = "auto",
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
    custom_objects: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate a TensorFlow, Keras or ONNX model to PyTorch and prove that the result computes the same thing.

    `source`, `inputs`, `sample`, `weights`, `signature`, `graph_inputs`, `graph_outputs`, `unsafe_load` and
    `custom_objects` are those of `open_model`. `output` is what to write (`default_output(source, format)` in the
    working directory when None), in `format`: "pt2", an ExportedProgram; "python", a package folder of `model.py` and
    `model.safetensors`; "torchscript"; or "onnx". `route` says how: "layers", by the layers of a Keras model; "graph",
    by what it computes; "auto", by its layers if it has some and the result is equal, else by its graph, and a note
    says why. With `channels_first`, the images that the source takes and returns as `[N, *spatial, C]` are
    `[N, C, *spatial]` in the result. All else is as in `torch2tf`.

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
                custom_objects=custom_objects,
                notes=notes,
            )
        ways = ways_of(model, route, writes_graph=format == "onnx")

        def attempt(way: Way) -> tuple[Made, Verdict | None]:
            discard(built)
            made = make(way, model, stage, notes, channels_first=channels_first)
            with stage("write"):
                _save(made, built, format, label)
                _forget_numbers(made.module)
            with stage("reload"):
                target = open_model(f"{built / 'model.py'}:load" if format == "python" else built, notes=notes)
            if not verify:
                return made, None
            with stage("verify"):
                # The permutations that were asked for, and nothing else.
                same = _in_source_order(target, made.module)
                verdict = _compare(model, same, made, with_sample(plan, sample, seed), rtol, atol, notes)
            if not verdict.passed and way != ways[-1]:
                raise ParityError("the result was not equal, which is a defect of translate: please report it")
            return made, verdict

        made, verdict = in_turn(ways, attempt, notes)
        proven = verdict is None or verdict.passed
        size = size_on_disk(built)
        if proven:
            with stage("publish"):
                publish(built, destination)
    trainable, frozen = _count_weights(made.module)
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
        trainable=trainable,
        frozen=frozen,
        transposes=made.transposes,
        notes=tuple(dict.fromkeys(notes)),
        verdict=verdict,
        seconds=stage.seconds,
        route=made.way,
        by_graph=made.by_graph,
    )
    if not proven:
        raise NotEqualError(result)
    return result


def to_torch(
    source: object,
    *,
    route: Route = "auto",
    inputs: Sequence[str | Spec] = (),
    signature: str = "serving_default",
    channels_first: bool = False,
) -> fx.GraphModule:
    """Return a TensorFlow, Keras or ONNX model as a PyTorch module, in evaluation mode; nothing is compared.

    `source`, `inputs` and `signature` are those of `open_model`: a path, or a live Keras model, `tf.function`, concrete
    function or `tf.Module`. `route` is as in `tf2torch`; `meta["route"]` says which one it was, and `meta["notes"]`
    why, where it was not the first. With `channels_first`, images are `[N, C, *spatial]` where the source has them
    channels last; `meta["channels_first"]` says which and how. Raises its errors, `ExportError` and
    `CannotTranslateError`.
    """
    from translate.models.open import open_model

    notes: list[str] = []
    model = open_model(source, inputs=inputs, signature=signature, notes=notes)

    def attempt(way: Way) -> fx.GraphModule:
        return make(way, model, Stages(None), notes, channels_first=channels_first).module

    module = in_turn(ways_of(model, route), attempt, notes)
    module.meta["notes"] = tuple(dict.fromkeys(notes))
    return module


def default_output(source: object, format: Format) -> Path:
    """Return what `source` is written to in the working directory: `a/model.keras` → `model.pt2`, or `model_torch`."""
    label = source_label(source)
    # Of a factory, `make.py:build`, its name.
    name = label.rpartition(":")[2] if ":" in label and not Path(label).exists() else Path(label).resolve().stem
    return Path(f"{name}_torch" if format == "python" else f"{name}{_ENDINGS[format]}")


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


def _forget_numbers(module: nn.Module) -> None:
    """Free the memory of the weights, of which names and shapes stay: what was written is read again from here on."""
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.data = tensor.data.new_zeros(()).expand(tensor.shape)
    # The exported program, for one, refers to itself.
    gc.collect()


def _count_weights(module: nn.Module) -> tuple[int, int]:
    """Return how many values the trainable weights of a module have, and how many the others."""
    parameters = list(module.parameters())
    trainable = sum(one.numel() for one in parameters if one.requires_grad)
    frozen = sum(one.numel() for one in parameters if not one.requires_grad)
    return trainable, frozen + sum(buffer.numel() for buffer in module.buffers())


def _save(made: Made, path: Path, format: Format, label: str) -> None:
    module, interface = made.module, made.interface
    if format == "onnx":
        from translate.converters.onnx_file import save_onnx

        assert made.graph is not None, "it is the graph that is asked for"
        save_onnx(made.graph, path)
        return
    from translate import __version__
    from translate.converters.onnx_to_torch import archive, export, python, script

    if format == "python":
        provenance = f"Translated from {Path(label).name} by translate {__version__}."
        if made.turned.inputs:
            said = said_turned(made.turned)
            provenance += f" {said[0].upper()}{said[1:]}."
        python.save_python(module, interface, path, provenance)
    elif format == "torchscript":
        script.save_torchscript(module, path)
    else:
        program = export.exported(module, interface)
        try:
            archive.save_program(program, path)
        except Exception as error:
            # torch.export documents no common base of what it raises.
            raise ExportError(f"torch.export.save refused the translated program: {error}") from error


def _compare(
    model: Model, target: Model, made: Made, plan: InputPlan, rtol: Allowed, atol: Allowed, notes: list[str]
) -> Verdict:
    """Compare under the source's names: the module knows which of its inputs and outputs are which."""
    from translate.comparison import Pair, compare_pair, input_bounds, make_cases
    from translate.models.align import align
    from translate.routes.integers import comparable, distance_notes, on_grids

    names = made.module.meta
    old = [spec.name for spec in model.inputs]
    renames = _renames(names["inputs"], target.inputs) | _renames(names["outputs"], target.outputs)
    source = comparable(model)
    ours, theirs = align(source, target, renames, [])
    if source is not model:
        ours, theirs = on_grids(model, ours, theirs)
    pair = Pair(ours, theirs, dict(zip(old, (spec.name for spec in ours.inputs), strict=True)), notes)
    verdict = compare_pair(pair, plan, rtol=rtol, atol=atol, graph=made.graph).verdict
    if source is not model:
        assert made.graph is not None, "a TFLite file goes by its graph"
        case = next(make_cases(pair, plan, input_bounds(made.graph, pair)))
        notes += distance_notes(model, source, {name: case.feeds[pair.aliases[name]] for name in old})
    return verdict


def _renames(names: Sequence[str], specs: Sequence[Spec]) -> dict[str, str]:
    return {name: spec.name for name, spec in zip(names, specs, strict=True) if name != spec.name}
