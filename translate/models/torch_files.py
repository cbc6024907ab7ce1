"""Read the files that PyTorch writes: programs, TorchScript, state_dicts, samples, and (if trusted) pickles."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from translate.errors import OpenError, UntrustedError
from translate.models.base import Array
from translate.models.shards import is_index, read_index
from translate.models.torch_arrays import to_array
from translate.models.torch_results import flatten

# What torch's readers raise for damaged files.
_DAMAGE = (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, AssertionError, TypeError)


def load_program(path: Path) -> ExportedProgram:
    """Load a `.pt2`. Raises `OpenError`."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.export.load(path)
    except _DAMAGE as error:
        raise OpenError(f"{path} is no readable ExportedProgram: {_first_line(error)}") from error


def load_script(path: Path) -> nn.Module:
    """Load TorchScript onto the CPU. Raises `OpenError`."""
    try:
        with warnings.catch_warnings(action="ignore"):
            module: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
            return module
    except _DAMAGE as error:
        raise OpenError(f"{path} is no readable TorchScript: {_first_line(error)}") from error


def load_pickle(path: Path) -> Any:
    """Load any pickled object and run what it names: only for files that the user trusts. Raises `OpenError`."""
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, pickle.UnpicklingError, *_DAMAGE) as error:
        raise OpenError(f"{path} cannot be unpickled: {type(error).__name__}: {_first_line(error)}") from error


def explain_no_model(path: Path, value: Any) -> str:
    """Say what a loaded file holds instead of a model, and what to do."""
    state = unwrap_state(value)
    if state is None:
        return f"{path} holds a {type(value).__name__}, not a model"
    return (
        f"{path} is a state_dict: {len(state)} tensors ({some(list(state))}) without the code that uses them.\n"
        f"  Name the class or a function that makes the module: package.module:factory --weights {path}"
    )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def load_tensors(path: Path) -> dict[str, Array] | list[Array]:
    """Load example inputs from a `.pt` file, weights-only: a tensor, a tuple or list of arguments, or a dict."""
    value = load_weights_only(path)
    if isinstance(value, torch.Tensor):
        return [to_array(value)]
    if isinstance(value, Mapping):
        return {name: to_array(tensor) for name, tensor in flatten(value).items()}
    return [to_array(tensor) for tensor in flatten(value).values()]


def load_weights_only(path: Path) -> Any:
    """Load a `.pt` file that holds nothing but tensors and containers. Raises `UntrustedError`, `OpenError`."""
    try:
        # Mapped where the format, a zip file since PyTorch 1.6, allows it: no copy lies beside the one in use.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise UntrustedError(
            f"{path} holds more than tensors, and loading it would run code: {_first_line(error)}"
        ) from error
    except _DAMAGE as error:
        raise OpenError(f"{path} is no readable PyTorch file: {_first_line(error)}") from error


def load_weights(module: nn.Module, path: Path, notes: list[str] | None = None) -> None:
    """Load the state_dict of a file, see `read_state`, into `module`.

    Raises `OpenError` that lists missing and unexpected keys and differing shapes.
    """
    own = module.state_dict()
    state = read_state(path, own, notes)
    # A safetensors file has tied weights only once.
    storages = {tensor.data_ptr() for key, tensor in own.items() if key in state and tensor.numel()}
    expected = {
        key: tuple(tensor.shape) for key, tensor in own.items() if key in state or tensor.data_ptr() not in storages
    }
    shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
    check_fit(path, type(module).__name__, expected, shapes, unexpected=[key for key in state if key not in own])
    module.load_state_dict(state, strict=False)


def check_fit(
    path: Path,
    model: str,
    expected: Mapping[str, tuple[int, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    unexpected: Sequence[str] = (),
) -> None:
    """Raise `OpenError` with all that is missing, `unexpected` or of another shape than `expected`, by name."""
    differing = [
        f"{key} is {list(shapes[key])}, not {list(shape)}"
        for key, shape in expected.items()
        if key in shapes and shapes[key] != shape
    ]
    missing = [key for key in expected if key not in shapes]
    problems = [("missing", missing), ("unexpected", unexpected), ("of another shape", differing)]
    if any(keys for _, keys in problems):
        lines = [f"{len(keys)} {word}: {some(keys)}" for word, keys in problems if keys]
        raise OpenError(f"{path} does not fit {model}:\n  " + "\n  ".join(lines))


def read_state(path: Path, own: Collection[str], notes: list[str] | None = None) -> dict[str, torch.Tensor]:
    """Read a state_dict for a model whose keys are `own`.

    `path` is a `.safetensors` file, the index of several (`model.safetensors.index.json`), or, weights-only, a `.pt`.
    The files are mapped into memory, and no tensor is read before it is used. What DataParallel puts before the keys is
    taken off, with a note. Raises `OpenError`, `UntrustedError`.
    """
    if not path.is_file():
        raise OpenError(f"no such weights file: {path}")
    state = _read_state(path)
    prefix = "module."
    if all(key.startswith(prefix) for key in state) and not any(key.startswith(prefix) for key in own):
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        if notes is not None:
            notes.append(f'the keys of {path.name} began with "module." (DataParallel); that was taken off')
    return state


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if is_index(path):
        return _read_shards(path)
    state = unwrap_state(load_weights_only(path))
    if state is None:
        raise OpenError(f"{path} holds no state_dict: names and tensors were expected")
    return state


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
        return tensors
    except (SafetensorError, OSError) as error:
        raise OpenError(f"{path} is no readable safetensors file: {error}") from error


def _read_shards(index: Path) -> dict[str, torch.Tensor]:
    places = read_index(index)
    files = [_read_safetensors(file) for file in sorted(set(places.values()))]
    state = {key: tensor for tensors in files for key, tensor in tensors.items()}
    if missing := [key for key in places if key not in state]:
        raise OpenError(f"the files of {index} lack {len(missing)} of its tensors: {some(missing)}")
    return state


def unwrap_state(value: Any) -> dict[str, torch.Tensor] | None:
    """Return the state_dict that `value` is or, as in a checkpoint, has beside an optimizer's state; else None."""
    if not isinstance(value, Mapping):
        return None
    nested = (value[key] for key in ("state_dict", "model_state_dict", "model") if key in value)
    state = next((item for item in nested if isinstance(item, Mapping)), value)
    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        return None
    return dict(state)


def some(items: Sequence[str], limit: int = 5) -> str:
    """Join a few items for a message and count the rest."""
    rest = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {rest} more" if rest > 0 else "")
