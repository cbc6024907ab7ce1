"""ONNX's standard backend interface on TensorFlow: `prepare(model).run(inputs)`.

It has the calls of `onnx.backend.base.Backend`, so that users of onnx-tf switch by changing an import.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import tensorflow as tf
from onnx.backend.base import BackendRep, Device, DeviceType, namedtupledict

from translate.backend.nodes import NodeBackend
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.export import Program
from translate.converters.passes import prepare as run_passes


class TensorFlowRep(BackendRep):
    """A model that is ready to run in TensorFlow; it is traced anew for each combination of input shapes."""

    def __init__(self, model: ir.Model, device: str) -> None:
        self.inputs = [str(value.name) for value in model.graph.inputs]
        self.outputs = [str(value.name) for value in model.graph.outputs]
        self.device = device
        self._run = tf.function(Program(model), autograph=False)

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Run on `inputs`, a sequence in the model's order or a dict by name, and return the outputs in order."""
        if isinstance(inputs, dict):
            inputs = [inputs[name] for name in self.inputs]
        elif isinstance(inputs, np.ndarray):
            inputs = [inputs]
        with tf.device(self.device):
            results = self._run(*(tf.nest.map_structure(_tensor, value) for value in inputs))
        return namedtupledict("Outputs", self.outputs)(*(_numpy(results[name]) for name in self.outputs))


def _tensor(value: Any) -> tf.Tensor | None:
    # None is an optional that is empty.
    return None if value is None else tf.convert_to_tensor(value)


def _numpy(value: Any) -> Any:
    if value is None:
        return None
    return [_numpy(item) for item in value] if isinstance(value, list) else value.numpy()


class TensorFlowBackend(NodeBackend):
    """Runs ONNX models in TensorFlow."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> TensorFlowRep:
        """Translate `model`; raises `UnsupportedError` for inputs whose dtype TensorFlow cannot compute."""
        translated = ir.from_proto(model)
        run_passes(translated)
        for value in translated.graph.inputs:
            if value.dtype is not None:
                tf_dtype(value.dtype)
        return TensorFlowRep(translated, tf_device(device))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Say whether TensorFlow has `device` ("CPU", "CUDA", "CUDA:1") on this machine."""
        kind = "GPU" if Device(device).type == DeviceType.CUDA else "CPU"
        return Device(device).device_id < len(tf.config.list_physical_devices(kind))


def tf_device(device: str) -> str:
    """Return TensorFlow's name of an ONNX device: "CUDA:1" is "/GPU:1"."""
    parsed = Device(device)
    return f"/{'GPU' if parsed.type == DeviceType.CUDA else 'CPU'}:{parsed.device_id}"


prepare = TensorFlowBackend.prepare
run_model = TensorFlowBackend.run_model
run_node = TensorFlowBackend.run_node
supports_device = TensorFlowBackend.supports_device
