"""ONNX models, run by onnxruntime, or by onnx's own slow reference where that is not installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx_ir as ir

from translate.errors import OpenError, UsageError
from translate.models.base import Array, Dim, Model, Spec, check_feeds
from translate.models.device import Placement
from translate.models.inputs import merge_specs, symbols
from translate.models.perturb import neighbouring_feeds, neighbours

# Weights of more bytes are handed over as they are; shape inference wants to see the small ones in the graph.
_SMALL = 1024
_HANDED_OVER = np.typecodes["AllInteger"] + "?efd"
# Every onnxruntime since 1.19 reads this version of the file format.
_OLD_IR_VERSION = 10

# onnxruntime fuses a Pad by zeros into the MaxPool after it, which pads by minus infinity: another result where all
# values are negative. Seen in 1.23.0 and 1.31.1.
_SAFE: Mapping[str, Any] = {"disabled_optimizers": ["Pad_Fusion"]}


class OnnxModel(Model):
    """An ONNX graph: `model` is its onnx_ir form, `path` the file that it came from, if any."""

    kind = "ONNX"

    def __init__(
        self,
        model: ir.Model,
        path: Path | None = None,
        notes: list[str] | None = None,
        placement: Placement | None = None,
    ) -> None:
        self.model = model
        self.path = path
        self.placement = placement
        self._gpu = None if placement is None else placement.gpu
        self._is_reference = False
        self._notes = notes if notes is not None else []
        self._perturbed: dict[int, OnnxModel] = {}
        # Off for a graph that is there to show its every value: the runtime would fuse them away.
        self._optimize = True
        self._weights: Mapping[str, Array] = {}
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

    def upload(self, feeds: Mapping[str, Array]) -> dict[str, Any]:
        """On the CPU the runtime takes arrays as they are."""
        check_feeds(self.inputs, feeds)
        return dict(feeds) if self._gpu is None else self._runtime.upload(feeds, self._gpu)

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run a copy of the graph whose initializers, and inputs, are moved by `neighbours`."""
        return self.perturbed(seed).run(neighbouring_feeds(feeds, seed))

    def perturbed(self, seed: int) -> OnnxModel:
        """Return the graph with its initializers moved at random to neighbouring numbers, see `neighbours`."""
        if seed not in self._perturbed:
            model = self.model.clone()
            generator = np.random.default_rng(seed)
            for value in model.graph.initializers.values():
                if value.const_value is not None and value.const_value.dtype.is_floating_point():
                    moved = neighbours(value.const_value.numpy(), generator)
                    value.const_value = ir.tensor(moved, dtype=value.const_value.dtype, name=value.name)
            self._perturbed[seed] = OnnxModel(model, notes=self._notes, placement=self.placement)
        return self._perturbed[seed]

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Run a copy of the graph, as it is written, that has every value as an output.

        What is inside a loop or a branch, and what is no tensor, is left out.
        """
        known = [name for name in dict.fromkeys(names) if name in self._exposed]
        results = self._revealed._runner(dict(feeds), known) if known else []
        return {name: array for name, array in zip(known, results, strict=True) if isinstance(array, np.ndarray)}

    @cached_property
    def _exposed(self) -> set[str]:
        return {str(value.name) for value in self._revealed.model.graph.outputs}

    @cached_property
    def _revealed(self) -> OnnxModel:
        model = self.model.clone()
        values = [value for node in model.graph for value in node.outputs if value.name and not value.is_graph_output()]
        model.graph.outputs.extend(v for v in values if not isinstance(v.type, ir.SequenceType | ir.OptionalType))
        revealed = OnnxModel(model, notes=self._notes)
        revealed._optimize = False
        return revealed

    def release(self) -> None:
        """Free the copies with other weights and with every value as an output."""
        self._perturbed.clear()
        self.__dict__.pop("_revealed", None)

    def call(self, values: dict[str, Any]) -> list[Any]:
        """Run the graph. Raises `UsageError` when there is no runtime for the device."""
        return self._runner(values, None)

    def download(self, results: list[Any]) -> dict[str, Array]:
        """Name the results."""
        arrays = results if self._gpu is None else self._runtime.download(results)
        return {spec.name: array for spec, array in zip(self.outputs, arrays, strict=True)}

    def settings(self) -> Mapping[str, str | int | bool]:
        """As was asked of ONNX Runtime."""
        if self._is_reference:
            return {"framework": "onnx.reference", "device": "cpu"}
        used: Mapping[str, str | int | bool] = self._runtime.settings(self.placement)
        return used

    @property
    def _runtime(self) -> ModuleType:
        """What knows ONNX Runtime. Raises `UsageError` when that is not installed, or has no such device."""
        try:
            from translate.models import onnx_device
        except ImportError as error:
            raise UsageError(f"running ONNX models needs onnxruntime, which is not installed: {error}") from error
        onnx_device.providers(self.placement)
        return onnx_device

    @cached_property
    def _runner(self) -> Callable[[dict[str, Any], Sequence[str] | None], list[Any]]:
        try:
            from translate.models import onnx_device
        except ImportError:
            return self._reference("onnxruntime is not installed")
        providers = onnx_device.providers(self.placement)
        try:
            session = self._session(onnx_device.options(self.placement, optimize=self._optimize), providers)
        except Exception as error:
            # onnxruntime's exceptions have no common class. It may be older than the model's opset or operators.
            return self._reference(f"onnxruntime {onnx_device.VERSION} cannot load it: {str(error)[:200]}")
        if self._gpu is None:
            return lambda feeds, names: list(session.run(names, feeds))
        gpu = self._gpu
        onnx_device.check_provider(session, self.placement)
        return lambda values, names: onnx_device.run(session, values, names, gpu)

    def _reference(self, reason: str) -> Callable[[dict[str, Array], Sequence[str] | None], list[Array]]:
        if self._gpu is not None:
            raise UsageError(f"--device gpu:{self._gpu}: {reason}")
        from onnx.reference import ReferenceEvaluator

        self._is_reference = True
        self._notes.append(f"the ONNX model is run by onnx.reference, which is slow, because {reason}")
        reference = ReferenceEvaluator(ir.serde.serialize_model(self.model))
        return lambda feeds, names: list(reference.run(names, feeds))

    def _session(self, options: Any, providers: list[Any]) -> Any:
        import onnxruntime

        if self.path is not None and self.model.ir_version <= _OLD_IR_VERSION:
            return onnxruntime.InferenceSession(str(self.path), options, providers=providers, **_SAFE)
        skeleton, weights = _apart(self.model)
        # onnxruntime refuses a newer file format than it was built with, though what came after is only metadata.
        skeleton.ir_version = min(skeleton.ir_version, _OLD_IR_VERSION)
        # The session reads the arrays where they are, and does not keep them alive.
        self._weights = weights
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
        proto = ir.serde.serialize_model(skeleton).SerializeToString()
        return onnxruntime.InferenceSession(proto, options, providers=providers, **_SAFE)


def _apart(model: ir.Model) -> tuple[ir.Model, dict[str, Array]]:
    """Return a copy of `model` without its large weights, and these by name.

    Serializing them takes seconds, and a protobuf message cannot be longer than 2 GiB.
    """
    skeleton = model.clone()
    weights: dict[str, Array] = {}
    for name, value in skeleton.graph.initializers.items():
        tensor = value.const_value
        # Text and the types of ml_dtypes cannot be handed over as arrays.
        if tensor is None or tensor.nbytes <= _SMALL or tensor.dtype.numpy().char not in _HANDED_OVER:
            continue
        array = np.ascontiguousarray(tensor.numpy())
        weights[name] = array
        value.const_value = ir.ExternalTensor(
            "memory", 0, array.nbytes, tensor.dtype, shape=ir.Shape(array.shape), name=name
        )
    return skeleton, weights


def open_onnx(path: Path, notes: list[str] | None = None, placement: Placement | None = None) -> OnnxModel:
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
    return OnnxModel(model, path, notes, placement)


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
