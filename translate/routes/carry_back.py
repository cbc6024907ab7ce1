"""Weights that were trained in PyTorch, back into the Keras model that they came from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from translate.errors import UnsupportedError
from translate.routes.result import Stages
from translate.routes.ways import Made, Way, make, ways_of

if TYPE_CHECKING:
    import torch

    from translate.converters.keras_to_torch.update import Values
    from translate.models.base import Array, Model, Spec

# Numbers from 0 to this are exact in every dtype that variables have, bfloat16 excepted; so are they and a half.
_BASE = 1024
_FOREIGN = "{} is no rearrangement of weights of the Keras model: it cannot be carried back"


def update_weights(model: Any, trained: Any, *, inputs: Sequence[str | Spec] = ()) -> None:
    """Carry weights that were trained in PyTorch back into the Keras model that was translated.

    `model` is that model, or one that is built alike. `trained` is what `tf2torch` returned or wrote for it: the
    module, the same loaded again, an ExportedProgram, a state_dict, or the path of a `.pt2`, `.safetensors`, `.pt`
    (tensors only) or package. The model is translated again to learn which weight is which; `inputs` are as in
    `open_model`, for a subclassed model.

    Raises `OpenError` that lists names which are missing or unknown, and differing shapes, and `UnsupportedError` where
    a weight of PyTorch's is no rearrangement of Keras's. The model is then as it was before.
    """
    from translate.converters.keras_to_torch.update import assign, put_back
    from translate.models.open import open_model

    label, state = _state(trained)
    opened = open_model(model, inputs=inputs)
    made = _alike(opened, trained, str(getattr(model, "name", "the model")), label, state)
    stored = made.module.meta.get("stored", {})
    values = put_back(stored, state)
    others = _by_graph(made)
    if others:
        values += _put_back_by_probes(model, opened, made, {name: state[name] for name in others})
    assign(values)


def _state(trained: Any) -> tuple[str, dict[str, torch.Tensor]]:
    """Return what to call the trained weights, and these by their names."""
    import torch

    from translate.models import torch_files

    if isinstance(trained, str | Path):
        path = Path(trained)
        path = path / "model.safetensors" if path.is_dir() else path
        state = torch_files.load_program(path).state_dict if path.suffix == ".pt2" else torch_files.read_state(path, ())
        return str(path), dict(state)
    state = trained if isinstance(trained, Mapping) else trained.state_dict
    state = state() if callable(state) else state
    return f"the {type(trained).__name__}", {name: torch.as_tensor(tensor) for name, tensor in state.items()}


def _alike(opened: Model, trained: Any, name_of_model: str, label: str, state: dict[str, torch.Tensor]) -> Made:
    """Translate the model again as it was translated before, and name all of `state` as that does."""
    from translate.models.torch_files import check_fit

    way: Way | None = getattr(trained, "meta", {}).get("route")
    ways = ways_of(opened, "auto") if way is None else [way]
    refusals: list[Exception] = []
    for way in ways:
        try:
            made = make(way, opened, Stages(None), [], channels_first=False)
            own = made.module.state_dict(keep_vars=True)
            # A file may have a tied weight under one of its names.
            places: dict[int, list[str]] = {}
            for name, tensor in own.items():
                places.setdefault(id(tensor), []).append(name)
            for names in places.values():
                known = [name for name in names if name in state]
                state.update({name: state[known[0]] for name in names if known and name not in state})
            shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
            wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
            unknown = [name for name in state if name not in own]
            check_fit(Path(label), name_of_model, wanted, shapes, unknown)
        except Exception as error:
            # Of the ways that were open at the time, any may be closed, for this model or for these weights.
            refusals.append(error)
        else:
            return made
    raise refusals[0]


def _by_graph(made: Made) -> list[str]:
    """Return the names of the tensors that came by a graph: which variables they hold is not written down."""
    names = [name for name, tensor in made.module.state_dict().items() if tensor.is_floating_point()]
    if made.way == "graph":
        return names
    return [name for name in names if any(name.startswith(f"{path}.") for path in made.by_graph)]


def _put_back_by_probes(model: Any, opened: Model, made: Made, tensors: Mapping[str, torch.Tensor]) -> Values:
    """Return the values of the variables that are in `tensors`, see `_origins`."""
    from translate.converters.keras_to_torch.update import as_array

    variables = [variable for variable in model.weights if "float" in str(variable.dtype)]
    before = [np.asarray(variable) for variable in variables]

    def translated() -> dict[str, Array]:
        again = make(made.way, opened, Stages(None), [], channels_first=False).module.state_dict()
        return {name: as_array(again[name]) for name in tensors}

    first = made.module.state_dict(keep_vars=True)
    new = [array.copy() for array in before]
    written = [np.zeros(array.shape, bool) for array in before]
    for name, (owner, place) in _origins(variables, translated).items():
        known = owner >= 0
        array, old = as_array(tensors[name]), as_array(first[name])
        if first[name].requires_grad and not known.all():
            raise UnsupportedError(_FOREIGN.format(name))
        for number in np.unique(owner[known]):
            here = owner == number
            at = np.unravel_index(place[here], new[number].shape)
            if not np.array_equal(old[here], before[number][at]):
                raise UnsupportedError(_FOREIGN.format(name))
            values, again = array[here].astype(new[number].dtype), written[number][at]
            if not np.array_equal(new[number][at][again], values[again]):
                raise UnsupportedError(f"{name} and another tensor hold {variables[number].name}, and differ")
            new[number][at], written[number][at] = values, True
    return [(variables[number], new[number]) for number in range(len(new)) if written[number].any()]


def _origins(variables: Sequence[Any], translated: Callable[[], Mapping[str, Array]]) -> dict[str, tuple[Array, Array]]:
    """Return which variable each element of each tensor is from, -1 for none, and from which place in it.

    The model is translated three times, with numbers in its variables that tell where they stand: which variable it is,
    and the upper and lower part of the place. They are whole numbers and a half, which constants seldom are.
    """
    found = []
    for number_of in (
        lambda number, places: np.full_like(places, number),
        lambda number, places: places // _BASE,
        lambda number, places: places % _BASE,
    ):
        with _filled(variables, number_of):
            found.append(translated())
    origins = {}
    for name in found[0]:
        owner, upper, lower = (one[name].astype(np.float64) - 0.5 for one in found)
        place = upper * _BASE + lower
        known = (owner == np.floor(owner)) & (owner >= 0) & (owner < len(variables)) & (place == np.floor(place))
        sizes = np.array([np.prod(variable.shape) for variable in variables])
        owner = np.where(known, owner, -1).astype(np.int64)
        known &= (place >= 0) & (place < sizes[owner])
        origins[name] = np.where(known, owner, -1), np.where(known, place, 0).astype(np.int64)
    return origins


@contextmanager
def _filled(variables: Sequence[Any], number_of: Callable[[int, Array], Array]) -> Iterator[None]:
    """Put numbers, and a half, into the variables, by their position and the places of their elements."""
    before = [np.asarray(variable) for variable in variables]
    try:
        for number, variable in enumerate(variables):
            places = np.arange(before[number].size).reshape(before[number].shape)
            wanted = number_of(number, places) + 0.5
            filled = wanted.astype(before[number].dtype)
            if not np.array_equal(filled.astype(np.float64), wanted):
                raise UnsupportedError(f"{variable.name} has too many elements for its dtype to be carried back")
            variable.assign(filled)
        yield
    finally:
        for variable, array in zip(variables, before, strict=True):
            variable.assign(array)
