"""PyTorch models: modules, ExportedPrograms and TorchScript, with flat, named inputs and outputs."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, SymIntArgument
from torch.utils import _pytree as pytree

from translate.errors import UsageError
from translate.models import torch_device
from translate.models.base import Array, Dim, Gradients, Loss, Model, Spec, check_feeds
from translate.models.inputs import (
    default_sizes,
    example_feeds,
    long_sizes,
    merge_specs,
    name_inputs,
    numpy_dtype,
    open_dims,
    size_of,
    symbols,
)
from translate.models.kept import FirstState
from translate.models.perturb import WayBack, move, neighbouring_feeds, neighbours, parts
from translate.models.torch_double import DoubleProgram, can_be_doubled, double_weights, is_whole

# An argument: the name of the input that it is, or a tuple or dict of such.
Nest: TypeAlias = "str | tuple[Nest, ...] | dict[str, Nest]"
# Symbols of torch.export: s77 is a size of an input, u0 a size that depends on data.
_SYMBOL = re.compile(r"\b[su]\d+\b")
_NAME = re.compile(r"[A-Za-z_]\w*")


class TorchModel(Model):
    """A PyTorch model that takes and returns flat, named arrays.

    Inputs are named after the arguments of `forward`, nested ones after their place (`state_0`, `batch_ids`);
    outputs after their keys (a dict, a dataclass, a Hugging Face output), `output_0`.. in a tuple, and `output` if
    there is only one tensor. `program` is set when the source is an ExportedProgram. `ranges` are the least and
    greatest sizes of symbolic dimensions, as far as they are known.
    """

    differentiable = True

    def __init__(
        self,
        flat: FlatModule,
        inputs: Sequence[Spec],
        kind: str,
        *,
        program: ExportedProgram | None = None,
        ranges: Mapping[str, tuple[int, int]] | None = None,
    ) -> None:
        self.flat = flat
        self.inputs = tuple(inputs)
        self.kind = kind
        self.program = program
        self.ranges = dict(ranges or {})
        # Where the inputs go when there is no weight to tell.
        self.device = torch.device("cpu")
        # The copy of `flat` that `run_double` made, where it needs one.
        self._double: FlatModule | None = None
        # The program that the ONNX graph was written from, once it was exported: its nodes are called like its values.
        self.exported: ExportedProgram | None = None

    @property
    def module(self) -> Callable[..., Any]:
        """The wrapped callable, with its own nested arguments and results."""
        return self.flat.module

    @cached_property
    def _first_state(self) -> FirstState:
        return FirstState(self.flat.owner)

    @property
    def symbols(self) -> list[str]:
        """The names of the symbolic dimensions."""
        return symbols(self.inputs)

    @cached_property
    def outputs(self) -> tuple[Spec, ...]:  # type: ignore[override]
        """The outputs' specs, found by running at two sizes: a dimension that changes is symbolic.

        Its name is that of the symbolic input dimension with the same sizes, or None.
        """
        choices, runs = self._examples
        return tuple(
            Spec(name, array.dtype.name, _common_shape([run[name].shape for run in runs], choices))
            for name, array in runs[0].items()
        )

    @cached_property
    def _examples(self) -> tuple[list[dict[str, int]], list[dict[str, Array]]]:
        """Two choices of sizes that the model runs at, or one where none is open, and what it returns."""
        refusal: UsageError | None = None
        for sizes in (default_sizes(self.inputs, self.ranges)[:2], long_sizes(self.inputs)[:2]):
            try:
                if sizes:
                    return sizes, [self.run(example_feeds(self.inputs, one)) for one in sizes]
            except UsageError as error:
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    @cached_property
    def result(self) -> Any:
        """What the model returns for example inputs; its structure is of interest, not its numbers."""
        sizes, _ = self._examples
        return self.call(self.upload(example_feeds(self.inputs, sizes[0])))

    @property
    def structure(self) -> str:
        """What `forward` returns: "single", "tuple", "list" or "dict"."""
        return structure_of(self.result)

    def upload(self, feeds: Mapping[str, Array]) -> list[torch.Tensor]:
        """Put the arrays where the weights are, in the order of the inputs."""
        check_feeds(self.inputs, feeds)
        tensors = self._tensors(feeds)
        torch_device.synchronize(self._place)
        return tensors

    def call(self, values: list[torch.Tensor]) -> Any:
        """Run `forward` without gradients. Raises `UsageError` when the model itself fails on these inputs."""
        try:
            with torch.no_grad():
                result = self._first_state.call(lambda: self.flat.call(values))
            torch_device.synchronize(self._place)
            return result
        except Exception as error:
            # A model's own code raises anything.
            given = ", ".join(f"{spec.name} {list(t.shape)}" for spec, t in zip(self.inputs, values, strict=True))
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise UsageError(
                f"the model itself fails on {given}: {words[-1]}\n"
                "  In --input, give equal sizes the same name, a fixed size its number, and a size that\n"
                "  depends on another its form (32*height, seq+1)"
            ) from error

    def download(self, results: Any) -> dict[str, Array]:
        """Name the tensors of a result after their places in it, see `flatten`."""
        return {name: to_array(tensor) for name, tensor in flatten(results).items()}

    def settings(self) -> Mapping[str, str | int | bool]:
        """As PyTorch says."""
        return torch_device.settings(self._place)

    def peak_device_bytes(self) -> int | None:
        """As PyTorch's allocator counts, over the whole process."""
        return torch_device.peak_bytes(self._place)

    def run_double(self, feeds: Mapping[str, Array]) -> dict[str, Array] | None:
        """Run the model with every weight and floating-point input in float64.

        None where that fails, as it does for a program that names float32 in its code.
        """
        wide = {
            name: a.astype(np.float64) if a.dtype.name in ("float16", "bfloat16", "float32") else a
            for name, a in feeds.items()
        }
        refusals = (RuntimeError, TypeError, ValueError, AssertionError)
        with torch.no_grad():
            if self._double is None:
                try:
                    return self.download(self.flat.call_double(self._tensors(wide)))
                except refusals:
                    if not self.flat.copy_is_wider:
                        return None
            try:
                self._double = self._double or self.flat.doubled()
                return self.download(self._double.call(self._tensors(wide)))
            except refusals:
                return None

    def run_perturbed(self, feeds: Mapping[str, Array], seed: int) -> dict[str, Array]:
        """Run with the weights, and inputs, moved by `neighbours`, and restore the weights."""
        with self.flat.moved(seed), torch.no_grad():
            return self.download(self.flat.call(self._tensors(neighbouring_feeds(feeds, seed))))

    def values(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Run the exported program node by node; a model that was not exported as a program knows no values."""
        return self._node_values(feeds, names, double=False)

    def values_double(self, feeds: Mapping[str, Array], names: Sequence[str]) -> dict[str, Array]:
        """Likewise, with everything in float64."""
        return self._node_values(feeds, names, double=True)

    def _node_values(self, feeds: Mapping[str, Array], names: Sequence[str], *, double: bool) -> dict[str, Array]:
        from translate.models.torch_values import node_values

        if self.exported is None:
            return {}
        try:
            return node_values(self.exported, self._tensors(feeds), names, double=double)
        except (RuntimeError, TypeError, ValueError, AssertionError):
            # Some programs cannot be run so: one that insists on float32, say.
            return {}

    def release(self) -> None:
        """Free the copy in float64."""
        self._double = None

    def gradients(
        self, feeds: Mapping[str, Array], loss: Loss, *, double: bool = False, seed: int | None = None
    ) -> Gradients | None:
        """Differentiate a copy of the model. Raises `UsageError` when PyTorch cannot."""
        from translate.models import torch_gradients

        return torch_gradients.gradients(self, feeds, loss, double=double, seed=seed)

    def descend(
        self,
        feeds: Mapping[str, Array],
        loss: Loss,
        parameters: Sequence[str],
        learning_rate: float,
        steps: int,
        *,
        double: bool = False,
        seed: int | None = None,
    ) -> list[float] | None:
        """Train a copy of the model. Raises `UsageError` when PyTorch cannot differentiate it."""
        from translate.models import torch_gradients

        return torch_gradients.descend(self, feeds, loss, parameters, learning_rate, steps, double=double, seed=seed)

    def _tensors(self, feeds: Mapping[str, Array]) -> list[torch.Tensor]:
        return [to_tensor(feeds[spec.name]).to(self._place) for spec in self.inputs]

    @cached_property
    def _place(self) -> torch.device:
        return next((tensor.device for tensor in self.flat.tensors()), self.device)


class FlatModule(nn.Module):
    """A module behind flat tensors: `forward(*tensors)` returns the tuple of all output tensors.

    `names` are the inputs in order; `arguments` says which input goes into which argument, as pairs of an
    argument's name (None: by position) and what it is made of.
    """

    def __init__(
        self,
        module: Callable[..., Any],
        names: Sequence[str],
        arguments: Sequence[tuple[str | None, Nest]],
    ) -> None:
        super().__init__()
        self.module = module
        self.names = tuple(names)
        self.arguments = tuple(arguments)

    def nest(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the positional and the keyword arguments that the inputs, in order, make."""
        values = dict(zip(self.names, tensors, strict=True))
        args = [_fill(nest, values) for keyword, nest in self.arguments if keyword is None]
        return tuple(args), {key: _fill(nest, values) for key, nest in self.arguments if key is not None}

    def call(self, tensors: Sequence[Any]) -> Any:
        """Call the module on its inputs in order and return what it returns."""
        args, kwargs = self.nest(tensors)
        return self.module(*args, **kwargs)

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the output tensors in the order of `flatten`."""
        return tuple(flatten(self.call(tensors)).values())

    def doubled(self) -> FlatModule:
        """Return a copy whose weights are float64."""
        twin = copy.deepcopy(self).double()
        if isinstance(twin.module, _ProgramCall):
            twin.module.module.double()
        return twin

    def call_double(self, tensors: Sequence[Any]) -> Any:
        """Call the module with its weights in float64, a few at a time, see `torch_double`.

        Raises `RuntimeError`, among others, for a module that reads the weights of others where it is larger than what
        is taken as a whole, and for any that cannot be computed in float64.
        """
        if isinstance(self.module, _ProgramCall):
            args, kwargs = self.nest(tensors)
            return self.module.call_double(*args, **kwargs)
        if not can_be_doubled(self.owner):
            raise TypeError("the calls of TorchScript cannot be followed")
        with double_weights(self.owner):
            return self.call(tensors)

    @property
    def copy_is_wider(self) -> bool:
        """Whether a copy, `doubled`, may do where `call_double` does not."""
        is_program = isinstance(self.module, _ProgramCall)
        return not is_program and not (can_be_doubled(self.owner) and is_whole(self.owner))

    def perturbed(self, seed: int) -> FlatModule:
        """Return a copy whose weights are moved at random to neighbouring numbers, see `neighbours`."""
        twin = copy.deepcopy(self)
        generator = np.random.default_rng(seed)
        with torch.no_grad():
            for tensor in twin.tensors():
                tensor.copy_(to_tensor(neighbours(to_array(tensor), generator)))
        return twin

    @contextmanager
    def moved(self, seed: int) -> Iterator[None]:
        """Move the weights at random to neighbouring numbers, and back afterwards."""
        generator = np.random.default_rng(seed)
        ways: list[tuple[torch.Tensor, WayBack]] = []
        try:
            for tensor in self.tensors():
                has_neighbours = tensor.is_floating_point() or tensor.is_complex()
                for index in parts(tensor.shape, tensor.itemsize) if has_neighbours else ():
                    # Through `data`: what autograd remembers of the weights stays valid.
                    part = tensor.data[index]
                    numbers, way = move(to_array(part), generator)
                    ways.append((part, way))
                    part.copy_(to_tensor(numbers))
            yield
        finally:
            # Two weights may share their memory.
            for part, way in reversed(ways):
                part.copy_(to_tensor(way.follow(to_array(part))))

    @property
    def owner(self) -> nn.Module:
        """The module that has the weights, under the names that they have in the source."""
        owner: Any = self.module.module if isinstance(self.module, _ProgramCall) else self.module
        assert isinstance(owner, nn.Module)
        return owner

    def tensors(self) -> Iterator[torch.Tensor]:
        """Iterate over all parameters and buffers."""
        yield from self.owner.parameters()
        yield from self.owner.buffers()


class _ProgramCall:
    """An ExportedProgram's module called by flat values, in the order of its graph's inputs."""

    def __init__(self, program: ExportedProgram) -> None:
        self.module = program.module()
        self.in_spec = program.call_spec.in_spec
        user = [spec for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
        self.arguments = [spec.arg for spec in user]

    def __call__(self, *values: Any) -> Any:
        args, kwargs = pytree.tree_unflatten(self._leaves(values), self.in_spec)
        return self.module(*args, **kwargs)

    def call_double(self, *values: Any) -> Any:
        interpreter = DoubleProgram(self.module)
        returned = interpreter.run(*self._leaves(values), enable_io_processing=False)
        return self.module.graph.process_outputs(returned)

    def _leaves(self, values: Sequence[Any]) -> list[Any]:
        remaining = iter(values)
        return [self._leaf(argument, remaining) for argument in self.arguments]

    @staticmethod
    def _leaf(argument: Any, remaining: Iterator[torch.Tensor]) -> Any:
        if isinstance(argument, ConstantArgument):
            return argument.value
        value = next(remaining)
        return int(value) if isinstance(argument, SymIntArgument) else value


def from_module(
    module: nn.Module, inputs: Sequence[Spec], *, known: Sequence[Spec] = (), notes: list[str] | None = None
) -> TorchModel:
    """Open a live module, TorchScript included.

    `inputs` are the user's, `known` come from a sample. A module in train mode is set to eval, and a note says so.
    Raises `UsageError` when the inputs do not fit the arguments of `forward`.
    """
    scripted = isinstance(module, torch.jit.ScriptModule)
    if any(part.training for part in module.modules()):
        module.eval()
        if notes is not None:
            notes.append("the module was in train mode; it was set to eval")
    arguments = _Arguments(module)
    specs = merge_specs(inputs, known)
    if not specs and (arguments.names or arguments.variadic):
        names = arguments.required or arguments.names or ["x"]
        which = "each of" if arguments.required else "each that you use of"
        dims = "batch,seq:int64" if names[0].endswith(("ids", "mask")) else "batch,3,224,224"
        raise UsageError(
            f"the sizes of the inputs are not known: give one --input for {which} {', '.join(names)}, "
            f"such as --input {names[0]}:{dims}, or --sample FILE"
        )
    call, specs = _bind(specs, arguments)
    order = [name for _, nest in call for name in _leaves(nest)]
    by_name = {spec.name: spec for spec in specs}
    kind = "TorchScript" if scripted else "PyTorch module"
    return TorchModel(FlatModule(module, order, call), open_dims([by_name[name] for name in order]), kind)


def _bind(specs: Sequence[Spec], arguments: _Arguments) -> tuple[list[tuple[str | None, Nest]], tuple[Spec, ...]]:
    """Decide which input goes into which argument: by position as far as that goes, then by name."""
    if arguments.variadic:
        # forward(*args) takes any names; they are positions.
        specs = name_inputs(specs, [f"input_{index}" for index in range(len(specs))], complete=False)
        return [(None, spec.name) for spec in specs], specs
    names = arguments.names
    specs = name_inputs(specs, names)
    nests = _arguments([spec.name for spec in specs], names)
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


def from_program(program: ExportedProgram, inputs: Sequence[Spec] = ()) -> TorchModel:
    """Open an ExportedProgram; its graph says its inputs, and `inputs` may only rename symbolic dimensions.

    Raises `UsageError` when `inputs` ask for a size that the program does not have.
    """
    known = program_specs(program)
    names = [spec.name for spec in known]
    declared = {spec.name: spec for spec in merge_specs(inputs, known)} if inputs else {}
    rename = symbol_names(known, [declared.get(spec.name, spec) for spec in known])
    specs = [replace(spec, shape=tuple(rename_dim(dim, rename) for dim in spec.shape or ())) for spec in known]
    for spec in specs:
        _check_declared(declared.get(spec.name, spec), spec)
    ranges = {
        rename[str(symbol)]: (max(1, _bound(limits.lower, 1)), _bound(limits.upper, 2**31))
        for symbol, limits in program.range_constraints.items()
        if rename.get(str(symbol), "").isidentifier()
    }
    flat = FlatModule(_ProgramCall(program), names, [(None, name) for name in names])
    return TorchModel(flat, specs, "PyTorch ExportedProgram", program=program, ranges=ranges)


def program_specs(program: ExportedProgram) -> list[Spec]:
    """Return the inputs of a program, with torch.export's symbols as dimensions (`s77`)."""
    user = [spec.arg for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]
    names = [argument.name for argument in user if not isinstance(argument, ConstantArgument)]
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    return [_program_spec(name, values[name]) for name in names]


def _program_spec(name: str, value: Any) -> Spec:
    if isinstance(value, torch.Tensor):
        shape: tuple[Dim, ...] = tuple(dim if isinstance(dim, int) else str(dim) for dim in value.shape)
        return Spec(name, dtype_name(value.dtype), shape)
    return Spec(name, "int64", ())


def _check_declared(declared: Spec, actual: Spec) -> None:
    """Raise `UsageError` when an `--input` contradicts an ExportedProgram."""
    for wanted, dim in zip(declared.shape or (), actual.shape or (), strict=True):
        if wanted != dim and isinstance(dim, int) and not _SYMBOL.search(str(wanted)):
            raise UsageError(
                f"--input {declared}: the program was exported with {actual}; export it again to change that"
            )


def symbol_names(known: Sequence[Spec], declared: Sequence[Spec]) -> dict[str, str]:
    """Map torch.export's symbols (`s77`) in `known` to the user's names in `declared`, or to names of our own.

    A symbol that is all of a dimension may be an expression of the user's, such as `4*height`, or a fixed size. A
    symbol without a name is `batch` on the first axis, `<input>_<axis>` elsewhere.
    """
    names: dict[str, str] = {}
    for ours, theirs in zip(known, declared, strict=True):
        for dim, name in zip(ours.shape or (), theirs.shape or (), strict=True):
            if isinstance(name, int) and dim in _SYMBOL.findall(str(dim)):
                names.setdefault(str(dim), str(name))
                continue
            # The same expression in both, such as s77 and batch, or 2*s77 and 2*height.
            ours_names, theirs_names = _SYMBOL.findall(str(dim)), _NAME.findall(str(name))
            if len(ours_names) != 1 or len(theirs_names) != 1 or _SYMBOL.fullmatch(theirs_names[0]):
                continue
            if dim == ours_names[0]:
                names.setdefault(str(dim), str(name))
            elif str(dim).replace(ours_names[0], theirs_names[0]).replace(" ", "") == name:
                names.setdefault(ours_names[0], theirs_names[0])
    for spec in known:
        for axis, dim in enumerate(spec.shape or ()):
            for symbol in _SYMBOL.findall(dim) if isinstance(dim, str) else ():
                free = axis == 0 and "batch" not in names.values()
                names.setdefault(symbol, "batch" if free else f"{re.sub(r'[^A-Za-z0-9_]', '_', spec.name)}_{axis}")
    return names


def rename_dim(dim: Dim, names: Mapping[str, str]) -> Dim:
    """Replace torch.export's symbols in a dimension by names; what holds only numbers then becomes a number."""
    if not isinstance(dim, str):
        return dim

    def name(match: re.Match[str]) -> str:
        found = names.get(match[0], match[0])
        return found if found.isidentifier() else f"({found})"

    renamed = names[dim] if dim in names else _SYMBOL.sub(name, dim)
    return renamed if _NAME.search(renamed) else size_of(renamed, {})


def _bound(value: Any, default: int) -> int:
    """Return a limit of a symbol's range; infinities, which torch has kinds of its own for, become `default`."""
    return int(value) if getattr(value, "is_Integer", False) else default


class _Arguments:
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
    return _Arguments(module).names


def _arguments(names: Sequence[str], arguments: Sequence[str]) -> dict[str, Nest]:
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


def _leaves(nest: Nest) -> list[str]:
    if isinstance(nest, str):
        return [nest]
    return [leaf for part in (nest.values() if isinstance(nest, dict) else nest) for leaf in _leaves(part)]


def _fill(nest: Nest, values: Mapping[str, Any]) -> Any:
    if isinstance(nest, str):
        return values[nest]
    if isinstance(nest, dict):
        return {key: _fill(part, values) for key, part in nest.items()}
    return tuple(_fill(part, values) for part in nest)


def flatten(value: Any) -> dict[str, torch.Tensor]:
    """Name every tensor of a result after its place: keys joined by `_`; None is left out.

    A result that is one tensor is called `output`, the parts of a tuple `output_0`...
    """
    tensors: dict[str, torch.Tensor] = {}
    for path, leaf in _walk(value):
        numbered = not path or path[0].isdigit()
        name = "_".join(("output", *path) if numbered else path)
        while name in tensors:
            name += "_"
        tensors[name] = leaf if isinstance(leaf, torch.Tensor | Leaf) else torch.as_tensor(leaf)  # type: ignore[assignment]
    return tensors


class Leaf(int):
    """A tensor's index among the outputs of a program, standing for the tensor."""


def _walk(value: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, part in _parts(value):
        if key is None:
            yield (), part
        else:
            yield from (((key, *path), leaf) for path, leaf in _walk(part))


def _parts(value: Any) -> list[tuple[str | None, Any]]:
    """Return the named parts of one level of a result; a leaf is the one part called None."""
    if value is None:
        return []
    if isinstance(value, torch.Tensor | int | float | complex):
        return [(None, value)]
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(zip(value._fields, value, strict=True))
    if isinstance(value, tuple | list):
        return [(str(index), part) for index, part in enumerate(value)]
    if is_dataclass(value):
        return [(field.name, getattr(value, field.name)) for field in fields(value)]
    # The caches of transformers are lists of layers, objects whose attributes are tensors.
    layers = getattr(value, "layers", None)
    if isinstance(layers, list):
        return [(str(index), _tensors_of(layer)) for index, layer in enumerate(layers)]
    # That of an encoder and a decoder holds two of them.
    parts = getattr(value, "__dict__", {})
    caches = [(key, part) for key, part in parts.items() if isinstance(getattr(part, "layers", None), list)]
    if caches:
        return caches
    raise UsageError(f"forward returns a {type(value).__name__}; tensors in tuples, dicts and dataclasses can be named")


def _tensors_of(layer: Any) -> dict[str, torch.Tensor]:
    """Return a cache layer's tensors but for its private bookkeeping; `keys` are called `key`, `values` `value`."""
    short = {"keys": "key", "values": "value"}
    public = {key: part for key, part in vars(layer).items() if not key.startswith("_")}
    return {short.get(key, key): part for key, part in public.items() if isinstance(part, torch.Tensor)}


def structure_of(value: Any) -> str:
    """Return "single", "tuple", "list" or "dict": what kind of result `value` is."""
    if isinstance(value, torch.Tensor | Leaf | int | float):
        return "single"
    if isinstance(value, Mapping) or is_dataclass(value) or hasattr(value, "_fields"):
        return "dict"
    return "list" if isinstance(value, list) else "tuple"


def _common_shape(shapes: Sequence[tuple[int, ...]], choices: Sequence[Mapping[str, int]]) -> tuple[Dim, ...] | None:
    """Find the dimensions behind the shapes that an output had at several choices of sizes."""
    if len({len(shape) for shape in shapes}) != 1:
        return None
    dims: list[Dim] = []
    for sizes in zip(*shapes, strict=True):
        names = [n for n in choices[0] if all(size_of(n, c) == s for c, s in zip(choices, sizes, strict=True))]
        changes = len(set(sizes)) > 1
        dims.append((names[0] if names else None) if changes else sizes[0])
    return tuple(dims)


def dtype_name(dtype: torch.dtype) -> str:
    """Return numpy's name of a torch dtype."""
    return str(dtype).removeprefix("torch.")


def to_array(tensor: torch.Tensor) -> Array:
    """Copy a tensor into an array; bfloat16 and the like become `ml_dtypes`."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    try:
        return np.array(tensor.numpy())
    except TypeError:
        bits = {1: torch.uint8, 2: torch.int16}[tensor.element_size()]
        return np.array(tensor.view(bits).numpy()).view(numpy_dtype(dtype_name(tensor.dtype)))


def to_tensor(array: Array) -> torch.Tensor:
    """Copy an array into a tensor."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    try:
        return torch.from_numpy(array.copy())
    except TypeError:
        bits = np.dtype({1: "uint8", 2: "int16"}[array.dtype.itemsize])
        return torch.from_numpy(array.view(bits).copy()).view(getattr(torch, array.dtype.name))
