"""The routes from one framework to the other, stage by stage; a result is published only when it is proven."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from translate.errors import ParityError
from translate.publish import publish, staging

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.models.base import Array, Model, Spec
    from translate.verify import Verdict

Engine = Literal["native", "onnx2tf"]


@dataclass(frozen=True)
class Result:
    """What a route made.

    `output` is the SavedModel's folder, None when it was not published; `bytes` its size on disk; `trainable` and
    `frozen` the number of values in its trainable and its other variables; `transposes` how many transposes of
    activations the layout pass left (None with another engine); `seconds` the time of each stage.
    """

    source: str
    source_kind: str
    engine: Engine
    output: Path | None
    bytes: int
    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    trainable: int
    frozen: int
    transposes: int | None
    notes: tuple[str, ...]
    verdict: Verdict | None
    seconds: Mapping[str, float]

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the result: it was proven, or nobody asked for a proof."""
        return self.verdict is None or self.verdict.passed


class NotEqualError(ParityError):
    """The SavedModel does not compute what the source does; `result` tells how far they are apart."""

    def __init__(self, result: Result) -> None:
        super().__init__(f"the SavedModel does not compute the same as {result.source}; nothing was written")
        self.result = result


@dataclass
class _Stages:
    """Takes the time of each stage and says which one begins."""

    progress: Callable[[str], None] | None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


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
    rtol: float | None = None,
    atol: float | None = None,
    seed: int = 0,
    unsafe_load: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Result:
    """Translate a PyTorch or ONNX model to a TensorFlow SavedModel and prove that it computes the same thing.

    `source`, `inputs`, `sample`, `weights` and `unsafe_load` are those of `open_model`. `output` is the folder to
    write (`default_output(source)` in the working directory when None); an existing SavedModel there is replaced
    only with `force`, and only once the new one is proven. `rtol` and `atol` replace the default tolerance, `seed` is
    that of the first inputs. `progress` is called with the name of each stage as it begins.

    Raises `UsageError` before any work when the output cannot be written, `OpenError`, `ExportError`,
    `CannotTranslateError`, and `NotEqualError` when the SavedModel fails the comparison; then nothing is written.
    """
    label = source_label(source)
    destination = Path(default_output(source) if output is None else output)
    if engine == "onnx2tf":
        from translate.converters import onnx2tf_engine

        onnx2tf_engine.check_installed()
    stage = _Stages(progress)
    notes: list[str] = []
    with staging(destination, force=force) as built:
        with stage("open"):
            from translate.models.open import open_model

            model = open_model(
                source, inputs=inputs, sample=sample, weights=weights, unsafe_load=unsafe_load, notes=notes
            )
        with stage("export"):
            exported = to_onnx(model, notes)
            source_names = [spec.name for spec in model.inputs]
            model = _name_inputs(model, exported, notes)
        transposes = _lower(exported, built, engine, stage, notes)
        with stage("reload"):
            from translate.models.saved_model import SavedModel

            target = SavedModel(built)
        verdict = None
        if verify:
            with stage("verify"):
                from translate.verify import compare

                arrays = None if sample is None else read_sample(sample, source_names, model)
                verdict = compare(model, target, sample=arrays, seed=seed, rtol=rtol, atol=atol)
        proven = verdict is None or verdict.passed
        trainable, frozen = count_weights(target.loaded)
        size = sum(file.stat().st_size for file in built.rglob("*") if file.is_file())
        if proven:
            with stage("publish"):
                publish(built, destination)
    result = Result(
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


def to_onnx(model: Model, notes: list[str]) -> ir.Model:
    """Return `model` as an ONNX graph that may be changed freely. Raises `UsageError` for what has no such route."""
    from translate.models.onnx_model import OnnxModel

    if isinstance(model, OnnxModel):
        return model.model.clone()
    from translate.models.torch_model import TorchModel

    if isinstance(model, TorchModel):
        from translate.converters.torch_to_onnx import export

        return export(model, notes=notes)
    from translate.errors import UsageError

    raise UsageError(f"torch2tf translates PyTorch and ONNX models; this is a {model.kind}")


def default_output(source: object) -> Path:
    """Return the folder in the working directory that `source` is written to: `a/model.pt2` → `model_tf`."""
    label = source_label(source)
    if not Path(label).exists() and ":" in label:
        return Path(f"{label.rpartition(':')[2]}_tf")
    path = Path(label).resolve() if isinstance(source, str | Path) else Path(label)
    return Path(f"{path.name if path.is_dir() else path.stem}_tf")


def source_label(source: object) -> str:
    """Return how to call `source` in reports: its path or name, or the class of a live object."""
    return str(source) if isinstance(source, str | Path) else type(source).__name__


def _lower(exported: ir.Model, built: Path, engine: Engine, stage: _Stages, notes: list[str]) -> int | None:
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


def read_sample(sample: str | Path, names: Sequence[str], model: Model) -> dict[str, Array]:
    """Return the arrays of a sample file by the names of `model`'s inputs, which the file may know as `names`."""
    from translate.models.inputs import load_sample, name_sample

    arrays = name_sample(load_sample(sample), names)
    new = dict(zip(names, (spec.name for spec in model.inputs), strict=True))
    return {new.get(name, name): array for name, array in arrays.items()}


def count_weights(loaded: Any) -> tuple[int, int]:
    """Return how many values the trainable and the other variables of a loaded SavedModel have."""
    trainable = sum(int(variable.shape.num_elements()) for variable in getattr(loaded, "trainable_variables", ()))
    every = sum(int(variable.shape.num_elements()) for variable in getattr(loaded, "variables", ()))
    return trainable, every - trainable
