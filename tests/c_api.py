"""Run a SavedModel with TensorFlow's C API, in a process that never imports TensorFlow.

`python c_api.py LIBRARY SAVED_MODEL FEED FETCH` reads images.npy from the working directory and writes logits.npy.
"""

from __future__ import annotations

import ctypes
import sys

import numpy as np


class Output(ctypes.Structure):
    """TF_Output of tensorflow/c/c_api.h: one output of one operation."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


def run_in_c(library, saved_model, feed, fetch, array):
    """Run float32 `array` through a SavedModel with TensorFlow's C API; return its float32 output.

    `feed` and `fetch` are tensor names such as `StatefulPartitionedCall:0`. Python's TensorFlow takes no part.
    """
    c = ctypes.CDLL(library)
    for name in ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel", "GraphOperationByName"):
        getattr(c, f"TF_{name}").restype = ctypes.c_void_p
    c.TF_AllocateTensor.restype = c.TF_TensorData.restype = ctypes.c_void_p
    c.TF_Message.restype, c.TF_Dim.restype = ctypes.c_char_p, ctypes.c_int64
    status = ctypes.c_void_p(c.TF_NewStatus())

    def check():
        assert c.TF_GetCode(status) == 0, c.TF_Message(status).decode()

    graph, options = ctypes.c_void_p(c.TF_NewGraph()), ctypes.c_void_p(c.TF_NewSessionOptions())
    tags = (ctypes.c_char_p * 1)(b"serve")
    session = c.TF_LoadSessionFromSavedModel(options, None, saved_model.encode(), tags, 1, graph, None, status)
    check()

    def place(tensor_name):
        name, index = tensor_name.split(":")
        operation = c.TF_GraphOperationByName(graph, name.encode())
        assert operation, f"no operation called {name}"
        return (Output * 1)(Output(operation, int(index)))

    dims = (ctypes.c_int64 * array.ndim)(*array.shape)
    tensor = c.TF_AllocateTensor(1, dims, array.ndim, ctypes.c_size_t(array.nbytes))  # 1 is TF_FLOAT
    ctypes.memmove(c.TF_TensorData(ctypes.c_void_p(tensor)), array.ctypes.data, array.nbytes)
    values, results = (ctypes.c_void_p * 1)(tensor), (ctypes.c_void_p * 1)()
    c.TF_SessionRun(
        *(ctypes.c_void_p(session), None),
        *(place(feed), values, 1),
        *(place(fetch), results, 1),
        *(None, 0, None, status),
    )
    check()
    result = ctypes.c_void_p(results[0])
    shape = tuple(c.TF_Dim(result, axis) for axis in range(c.TF_NumDims(result)))
    numbers = ctypes.cast(c.TF_TensorData(result), ctypes.POINTER(ctypes.c_float))
    return np.ctypeslib.as_array(numbers, shape).copy()


if __name__ == "__main__":
    np.save("logits.npy", run_in_c(*sys.argv[1:], np.load("images.npy")))
    assert "tensorflow" not in sys.modules
