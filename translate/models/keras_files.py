"""Read `.keras` and `.h5` files: what they hold, what code they would run, and which Keras reads them."""

from __future__ import annotations

import builtins
import contextlib
import json
import re
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from translate.errors import OpenError, UnsupportedError, UntrustedError
from translate.models.keras_2 import read_keras_2
from translate.models.keras_2_functions import is_pure
from translate.models.keras_weights import first_lines, linked

# Layers that carry Python code, or unpickle, or load what a path in the file names.
_CODE = {"Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"}
# Of which Keras 2 takes layers, models, initialisers and the like.
_PACKAGES = {"keras", "tf_keras"}
# Of an archive that is unpacked, rather than read at once.
_LARGE_BYTES = 2**30
_UNKNOWN = re.compile(r"(?:Could not locate (?:class|function)|Unknown (?:layer|object|\w+ function):?) '?\"?([\w>.]+)")


def load_keras(
    path: Path, *, unsafe_load: bool, notes: list[str], custom_objects: Mapping[str, Any] | None = None
) -> Any:
    """Load a `.keras` file or folder, or a whole model in `.h5`, and return the `keras.Model` or `tf_keras.Model`.

    `custom_objects` are the user's own layers and functions by their names. What Keras 2 wrote is made anew of layers
    of Keras 3, see `keras_2`, and where that is not possible read by tf_keras, if it is installed.

    Raises `UntrustedError` for a file that holds Python code unless `unsafe_load`, `OpenError` for one that holds only
    weights, needs classes that Keras does not have, or is damaged.
    """
    custom_objects = custom_objects or {}
    is_h5 = path.is_file() and not zipfile.is_zipfile(path)
    config, version = _read_h5(path) if is_h5 else _read_archive(path)
    if code := sorted(set(_code_in(config))):
        what = f"holds Python code, which loading it runs ({', '.join(code)})"
        _check_trust(path, what, "replace the layer by one that does the same", unsafe_load, notes)
    suffix = ".h5" if is_h5 else ".keras"
    is_keras_2 = not version.startswith("3")
    refusals: list[Exception] = []
    if is_keras_2 and path.is_file():
        try:
            return read_keras_2(path, config, custom_objects)
        except UnsupportedError as error:
            refusals.append(error)
    # Keras 3 would take the function for another one, which it calls so.
    if not (is_keras_2 and "hard_sigmoid" in json.dumps(config)):
        try:
            with _unpacked(path, suffix) as file:
                return keras.models.load_model(
                    file, compile=False, safe_mode=not unsafe_load, custom_objects=dict(custom_objects)
                )
        except Exception as error:
            # Deserialising raises anything; what it means is read off the message.
            if not is_keras_2:
                raise _refusal(path, error, f"Keras {keras.__version__} cannot load {path}") from error
            refusals.append(error)
    if foreign := sorted(set(_foreign_in(config, custom_objects))):
        what = f"names code outside Keras, which Keras 2 would run ({', '.join(foreign)})"
        _check_trust(path, what, "load it where that code is, and save it with Keras 3", unsafe_load, notes)
    return _load_with_keras_2(path, suffix, unsafe_load, notes, custom_objects, refusals[0])


def _load_with_keras_2(
    path: Path,
    suffix: str,
    unsafe_load: bool,
    notes: list[str],
    custom_objects: Mapping[str, Any],
    refusal: Exception,
) -> Any:
    """Load a file that Keras 3 refuses with tf_keras, which is Keras 2."""
    refused = f"Keras {keras.__version__} cannot load {path}, which Keras 2 wrote: {first_lines(refusal)}"
    try:
        import tf_keras
    except ImportError:
        raise OpenError(f"{refused}\n  Keras 2 can be had by: pip install tf_keras") from refusal
    try:
        with _named(path, suffix) as file:
            model = tf_keras.models.load_model(
                file, compile=False, safe_mode=not unsafe_load, custom_objects=dict(custom_objects)
            )
    except Exception as error:
        # As above.
        raise _refusal(path, error, f"{refused}\n  Nor can tf_keras {tf_keras.__version__}") from error
    notes.append(f"{path.name} was loaded by tf_keras {tf_keras.__version__}: Keras {keras.__version__} refuses it")
    return model


def _check_trust(path: Path, what: str, better: str, unsafe_load: bool, notes: list[str]) -> None:
    if not unsafe_load:
        raise UntrustedError(f"{path} {what}.\n  If you trust where it comes from, add --unsafe-load. Better: {better}")
    notes.append(f"{path.name} {what}; it was loaded because --unsafe-load allows it")


def _read_archive(path: Path) -> tuple[Any, str]:
    """Return the architecture in a `.keras` archive or folder, and the version of Keras that wrote it."""
    try:
        if path.is_dir():
            texts = [(path / name).read_bytes() for name in ("config.json", "metadata.json")]
        else:
            with zipfile.ZipFile(path) as archive:
                texts = [archive.read(name) for name in ("config.json", "metadata.json")]
        config, metadata = map(json.loads, texts)
        return config, str(metadata["keras_version"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise OpenError(f"{path} is truncated or damaged: {error}") from error


def _read_h5(path: Path) -> tuple[Any, str]:
    """Return the same of an `.h5` file. Raises `OpenError` where it has no architecture, only weights."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            config, version = file.attrs.get("model_config"), file.attrs.get("keras_version", "")
            names = [str(name) for name in file.get("layers", file)]
    except (OSError, RuntimeError, KeyError) as error:
        raise OpenError(f"{path} is truncated or damaged: {error}") from error
    if config is None:
        few = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise OpenError(
            f"{path} holds the weights of a model ({few}), not the model: the Python code that builds it is missing.\n"
            f"  Name the function or class that makes the model: path/file.py:factory --weights {path}"
        )
    try:
        return json.loads(config), version.decode() if isinstance(version, bytes) else str(version)
    except ValueError as error:
        raise OpenError(f"{path} is damaged: its model_config is no JSON ({error})") from error


def _code_in(config: Any) -> Iterator[str]:
    """Yield every layer of an architecture that carries code: "Lambda 'scale'"."""
    for node in _nodes(config):
        inner = node.get("config")
        name = inner.get("name") if isinstance(inner, dict) else None
        if node.get("class_name") in _CODE:
            yield f"{node['class_name']} {name!r}" if name else str(node["class_name"])


def _foreign_in(config: Any, custom_objects: Collection[str]) -> Iterator[str]:
    """Yield what an architecture names that Keras 2 would import from outside its own parts and `custom_objects`."""
    for node in _nodes(config):
        name, module = str(node.get("class_name", "")), node.get("module")
        inner = node.get("config")
        if name == "TFOpLambda" and isinstance(inner, dict) and not is_pure(str(inner.get("function"))):
            yield f"tf.{inner.get('function')}"
        if not name or module is None or name in custom_objects or str(inner) in custom_objects:
            continue
        if name == "function" and module == "builtins":
            # So are Keras' own functions marked; they go before Python's, which are none of a model's.
            if hasattr(builtins, str(node.get("config"))):
                yield f"builtins.{node['config']}"
        # Classes are capitalised; functions of Keras itself, such as one that downloads a file, are no parts of models.
        elif str(module).split(".")[0] not in _PACKAGES or not name.lstrip("_")[:1].isupper():
            yield f"{module}.{node.get('config') if name == 'function' else name}"


def _nodes(config: Any) -> Iterator[dict[str, Any]]:
    """Yield every JSON object in an architecture."""
    if isinstance(config, dict):
        yield config
    for child in config.values() if isinstance(config, dict) else config if isinstance(config, list) else ():
        yield from _nodes(child)


@contextlib.contextmanager
def _unpacked(path: Path, suffix: str) -> Iterator[str]:
    """Give a path to the file as `_named` does, or to what is in a large archive, which Keras would read at once."""
    if suffix != ".keras" or path.is_dir() or not _is_large(path):
        with _named(path, suffix) as file:
            yield file
        return
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        yield folder


def _is_large(path: Path) -> bool:
    """Say whether an archive is large, and not compressed: what is may be anything when it is unpacked."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        return _LARGE_BYTES < size >= sum(member.file_size for member in archive.infolist())


@contextlib.contextmanager
def _named(path: Path, suffix: str) -> Iterator[str]:
    """Give a path to the file that ends as Keras wants it; it goes by the name, not by the content."""
    if path.is_dir() or path.suffix == suffix:
        yield str(path)
        return
    with linked(path, suffix) as link:
        yield link


def _refusal(path: Path, error: Exception, what: str) -> OpenError:
    unknown = _UNKNOWN.search(str(error))
    if unknown is None:
        return OpenError(f"{what}: {first_lines(error)}")
    return OpenError(
        f"{path} uses {unknown[1].rpartition('>')[2]}, which Keras does not have: its Python code is missing.\n"
        "  Name the file that has it: --custom-objects path/file.py"
    )
