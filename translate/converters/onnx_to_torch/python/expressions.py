"""The code of a torch.fx graph as syntax trees, each operation written as a person would write it."""

from __future__ import annotations

import ast
import copy
import inspect
import operator
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx

# What a graph refers to by these names reads otherwise in a file that imports torch only.
_NAMES = {"inf": "torch.inf", "nan": "torch.nan", "device": "torch.device", "Ellipsis": "..."}
# Pools and convolutions are written with numbers for what is the same along all axes, and without these defaults.
_WINDOWS = re.compile(r"(max|avg)_pool\dd|conv(_transpose)?\dd")
_WINDOW_DEFAULTS = {"padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False, "output_padding": 0}
# Likewise of functions that are written in C++, which do not say their signature.
_DEFAULTS: dict[str, dict[str, Any]] = {"gelu": {"approximate": "none"}}
# Reductions, of which the third argument is `keepdim`.
_REDUCTIONS = frozenset({"mean", "sum", "amax", "amin", "prod", "any", "all", "logsumexp"})


class Code:
    """The `forward` of `module`: its `arguments` without self, and `statements` of one operation each.

    What the module holds is written as `access` says: `self.blocks[0].conv` for `blocks.0.conv`. `functions` are those
    that are not torch's, by name.
    """

    def __init__(self, module: fx.GraphModule, access: Callable[[str], str]) -> None:
        graph = copy.deepcopy(module.graph)
        for node in graph.nodes:
            if node.op == "call_function":
                node.args, node.kwargs = _tidy(node)
                if is_standalone(node.target):
                    # Its value must not be called what the function is.
                    node._rename("steps")
            elif node.op == "call_method" and node.target in _REDUCTIONS and node.args[2:] == (False,):
                node.args = node.args[:2]
        _keep_axes(graph)
        code = graph.python_code("self")
        (function,) = (item for item in ast.parse(code.src).body if isinstance(item, ast.FunctionDef))
        writer = _Writer(code.globals, access)
        self.arguments = [argument.arg for argument in function.args.args[1:]]
        self.statements: list[ast.stmt] = [writer.visit(item) for item in function.body if not _is_release(item)]
        self.functions = writer.functions


def _tidy(node: fx.Node) -> tuple[Any, Any]:
    """Leave out arguments that say the default."""
    name = getattr(node.target, "__name__", "")
    if _WINDOWS.fullmatch(name) or name == "fn":
        args = tuple(_scalar(argument) for argument in node.args)
        kwargs = {key: _scalar(value) for key, value in node.kwargs.items()}
        return args, {k: v for k, v in kwargs.items() if k not in _WINDOW_DEFAULTS or v != _WINDOW_DEFAULTS[k]}
    if node.target is torch.flip and len(node.args[1]) == 1:  # type: ignore[arg-type]
        return (node.args[0], node.args[1][0]), {}  # type: ignore[index]
    if name in _DEFAULTS:
        return node.args, {k: v for k, v in node.kwargs.items() if _DEFAULTS[name].get(k, node) != v}
    if node.target is F.linear and node.args[2:] == (None,):
        return node.args[:2], {}
    if node.target in (getattr(torch, reduction) for reduction in _REDUCTIONS) and node.args[2:] == (False,):
        return node.args[:2], node.kwargs
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


def _keep_axes(graph: fx.Graph) -> None:
    """Let a mean over an image keep its axes where they are put back right after it."""
    for node in list(graph.nodes):
        if node.target is operator.getitem and node.args[1] == (slice(None), slice(None), None, None):
            mean = node.args[0]
            if mean.target is torch.mean and mean.args[1:] == ((2, 3),) and len(mean.users) == 1:
                mean.kwargs = mean.kwargs | {"keepdim": True}
                node.replace_all_uses_with(mean)
                graph.erase_node(node)


def _scalar(value: Any) -> Any:
    numbers = isinstance(value, tuple | list) and len(value) > 0 and all(isinstance(item, int) for item in value)
    return value[0] if numbers and len(set(value)) == 1 else value


def _is_release(item: ast.stmt) -> bool:
    """Say whether a statement only lets go of values, `x = None`."""
    return isinstance(item, ast.Assign) and isinstance(item.value, ast.Constant) and item.value.value is None


class _Writer(ast.NodeTransformer):
    """Writes torch.fx's expressions as people do."""

    def __init__(self, names: Mapping[str, Any], access: Callable[[str], str]) -> None:
        self._names = names
        self._access = access
        self.functions: dict[str, Callable[..., Any]] = {}

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in _NAMES:
            return expression(_NAMES[node.id])
        function = self._names.get(node.id)
        module = str(getattr(function, "__module__", None))
        if module == "math":
            return expression(f"math.{function.__name__}")  # type: ignore[union-attr]
        if is_standalone(function):
            assert function is not None
            self.functions[function.__name__] = function
            return expression(function.__name__)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        path = _path(node)
        if path is not None:
            return expression(self._access(path))
        text = ast.unparse(node)
        function = text.removeprefix("torch.nn.functional.").removeprefix("torch._C._nn.")
        if function != text and function.isidentifier() and hasattr(F, function):
            return expression(f"F.{function}")
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        path = _path(node)
        if path is not None:
            return expression(self._access(path))
        text = ast.unparse(node.func)
        if text == "getattr" and isinstance(node.args[1], ast.Constant):
            attribute = str(node.args[1].value)
            return ast.Attribute(self.visit(node.args[0]), attribute, ast.Load())
        if text == "torch.flip" and not node.keywords:
            # As a method, it follows what it is applied to.
            node = ast.Call(ast.Attribute(node.args[0], "flip", ast.Load()), node.args[1:], [])
        self.generic_visit(node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        index = node.slice
        if isinstance(index, ast.Tuple) and any(_is_slice(element) for element in index.elts):
            slices: list[ast.expr] = [_slice(self.visit(element)) for element in index.elts]
            node.slice = slices[0] if len(slices) == 1 else ast.Tuple(slices, ast.Load())
        elif _is_slice(index):
            node.slice = _slice(self.visit(index))
        elif isinstance(index, ast.Tuple) and len(index.elts) == 1:
            node.slice = self.visit(index.elts[0])
        else:
            node.slice = self.visit(index)
        node.value = self.visit(node.value)
        return node


def is_standalone(thing: Any) -> bool:
    """Say whether a class or function is one of ours whose source goes into the package."""
    return bool(getattr(sys.modules.get(str(getattr(thing, "__module__", None))), "STANDALONE", False))


def expression(text: str) -> ast.expr:
    """Return the syntax tree of an expression."""
    return ast.parse(text, mode="eval").body


def _path(node: ast.expr) -> str | None:
    """Return `blocks.0.conv` for `getattr(self.blocks, "0").conv`, None for what is no part of the module."""
    if isinstance(node, ast.Attribute):
        before = "" if is_self(node.value) else _path(node.value)
        return None if before is None else f"{before}.{node.attr}".removeprefix(".")
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        owner, name = node.args
        before = "" if is_self(owner) else _path(owner)
        if before is not None and isinstance(name, ast.Constant) and isinstance(name.value, str):
            return f"{before}.{name.value}".removeprefix(".")
    return None


def is_self(node: ast.expr) -> bool:
    """Say whether an expression is `self`."""
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
