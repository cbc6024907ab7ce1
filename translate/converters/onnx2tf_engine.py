"""ONNX → SavedModel through onnx2tf, in a process of its own, with the source's interface restored.

onnx2tf exits the interpreter on errors, overwrites the file that it is given, needs the program `onnxsim` on PATH
(without it, it skips a step silently), writes two TFLite files that nobody asked for, keeps neither the names of
inputs and outputs nor the layout of the outputs, and reports success when it has written no SavedModel. So it gets a
copy in a scratch folder, and what it made is wrapped.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx_ir as ir

from translate.converters.passes.fold import fold
from translate.converters.passes.normalise import normalise
from translate.errors import UnsupportedError, UsageError

# Operators whose presence means that inputs of rank 3 to 5 are [N, C, *spatial].
_CHANNELS_FIRST_OPERATORS = frozenset(
    ("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace", "GlobalAveragePool", "GlobalMaxPool",
     "GridSample", "InstanceNormalization", "LRN", "MaxPool", "Resize", "SpaceToDepth", "Upsample")
)  # fmt: skip
_NOISE = re.compile(r"^([EWI]\d{4} |\d{4}-\d\d-\d\d .*tensorflow/|WARNING: All log messages before absl|[━┏┡┗└│┃ ]+$)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOG_LINES = 12


def is_installed() -> bool:
    """Say whether onnx2tf can be imported, without importing it."""
    return importlib.util.find_spec("onnx2tf") is not None


def check_installed() -> None:
    """Raise `UsageError` when onnx2tf is not installed."""
    if not is_installed():
        raise UsageError("--engine onnx2tf: onnx2tf is not installed; pip install 'model-translate[onnx2tf]'")


def save(model: ir.Model, directory: Path) -> None:
    """Write `model` as a SavedModel to `directory`, lowered by onnx2tf.

    The signature `serving_default` has the names, dtypes and dimensions of the model's inputs and outputs; where
    onnx2tf returns an output channels-last, it is permuted back, provided that the shapes leave no doubt.
    Raises `UsageError` when onnx2tf is not installed and `UnsupportedError` when it fails, with the end of its log,
    or when the layout of an output cannot be told.
    """
    check_installed()
    with tempfile.TemporaryDirectory(prefix="translate-onnx2tf-") as scratch:
        lowered = _run_onnx2tf(model, Path(scratch))
        _wrap(lowered, model, directory)


def _run_onnx2tf(model: ir.Model, scratch: Path) -> Path:
    """Lower a renamed copy of `model` in `scratch` and return the folder of onnx2tf's SavedModel."""
    copy = model.clone()
    # Functions, lists in Constant nodes and old forms of operators trip it, too.
    normalise(copy)
    fold(copy)
    # onnx2tf changes or rejects names such as "x.1", "a:0" or "in"; plain ones come through.
    for prefix, values in (("input", copy.graph.inputs), ("output", copy.graph.outputs)):
        for position, value in enumerate(values):
            value.name = f"{prefix}_{position}"
    source, lowered, log = scratch / "model.onnx", scratch / "saved_model", scratch / "log.txt"
    ir.save(copy, source)
    command = [sys.executable, "-m", "onnx2tf", "-i", str(source), "-o", str(lowered), "-osd", "-v", "info"]
    command += _layout_options(copy)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    with log.open("wb") as stream:
        status = subprocess.run(
            command, cwd=scratch, env=environment, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
        ).returncode
    if status != 0 or not (lowered / "saved_model.pb").is_file():
        ended = f"ended with status {status}" if status else "wrote no SavedModel"
        raise UnsupportedError(f"onnx2tf {ended}; the end of its log:\n{_last_lines(log)}")
    return lowered


def _layout_options(model: ir.Model) -> list[str]:
    """Choose the options that keep every input as it is.

    By default onnx2tf takes inputs of rank 3 to 5 channels-last. `-k` keeps an image channels-first (and transposes
    it inside), `-kat` keeps what is no image, such as [batch, time, features].
    """
    names = [str(value.name) for value in model.graph.inputs if 3 <= len(value.shape or ()) <= 5]
    if not names:
        return []
    images = any(node.op_type in _CHANNELS_FIRST_OPERATORS for node in model.graph.all_nodes())
    return ["-k" if images else "-kat", *names]


def _last_lines(log: Path) -> str:
    text = _COLOUR.sub("", log.read_text(errors="replace"))
    lines = [line.rstrip() for line in text.splitlines() if line.strip() and not _NOISE.match(line)]
    return "\n".join(f"  {line[:200]}" for line in lines[-_LOG_LINES:])


def _wrap(lowered: Path, model: ir.Model, directory: Path) -> None:
    """Save `lowered` again to `directory`, under the names and in the layout of `model`'s inputs and outputs."""
    import tensorflow as tf

    inner = tf.saved_model.load(str(lowered))
    function = inner.signatures["serving_default"]
    output_names = [str(value.name) for value in model.graph.outputs]
    inner_outputs = function.structured_outputs
    if len(inner_outputs) != len(output_names):
        raise UnsupportedError(f"onnx2tf returned {len(inner_outputs)} outputs, the model has {len(output_names)}")
    orders = [
        output_order(name, _dims(value), inner_outputs[f"output_{position}"].shape.as_list())
        for position, (name, value) in enumerate(zip(output_names, model.graph.outputs, strict=True))
    ]
    specs = [
        tf.TensorSpec(_dims(value), tf.dtypes.as_dtype(_numpy_dtype(value)), str(value.name))
        for value in model.graph.inputs
    ]

    @tf.function(input_signature=specs, autograph=False)
    def serving_default(*inputs: Any) -> dict[str, Any]:
        # onnx2tf leaves out an input that nothing reads.
        known = function.structured_input_signature[1]
        feeds = {f"input_{i}": value for i, value in enumerate(inputs) if f"input_{i}" in known}
        results = function(**feeds)
        outputs = [results[f"output_{position}"] for position in range(len(orders))]
        return {
            name: tf.identity(value) if order is None else tf.transpose(value, order)
            for name, value, order in zip(output_names, outputs, orders, strict=True)
        }

    root = tf.Module()
    root.lowered = inner
    root.serving_default = serving_default
    tf.saved_model.save(root, str(directory), signatures={"serving_default": serving_default})


def output_order(name: str, wanted: Sequence[int | None], found: Sequence[int | None] | None) -> list[int] | None:
    """Return the transposition that brings an output from the `found` to the `wanted` shape, None for none.

    The only candidates are as it is and channels-last. Both shapes have None where a size is open. An exact match
    counts before one that holds because a size is open. Raises `UnsupportedError` when neither or both fit.
    """
    if found is None or len(found) != len(wanted):
        raise UnsupportedError(f'onnx2tf returned output "{name}" as {_text(found)}, the model has {_text(wanted)}')
    rank = len(wanted)
    if rank < 3:
        return None
    # found = [N, *spatial, C], wanted = [N, C, *spatial]
    back = [0, rank - 1, *range(1, rank - 1)]
    candidates: list[tuple[list[int] | None, list[int | None]]] = [
        (None, list(found)),
        (back, [found[axis] for axis in back]),
    ]
    for exact in (True, False):
        fitting = [
            order
            for order, shape in candidates
            if all(a == b or (not exact and None in (a, b)) for a, b in zip(shape, wanted, strict=True))
        ]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            break
    reason = "which may or may not be channels-last" if fitting else "which is neither that nor channels-last"
    raise UnsupportedError(
        f'onnx2tf returned output "{name}" as {_text(found)}, {reason}: the model has {_text(wanted)}; '
        "try --engine native, or fixed sizes that differ from each other"
    )


def _dims(value: ir.Value) -> list[int | None]:
    if value.shape is None:
        raise UnsupportedError(f'--engine onnx2tf needs the rank of "{value.name}", which is not known')
    return [dim if isinstance(dim, int) else None for dim in value.shape]


def _numpy_dtype(value: ir.Value) -> str:
    if value.dtype is None:
        raise UnsupportedError(f'--engine onnx2tf needs the dtype of "{value.name}", which is not known')
    return str(value.dtype.numpy().name)


def _text(shape: Sequence[int | None] | None) -> str:
    if shape is None:
        return "a tensor of unknown rank"
    return f"[{', '.join('?' if dim is None else str(dim) for dim in shape)}]"
