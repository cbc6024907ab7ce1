"""TFLite files, run by the LiteRT interpreter or TensorFlow's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from translate.errors import OpenError, UsageError
from translate.models.base import Array, Model, Spec, check_feeds
from translate.models.device import Placement
from translate.models.distributions import Range
from translate.models.grids import Grid
from translate.models.inputs import merge_specs, open_dims
from translate.models.perturb import neighbouring_feeds, neighbours
from translate.models.tflite_file import constant, interface, operator_name, pack, schema, unpack
from translate.models.tflite_reals import beside_integers, in_real_numbers, is_quantized, scale_of


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
        content: bytes | None = None,
    ) -> None:
        """Load the file, or `content` in its place; `inputs` name or fix its open dimensions.

        Raises `OpenError` when it is damaged, needs operators that the interpreter lacks, or has no such signature,
        `UsageError` for a `placement` on a GPU.
        """
        self.path = path
        threads = None
        if placement is not None:
            placement.require_cpu("TFLite")
            threads = placement.threads
        self._threads, self._placement, self._content = threads, placement, content
        self._interpreter = _interpreter(path, threads, content)
        signatures = self._interpreter.get_signature_list()
        self.signature = _choose(signatures, signature, path)
        self._runner: Any = None
        if self.signature is None:
            ins = {item["name"]: item for item in self._interpreter.get_input_details()}
            outs = {item["name"]: item for item in self._interpreter.get_output_details()}
        else:
            self._runner = self._interpreter.get_signature_runner(self.signature)
            ins, outs = self._runner.get_input_details(), self._runner.get_output_details()
        self._ins, self._outs = ins, outs
        self.inputs = merge_specs(inputs, open_dims([_spec(name, item) for name, item in ins.items()]))
        self.outputs = tuple(_spec(name, item) for name, item in outs.items())
        # The integers of a quantised input stand for real numbers: each of them may be meant.
        self.distributions = {
            name: Range(float(np.iinfo(item["dtype"]).min), float(np.iinfo(item["dtype"]).max))
            for name, item in ins.items()
            if item["quantization_parameters"]["scales"].size and np.issubdtype(item["dtype"], np.integer)
        }
        if not self.outputs:
            raise OpenError(f"{path} is truncated or damaged: it has no outputs")
        self._settings = {
            "framework": type(self._interpreter).__module__,
            "device": "cpu",
            "threads": threads or "default",
        }

    def call(self, values: dict[str, Array]) -> dict[str, Array]:
        """Resize the inputs where their sizes changed, set them, run, and return copies of the outputs.

        What the graph keeps from one run to the next, as the state of an LSTM, is zero at the start of each.
        Raises `UsageError` where the graph does not work at these sizes.
        """
        try:
            self._interpreter.reset_all_variables()
            if self.signature is not None:
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

    def in_real_numbers(self) -> TFLiteModel | None:
        """Return the model computed in float32 on the grid of its integers, see `tflite_reals`.

        None where no operator computes with integers that stand for real numbers: it does so already.
        """
        model = unpack(self.content())
        if not in_real_numbers(model):
            return None
        return TFLiteModel(self.path, self.signature or "", self.inputs, self._placement, pack(model))

    def grids(self) -> dict[str, Grid]:
        """Return, by name, the grids of those outputs that are quantised, or were until the last operator."""
        model = unpack(self.content())
        graph, _, outputs = interface(model, self.signature)
        tensors = model.subgraphs[graph].tensors
        found: dict[str, Grid] = {}
        for name, index in outputs.items():
            makers = [one for one in model.subgraphs[graph].operators if index in one.outputs]
            before = [int(one.inputs[0]) for one in makers if operator_name(model, one) == "DEQUANTIZE"]
            for place in (index, *before):
                if is_quantized(tensors[place]) and len(tensors[place].quantization.scale) == 1:
                    scale, zero = scale_of(tensors[place])
                    found[name] = Grid(float(scale[0]), int(zero[0]), integers=place == index)
        return found

    def operator_distances(self, feeds: Mapping[str, Array]) -> dict[str, int]:
        """Return how far the integers of each kind of operator are from the same computed in real numbers.

        Each operator is given the same integers for both, and what it computes in real numbers is rounded to its
        result's grid: the distance, the largest over all elements, is a number of steps of that grid.
        """
        model = unpack(self.content())
        graph, inputs, _ = interface(model, self.signature)
        # Only the first graph can be run without its signature.
        twins = beside_integers(model, graph) if graph == 0 else []
        if not twins:
            return {}
        interpreter = _interpreter(self.path, self._threads, pack(model))
        given = {inputs[name]: array for name, array in feeds.items()}
        _set_inputs(interpreter, given)
        interpreter.invoke()
        found: dict[str, int] = {}
        for twin in twins:
            ours, theirs = (interpreter.get_tensor(i).astype(np.int64) for i in (twin.integers, twin.reals))
            found[twin.operator] = max(found.get(twin.operator, 0), int(np.max(np.abs(ours - theirs), initial=0)))
        return found

    @cached_property
    def _in_float32(self) -> bytes:
        """The file with its constants of float16 in float32, in which they are computed with; the same function."""
        model = unpack(self.content())
        return self.content() if in_real_numbers(model) else pack(model)

    def content(self) -> bytes:
        """Return the bytes of the file."""
        return self.path.read_bytes() if self._content is None else self._content

    def count_weights(self) -> int:
        """Return how many values the constants of floating-point numbers have, and of integers that stand for such."""
        model = unpack(self.content())
        kinds = schema().TensorType
        # Tensors may share a buffer.
        sizes = {
            tensor.buffer: int(np.prod(tensor.shape, dtype=np.int64))
            for graph in model.subgraphs
            for tensor in graph.tensors
            if constant(model, tensor) is not None
            and (tensor.type in (kinds.FLOAT32, kinds.FLOAT16) or is_quantized(tensor))
        }
        return sum(sizes.values())

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run with the weights that are floating-point numbers, and inputs, moved by `neighbours`."""
        unmoved = self._interpreter, self._runner
        self._interpreter = _interpreter(self.path, self._threads, _perturbed(self._in_float32, seed))
        if self.signature is not None:
            self._runner = self._interpreter.get_signature_runner(self.signature)
        try:
            return self.run(neighbouring_feeds(feeds, seed))
        finally:
            self._interpreter, self._runner = unmoved

    def _invoke(self, values: Mapping[str, Array]) -> dict[str, Array]:
        _set_inputs(self._interpreter, {self._ins[name]["index"]: array for name, array in values.items()})
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


def _set_inputs(interpreter: Any, values: Mapping[int, Array]) -> None:
    """Give an interpreter its inputs, by the number of their tensor, and memory for their sizes where these changed."""
    resized = False
    for item in interpreter.get_input_details():
        shape = values[item["index"]].shape
        if tuple(item["shape"]) != shape:
            interpreter.resize_tensor_input(item["index"], shape)
            resized = True
    if resized:
        interpreter.allocate_tensors()
    for index, array in values.items():
        interpreter.set_tensor(index, array)


def _litert() -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter


def _tensorflow_lite() -> Any:
    import tensorflow as tf

    return tf.lite.Interpreter


def _perturbed(content: bytes, seed: int) -> bytes:
    """Return a TFLite file whose constants of type float32 are moved by `neighbours`."""
    made = schema()
    moved = bytearray(content)
    model = made.Model.GetRootAs(moved, 0)
    graphs = [model.Subgraphs(index) for index in range(model.SubgraphsLength())]
    tensors = [graph.Tensors(index) for graph in graphs for index in range(graph.TensorsLength())]
    # Tensors may share a buffer.
    buffers = dict.fromkeys(tensor.Buffer() for tensor in tensors if tensor.Type() == made.TensorType.FLOAT32)
    generator = np.random.default_rng(seed)
    for index in buffers:
        buffer = model.Buffers(index)
        if buffer.DataLength():
            # A view of `moved`.
            numbers = buffer.DataAsNumpy().view(np.float32)
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
