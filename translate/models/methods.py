"""Methods of one PyTorch module as models of their own, which share its weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from translate.errors import OpenError, UsageError
from translate.models import generation, torch_device, torch_files
from translate.models.base import Spec
from translate.models.device import Placement
from translate.models.inputs import parse_input
from translate.models.open import load_hugging_face, make_object
from translate.models.torch_model import TorchModel, from_module


def open_methods(
    source: object,
    methods: Sequence[str],
    inputs: Sequence[str | Spec] = (),
    *,
    weights: str | Path | None = None,
    placement: Placement | None = None,
    notes: list[str] | None = None,
) -> dict[str, TorchModel]:
    """Open each of `methods` of a module: a live one, `path/file.py:factory`, or a Hugging Face folder.

    `inputs` are those of all methods, called `method.name`. A language model of transformers has the methods `prefill`
    and `decode` of `translate.models.generation`, with their inputs. Where a method `prefill` returns `present_x`, the
    input `past_x` of a method `decode` needs no declaration: it is that tensor, of any length `past` where that one
    had the length `time`. `placement` says where it is to run.

    Raises `OpenError`, and `UsageError` when the module lacks a method or its inputs do not fit.
    """
    module = _module(source, weights, notes)
    device = None if placement is None else torch_device.prepare(placement)
    if device is not None:
        module.to(device)
    known = {}
    if generation.is_language_model(module):
        known = generation.methods(module)
    given = _by_method(inputs, methods)
    models: dict[str, TorchModel] = {}
    for name in methods:
        call, own = known.get(name, (getattr(module, name, None), ()))
        if not callable(call):
            raise UsageError(f"a {type(module).__name__} has no method {name!r}")
        specs = given[name] or [parse_input(text) for text in own]
        if name == "decode" and "prefill" in models:
            declared = {spec.name for spec in specs}
            specs += [spec for spec in _past(models["prefill"]) if spec.name not in declared]
        models[name] = from_module(view(module, call), specs, notes=notes)
        models[name].device = device or models[name].device
    return models


def view(module: nn.Module, method: Callable[..., Any]) -> nn.Module:
    """Return a module with the same weights whose `forward` is `method`."""
    twin = copy.copy(module)
    object.__setattr__(twin, "forward", method)
    return twin


def _module(source: object, weights: str | Path | None, notes: list[str] | None) -> nn.Module:
    module = source
    if isinstance(source, str | Path):
        path, (place, colon, factory) = Path(source), str(source).rpartition(":")
        if (path / "config.json").is_file():
            module = load_hugging_face(path)
        elif colon and factory.isidentifier() and not path.exists():
            module = make_object(place, factory)
        else:
            raise OpenError(
                f"{source} has no methods: they are those of a class, path/file.py:Class, or of a Hugging Face folder"
            )
    if not isinstance(module, nn.Module):
        raise OpenError(f"{source} is no PyTorch module, of which methods could be taken")
    if weights is not None:
        torch_files.load_weights(module, Path(weights), notes)
    return module.eval()


def _by_method(inputs: Sequence[str | Spec], methods: Sequence[str]) -> dict[str, list[Spec]]:
    found: dict[str, list[Spec]] = {method: [] for method in methods}
    for one in inputs:
        spec = parse_input(one) if isinstance(one, str) else one
        method, dot, name = spec.name.partition(".")
        if not dot or method not in found:
            raise UsageError(
                f"--input {spec.name}: with --method, inputs are called METHOD.NAME; methods are {', '.join(methods)}"
            )
        found[method].append(replace(spec, name=name))
    return found


def _past(prefill: TorchModel) -> list[Spec]:
    """Return what `decode` takes of what `prefill` returns."""
    taken = []
    for spec in prefill.outputs:
        if spec.name.startswith("present_"):
            shape = tuple("past" if dim == "time" else dim for dim in spec.shape or ())
            taken.append(Spec(spec.name.replace("present_", "past_", 1), spec.dtype, shape))
        elif spec.name.startswith("cross_"):
            taken.append(spec)
    return taken
