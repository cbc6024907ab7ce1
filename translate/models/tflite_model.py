"""TFLite files, run by the LiteRT interpreter or TensorFlow's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from translate.errors import OpenError, UsageError
from translate.models.base import Array, Model, Spec, check_feeds
from translate.models.device import Placement
from translate.models.inputs import merge_specs, open_dims
from translate.models.perturb import neighbouring_feeds, neighbours


class TFLiteModel(Model):
    """A TFLite file: one of its signatures, or where it has none the whole graph under the names of its tensors.

    Quantized inputs and outputs stay the integers that they are.
    """

    kind = "TFLite"

    def __init__(
        self,
        path: Path,
        signature: str = "serving_default",
        inputs: Sequence[Spec] = (),
        placement: Placement | None = None,
    ) -> None:
        """Load the file; `inputs` name or fix its open dimensions.

        Raises `OpenError` when it is damaged, needs operators that the interpreter lacks, or has no such signature,
        `UsageError` for a `placement` on a GPU.
        """
        self.path = path
        threads = None
        if placement is not None:
            placement.require_cpu("TFLite")
            threads = placement.threads
        self._threads = threads
        self._interpreter = _interpreter(path, threads)
        signatures = self._interpreter.get_signature_list()
        self._signature = _choose(signatures, signature, path)
        self._runner: Any = None
        if self._signature is None:
            ins = {item["name"]: item for item in self._interpreter.get_input_details()}
            outs = {item["name"]: item for item in self._interpreter.get_output_details()}
        else:
            self._runner = self._interpreter.get_signature_runner(self._signature)
            ins, outs = self._runner.get_input_details(), self._runner.get_output_details()
        self._ins, self._outs = ins, outs
        self.inputs = merge_specs(inputs, open_dims([_spec(name, item) for name, item in ins.items()]))
        self.outputs = tuple(_spec(name, item) for name, item in outs.items())
        if not self.outputs:
            raise OpenError(f"{path} is truncated or damaged: it has no outputs")
        self._settings = {
            "framework": type(self._interpreter).__module__,
            "device": "cpu",
            "threads": threads or "default",
        }

    def call(self, values: dict[str, Array]) -> dict[str, Array]:
        """Resize the inputs where their sizes changed, set them, run, and return copies of the outputs.

        Raises `UsageError` where the graph does not work at these sizes.
        """
        try:
            if self._signature is not None:
                results: dict[str, Array] = self._runner(**values)
                return results
            return self._invoke(values)
        except (ValueError, RuntimeError) as error:
            sizes = ", ".join(f"{name} {list(array.shape)}" for name, array in values.items())
            raise UsageError(f"{self.path} fails on inputs {sizes}: {_reason(error)}") from error

    def download(self, results: dict[str, Array]) -> dict[str, Array]:
        """The results are arrays already."""
        return {spec.name: np.asarray(results[spec.name]) for spec in self.outputs}

    def settings(self) -> Mapping[str, str | int | bool]:
        """The interpreter, and how many threads it was given."""
        return self._settings

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run with the weights that are floating-point numbers, and inputs, moved by `neighbours`."""
        unmoved = self._interpreter, self._runner
        self._interpreter = _interpreter(self.path, self._threads, _perturbed(self.path.read_bytes(), seed))
        if self._signature is not None:
            self._runner = self._interpreter.get_signature_runner(self._signature)
        try:
            return self.run(neighbouring_feeds(feeds, seed))
        finally:
            self._interpreter, self._runner = unmoved

    def _invoke(self, values: Mapping[str, Array]) -> dict[str, Array]:
        resized = False
        for item in self._interpreter.get_input_details():
            shape = values[item["name"]].shape
            if tuple(item["shape"]) != shape:
                self._interpreter.resize_tensor_input(item["index"], shape)
                resized = True
        if resized:
            self._interpreter.allocate_tensors()
        for name, array in values.items():
            self._interpreter.set_tensor(self._ins[name]["index"], array)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(item["index"]) for name, item in self._outs.items()}

    def upload(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The interpreter takes arrays as they are. Raises `UsageError` for a wrong dtype, which it would not name."""
        check_feeds(self.inputs, feeds)
        for spec in self.inputs:
            dtype = feeds[spec.name].dtype.name
            if spec.dtype != "str" and dtype != spec.dtype:
                raise UsageError(f"input {spec.name} is {dtype}, the file expects {spec.dtype}")
        return {name: np.ascontiguousarray(array) for name, array in feeds.items()}


def _interpreter(path: Path, threads: int | None, content: bytes | None = None) -> Any:
    """Load the file, or `content` in its place.

    That is done by LiteRT, or by TensorFlow where LiteRT is not installed or lacks operators.
    """
    model = {"model_path": str(path)} if content is None else {"model_content": content}
    failure: Exception | None = None
    for make in (_litert, _tensorflow_lite):
        try:
            interpreter = make()(**model, num_threads=threads)
            # Operators that are missing show only when memory is planned.
            interpreter.allocate_tensors()
        except ImportError as error:
            failure = failure or error
        except (ValueError, RuntimeError) as error:
            failure = error
        else:
            return interpreter
    raise OpenError(f"{path} cannot be run as TFLite: {_reason(failure)}") from failure


def _litert() -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter


def _tensorflow_lite() -> Any:
    import tensorflow as tf

    return tf.lite.Interpreter


def _perturbed(content: bytes, seed: int) -> bytes:
    """Return a TFLite file whose constants of type float32 and float16 are moved by `neighbours`."""
    try:
        from ai_edge_litert import schema_py_generated as schema
    except ImportError:
        from tensorflow.lite.python import schema_py_generated as schema
    dtypes = {schema.TensorType.FLOAT32: np.float32, schema.TensorType.FLOAT16: np.float16}
    moved = bytearray(content)
    model = schema.Model.GetRootAs(moved, 0)
    graphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
    tensors = [graph.Tensors(index) for graph in graphs for index in range(graph.TensorsLength())]
    # Tensors may share a buffer.
    buffers = {tensor.Buffer(): dtypes[tensor.Type()] for tensor in tensors if tensor.Type() in dtypes}
    generator = np.random.default_rng(seed)
    for index, dtype in buffers.items():
        buffer = model.Buffers(index)
        if buffer.DataLength():
            # A view of `moved`.
            numbers = buffer.DataAsNumpy().view(dtype)
            numbers[:] = neighbours(numbers, generator)
    return bytes(moved)


def _choose(signatures: Mapping[str, Any], wanted: str, path: Path) -> str | None:
    """Return the signature to run, None where the file has none. The only one is meant whatever it is called."""
    if not signatures:
        return None
    if wanted in signatures:
        return wanted
    if len(signatures) == 1:
        return next(iter(signatures))
    raise OpenError(f"{path} has no signature {wanted!r}; it has {', '.join(signatures)}")


def _spec(name: str, item: Mapping[str, Any]) -> Spec:
    dtype = np.dtype(item["dtype"])
    shape = item.get("shape_signature", item["shape"])
    dims = tuple(None if size < 0 else int(size) for size in shape)
    # Text is np.bytes_.
    return Spec(name, "str" if dtype.kind in "OSU" else dtype.name, dims)


def _reason(error: Exception | None) -> str:
    """Return the interpreter's message, in plain words for what is known."""
    text = " ".join(str(error).split())
    if "Select TensorFlow op" in text or "Flex" in text:
        return (
            "it needs TensorFlow operators (Flex), which neither LiteRT nor TensorFlow's own interpreter has here; "
            f"TensorFlow 2.19's has them. Or convert it with TFLITE_BUILTINS only ({text[:200]})"
        )
    return text[:400]
