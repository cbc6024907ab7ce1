"""The formats that torch2tf writes: what each result is called, how it is written, and which options it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from translate.errors import CannotTranslateError, OpenError, UsageError
from translate.publish import discard
from translate.routes.result import Engine, Stages

if TYPE_CHECKING:
    import onnx_ir as ir

    from translate.converters.saved_model_to_tflite import Quantize
    from translate.models.base import Array, Model

Format = Literal["saved_model", "keras", "tflite", "onnx"]

# How near a quantised model has to be if nobody says otherwise, as a signal-to-noise ratio in decibels. docs/verdict.md
# tells where the numbers come from.
NEAR: Mapping[Quantize, float] = {"float16": 40.0, "dynamic": 20.0, "int8": 20.0}


@dataclass(frozen=True)
class Task:
    """What a result is written from, and where to.

    `graph` is the source as exported, which writing may change; `path` the file or folder to write, which does not
    exist yet; `samples` yields real inputs by name. `stage` takes the time, `notes` is what the user should know.
    """

    graph: ir.Model
    path: Path
    engine: Engine
    flex: bool
    samples: Callable[[], Iterator[Mapping[str, Array]]]
    stage: Stages
    notes: list[str]


@dataclass(frozen=True)
class Writer:
    """One format.

    `suffix` follows the source's name where no output is named; `ending` is that of a file, empty for a folder.
    `options` are those that not every format takes. `write` writes a task's result and returns the number of transposes
    of activations in it, None where nobody counts; `count` returns how many values the trainable weights of the result
    have, and how many the others.
    """

    suffix: str
    ending: str
    options: frozenset[str]
    write: Callable[[Task], int | None]
    count: Callable[[Model], tuple[int, int]]


def check(format: Format, options: Mapping[str, object]) -> None:
    """Raise `UsageError` where one of `options`, {"--serving": its value}, is given and the format does not take it."""
    everyone = frozenset[str]().union(*(writer.options for writer in WRITERS.values()))
    for option in sorted(everyone - WRITERS[format].options):
        if options.get(option):
            takers = " or ".join(name for name, writer in WRITERS.items() if option in writer.options)
            raise UsageError(f"{option} goes with --format {takers}, not with {format}")


def _write_saved_model(task: Task) -> int | None:
    if task.engine == "onnx2tf":
        from translate.converters import onnx2tf_engine

        with task.stage("onnx2tf"):
            onnx2tf_engine.save(task.graph, task.path)
        return None
    return _lower(task, task.path)


def _lower(task: Task, folder: Path) -> int:
    """Write the graph of `task` as a SavedModel to `folder`; return the number of transposes left."""
    from translate.converters import onnx_to_tf, passes

    with task.stage("passes"):
        report = passes.prepare(task.graph)
        task.notes.extend(report.notes)
    with task.stage("lower"):
        problems = onnx_to_tf.preflight(task.graph)
        if problems:
            raise CannotTranslateError("TensorFlow", problems)
        onnx_to_tf.save(task.graph, folder)
    return report.transposes


def count_weights(loaded: Any) -> tuple[int, int]:
    """Return how many values the trainable and the other variables of a loaded SavedModel have."""
    trainable = sum(int(variable.shape.num_elements()) for variable in getattr(loaded, "trainable_variables", ()))
    every = sum(int(variable.shape.num_elements()) for variable in getattr(loaded, "variables", ()))
    return trainable, every - trainable


def _count_variables(model: Model) -> tuple[int, int]:
    from translate.models.saved_model import SavedModel

    assert isinstance(model, SavedModel)
    return count_weights(model.loaded)


def _write_tflite(task: Task) -> int:
    from translate.converters.onnx_to_tf.dialect import for_tflite

    with for_tflite():
        transposes = _lower(task, _lowered(task))
    _convert(task)
    return transposes


def quantize_tflite(task: Task, how: Quantize) -> None:
    """Replace the TFLite file of `task`, once it is written, by one that is quantised, and note what became smaller."""
    before = task.path.stat().st_size
    _convert(task, how)
    after = task.path.stat().st_size
    task.notes.append(f"{before:,} bytes in float32, {after:,} quantised")


def _convert(task: Task, quantize: Quantize | None = None) -> None:
    from translate.converters import saved_model_to_tflite
    from translate.models.tflite_file import flex_operators, unpack

    with task.stage("tflite"):
        content = saved_model_to_tflite.convert(_lowered(task), quantize, task.samples, flex=task.flex)
        # The file that is there already may be mapped into memory.
        discard(task.path)
        task.path.write_bytes(content)
        if flex := flex_operators(unpack(content)):
            _check_flex(task.path, flex)
            task.notes.append(f"it runs only where TensorFlow's own operators are linked: {', '.join(flex)}")


def _check_flex(path: Path, operators: Sequence[str]) -> None:
    """Raise `UsageError` where no interpreter runs the file, which holds these operators of TensorFlow's."""
    from translate.models.tflite_model import TFLiteModel

    try:
        TFLiteModel(path)
    except OpenError as error:
        raise UsageError(
            f"--flex: the file needs TensorFlow's own operators ({', '.join(operators)}), which neither LiteRT nor the "
            "TensorFlow that is installed can run in TFLite; it cannot be proven, so nothing was written. "
            "TensorFlow 2.19 has them"
        ) from error


def _lowered(task: Task) -> Path:
    """Return the SavedModel that TFLite files are converted from: in the staging folder, with which it goes."""
    return task.path.with_name("lowered")


def _write_keras(task: Task) -> int:
    from translate.converters import onnx_to_keras, passes

    with task.stage("passes"):
        report = passes.prepare_for_keras(task.graph)
        task.notes.extend(report.notes)
    with task.stage("lower"):
        onnx_to_keras.save(task.graph, task.path)
    return report.transposes


def _count_layers(model: Model) -> tuple[int, int]:
    from translate.models.keras_model import KerasModel

    assert isinstance(model, KerasModel)
    trainable, frozen = (
        sum(math.prod(weight.shape) for weight in weights)
        for weights in (model.model.trainable_weights, model.model.non_trainable_weights)
    )
    return trainable, frozen


def _count_constants(model: Model) -> tuple[int, int]:
    from translate.models.tflite_model import TFLiteModel

    assert isinstance(model, TFLiteModel)
    return 0, model.count_weights()


def _write_onnx(task: Task) -> None:
    from translate.converters.onnx_file import save_onnx

    with task.stage("write"):
        save_onnx(task.graph, task.path)


def _count_initializers(model: Model) -> tuple[int, int]:
    from translate.converters.weights import weights
    from translate.models.onnx_model import OnnxModel

    assert isinstance(model, OnnxModel)
    sizes = {True: 0, False: 0}
    for value, trainable in weights(model.model).items():
        assert value.const_value is not None, "a weight has a value"
        sizes[trainable] += value.const_value.size
    return sizes[True], sizes[False]


WRITERS: Mapping[Format, Writer] = {
    "saved_model": Writer(
        "_tf",
        "",
        frozenset({"--serving", "--method", "--trainable", "--engine onnx2tf"}),
        _write_saved_model,
        _count_variables,
    ),
    "keras": Writer(".keras", ".keras", frozenset(), _write_keras, _count_layers),
    "tflite": Writer(
        ".tflite", ".tflite", frozenset({"--quantize", "--least-snr", "--flex"}), _write_tflite, _count_constants
    ),
    "onnx": Writer(".onnx", ".onnx", frozenset(), _write_onnx, _count_initializers),
}
