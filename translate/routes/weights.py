"""New weights for a translated SavedModel, and a SavedModel's weights for PyTorch: by the manifest, without a graph."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from translate.errors import OpenError, UsageError
from translate.manifest import Manifest, Parameter, read_manifest
from translate.publish import publish, staging
from translate.routes.constants import check_constants

if TYPE_CHECKING:
    from translate.models.base import Array
    from translate.models.tf_checkpoint import Checkpoint

# Where a SavedModel has its variables.
_VARIABLES = Path("variables", "variables")
# A hash of what is replaced; TensorFlow does without it.
_FINGERPRINT = "fingerprint.pb"


@dataclass(frozen=True)
class Carried:
    """What was done: the `weights` that were carried, by their names in PyTorch, and what is worth knowing."""

    output: Path
    weights: tuple[str, ...]
    notes: tuple[str, ...] = ()


def update_weights(
    folder: str | Path, weights: str | Path, output: str | Path | None = None, *, force: bool = False
) -> Carried:
    """Put the weights of a PyTorch state_dict into a SavedModel that `torch2tf` wrote, without translating again.

    `weights` is a `.safetensors`, or a `.pt` that holds tensors only. The SavedModel is written to `output`, or takes
    the place of the old one when that is None, whole or not at all. Graph and signatures stay as they are.
    Raises `OpenError` when the folder has no manifest, when names, shapes or dtypes do not fit: all of them in one
    report, or where the weights differ in what is a constant of the graph; `UsageError` when `output` cannot be
    written.
    """
    from translate.models import torch_files
    from translate.models.torch_arrays import to_array

    folder = Path(folder)
    manifest = _manifest(folder)
    checkpoint = _checkpoint(folder)
    names = dict(_by_name(manifest))
    notes: list[str] = []
    state = torch_files.read_state(Path(weights), names, notes)
    arrays = {name: partial(to_array, tensor) for name, tensor in state.items()}
    _check(manifest, checkpoint, {name: tuple(tensor.shape) for name, tensor in state.items()}, Path(weights))
    _check_tied(manifest, arrays)
    check_constants(manifest, arrays, Path(weights))
    given = {name: first for name, one in manifest.parameters.items() if (first := _first(name, one, arrays))}
    values = {
        manifest.parameters[name].variable: partial(_stored, arrays[first], manifest.parameters[name], checkpoint)
        for name, first in given.items()
    }
    constant = {one for name, known in manifest.constants.items() for one in (name, *known.tied)}
    foreign = sorted(set(state) - set(names) - constant)
    if foreign:
        notes.append(f"not part of the SavedModel's graph, and left out: {torch_files.some(foreign)}")
    destination = folder if output is None else Path(output)
    with staging(destination, force=force or output is None) as built:
        left_out = shutil.ignore_patterns(_VARIABLES.parent.name, _FINGERPRINT)
        shutil.copytree(folder, built, ignore=left_out)
        checkpoint.replace(built / _VARIABLES, values)
        # What was proven of the old weights says nothing of these.
        replace(manifest, provenance=None).write(built)
        publish(built, destination)
    carried = (one for name in given for one in (name, *manifest.parameters[name].tied))
    return Carried(destination, tuple(carried), tuple(notes))


def extract_weights(
    folder: str | Path, output: str | Path, checkpoint: str | Path | None = None, *, force: bool = False
) -> Carried:
    """Write the weights of a SavedModel that `torch2tf` wrote as a PyTorch state_dict, under PyTorch's names.

    `checkpoint` is where the weights come from: a TensorFlow checkpoint (its prefix, or its folder) or a SavedModel
    that was written after training; the folder's own variables when None. `output` is a `.safetensors` file. Raises
    `OpenError` when the folder has no manifest or the checkpoint lacks variables, `UsageError` when `output` cannot be
    written.
    """
    from safetensors.numpy import save_file

    destination = Path(output)
    if destination.suffix != ".safetensors":
        raise UsageError(f"{destination}: weights are written as .safetensors")
    with staging(destination, force=force, ending=".safetensors") as built:
        state = state_dict(folder, checkpoint)
        save_file(state, built)
        publish(built, destination)
    return Carried(destination, tuple(state))


def state_dict(folder: str | Path, checkpoint: str | Path | None = None) -> dict[str, Array]:
    """Return the weights of a SavedModel that `torch2tf` wrote as arrays, by PyTorch's names and with its axes.

    `checkpoint` is that of `extract_weights`. A tied weight stands under each of its names, and what the source's
    state_dict does not have is left out. Raises `OpenError`.
    """
    folder = Path(folder)
    manifest = _manifest(folder)
    place = _checkpoint(folder if checkpoint is None else Path(checkpoint))
    missing = [one.variable for one in manifest.parameters.values() if one.variable not in place.variables]
    if missing:
        from translate.models.torch_files import some

        raise OpenError(f"{place.prefix} lacks {len(missing)} variables of {folder}: {some(missing)}")
    return {
        name: _original(place.read(parameter.variable), parameter)
        for name, parameter in _by_name(manifest)
        if parameter.saved
    }


def _manifest(folder: Path) -> Manifest:
    manifest = read_manifest(folder)
    if manifest is None or not manifest.parameters:
        raise OpenError(
            f"{folder} is no SavedModel that torch2tf wrote: no manifest tells which variable is which weight"
        )
    return manifest


def _checkpoint(place: Path) -> Checkpoint:
    from translate.models.tf_checkpoint import Checkpoint

    return Checkpoint(place)


def _by_name(manifest: Manifest) -> Iterator[tuple[str, Parameter]]:
    """Yield every name in PyTorch, those of tied weights too, with what it became."""
    for name, parameter in manifest.parameters.items():
        for one in (name, *parameter.tied):
            yield one, parameter


def _first(name: str, parameter: Parameter, known: Mapping[str, Any]) -> str | None:
    # A safetensors file has a tied weight once, under any of its names.
    return next((one for one in (name, *parameter.tied) if one in known), None)


def _check(manifest: Manifest, checkpoint: Checkpoint, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise `OpenError` unless there is a tensor of the right shape for each variable."""
    from translate.models.torch_files import check_fit

    expected: dict[str, tuple[int, ...]] = {}
    for name, parameter in manifest.parameters.items():
        stored = checkpoint.variables[parameter.variable]
        order = range(len(stored)) if parameter.permutation is None else np.argsort(parameter.permutation)
        shape = tuple(stored[axis] for axis in order)
        given = [one for one in (name, *parameter.tied) if one in shapes]
        if given or parameter.saved:
            expected |= dict.fromkeys(given or [name], shape)
    check_fit(path, "the SavedModel", expected, shapes)


def _check_tied(manifest: Manifest, arrays: Mapping[str, Callable[[], Array]]) -> None:
    for name, parameter in manifest.parameters.items():
        given = [one for one in (name, *parameter.tied) if one in arrays]
        for other in given[1:]:
            if not np.array_equal(arrays[given[0]](), arrays[other](), equal_nan=True):
                raise OpenError(f"{given[0]} and {other} are one weight in the SavedModel, and differ here")


def _stored(read: Callable[[], Array], parameter: Parameter, checkpoint: Checkpoint) -> Array:
    """Return a weight as its variable has it: in its axis order, and its dtype."""
    array = read().astype(checkpoint.dtype(parameter.variable), copy=False)
    return array if parameter.permutation is None else np.ascontiguousarray(array.transpose(parameter.permutation))


def _original(array: Array, parameter: Parameter) -> Array:
    """Return a variable's value as PyTorch has it."""
    if parameter.permutation is None:
        return array
    return np.ascontiguousarray(array.transpose(np.argsort(parameter.permutation)))
