"""A SavedModel read and run by OpenVINO, a runtime that shares no code with TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from translate.errors import OpenError, UsageError
from translate.models.base import Array, Model, check_feeds
from translate.models.device import Placement
from translate.models.via.signature import read_signature

# What OpenVINO's CPU plug-in computes in a narrower type than the graph asks for.
_NARROWED = {"float64": "float32", "int64": "int32", "uint64": "int32", "uint32": "int32"}


class OpenvinoModel(Model):
    """The signature `serving_default` of a SavedModel, the only one that OpenVINO reads."""

    kind = "SavedModel in OpenVINO"

    def __init__(
        self,
        path: Path,
        signature: str = "serving_default",
        placement: Placement | None = None,
        notes: list[str] | None = None,
    ) -> None:
        """Read and compile the model. Raises `OpenError` where OpenVINO cannot, or is not installed."""
        try:
            import openvino
        except ImportError as error:
            raise OpenError("--via openvino needs OpenVINO: pip install openvino") from error
        if signature != "serving_default":
            raise UsageError(f"OpenVINO reads the signature serving_default only, not {signature!r}")
        # Without the hint bfloat16 is used where the processor has it.
        hints: dict[str, str | int] = {"INFERENCE_PRECISION_HINT": "f32"}
        if placement is not None:
            placement.require_cpu("OpenVINO")
            if placement.threads is not None:
                hints["INFERENCE_NUM_THREADS"] = placement.threads
        found = read_signature(path, signature)
        self.path = path
        self.inputs, self.outputs = found.inputs, found.outputs
        try:
            compiled = openvino.Core().compile_model(str(path), "CPU", hints)
        except RuntimeError as error:
            raise OpenError(f"OpenVINO {openvino.__version__} cannot load {path}: {_reason(str(error))}") from error
        self._feeds = {spec.name: _place(spec.name, compiled.inputs, path) for spec in self.inputs}
        self._fetches = {spec.name: _place(spec.name, compiled.outputs, path) for spec in self.outputs}
        self._request = compiled.create_infer_request()
        self._settings = {"framework": f"openvino {openvino.__version__}", "device": "cpu", **hints}
        dtypes = {spec.dtype for spec in (*self.inputs, *self.outputs)}
        for wide in sorted(dtypes & _NARROWED.keys()):
            if notes is not None:
                notes.append(f"OpenVINO's CPU plug-in may compute {wide} as {_NARROWED[wide]}")

    def settings(self) -> Mapping[str, str | int | bool]:
        """What OpenVINO was asked for."""
        return self._settings

    def upload(self, feeds: Mapping[str, Array]) -> dict[int, Array]:
        """OpenVINO takes arrays as they are, by the position of the input."""
        check_feeds(self.inputs, feeds)
        return {self._feeds[name]: np.ascontiguousarray(array) for name, array in feeds.items()}

    def call(self, values: dict[int, Array]) -> Any:
        """Run the graph."""
        return self._request.infer(values)

    def download(self, results: Any) -> dict[str, Array]:
        """Copy the results, which the next call would overwrite."""
        return {name: np.array(results[position]) for name, position in self._fetches.items()}


def _place(name: str, ports: Any, path: Path) -> int:
    """Return the position of the input or output called `name`; one that is both, or two outputs, has all the names."""
    for position, port in enumerate(ports):
        if name in port.get_names():
            return position
    raise OpenError(f"OpenVINO's reading of {path} has lost {name!r}; it has {[sorted(p.get_names()) for p in ports]}")


def _reason(message: str) -> str:
    """Return what OpenVINO's long message says about the model: from its summary on, or its last line."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    about = [line.removeprefix("-- ") for line in lines if line.startswith("--")]
    return "; ".join(about) or (lines[-1] if lines else "it gives no reason")
