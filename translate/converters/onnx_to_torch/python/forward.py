"""The `forward` of a graph module as statements that a person would write: torch.fx's code, tidied."""

from __future__ import annotations

import ast
import builtins
import copy
import inspect
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch.nn.functional as F
from torch import fx

# What a graph refers to by these names reads otherwise in a file that imports torch only.
_NAMES = {"inf": "torch.inf", "nan": "torch.nan", "device": "torch.device"}
# Pools and convolutions are written with numbers for what is the same along all axes, and without these defaults.
_WINDOWS = re.compile(r"(max|avg)_pool\dd|conv(_transpose)?\dd")
_WINDOW_DEFAULTS = {"padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False, "output_padding": 0}
# Likewise of functions that are written in C++, which do not say their signature.
_DEFAULTS: dict[str, dict[str, Any]] = {"gelu": {"approximate": "none"}}
# So many calls and subscripts make one expression at most.
_LONGEST_CHAIN = 3
# Names that are easily misread, or say nothing.
_UNTELLING = {"l": "x", "O": "x", "I": "x", "getitem": "part"}


def forward(
    module: fx.GraphModule, access: Callable[[str], str], sizes: Mapping[str, str]
) -> tuple[list[str], list[ast.stmt]]:
    """Return the arguments of `module`'s forward, without `self`, and its statements.

    Layers and tensors are written as `access` says: `self.blocks[0].conv` for `blocks.0.conv`. `sizes` has names for
    sizes of inputs, {"x.size(0)": "batch"}. A name is used again once its value is not needed any more, which also
    frees the value.
    """
    graph = copy.deepcopy(module.graph)
    for node in graph.nodes:
        if node.op == "call_function":
            node.args, node.kwargs = _tidy(node)
    code = graph.python_code("self")
    (function,) = (item for item in ast.parse(code.src).body if isinstance(item, ast.FunctionDef))
    arguments = [argument.arg for argument in function.args.args[1:]]
    expressions = _Expressions(code.globals, access)
    statements = [expressions.visit(item) for item in function.body if not _is_release(item)]
    layers = {node.name: str(node.target) for node in graph.nodes if node.op == "call_module"}

    def base(name: str, value: ast.expr) -> str:
        if name in layers:
            name = next((part for part in reversed(layers[name].split(".")) if part.isidentifier()), "x")
        return sizes.get(ast.unparse(value), name)

    return arguments, _renamed(_inlined(statements), arguments, base)


def _tidy(node: fx.Node) -> tuple[Any, Any]:
    """Leave out keyword arguments that say the default."""
    name = getattr(node.target, "__name__", "")
    if _WINDOWS.fullmatch(name) or name == "fn":
        args = tuple(_scalar(argument) for argument in node.args)
        kwargs = {key: _scalar(value) for key, value in node.kwargs.items()}
        return args, {k: v for k, v in kwargs.items() if k not in _WINDOW_DEFAULTS or v != _WINDOW_DEFAULTS[k]}
    if name in _DEFAULTS:
        return node.args, {k: v for k, v in node.kwargs.items() if _DEFAULTS[name].get(k, node) != v}
    try:
        parameters: Mapping[str, inspect.Parameter] = inspect.signature(node.target).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):
        # Functions that are written in C++ do not say their signature.
        parameters = {}
    return node.args, {
        key: value
        for key, value in node.kwargs.items()
        if key not in parameters or isinstance(value, fx.Node) or value is not parameters[key].default
    }


def _scalar(value: Any) -> Any:
    numbers = isinstance(value, tuple | list) and len(value) > 0 and all(isinstance(item, int) for item in value)
    return value[0] if numbers and len(set(value)) == 1 else value


def _is_release(item: ast.stmt) -> bool:
    """Say whether a statement only lets go of values, `x = None`."""
    return isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant) and item.value.value is None


class _Expressions(ast.NodeTransformer):
    """Writes torch.fx's expressions as people do."""

    def __init__(self, names: Mapping[str, Any], access: Callable[[str], str]) -> None:
        self._names = names
        self._access = access

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in _NAMES:
            return _expression(_NAMES[node.id])
        function = self._names.get(node.id)
        if getattr(function, "__module__", None) == "math":
            return _expression(f"math.{function.__name__}")  # type: ignore[union-attr]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        path = _path(node)
        if path is not None:
            return _expression(self._access(path))
        text = ast.unparse(node)
        function = text.removeprefix("torch.nn.functional.").removeprefix("torch._C._nn.")
        if function != text and function.isidentifier() and hasattr(F, function):
            return _expression(f"F.{function}")
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        path = _path(node)
        if path is not None:
            return _expression(self._access(path))
        if ast.unparse(node.func) == "getattr" and isinstance(node.args[1], ast.Constant):
            attribute = str(node.args[1].value)
            return ast.Attribute(self.visit(node.args[0]), attribute, ast.Load())
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        index = node.slice
        if isinstance(index, ast.Tuple) and any(_is_slice(element) for element in index.elts):
            slices: list[ast.expr] = [_slice(self.visit(element)) for element in index.elts]
            node.slice = slices[0] if len(slices) == 1 else ast.Tuple(slices, ast.Load())
        elif _is_slice(index):
            node.slice = _slice(self.visit(index))
        else:
            node.slice = self.visit(index)
        node.value = self.visit(node.value)
        return node


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _path(node: ast.expr) -> str | None:
    """Return `blocks.0.conv` for `getattr(self.blocks, "0").conv`, None for what is no part of the module."""
    if isinstance(node, ast.Attribute):
        before = "" if _is_self(node.value) else _path(node.value)
        return None if before is None else f"{before}.{node.attr}".removeprefix(".")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        owner, name = node.args
        before = "" if _is_self(owner) else _path(owner)
        if before is not None and isinstance(name, ast.Constant) and isinstance(name.value, str):
            return f"{before}.{name.value}".removeprefix(".")
    return None


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_slice(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "slice"


def _slice(node: ast.expr) -> ast.expr:
    """Write `slice(None, 3, None)` as `:3`."""
    if not (isinstance(node, ast.Call) and _is_slice(node)):
        return node
    start, stop, step = (None if _is_none(argument) else argument for argument in node.args)
    return ast.Slice(start, stop, step)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _inlined(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Write where they are read: parts of the module, devices, what is returned, and steps of a chain of methods."""
    reads = Counter(name for item in statements for name in _loads(item))
    known: dict[str, ast.expr] = {}
    kept: list[ast.stmt] = []
    chained = {_chain_head(item) for item in statements}
    for item in statements:
        item = _Substitution(known).visit(item)
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            name, value = item.targets[0].id, item.value
            in_chain = reads[name] == 1 and name in chained and isinstance(value, ast.Call | ast.Subscript)
            if _is_reference(value) or (in_chain and _steps(value) < _LONGEST_CHAIN):
                known[name] = value
                continue
        kept.append(item)
    return kept


def _steps(value: ast.expr) -> int:
    return sum(isinstance(node, ast.Call | ast.Subscript) for node in ast.walk(value))


def _chain_head(item: ast.stmt) -> str | None:
    """Return the name that an expression begins with: `x` of `x.reshape(n, -1)`, `x[0]` or `return x`."""
    value = item.value if isinstance(item, ast.Assign | ast.Return) else None
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        value = value.func.value
    elif isinstance(value, ast.Subscript):
        value = value.value
    elif isinstance(item, ast.Assign):
        return None
    return value.id if isinstance(value, ast.Name) else None


def _is_reference(value: ast.expr) -> bool:
    """Say whether an expression only names something: `self.scale`, `self.blocks[0].scale`, `x.device`."""
    if isinstance(value, ast.Attribute) and value.attr == "device":
        return isinstance(value.value, ast.Name)
    while isinstance(value, ast.Attribute | ast.Subscript):
        value = value.value
    return _is_self(value)


class _Substitution(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if isinstance(node.ctx, ast.Load) and node.id in self._known:
            return copy.deepcopy(self._known[node.id])
        return node


def _loads(item: ast.AST) -> Iterator[str]:
    for node in ast.walk(item):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id


def _renamed(statements: list[ast.stmt], arguments: list[str], base: Callable[[str, ast.expr], str]) -> list[ast.stmt]:
    """Give the values the names that `base` proposes for them, and each name again once it is free."""
    last: dict[str, int] = {}
    for index, item in enumerate(statements):
        last.update(dict.fromkeys(_loads(item), index))
    names: dict[str, ast.expr] = {}
    # The names in use, and the statement after which each is free.
    held = {argument: last.get(argument, -1) for argument in arguments}
    result: list[ast.stmt] = []
    for index, item in enumerate(statements):
        item = _Substitution(names).visit(item)
        held = {name: end for name, end in held.items() if end > index or name in arguments}
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            old = item.targets[0].id
            name = _free(_plain(base(old, item.value)), held)
            held[name] = last.get(old, index)
            names[old] = ast.Name(name, ast.Load())
            item.targets[0].id = name
        result.append(item)
    return result


def _plain(name: str) -> str:
    """Return a name without the number that made it unique."""
    plain = re.sub(r"_\d+$", "", name) or "x"
    return _UNTELLING.get(plain, plain)


_RESERVED = frozenset({"F", "Tensor", "math", "nn", "self", "torch", *dir(builtins), *keyword.kwlist})


def _free(base: str, held: Mapping[str, int]) -> str:
    name, count = base, 0
    while name in held or name in _RESERVED:
        count += 1
        name = f"{base}_{count}"
    return name
