"""ONNX's standard backend interface on PyTorch: `prepare(model).run(inputs)`.

It has the calls of `onnx.backend.base.Backend`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from onnx.backend.base import BackendRep, Device, DeviceType, namedtupledict
from torch import fx

from translate.backend.nodes import NodeBackend
from translate.converters.lowering.bind import Form
from translate.converters.onnx_to_torch.dtypes import to_numpy, to_torch, torch_dtype
from translate.converters.onnx_to_torch.export import Program
from translate.converters.passes import prepare_for_torch
from translate.errors import CannotTranslateError

# What `Program.build` takes for an optional that is empty.
_EMPTY = -1


class TorchRep(BackendRep):
    """A model that is ready to run in PyTorch.

    A module is built for each combination of lengths of sequences, of the number of axes of their tensors, and of
    values of what must be known when a model is translated (axes, and sizes where they decide how many outputs there
    are).
    """

    def __init__(self, model: ir.Model, device: str) -> None:
        self._program = Program(model)
        self.inputs, self.outputs = self._program.inputs, [str(value.name) for value in model.graph.outputs]
        self.device = device
        self._known = self._program.inputs_to_know(Form.HOST)
        self._modules: dict[Any, fx.GraphModule] = {}

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run on `inputs`, a sequence in the model's order or a dict by name, and return the outputs in order."""
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        given = inputs if isinstance(inputs, dict) else dict(zip(self.inputs, inputs, strict=True))
        try:
            module = self._module(given)
        except CannotTranslateError:
            wider = self._program.inputs_to_know(Form.HOST, Form.EITHER)
            if wider == self._known:
                raise
            self._known = wider
            module = self._module(given)
        items = [item for name in self.inputs if name not in self._known for item in _items(given[name])]
        with torch.no_grad():
            results = module(*(to_torch(np.asarray(item)).to(self.device) for item in items))
        return namedtupledict("Outputs", self.outputs)(*(_numpy(result) for result in results))

    def _module(self, given: Mapping[str, Any]) -> fx.GraphModule:
        lengths = tuple(_length(given[name]) for name in self.inputs)
        known = {
            name: np.asarray(given[name]) for name in self._known if isinstance(given[name], np.ndarray | np.generic)
        }
        ranks = {
            name: tuple(np.ndim(item) for item in items) for name, items in given.items() if isinstance(items, list)
        }
        key = (
            lengths,
            tuple(ranks.items()),
            *((array.dtype.str, array.shape, array.tobytes()) for array in known.values()),
        )
        if key not in self._modules:
            self._modules[key] = self._program.build(lengths, flat=True, known=known, ranks=ranks).to(self.device)
        return self._modules[key]


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _length(value: Any) -> int | None:
    return _EMPTY if value is None else len(value) if isinstance(value, list | tuple) else None


def _numpy(value: Any) -> Any:
    if value is None:
        return None
    return [_numpy(item) for item in value] if isinstance(value, list | tuple) else to_numpy(value)


class TorchBackend(NodeBackend):
    """Runs ONNX models in PyTorch."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> TorchRep:
        """Translate `model`; raises `UnsupportedError` for inputs whose dtype PyTorch does not have."""
        translated = ir.from_proto(model)
        prepare_for_torch(translated)
        for value in translated.graph.inputs:
            if value.dtype is not None:
                torch_dtype(value.dtype)
        return TorchRep(translated, torch_device(device))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Say whether PyTorch has `device` ("CPU", "CUDA", "CUDA:1") on this machine."""
        parsed = Device(device)
        count = torch.cuda.device_count() if parsed.type == DeviceType.CUDA else 1
        return bool(parsed.device_id < count)


def torch_device(device: str) -> str:
    """Return PyTorch's name of an ONNX device: "CUDA:1" is "cuda:1"."""
    parsed = Device(device)
    return f"cuda:{parsed.device_id}" if parsed.type == DeviceType.CUDA else "cpu"


prepare = TorchBackend.prepare
run_model = TorchBackend.run_model
run_node = TorchBackend.run_node
supports_device = TorchBackend.supports_device
