"""What a strict type checker knows of the values in a forward: what a layer returns is Any to it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence

import torch.nn.functional as F


def with_typed_result(
    statements: list[ast.stmt], arguments: Sequence[str], functions: Collection[str] = ()
) -> list[ast.stmt]:
    """Return the statements of a forward, the type of its result said where a type checker could not tell.

    The `arguments` are tensors, and so are the results of `functions`.
    """
    last = statements[-1]
    if not isinstance(last, ast.Return) or last.value is None:
        return statements
    types = dict.fromkeys(arguments, True)
    for item in statements[:-1]:
        if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
            # An argument keeps the type that its annotation says.
            name = item.targets[0].id
            types[name] = name in arguments or _is_typed(item.value, types, functions)
    if isinstance(last.value, ast.Tuple | ast.Dict | ast.List) or _is_typed(last.value, types, functions):
        return statements
    bound: ast.stmt
    if "x" in arguments:
        name = "x"
        bound = ast.Assign([ast.Name(name, ast.Store())], last.value, lineno=0)
    else:
        name = next(one for one in ("result", "output", "returned") if one not in types)
        bound = ast.AnnAssign(ast.Name(name, ast.Store()), ast.Name("Tensor", ast.Load()), last.value, simple=1)
    return [*statements[:-1], bound, ast.Return(ast.Name(name, ast.Load()))]


def _is_typed(value: ast.expr, types: Mapping[str, bool], functions: Collection[str]) -> bool:
    """Say whether an expression is a tensor to a type checker."""
    if isinstance(value, ast.Name):
        return types.get(value.id, False)
    if isinstance(value, ast.BinOp):
        # One operand that is Any makes the result so.
        operands = [one for one in (value.left, value.right) if not isinstance(one, ast.Constant)]
        return all(_is_typed(one, types, functions) for one in operands)
    if isinstance(value, ast.Subscript | ast.Attribute):
        return _is_typed(value.value, types, functions)
    if not isinstance(value, ast.Call):
        return False
    if isinstance(value.func, ast.Name):
        return value.func.id in functions
    function = ast.unparse(value.func)
    if not isinstance(value.func, ast.Attribute) or function.startswith("self."):
        return False
    if function.startswith("F."):
        # Those that are written in C++ have no types, nor those that choose one of two functions.
        return "return" in getattr(getattr(F, value.func.attr, None), "__annotations__", {})
    return function.startswith("torch.") or _is_typed(value.func.value, types, functions)
