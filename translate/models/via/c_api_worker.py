"""Run a SavedModel with TensorFlow's C API, in a process that never imports Python's TensorFlow.

`python -m translate.models.via.c_api_worker` takes messages (see `wire`) on standard input and answers each on standard
output: `load`, `upload` (tensors by input name), `call`, `download`. What TensorFlow logs goes to standard error.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

from translate.models.via import wire

# TF_DataType of tensorflow/c/tf_datatype.h.
_CODES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "str": 7,
    "complex64": 8,
    "int64": 9,
    "bool": 10,
    "bfloat16": 14,
    "uint16": 17,
    "complex128": 18,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}
# TF_TString of tensorflow/c/tf_tstring.h is 24 bytes long.
_STRING_SIZE = 24


class _Output(ctypes.Structure):
    """TF_Output of tensorflow/c/c_api.h: one output of one operation."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


# What the functions take and return; TF_Status*, TF_Graph* and the like are all void*.
_POINTER, _INT, _INT64, _SIZE, _TEXT = (
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_int64,
    ctypes.c_size_t,
    ctypes.c_char_p,
)
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "TF_NewStatus": (_POINTER, ()),
    "TF_GetCode": (_INT, (_POINTER,)),
    "TF_Message": (_TEXT, (_POINTER,)),
    "TF_NewGraph": (_POINTER, ()),
    "TF_NewSessionOptions": (_POINTER, ()),
    "TF_LoadSessionFromSavedModel": (
        _POINTER,
        (_POINTER, _POINTER, _TEXT, ctypes.POINTER(_TEXT), _INT, _POINTER, _POINTER, _POINTER),
    ),
    "TF_GraphOperationByName": (_POINTER, (_POINTER, _TEXT)),
    "TF_OperationNumOutputs": (_INT, (_POINTER,)),
    "TF_AllocateTensor": (_POINTER, (_INT, ctypes.POINTER(_INT64), _INT, _SIZE)),
    "TF_DeleteTensor": (None, (_POINTER,)),
    "TF_TensorData": (_POINTER, (_POINTER,)),
    "TF_TensorByteSize": (_SIZE, (_POINTER,)),
    "TF_TensorType": (_INT, (_POINTER,)),
    "TF_NumDims": (_INT, (_POINTER,)),
    "TF_Dim": (_INT64, (_POINTER, _INT)),
    "TF_SessionRun": (
        None,
        (
            *(_POINTER, _POINTER),
            *(ctypes.POINTER(_Output), ctypes.POINTER(_POINTER), _INT),
            *(ctypes.POINTER(_Output), ctypes.POINTER(_POINTER), _INT),
            *(_POINTER, _INT, _POINTER, _POINTER),
        ),
    ),
    "TF_StringInit": (None, (_POINTER,)),
    "TF_StringCopy": (None, (_POINTER, _TEXT, _SIZE)),
    "TF_StringGetDataPointer": (_POINTER, (_POINTER,)),
    "TF_StringGetSize": (_SIZE, (_POINTER,)),
}


class _Failure(Exception):
    """What TensorFlow, or this worker, says went wrong."""


class _Session:
    """A loaded SavedModel; the tensors that were uploaded last, and those that the last call returned."""

    def __init__(self, library: str, path: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
        self.c: Any = ctypes.CDLL(library)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self.c, name)
            function.restype, function.argtypes = result, arguments
        self.status = self.c.TF_NewStatus()
        self.graph = self.c.TF_NewGraph()
        self.session = self.c.TF_LoadSessionFromSavedModel(
            *(self.c.TF_NewSessionOptions(), None),
            *(os.fsencode(path), (_TEXT * 1)(b"serve"), 1),
            *(self.graph, None, self.status),
        )
        self._check()
        self.feeds = self._places(inputs)
        self.fetches = self._places(outputs)
        self.input_names, self.output_names = list(inputs), list(outputs)
        self.values: list[int | None] = []
        self.results: list[int | None] = []

    def upload(self, tensors: Mapping[str, wire.Tensor]) -> None:
        """Copy tensors, one for each input name, into TensorFlow's."""
        self._delete(self.values)
        self.values = [self._tensor(tensors[name]) for name in self.input_names]

    def call(self) -> None:
        """Run the signature on what was uploaded."""
        self._delete(self.results)
        self.results = []
        values = (_POINTER * len(self.values))(*self.values)
        results = (_POINTER * len(self.output_names))()
        self.c.TF_SessionRun(
            *(self.session, None),
            *(self.feeds, values, len(self.values)),
            *(self.fetches, results, len(results)),
            *(None, 0, None, self.status),
        )
        self._check()
        self.results = list(results)

    def download(self) -> dict[str, wire.Tensor]:
        """Copy what the last call returned, by output name."""
        return {name: self._read(pointer) for name, pointer in zip(self.output_names, self.results, strict=True)}

    def _check(self) -> None:
        if self.c.TF_GetCode(self.status) != 0:
            raise _Failure(self.c.TF_Message(self.status).decode("utf-8", "replace"))

    def _places(self, tensors: Mapping[str, str]) -> Any:
        """Find the tensors of the graph, `operation:index`, that are the inputs or outputs."""
        places = (_Output * len(tensors))()
        for place, (name, tensor) in zip(places, tensors.items(), strict=True):
            operation, _, index = tensor.partition(":")
            pointer = self.c.TF_GraphOperationByName(self.graph, operation.encode("utf-8"))
            if not pointer or int(index or 0) >= self.c.TF_OperationNumOutputs(pointer):
                raise _Failure(f"the signature's {name} is {tensor!r}, which the graph does not have")
            place.operation, place.index = pointer, int(index or 0)
        return places

    def _tensor(self, tensor: wire.Tensor) -> int:
        texts = tensor.data if isinstance(tensor.data, list) else None
        size = len(tensor.data) * (_STRING_SIZE if texts is not None else 1)
        dims = (_INT64 * len(tensor.shape))(*tensor.shape)
        pointer: int = self.c.TF_AllocateTensor(_CODES[tensor.dtype], dims, len(tensor.shape), size)
        data = self.c.TF_TensorData(pointer)
        if isinstance(tensor.data, bytes):
            ctypes.memmove(data, tensor.data, size)
            return pointer
        for index, text in enumerate(tensor.data):
            place = data + index * _STRING_SIZE
            self.c.TF_StringInit(place)
            self.c.TF_StringCopy(place, text, len(text))
        return pointer

    def _read(self, pointer: int | None) -> wire.Tensor:
        dtype = _DTYPES.get(self.c.TF_TensorType(pointer))
        if dtype is None:
            raise _Failure(f"an output is of TensorFlow's type {self.c.TF_TensorType(pointer)}, which has no arrays")
        shape = tuple(self.c.TF_Dim(pointer, axis) for axis in range(self.c.TF_NumDims(pointer)))
        data, size = self.c.TF_TensorData(pointer), self.c.TF_TensorByteSize(pointer)
        if dtype != "str":
            return wire.Tensor(dtype, shape, ctypes.string_at(data, size) if size else b"")
        places = range(data or 0, (data or 0) + size, _STRING_SIZE)
        texts = [
            ctypes.string_at(self.c.TF_StringGetDataPointer(place), self.c.TF_StringGetSize(place)) for place in places
        ]
        return wire.Tensor(dtype, shape, texts)

    def _delete(self, tensors: list[int | None]) -> None:
        for pointer in tensors:
            self.c.TF_DeleteTensor(pointer)


def main() -> None:
    """Serve one parent until it closes the pipe."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    # Whatever else is written to standard output must not end up between the messages.
    os.dup2(2, 1)
    answer = partial(wire.write, answers)
    session: _Session | None = None
    while True:
        try:
            message, tensors = wire.read(requests)
        except EOFError:
            return
        results: dict[str, wire.Tensor] = {}
        try:
            if message["do"] == "load":
                session = _Session(message["library"], message["path"], message["inputs"], message["outputs"])
            elif session is None:
                raise _Failure("no model is loaded")
            elif message["do"] == "upload":
                session.upload(tensors)
            elif message["do"] == "call":
                session.call()
            else:
                results = session.download()
        except (_Failure, OSError, AttributeError) as error:
            # OSError and AttributeError are ctypes': no such library, no such function in it.
            answer({"error": str(error)})
            continue
        if "tensorflow" in sys.modules:
            raise RuntimeError("this process must not import Python's TensorFlow, and did")
        answer({"error": ""}, results)


if __name__ == "__main__":
    main()
