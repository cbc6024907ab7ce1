"""ONNX models, run by onnxruntime, or by onnx's own slow reference where that is not installed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx_ir as ir

from translate.errors import OpenError, UsageError
from translate.models.base import Array, Dim, Model, Spec, check_feeds
from translate.models.inputs import merge_specs, symbols

# A protobuf message cannot be longer than 2 GiB; the graph itself needs some of it.
_MAX_PROTO_BYTES = 1_900_000_000
# Every onnxruntime since 1.19 reads this version of the file format.
_OLD_IR_VERSION = 10


class OnnxModel(Model):
    """An ONNX graph: `model` is its onnx_ir form, `path` the file that it came from, if any."""

    kind = "ONNX"

    def __init__(self, model: ir.Model, path: Path | None = None, notes: list[str] | None = None) -> None:
        self.model = model
        self.path = path
        self._notes = notes if notes is not None else []
        initializers = model.graph.initializers
        # Before IR version 4 every initializer was listed as an input too.
        self.inputs = tuple(_spec(value) for value in model.graph.inputs if value.name not in initializers)
        self.outputs = _outputs(model, self.inputs)

    def declare(self, inputs: Sequence[Spec]) -> None:
        """Give open dimensions of the inputs the sizes or names in `inputs`, as `--input` asks for.

        Raises `UsageError` where they do not fit the graph.
        """
        specs = merge_specs(inputs, self.inputs)
        values = [value for value in self.model.graph.inputs if value.name not in self.model.graph.initializers]
        for value, known, spec in zip(values, self.inputs, specs, strict=True):
            for old, new in zip(known.shape or (), spec.shape or (), strict=False):
                if isinstance(old, int) and new != old:
                    raise UsageError(f"--input {spec}: the model expects {known}")
            if spec.shape is not None:
                value.shape = ir.Shape(spec.shape)
        if specs != self.inputs:
            # The file still has the dimensions that it came with.
            self.path = None
        self.inputs = specs
        self.outputs = _outputs(self.model, specs)

    def upload(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """The runtime takes arrays as they are."""
        check_feeds(self.inputs, feeds)
        return dict(feeds)

    def call(self, values: dict[str, Array]) -> list[Array]:
        """Run the graph."""
        return self._runner(values)

    def download(self, results: list[Array]) -> dict[str, Array]:
        """Name the results."""
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}

    @cached_property
    def _runner(self) -> Callable[[dict[str, Array]], list[Array]]:
        try:
            import onnxruntime
        except ImportError:
            return self._reference("onnxruntime is not installed")
        options = onnxruntime.SessionOptions()
        # Errors are raised anyway; they need not be logged too.
        options.log_severity_level = 4
        try:
            session = self._session(onnxruntime, options)
        except Exception as error:
            # onnxruntime's exceptions have no common class. It may be older than the model's opset or operators.
            return self._reference(f"onnxruntime {onnxruntime.__version__} cannot load it: {str(error)[:200]}")
        return lambda feeds: list(session.run(None, feeds))

    def _reference(self, reason: str) -> Callable[[dict[str, Array]], list[Array]]:
        from onnx.reference import ReferenceEvaluator

        self._notes.append(f"the ONNX model is run by onnx.reference, which is slow, because {reason}")
        reference = ReferenceEvaluator(ir.serde.serialize_model(self.model))
        return lambda feeds: list(reference.run(None, feeds))

    def _session(self, onnxruntime: Any, options: Any) -> Any:
        providers = ["CPUExecutionProvider"]
        if self.path is not None and self.model.ir_version <= _OLD_IR_VERSION:
            return onnxruntime.InferenceSession(str(self.path), options, providers=providers)
        # onnxruntime refuses a newer file format than it was built with, though what came after is only metadata.
        self.model.ir_version = min(self.model.ir_version, _OLD_IR_VERSION)
        weights = sum(v.const_value.nbytes for v in self.model.graph.initializers.values() if v.const_value is not None)
        if weights < _MAX_PROTO_BYTES:
            proto = ir.serde.serialize_model(self.model).SerializeToString()
            return onnxruntime.InferenceSession(proto, options, providers=providers)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.onnx")
            ir.save(self.model, path, external_data="model.onnx.data")
            return onnxruntime.InferenceSession(str(path), options, providers=providers)


def open_onnx(path: Path, notes: list[str] | None = None) -> OnnxModel:
    """Open an ONNX file and its external data. Raises `OpenError`."""
    try:
        model = ir.load(path)
        for value in model.graph.initializers.values():
            # External data is read lazily; a missing file should be said now.
            if isinstance(value.const_value, ir.ExternalTensor) and not Path(value.const_value.path).is_file():
                raise OpenError(f"{path} keeps its weights in {value.const_value.path}, which is missing")
    except OpenError:
        raise
    except Exception as error:
        # Protobuf's DecodeError has no stable place to be imported from.
        raise OpenError(f"{path} is no readable ONNX file: {error}") from error
    if not model.graph.outputs:
        raise OpenError(f"{path} is no ONNX model: it has no outputs")
    return OnnxModel(model, path, notes)


def _spec(value: ir.Value) -> Spec:
    dtype = "float32" if value.dtype is None else _dtype_name(value.dtype)
    shape = None if value.shape is None else tuple(_dim(dim) for dim in value.shape)
    # torch_to_onnx keeps an output's own name here when an input has the same.
    return Spec(value.metadata_props.get("translate.name", value.name) or "", dtype, shape)


def _outputs(model: ir.Model, inputs: Sequence[Spec]) -> tuple[Spec, ...]:
    known = symbols(inputs)
    return tuple(_open_spec(_spec(value), known) for value in model.graph.outputs)


def _open_spec(spec: Spec, known: Sequence[str]) -> Spec:
    """Leave open the dimensions that no input has: exporters make up names for sizes that they do not know."""
    if spec.shape is None:
        return spec
    made_up = [isinstance(dim, str) and not set(symbols([Spec("", "", (dim,))])) <= set(known) for dim in spec.shape]
    return replace(spec, shape=tuple(None if new else dim for new, dim in zip(made_up, spec.shape, strict=True)))


def _dtype_name(dtype: ir.DataType) -> str:
    return "str" if dtype == ir.DataType.STRING else dtype.numpy().name


def _dim(dim: int | ir.SymbolicDim) -> Dim:
    return dim if isinstance(dim, int) else (dim.value or None)
