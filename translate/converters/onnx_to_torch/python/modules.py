"""The tree of a module's layers and tensors as Python expressions that make it again."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx, nn

from translate.converters.onnx_to_torch.python.expressions import is_standalone
from translate.errors import ExportError

# Arguments of torch.nn's layers that say where and how, not what.
_NOT_SAID = frozenset({"device", "dtype", "_weight", "_freeze", "mode"})
# Buffers up to this size are written with their numbers.
_WRITTEN = 16


class Tree:
    """Says how a module is made, and how what hangs in it is reached.

    `branch` is called with each graph module inside, and returns the expression that makes it.
    """

    def __init__(self, root: nn.Module, branch: Callable[[fx.GraphModule, str], str]) -> None:
        self._root = root
        self._branch = branch
        # The lists of modules, by the expressions that reach them, and their lengths.
        self.lengths: dict[str, int] = {}
        # Whether some place needs the class `Layers`.
        self.groups = False
        # Classes that are not torch.nn's, whose source goes into the file.
        self.classes: dict[str, type[nn.Module]] = {}

    def access(self, path: str) -> str:
        """Return how the root's methods reach `path`: `self.blocks[0].conv` for `blocks.0.conv`."""
        text, module = "self", self._root
        for part in path.split("."):
            kind = _kind(module)
            if kind is list:
                text += f"[{part}]"
            elif kind is dict:
                text += f'["{part}"]'
            elif _is_name(part):
                text += f".{part}"
            else:
                text = f'getattr({text}, "{part}")'
            module = getattr(module, part)
        return text

    def statements(self) -> Iterator[str]:
        """Yield the assignments of `__init__`."""
        for name, child in self._root.named_children():
            yield f"{self._target(name)} = {self._module(child, name)}"
        for name, tensor in _tensors(self._root):
            yield f"{self._target(name)} = {_tensor(tensor)}"
        yield from self._tied()
        graphs = [name for name, module in self._root.named_modules() if name and isinstance(module, fx.GraphModule)]
        for name, parameter in self._root.named_parameters():
            if any(name.startswith(f"{graph}.") for graph in graphs):
                # Its own class says so.
                continue
            owner = self._root.get_submodule(name.rpartition(".")[0])
            if not parameter.requires_grad and not _all_frozen(owner):
                yield f"{self.access(name)}.requires_grad_(False)"

    def _target(self, name: str) -> str:
        if not _is_name(name):
            raise ExportError(f"{name!r} is no name of an attribute")
        return f"self.{name}"

    def _tied(self) -> Iterator[str]:
        first: dict[int, str] = {}
        for name, tensor in self._root.named_parameters(remove_duplicate=False):
            if id(tensor) in first:
                yield f"{self.access(name)} = {self.access(first[id(tensor)])}"
            first.setdefault(id(tensor), name)

    def _module(self, module: nn.Module, path: str) -> str:
        if isinstance(module, fx.GraphModule):
            return self._branch(module, path)
        if is_standalone(type(module)):
            # With the classes that it is derived from, before it.
            self.classes |= {kind.__name__: kind for kind in reversed(type(module).__mro__) if is_standalone(kind)}
            return _layer(module, path, "")
        if type(module) is not nn.Module:
            return _layer(module, path)
        children = {name: self._module(child, f"{path}.{name}") for name, child in module.named_children()}
        kind = _kind(module)
        if kind is list:
            items = list(children.values())
            self.lengths[self.access(path)] = len(items)
            if len(items) > 1 and len(set(items)) == 1:
                return f"nn.ModuleList([{items[0]} for _ in range({len(items)})])"
            return f"nn.ModuleList([{', '.join(items)}])"
        if kind is dict:
            items = [f"{name!r}: {text}" for name, text in children.items()]
            return f"nn.ModuleDict({{{', '.join(items)}}})"
        self.groups = True
        parts = children | {name: _tensor(tensor) for name, tensor in _tensors(module)}
        arguments = [f"{name}={text}" for name, text in parts.items() if _is_name(name)]
        others = ", ".join(f"{name!r}: {text}" for name, text in parts.items() if not _is_name(name))
        if others:
            arguments.append(f"**{{{others}}}")
        return f"Layers({', '.join(arguments)})"


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _kind(module: nn.Module) -> type:
    """Return list or dict for a plain module of numbered ones only, as nn.Sequential has, else object."""
    names = list(module._modules)
    if type(module) is not nn.Module or not names or list(_tensors(module)) or not all(n.isdigit() for n in names):
        return object
    return list if names == [str(index) for index in range(len(names))] else dict


def _tensors(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from module.named_parameters(recurse=False, remove_duplicate=False)
    yield from module.named_buffers(recurse=False, remove_duplicate=False)


def _tensor(tensor: torch.Tensor) -> str:
    """Return what makes a parameter or buffer; its numbers come from the file, small buffers are readable here."""
    dtype = "" if tensor.dtype is torch.float32 else f", dtype={tensor.dtype}"
    if isinstance(tensor, nn.Parameter):
        frozen = "" if tensor.requires_grad else ", requires_grad=False"
        return f"nn.Parameter(torch.zeros({list(tensor.shape)}{dtype}){frozen})"
    if tensor.numel() <= _WRITTEN and bool(torch.isfinite(tensor).all()):
        return f"nn.Buffer(torch.tensor({tensor.tolist()}, dtype={tensor.dtype}))"
    return f"nn.Buffer(torch.zeros({list(tensor.shape)}{dtype}))"


def _all_frozen(module: nn.Module) -> bool:
    return not any(parameter.requires_grad for parameter in module.parameters(recurse=False))


def _layer(module: nn.Module, path: str, place: str = "nn.") -> str:
    """Return the call that makes a layer of torch.nn. Raises `ExportError` when it would make another one."""
    kind = type(module)
    if place and getattr(nn, kind.__name__, None) is not kind:
        raise ExportError(f"{path} is a {kind.__name__}, which is no layer of torch.nn")
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, parameter in _parameters(kind):
        value = getattr(module, name)
        if name == "bias" and not isinstance(value, bool):
            value = value is not None
        if isinstance(value, tuple) and len(set(value)) == 1 and name != "normalized_shape":
            value = value[0]
        if parameter.default is parameter.empty:
            args.append(value)
        elif value != parameter.default:
            kwargs[name] = value
    dtype = next((tensor.dtype for tensor in module.parameters(recurse=False)), torch.float32)
    if dtype is not torch.float32:
        kwargs["dtype"] = dtype
    _check(module, kind, args, kwargs, path)
    arguments = [_literal(value) for value in args] + [f"{name}={_literal(value)}" for name, value in kwargs.items()]
    frozen = ".requires_grad_(False)" if list(module.parameters(recurse=False)) and _all_frozen(module) else ""
    return f"{place}{kind.__name__}({', '.join(arguments)}){frozen}"


def _parameters(kind: type[nn.Module]) -> Iterator[tuple[str, inspect.Parameter]]:
    """Yield the arguments of a layer's constructor that say what it is."""
    # The constructors of recurrent layers hand on what they are given.
    signature = inspect.signature(nn.RNNBase if issubclass(kind, nn.RNNBase) else kind)
    yield from ((name, one) for name, one in signature.parameters.items() if name not in _NOT_SAID)
    if kind is nn.RNN:
        yield "nonlinearity", inspect.Parameter("nonlinearity", inspect.Parameter.KEYWORD_ONLY, default="tanh")


def _literal(value: Any) -> str:
    if isinstance(value, tuple) and len(value) == 1:
        return repr(value[0])
    return repr(value)


def _check(module: nn.Module, kind: type[nn.Module], args: list[Any], kwargs: dict[str, Any], path: str) -> None:
    """Make the layer and compare: an attribute need not be what the constructor's argument of its name was."""
    with torch.device("meta"):
        twin = kind(*args, **kwargs)
    shapes = [{name: (t.shape, t.dtype) for name, t in m.state_dict().items()} for m in (module, twin)]
    if repr(twin) != repr(module) or shapes[0] != shapes[1]:
        raise ExportError(f"{path}: {twin} is not the layer {module}")
