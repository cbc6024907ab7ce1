"""The content of a TFLite file: TensorFlow's schema of it, and the objects that the schema makes of a file."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np

from translate.errors import OpenError
from translate.models.base import Array

_IDENTIFIER = b"TFL3"


def schema() -> Any:
    """Return the module of classes that flatc made of TensorFlow's schema: LiteRT's or TensorFlow's own."""
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError:
        from tensorflow.lite.python import schema_py_generated
    return schema_py_generated


def unpack(content: bytes) -> Any:
    """Return a file as a `ModelT`, whose fields may be changed. Raises `OpenError` where weights lie outside."""
    made = schema()
    model = made.ModelT.InitFromObj(made.Model.GetRootAs(content, 0))
    if any(buffer.offset > 1 for buffer in model.buffers):
        raise OpenError("the file keeps weights outside of its flatbuffer, which is not covered")
    return model


def pack(model: Any) -> bytes:
    """Return a `ModelT` as a file."""
    import flatbuffers  # type: ignore[import-untyped]

    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def names(enumeration: Any) -> dict[int, str]:
    """Return the names of an enumeration of the schema by number."""
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


def text(value: bytes | str | None) -> str:
    """Return a string of the file."""
    return value.decode() if isinstance(value, bytes) else value or ""


def interface(model: Any, signature: str | None) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return the number of the subgraph that a signature runs, and the tensors of its inputs and outputs by name.

    Without a signature it is the first, and tensors have their own names.
    """
    if signature is None:
        graph = model.subgraphs[0]
        return 0, _by_tensor_name(graph, graph.inputs), _by_tensor_name(graph, graph.outputs)
    chosen = next(one for one in model.signatureDefs if text(one.signatureKey) == signature)
    maps = [{text(one.name): int(one.tensorIndex) for one in side} for side in (chosen.inputs, chosen.outputs)]
    return int(chosen.subgraphIndex), maps[0], maps[1]


def _by_tensor_name(graph: Any, indices: Any) -> dict[str, int]:
    return {text(graph.tensors[index].name): int(index) for index in indices}


def operator_name(model: Any, operator: Any) -> str:
    """Return the name of a built-in operator, `CONV_2D`, and of a custom operator its own after `CUSTOM `."""
    code = model.operatorCodes[operator.opcodeIndex]
    # Files from before there were 128 operators have the older field only.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    name = names(schema().BuiltinOperator)[number]
    return f"CUSTOM {text(code.customCode)}" if name == "CUSTOM" else name


def flex_operators(model: Any) -> list[str]:
    """Return the names of TensorFlow's own operators in a `ModelT`, which run only where TensorFlow's are linked."""
    custom = (text(code.customCode) for code in model.operatorCodes)
    return sorted({name.removeprefix("Flex") for name in custom if name.startswith("Flex")})


def opcode(model: Any, name: str) -> int:
    """Return the index of the built-in operator `name` in the model's list, which gets it where it has it not."""
    made = schema()
    number = getattr(made.BuiltinOperator, name)
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
            return index
    code = made.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def dtype_of(tensor: Any) -> np.dtype[Any] | None:
    """Return the dtype of a tensor; None of resources and variants, which are no tensors."""
    name = names(schema().TensorType)[tensor.type].lower()
    if name == "string":
        return np.dtype(object)
    if name in ("resource", "variant"):
        return None
    return np.dtype(getattr(ml_dtypes, name, name))


def constant(model: Any, tensor: Any) -> Array | None:
    """Return the numbers that a tensor has in the file; None where it is computed."""
    data = model.buffers[tensor.buffer].data
    sizes = [] if tensor.shape is None else [int(size) for size in tensor.shape]
    dtype = dtype_of(tensor)
    if data is None or len(data) == 0 or dtype is None:
        return None
    raw = np.asarray(data, np.uint8)
    if dtype.kind == "O":
        return _texts(raw).reshape(sizes)
    if dtype.name in ("int4", "uint4"):
        # Two numbers in a byte, the first in its lower half.
        halves = np.stack([raw & 15, raw >> 4], -1).reshape(-1)[: int(np.prod(sizes))].astype(np.int8)
        raw = (halves if dtype.name == "uint4" else (halves ^ 8) - 8).astype(dtype)
    numbers: Array = raw.view(dtype).reshape(sizes)
    return numbers


def _texts(raw: Array) -> Array:
    """Return the texts of a buffer: how many, where each begins and the last ends (int32), then their bytes."""
    count = int(raw[:4].view(np.int32)[0])
    bounds = raw[4 : 8 + 4 * count].view(np.int32)
    found = [raw[start:end].tobytes() for start, end in itertools.pairwise(bounds)]
    return np.asarray(found, object)
