"""How the worker process and its parent talk: a JSON header, then the bytes of each tensor."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Tensor:
    """A tensor in transit: numpy's name of its dtype, its shape, and its elements.

    `data` are the elements in C order and the machine's own byte order; of dtype "str" one `bytes` for each.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | list[bytes]


def write(stream: IO[bytes], message: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
    """Send a message, a JSON object, and tensors by name."""
    entries: list[dict[str, Any]] = []
    blocks: list[bytes] = []
    for name, tensor in (tensors or {}).items():
        entry: dict[str, Any] = {"name": name, "dtype": tensor.dtype, "shape": tensor.shape}
        if isinstance(tensor.data, bytes):
            entry["size"] = len(tensor.data)
            blocks.append(tensor.data)
        else:
            entry["texts"] = [base64.b64encode(text).decode("ascii") for text in tensor.data]
        entries.append(entry)
    header = json.dumps({"message": message, "tensors": entries}).encode("utf-8")
    stream.write(_LENGTH.pack(len(header)) + header)
    for block in blocks:
        stream.write(block)
    stream.flush()


def read(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Receive a message and its tensors. Raises `EOFError` when the other side has gone."""
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    header = json.loads(_exactly(stream, length))
    tensors: dict[str, Tensor] = {}
    for entry in header["tensors"]:
        data: bytes | list[bytes]
        data = [base64.b64decode(text) for text in entry["texts"]] if "texts" in entry else b""
        if "size" in entry:
            data = _exactly(stream, entry["size"])
        tensors[entry["name"]] = Tensor(entry["dtype"], tuple(entry["shape"]), data)
    return header["message"], tensors


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError("the other process has gone")
    return data
