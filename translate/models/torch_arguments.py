"""The arguments of a `forward`, and which of the flat, named inputs go into each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import nn

from translate.errors import UsageError
from translate.models.base import Spec
from translate.models.inputs import name_inputs

# An argument: the name of the input that it is, or a tuple or dict of such.
Nest: TypeAlias = "str | tuple[Nest, ...] | dict[str, Nest]"


class Arguments:
    """The arguments of a `forward`: `names` in order, `required` those without a default, `variadic` for *args.

    `keyword_only` are those that cannot be given by position.
    """

    def __init__(self, module: nn.Module) -> None:
        self.variadic = False
        self.keyword_only: set[str] = set()
        if isinstance(module, torch.jit.ScriptModule):
            forward: Any = module.forward
            schema = forward.schema.arguments[1:]
            self.names = [argument.name for argument in schema]
            self.required = [argument.name for argument in schema if not argument.has_default_value()]
            return
        parameters = inspect.signature(module.forward).parameters.values()
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        own = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        self.names = [p.name for p in own]
        self.required = [p.name for p in own if p.default is p.empty]
        self.keyword_only = {p.name for p in own if p.kind is p.KEYWORD_ONLY}


def forward_arguments(module: nn.Module) -> list[str]:
    """Return the names of `forward`'s arguments, in order."""
    return Arguments(module).names


def bind(specs: Sequence[Spec], arguments: Arguments) -> tuple[list[tuple[str | None, Nest]], tuple[Spec, ...]]:
    """Decide which input goes into which argument: by position as far as that goes, then by name."""
    if arguments.variadic:
        # forward(*args) takes any names; they are positions.
        specs = name_inputs(specs, [f"input_{index}" for index in range(len(specs))], complete=False)
        return [(None, spec.name) for spec in specs], specs
    names = arguments.names
    specs = name_inputs(specs, names)
    nests = _grouped([spec.name for spec in specs], names)
    missing = [name for name in arguments.required if name not in nests]
    if missing:
        optional = [name for name in names if name not in arguments.required]
        more = f", and may take {', '.join(optional)}" if optional else ""
        raise UsageError(f"no --input for {', '.join(missing)}; forward takes {', '.join(arguments.required)}{more}")
    by_position = [name in nests and name not in arguments.keyword_only for name in names]
    positional = by_position.index(False) if False in by_position else len(names)
    keywords = [name for name in names[positional:] if name in nests]
    call: list[tuple[str | None, Nest]] = [(None, nests[name]) for name in names[:positional]]
    return call + [(name, nests[name]) for name in keywords], specs


def _grouped(names: Sequence[str], arguments: Sequence[str]) -> dict[str, Nest]:
    """Group flat names by the argument that they belong to, in the order of the arguments."""
    groups: dict[str, list[str]] = {}
    for name in names:
        owners = [a for a in arguments if name == a or name.startswith((a + "_", a + "."))]
        groups.setdefault(max(owners, key=len, default=name), []).append(name)
    order = {argument: index for index, argument in enumerate(arguments)}
    return {name: _nest(name, groups[name]) for name in sorted(groups, key=lambda name: order.get(name, len(order)))}


def _nest(prefix: str, names: Sequence[str]) -> Nest:
    """Make the value called `prefix` of its parts: numbers make a tuple, other names a dict."""
    if list(names) == [prefix]:
        return prefix
    parts: dict[str, list[str]] = {}
    for name in names:
        rest = name[len(prefix) + 1 :]
        key = re.match(r"\d+(?=_|\.|$)", rest)
        parts.setdefault(key[0] if key else rest, []).append(name)
    if all(key.isdigit() for key in parts):
        return tuple(_nest(f"{prefix}_{key}", parts[key]) for key in sorted(parts, key=int))
    return {key: _nest(f"{prefix}_{key}", group) for key, group in parts.items()}


def leaves(nest: Nest) -> list[str]:
    """Return the names of the inputs that an argument is made of, in order."""
    if isinstance(nest, str):
        return [nest]
    return [leaf for part in (nest.values() if isinstance(nest, dict) else nest) for leaf in leaves(part)]


def fill(nest: Nest, values: Mapping[str, Any]) -> Any:
    """Return an argument made of the values of its inputs."""
    if isinstance(nest, str):
        return values[nest]
    if isinstance(nest, dict):
        return {key: fill(part, values) for key, part in nest.items()}
    return tuple(fill(part, values) for part in nest)
