"""Python source from syntax trees: long expressions are broken at their brackets, one element a line."""

from __future__ import annotations

import ast
import re
import textwrap

WIDTH = 120
_INDENT = "    "
# A string in single quotes that may as well have double ones.
_SINGLE_QUOTED = re.compile(r"'([^'\"\\\n]*)'")


def unparse(node: ast.AST) -> str:
    """Return a syntax tree as one line."""
    return _SINGLE_QUOTED.sub(r'"\1"', ast.unparse(node))


def statement(node: ast.stmt, level: int) -> str:
    """Return an assignment, a `return` or a loop as lines that are indented by `level` steps."""
    if isinstance(node, ast.Assign):
        head = "".join(f"{_bound(target)} = " for target in node.targets)
        return broken(head, node.value, "", level)
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return broken(f"{unparse(node.target)}: {unparse(node.annotation)} = ", node.value, "", level)
    if isinstance(node, ast.Return) and node.value is not None:
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) > 1:
            line = f"{_INDENT * level}return {unparse(node.value)[1:-1]}"
            return line if len(line) <= WIDTH else broken("return ", node.value, "", level)
        return broken("return ", node.value, "", level)
    if isinstance(node, ast.For):
        inner = [statement(item, level + 1) for item in node.body]
        return "\n".join([f"{_INDENT * level}for {unparse(node.target)} in {unparse(node.iter)}:", *inner])
    return _INDENT * level + unparse(node)


def _bound(target: ast.expr) -> str:
    text = unparse(target)
    return text[1:-1] if isinstance(target, ast.Tuple) and len(target.elts) > 1 else text


def broken(head: str, value: ast.expr, tail: str, level: int) -> str:
    """Return `head`, the expression `value` and `tail` in one line, or in several where that would be too long."""
    prefix = _INDENT * level
    line = f"{prefix}{head}{unparse(value)}{tail}"
    if len(line) <= WIDTH:
        return line
    if isinstance(value, ast.ListComp):
        loops = unparse(value).removeprefix(f"[{unparse(value.elt)}").removesuffix("]")
        element = broken("", value.elt, "", level + 1)
        return f"{prefix}{head}[\n{element}\n{prefix}{_INDENT}{loops.strip()}\n{prefix}]{tail}"
    parts = _parts(value)
    if parts is None:
        return line
    opening, elements, closing = parts
    inner = [broken(name, element, ",", level + 1) for name, element in elements]
    return "\n".join([f"{prefix}{head}{opening}", *inner, f"{prefix}{closing}{tail}"])


def _parts(value: ast.expr) -> tuple[str, list[tuple[str, ast.expr]], str] | None:
    """Return what an expression begins with, its elements with what each begins with, and its closing bracket."""
    if isinstance(value, ast.Call) and (value.args or value.keywords):
        arguments = [("", argument) for argument in value.args]
        named = [(f"{k.arg}=" if k.arg is not None else "**", k.value) for k in value.keywords]
        return f"{unparse(value.func)}(", arguments + named, ")"
    if isinstance(value, ast.List | ast.Tuple) and value.elts:
        brackets = "[]" if isinstance(value, ast.List) else "()"
        return brackets[0], [("", element) for element in value.elts], brackets[1]
    if isinstance(value, ast.Dict) and value.keys:
        keys = ["**" if key is None else f"{unparse(key)}: " for key in value.keys]
        return "{", list(zip(keys, value.values, strict=True)), "}"
    return None


def docstring(text: str, level: int) -> list[str]:
    """Return a docstring as lines that are indented by `level` steps."""
    indent = "    " * level
    text = text.replace("\\", "\\\\").replace('"""', "'''")
    lines = textwrap.wrap(text, WIDTH - len(indent) - 6)
    lines[0] = f'"""{lines[0]}'
    if len(lines) == 1:
        return [f'{indent}{lines[0]}"""']
    return [*(f"{indent}{line}" for line in lines), f'{indent}"""']
