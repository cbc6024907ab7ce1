"""Tell the kind of a file by its content, and what code it would run, without unpickling anything."""

from __future__ import annotations

import io
import json
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from translate.errors import OpenError

# What the pickles of tensors and containers name; anything else is somebody's code.
_HARMLESS_MODULES = ("torch._utils", "torch.storage", "torch._tensor")
_HARMLESS = {
    *("collections OrderedDict", "builtins set", "__builtin__ set", "builtins complex", "torch.nn.parameter Parameter"),
    *("torch device", "torch Size", "torch Tensor", "torch.serialization _get_layout", "_codecs encode"),
}
_HARMLESS_FUNCTIONS = ("_rebuild_", "_load_from_bytes", "TypedStorage", "UntypedStorage")
_ZIP = b"PK\x03\x04"
_HDF5 = b"\x89HDF\r\n\x1a\n"
# Four bytes after the beginning of a flatbuffer.
_TFLITE = b"TFL3"
# saved_model.pb: a schema version of one, then the graphs. An old ONNX file may begin so, too.
_SAVED_MODEL = b"\x08\x01\x12"


def identify(path: Path) -> str:
    """Return "pt2", "torchscript", "pickle", "onnx", "keras", "hdf5", "tflite" or "graph", whatever it is called.

    Raises `OpenError` for empty, text, truncated and unknown files.
    """
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise OpenError(f"{path} is empty")
    if head.startswith(_ZIP):
        return _identify_zip(path)
    if head.startswith(_HDF5):
        return "hdf5"
    if head[4:8] == _TFLITE:
        return "tflite"
    if head.startswith(_SAVED_MODEL) and path.suffix == ".pb":
        raise OpenError(f"{path} is the graph of a SavedModel, whose weights are in other files: give the folder")
    if head[0] == 0x80:
        return "pickle"
    # An ONNX file begins with field 1, the IR version, or (rarely) another field of ModelProto.
    if head[0] == 0x08 or path.suffix == ".onnx":
        return "onnx"
    if _is_graph_def(head):
        return "graph"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        hint = f"; name what makes the model: {path}:factory" if path.suffix == ".py" else ""
        raise OpenError(f"{path} is a text file, not a model{hint}")
    raise OpenError(f"{path} is no kind of model that is known here; it begins with {head[:8].hex(' ')}")


def _is_graph_def(head: bytes) -> bool:
    """Say whether a file begins as a `GraphDef`: field 1, a node, of some length, and in it field 1, its name."""
    if head[0] != 0x0A:
        return False
    length = next((place for place, byte in enumerate(head[1:11], 1) if byte < 0x80), len(head))
    return head[length + 1 : length + 2] == b"\x0a"


def _identify_zip(path: Path) -> str:
    names = [name.partition("/")[2] for name in _names(path)]
    if any(name == "archive_format" or name.startswith("models/") for name in names):
        return "pt2"
    # ExportedPrograms up to torch 2.6 have no folder.
    if "serialized_exported_program.json" in _names(path):
        return "pt2"
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return "torchscript"
    if "data.pkl" in names:
        return "pickle"
    if "config.json" in _names(path) and any(".weights." in name for name in _names(path)):
        return "keras"
    raise OpenError(f"{path} is a zip file, but no model of PyTorch or Keras; it holds {', '.join(_names(path)[:4])}")


def _names(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except zipfile.BadZipFile as error:
        raise OpenError(f"{path} is truncated or damaged: it begins as a zip file and has no end ({error})") from error


def foreign_globals(path: Path) -> list[str]:
    """List what the file's pickles name besides tensors and containers: code that loading would run.

    Archives inside archives are looked into. Raises `OpenError` for a damaged file.
    """
    try:
        with path.open("rb") as file:
            found = {name for pickle in _pickles(file) for name in _globals(pickle)}
    except (ValueError, EOFError, zipfile.BadZipFile, IndexError, KeyError) as error:
        raise OpenError(f"{path} is truncated or damaged: {error}") from error
    return sorted(found)


def _pickles(file: IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield every pickle in `file`: itself, or those members of a zip file that PyTorch unpickles, at any depth."""
    is_zip = file.read(4) == _ZIP
    file.seek(0)
    if not is_zip:
        yield file
        return
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if len(set(names)) != len(names):
            # Readers differ in which one they take.
            raise ValueError("two members of the archive have the same name")
        marked = _marked_members(archive)
        for name in names:
            if name.endswith((".pkl", ".pt")) or name.rpartition("/")[2] in marked:
                yield from _pickles(io.BytesIO(archive.read(name)))


def _marked_members(archive: zipfile.ZipFile) -> set[str]:
    """Return the last parts of the names that a .pt2's lists of weights and constants mark as pickled."""
    marked = {name.rpartition("/")[2] for name in archive.namelist() if "custom_obj" in name}
    for name in archive.namelist():
        if name.endswith("_config.json"):
            payloads = json.loads(archive.read(name)).get("config", {}).values()
            marked |= {payload["path_name"] for payload in payloads if payload.get("use_pickle")}
    return marked


def _globals(stream: IO[bytes]) -> Iterator[str]:
    """Yield what the pickles in `stream`, one after the other, refer to and what is not known to be harmless."""
    # Before PyTorch 1.6 a file was five pickles (a number, the version, the system, the object, the storages' keys)
    # and then the storages; what is in an archive is one pickle and ends there.
    for _ in range(5):
        if not stream.read(1):
            return
        stream.seek(-1, io.SEEK_CUR)
        strings: list[str] = []
        for opcode, argument, _position in pickletools.genops(stream):
            if opcode.name in ("GLOBAL", "INST"):
                if not _is_harmless(str(argument)):
                    yield str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL":
                # Its two strings come from the stack, where a pickle may have moved anything: never taken on trust.
                yield ".".join(strings[-2:])
            elif isinstance(argument, str):
                strings.append(argument)


def _is_harmless(name: str) -> bool:
    module, _, function = name.partition(" ")
    if name in _HARMLESS:
        return True
    if module == "torch" and (function.endswith("Storage") or function in _DTYPES):
        return True
    return module in _HARMLESS_MODULES and function.startswith(_HARMLESS_FUNCTIONS)


_DTYPES = {
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}
