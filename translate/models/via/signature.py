"""A SavedModel's signature in TF Serving's JSON form, read from the file without loading the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate.errors import OpenError
from translate.models.base import Dim, Spec

# Names of tensorflow/core/framework/types.proto, and ours.
DTYPES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_HALF": "float16",
    "DT_BFLOAT16": "bfloat16",
    "DT_INT8": "int8",
    "DT_INT16": "int16",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_UINT8": "uint8",
    "DT_UINT16": "uint16",
    "DT_UINT32": "uint32",
    "DT_UINT64": "uint64",
    "DT_BOOL": "bool",
    "DT_STRING": "str",
    "DT_COMPLEX64": "complex64",
    "DT_COMPLEX128": "complex128",
}


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of one signature, by name, and the tensor of the graph that each is (`x:0`)."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    tensors: Mapping[str, str]
    results: Mapping[str, str]


def read_signature(folder: Path, name: str) -> Signature:
    """Read the signature called `name` from `saved_model.pb`. Raises `OpenError`."""
    # The classes of TensorFlow's messages cannot be had without it; the process that runs the model does without.
    from google.protobuf import json_format
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    path = folder / "saved_model.pb"
    try:
        content = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (DecodeError, OSError) as error:
        raise OpenError(f"{path} is no readable SavedModel: {error}") from error
    graphs = [graph for graph in content.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        raise OpenError(f"{path} has no graph with the tag 'serve', which is the one that production loads")
    signatures = {
        key: json_format.MessageToDict(value, preserving_proto_field_name=True)
        for key, value in graphs[0].signature_def.items()
    }
    return parse_signature(signatures, name, str(folder))


def parse_signature(signatures: Mapping[str, Any], name: str, where: str) -> Signature:
    """Read the signature called `name` from {name: SignatureDef as JSON}. Raises `OpenError`."""
    if name not in signatures:
        # __saved_model_init_op is how a SavedModel marks its initialiser.
        known = ", ".join(sorted(key for key in signatures if not key.startswith("__"))) or "none at all"
        raise OpenError(f"{where} has no signature {name!r}; it has {known}")
    inputs = signatures[name].get("inputs", {})
    outputs = signatures[name].get("outputs", {})
    return Signature(
        inputs=tuple(_spec(key, inputs[key], where) for key in sorted(inputs)),
        outputs=tuple(_spec(key, outputs[key], where) for key in sorted(outputs)),
        tensors={key: info.get("name", "") for key, info in inputs.items()},
        results={key: info.get("name", "") for key, info in outputs.items()},
    )


def _spec(name: str, info: Mapping[str, Any], where: str) -> Spec:
    dtype = info.get("dtype", "DT_INVALID")
    if dtype not in DTYPES:
        raise OpenError(f"{where}: {name} is of TensorFlow's type {dtype}, which has no arrays")
    shape = info.get("tensor_shape", {})
    if shape.get("unknown_rank"):
        return Spec(name, DTYPES[dtype], None)
    # 64-bit integers are text in protobuf's JSON; a size of -1 is open.
    sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", [])]
    dims: list[Dim] = [None if size < 0 else size for size in sizes]
    return Spec(name, DTYPES[dtype], tuple(dims))
