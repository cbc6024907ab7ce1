"""From a node to the arguments of its lowering: the lowering's Python signature is the parser.

    def lrn(x: tf.Tensor, *, size: int, alpha: float = 0.0001, beta: float = 0.75, bias: float = 1.0) -> tf.Tensor

- A positional parameter is an input. Without a default it must be there; `= None` means that it may be absent.
- Its annotation says in which form it is wanted: `tf.Tensor`, a value of the target that is computed when the
  model runs; `np.ndarray`, a value that must be known when the model is translated (host value);
  `tf.Tensor | np.ndarray`, the host value where it is known and the target's otherwise; `list`, a sequence.
- `*xs` takes all remaining inputs.
- A keyword-only parameter is an attribute, with the specification's name and default. `Literal[...]` lists the
  values that the lowering covers, so that all others are refused before anything is built.
- A parameter named `context` receives the `Context`, which runs subgraphs and knows the node.
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

CONTEXT = "context"

Array = np.ndarray[Any, np.dtype[Any]]


class UnboundError(Exception):
    """The node does not fit the lowering's signature; the message says which input or attribute."""


class Form(enum.Enum):
    """In which form a lowering wants an input."""

    TARGET = "target"
    HOST = "host"
    EITHER = "either"
    SEQUENCE = "sequence"


@dataclass(frozen=True)
class Input:
    """One positional parameter of a lowering."""

    name: str
    form: Form
    required: bool


@dataclass(frozen=True)
class Attribute:
    """One keyword-only parameter of a lowering."""

    name: str
    default: Any
    choices: tuple[Any, ...]

    @property
    def required(self) -> bool:
        """Whether the node must have it."""
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Signature:
    """The inputs and attributes that a lowering takes, read off its Python signature."""

    inputs: tuple[Input, ...]
    variadic: Input | None
    attribute_parameters: Mapping[str, Attribute]
    wants_context: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Signature:
        """Read the signature of a lowering."""
        hints = typing.get_type_hints(function)
        inputs, variadic, attributes, context = [], None, {}, False
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name)
            if parameter.name == CONTEXT:
                context = True
            elif parameter.kind is parameter.VAR_POSITIONAL:
                variadic = Input(parameter.name, _form(hint), required=False)
            elif parameter.kind is parameter.KEYWORD_ONLY:
                attributes[parameter.name] = Attribute(parameter.name, parameter.default, _choices(hint))
            else:
                inputs.append(Input(parameter.name, _form(hint), parameter.default is parameter.empty))
        return cls(tuple(inputs), variadic, attributes, context)

    def attributes(self, node: ir.Node) -> dict[str, Any]:
        """Return the node's attributes as Python values: numbers, strings, tuples, numpy arrays, `ir.Graph`s.

        Raises `UnboundError` for an attribute that the lowering does not know, misses, or does not cover the value of.
        """
        given = {name: _python_value(attribute) for name, attribute in node.attributes.items()}
        for name, value in given.items():
            parameter = self.attribute_parameters.get(name)
            if parameter is None:
                raise UnboundError(f"attribute {name}={value!r} is not covered")
            if parameter.choices and value not in parameter.choices:
                covered = ", ".join(repr(choice) for choice in parameter.choices)
                raise UnboundError(f"{name}={value!r} is not covered (only {covered})")
        for name, parameter in self.attribute_parameters.items():
            if parameter.required and name not in given:
                raise UnboundError(f"attribute {name} is missing")
        return given

    def check_inputs(self, node: ir.Node) -> None:
        """Raise `UnboundError` when the node has too many inputs or lacks one that the lowering needs."""
        self.forms(node.inputs)

    def forms(self, inputs: Sequence[ir.Value | None]) -> list[Form]:
        """Return the form in which each of the node's inputs is wanted."""
        forms = []
        for position, value in enumerate(inputs):
            if position < len(self.inputs):
                parameter = self.inputs[position]
            elif self.variadic is not None:
                parameter = self.variadic
            elif value is None:
                continue
            else:
                raise UnboundError(f"input {position} ({value.name}) is not covered")
            if value is None and parameter.required:
                raise UnboundError(f"input {parameter.name} is missing")
            forms.append(parameter.form)
        for parameter in self.inputs[len(inputs) :]:
            if parameter.required:
                raise UnboundError(f"input {parameter.name} is missing")
        return forms


def _form(hint: Any) -> Form:
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    members = [member for member in (typing.get_args(hint) if union else (hint,)) if member is not type(None)]
    host = any(member is np.ndarray or typing.get_origin(member) is np.ndarray for member in members)
    if any(member is list or typing.get_origin(member) is list for member in members):
        return Form.SEQUENCE
    if host:
        return Form.HOST if len(members) == 1 else Form.EITHER
    return Form.TARGET


def _choices(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()


def _python_value(attribute: ir.Attr) -> Any:
    if attribute.type is ir.AttributeType.TENSOR:
        return attribute.as_tensor().numpy()
    if attribute.type in (ir.AttributeType.INTS, ir.AttributeType.FLOATS, ir.AttributeType.STRINGS):
        return tuple(attribute.value)
    return attribute.value
