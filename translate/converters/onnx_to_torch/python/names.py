"""Names for the values of a forward: `x` for what goes through it, others where several are held."""

from __future__ import annotations

import ast
import builtins
import copy
import keyword
import re
from collections import Counter
from collections.abc import Mapping

from translate.converters.onnx_to_torch.python.flow import Substitution, loads

_FLOW = ("x", "y", "z")
# A value that is read later than so many statements on is not called x.
_LONG = 8
# Names that are easily misread, or say nothing.
_UNTELLING = {"l": "x", "O": "x", "I": "x", "getitem": "part", "ne": "mask", "eq": "mask"}
_RESERVED = frozenset({"F", "Tensor", "math", "nn", "self", "torch", *dir(builtins), *keyword.kwlist}) - {"input"}
# What Keras calls a tensor or an argument that nobody has named.
_UNNAMED = re.compile(r"keras_tensor(_\d+)?|inputs?|sequences?|x_\d+")


def renamed(
    statements: list[ast.stmt], arguments: list[str], sizes: Mapping[str, str], free_arguments: bool
) -> tuple[list[str], list[ast.stmt]]:
    """Name the arguments, if that is free, and the values; a name is used again once its value is not needed any more.

    `sizes` has names for sizes of inputs, {"x.size(0)": "batch"}. Each value is bound once in `statements`.
    """
    names = _Names(statements, sizes)
    arguments = names.arguments(arguments, free_arguments)
    return arguments, [names.statement(index, item) for index, item in enumerate(statements)]


class _Names:
    def __init__(self, statements: list[ast.stmt], sizes: Mapping[str, str]) -> None:
        self._sizes = sizes
        self._statements = statements
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        for index, item in enumerate(statements):
            for name in loads(item):
                self._first.setdefault(name, index)
                self._last[name] = index
        self._reads = Counter(name for item in statements for name in loads(item))
        # The new names by the old ones, and the names in use with the statement after which each is free.
        self._new: dict[str, ast.expr] = {}
        self._held: dict[str, int] = {}
        self._numbers: set[str] = set()
        # The layer that a value comes from, or the argument.
        self._origins: dict[str, str] = {}
        self._layered: set[str] = set()

    def arguments(self, names: list[str], free: bool) -> list[str]:
        """Return the names of the arguments."""
        result = []
        for name in names:
            new = name
            if free and (len(names) == 1 or _UNNAMED.fullmatch(name)):
                new = next((one for one in _FLOW if one not in self._held), name)
            # The input of a model is a name that stays.
            self._held[new] = self._last.get(name, -1) if free or new in _FLOW else len(self._statements)
            self._new[name] = ast.Name(new, ast.Load())
            self._origins[name] = new
            result.append(new)
        return result

    def statement(self, index: int, item: ast.stmt) -> ast.stmt:
        """Return a statement with the new names."""
        if not isinstance(item, ast.Assign):
            return Substitution(self._new).visit(item)
        value = Substitution(self._new).visit(copy.deepcopy(item.value))
        self._held = {name: end for name, end in self._held.items() if end > index}
        target = item.targets[0]
        parts = target.elts if isinstance(target, ast.Tuple) else [target]
        for part in parts:
            assert isinstance(part, ast.Name)
            if part.id != "_":
                self._origins[part.id] = self._origin(part.id, item.value)
                new = self._name(index, part.id, item.value, value)
                self._held[new] = self._last.get(part.id, index)
                self._new[part.id] = ast.Name(new, ast.Load())
                part.id = new
        item.value = value
        return item

    def _name(self, index: int, old: str, before: ast.expr, value: ast.expr) -> str:
        told = self._sizes.get(ast.unparse(value))
        if told is not None or self._is_number(before):
            self._numbers.add(old)
            return self._free(told or _plain(old))
        reader = self._statements[self._first.get(old, index)]
        if isinstance(before, ast.Compare):
            return self._free("mask")
        waits = self._first.get(old, index) > index + 1
        if self._last.get(old, index) - index > _LONG:
            return self._free(self._origins[old])
        if self._reads[old] == 1 and _is_one_of_several(old, reader, self._reads):
            return self._free(self._origins[old])
        if self._reads[old] == 1 and waits and _is_sum(reader):
            return self._free("shortcut")
        return next((name for name in _FLOW if name not in self._held), None) or self._free(self._origins[old])

    def _origin(self, old: str, value: ast.expr) -> str:
        """Return the name of the layer that a value comes from, of the argument, or else of its operation."""
        calls = [ast.unparse(node.func) for node in ast.walk(value) if isinstance(node, ast.Call)]
        layers = [call for call in calls if call.startswith("self.")]
        known = [name for name in loads(value) if name in self._origins and name not in self._numbers]
        if layers:
            # The first layer that was applied is the innermost one.
            name = layers[-1].rpartition(".")[2]
            self._layered.add(old)
        else:
            source = next((one for one in known if one in self._layered), next(iter(known), ""))
            self._layered.update({old} if source in self._layered else ())
            name = self._origins.get(source, "")
        return name if name.isidentifier() and name not in _FLOW else _plain(old)

    def _is_number(self, value: ast.expr) -> bool:
        """Say whether a value is a size, or computed of sizes."""
        if isinstance(value, ast.Constant):
            return isinstance(value.value, int | float)
        if isinstance(value, ast.BinOp):
            return self._is_number(value.left) and self._is_number(value.right)
        if isinstance(value, ast.Name):
            return value.id in self._numbers
        if isinstance(value, ast.Call):
            called = value.func
            is_size = isinstance(called, ast.Attribute) and called.attr == "size"
            is_function = isinstance(called, ast.Name) or ast.unparse(called).startswith(("math.", "torch.sym"))
            return is_size or (is_function and all(self._is_number(one) for one in value.args))
        return False

    def _free(self, base: str) -> str:
        name, count = base, 1
        while name in self._held or name in _RESERVED:
            count += 1
            name = f"{base}_{count}"
        return name


def _plain(name: str) -> str:
    """Return a name without the number that made it unique."""
    plain = re.sub(r"_\d+$", "", name) or "x"
    return _UNTELLING.get(plain, plain)


def _is_one_of_several(name: str, reader: ast.stmt, reads: Mapping[str, int]) -> bool:
    """Say whether a value is one of several that only a call reads, such as query, key and value."""
    for node in ast.walk(reader):
        if isinstance(node, ast.Call):
            own = [one for argument in node.args for one in _names_in(argument)]
            if name in own and sum(reads[one] == 1 for one in own) > 1:
                return True
    return False


def _names_in(argument: ast.expr) -> list[str]:
    elements = argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]
    return [one.id for one in elements if isinstance(one, ast.Name)]


def _is_sum(reader: ast.stmt) -> bool:
    return any(isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) for node in ast.walk(reader))
