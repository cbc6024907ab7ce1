"""A SavedModel run through TensorFlow's C API, as servers in C++, Go, Java and Rust run it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from translate.errors import OpenError, TranslateError
from translate.models.base import Array, Model, check_feeds
from translate.models.device import TENSORFLOW_VARIABLES, Placement
from translate.models.inputs import numpy_dtype
from translate.models.via import wire
from translate.models.via.signature import read_signature

_LIBRARY = "libtensorflow_cc.so.2"
_SHOWN = 1500


class CApiModel(Model):
    """One signature of a SavedModel, loaded by `TF_LoadSessionFromSavedModel` in a process of its own.

    That process never imports Python's TensorFlow; it takes the library from the installed wheel.
    """

    kind = "SavedModel in TensorFlow's C API"

    def __init__(self, path: Path, signature: str = "serving_default", placement: Placement | None = None) -> None:
        """Start the process and load the model. Raises `OpenError`."""
        library = find_library()
        found = read_signature(path, signature)
        self.path = path
        self.inputs, self.outputs = found.inputs, found.outputs
        self._worker = _Worker(placement)
        load = {"library": str(library), "path": str(path), "inputs": found.tensors, "outputs": found.results}
        try:
            self._worker.ask({"do": "load", **load})
        except TranslateError as error:
            raise OpenError(f"TensorFlow's C API cannot load {path}: {error}") from error
        self._settings = {"framework": "TensorFlow's C API", "library": str(library), **_environment(placement)}
        # What the worker holds: the upload and the call that it has done last.
        self._uploaded: object = None
        self._called: object = None

    def settings(self) -> Mapping[str, str | int | bool]:
        """What the process was started with."""
        return self._settings

    def upload(self, feeds: Mapping[str, Array]) -> dict[str, wire.Tensor]:
        """Copy the arrays into tensors of the other process."""
        check_feeds(self.inputs, feeds)
        tensors = {spec.name: _tensor(feeds[spec.name], spec.dtype) for spec in self.inputs}
        self._upload(tensors)
        return tensors

    def call(self, values: dict[str, wire.Tensor]) -> object:
        """Run the signature in the other process, where the results stay."""
        if values is not self._uploaded:
            self._upload(values)
        self._worker.ask({"do": "call"})
        self._called = object()
        return self._called

    def download(self, results: object) -> dict[str, Array]:
        """Copy the results of the last call out of the other process. Raises `ValueError` for those of another."""
        if results is not self._called:
            raise ValueError("the results of an earlier call are gone")
        return {name: _array(tensor) for name, tensor in self._worker.ask({"do": "download"}).items()}

    def _upload(self, tensors: dict[str, wire.Tensor]) -> None:
        self._worker.ask({"do": "upload"}, tensors)
        self._uploaded = tensors


def find_library() -> Path:
    """Find TensorFlow's C library in the installed wheel, without importing it. Raises `OpenError`."""
    # tensorflow-cpu and others are installed under the same name.
    spec = importlib.util.find_spec("tensorflow")
    for place in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (library := Path(place, _LIBRARY)).is_file():
            return library
    raise OpenError(f"--via c-api needs {_LIBRARY}, which TensorFlow's wheels for Linux bring: pip install tensorflow")


class _Worker:
    """The process that runs the model; it ends with this object."""

    def __init__(self, placement: Placement | None) -> None:
        # Closed by the finaliser below, not here: it has to outlive this function.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        # This package must be found wherever it is imported from; nothing else of this process is handed down.
        root = str(Path(__file__).parents[3])
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            # -P: what lies in the working directory is not imported.
            [sys.executable, "-P", "-m", "translate.models.via.c_api_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ, "PYTHONPATH": path, **_environment(placement)},
        )
        weakref.finalize(self, _stop, self._process, self._errors)

    def ask(
        self, message: Mapping[str, Any], tensors: Mapping[str, wire.Tensor] | None = None
    ) -> dict[str, wire.Tensor]:
        """Send a request and return the tensors of the answer. Raises `TranslateError`, also when the process dies."""
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            wire.write(self._process.stdin, message, tensors)
            answer, results = wire.read(self._process.stdout)
        except (OSError, EOFError) as error:
            raise TranslateError(self._obituary()) from error
        if answer["error"]:
            raise TranslateError(answer["error"])
        return results

    def _obituary(self) -> str:
        """Say how the process ended and what it wrote to standard error at last."""
        code = self._process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        return f"the process that runs TensorFlow's C API {how}" + (f":\n{said[-_SHOWN:]}" if said else "")


def _environment(placement: Placement | None) -> dict[str, str]:
    """Return what TensorFlow reads from the environment about where and how to run."""
    if placement is None:
        return {}
    found = {"CUDA_VISIBLE_DEVICES": "-1" if placement.gpu is None else str(placement.gpu)}
    if placement.threads is not None:
        found.update(dict.fromkeys(TENSORFLOW_VARIABLES, str(placement.threads)))
    if not placement.tf32:
        found["NVIDIA_TF32_OVERRIDE"] = "0"
    return found


def _stop(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        if stream is not None:
            # What is left in a buffer for a process that has gone cannot be flushed.
            try:
                stream.close()
            except BrokenPipeError:
                continue


def _tensor(array: Array, dtype: str) -> wire.Tensor:
    name = "str" if array.dtype.kind in "OSU" else array.dtype.name
    if name != dtype:
        raise TranslateError(f"an input is {name}, the signature expects {dtype}")
    if dtype != "str":
        return wire.Tensor(dtype, array.shape, array.tobytes())
    texts = [text if isinstance(text, bytes) else str(text).encode("utf-8") for text in array.ravel().tolist()]
    return wire.Tensor(dtype, array.shape, texts)


def _array(tensor: wire.Tensor) -> Array:
    if isinstance(tensor.data, bytes):
        return np.frombuffer(tensor.data, numpy_dtype(tensor.dtype)).reshape(tensor.shape).copy()
    # As TensorFlow's own numpy() has it.
    array = np.empty(len(tensor.data), object)
    array[:] = tensor.data
    return array.reshape(tensor.shape)
