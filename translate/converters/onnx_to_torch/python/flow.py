"""Statements of one operation each made those that a person would write: branch by branch, a layer and what follows."""

from __future__ import annotations

import ast
import copy
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping

from torch import fx, nn

from translate.converters.onnx_to_torch.python.expressions import is_self
from translate.converters.onnx_to_torch.python.layout import unparse

# Layers that a statement begins with; normalisation, activation and dropout are written around them.
_MAIN_LAYERS = (
    *(nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear, nn.Embedding, nn.EmbeddingBag, nn.RNNBase),
    *(nn.MultiheadAttention, fx.GraphModule),
)
_MAIN_FUNCTIONS = ("F.linear", "F.conv", "F.embedding", "F.scaled_dot", "torch.matmul", "torch.bmm", "torch.einsum")
_CONTROL = "torch.ops."
# A block in a list of them, `self.blocks[0]`.
_ELEMENT = re.compile(r"self\.[\w.]+\[\d+\]")
# So many operations are written in one statement at most, and so many characters.
_MOST_OPERATIONS = 4
_WIDEST = 88
# So many in an operand of an operator, and in an argument beside others.
_MOST_IN_OPERAND = 2
_MOST_IN_ARGUMENT = 1


def flowing(statements: list[ast.stmt], layers: Mapping[str, nn.Module], arguments: Collection[str]) -> list[ast.stmt]:
    """Return the same computation in fewer statements; `layers` are the module's by the expressions that reach them.

    Values are bound once, before and after.
    """
    ordered = _unpacked(_branch_after_branch(_without_references(statements)), layers)
    return [_Methods(layers).visit(item) for item in _Joined(ordered, layers, arguments).statements]


def loads(item: ast.AST) -> Iterator[str]:
    """Yield the names that are read."""
    for node in ast.walk(item):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id


def target(item: ast.stmt) -> str | None:
    """Return the name that a statement binds, if it is one."""
    if isinstance(item, ast.Assign) and isinstance(item.targets[0], ast.Name):
        return item.targets[0].id
    return None


class Substitution(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, known: Mapping[str, ast.expr]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Return the expression in the place of a name that is read."""
        if isinstance(node.ctx, ast.Load) and node.id in self._known:
            return copy.deepcopy(self._known[node.id])
        return node


def _without_references(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Write parts of the module and devices where they are read."""
    known: dict[str, ast.expr] = {}
    kept: list[ast.stmt] = []
    for item in statements:
        item = Substitution(known).visit(item)
        name = target(item)
        if name is not None and isinstance(item, ast.Assign) and is_reference(item.value):
            known[name] = item.value
        else:
            kept.append(item)
    return kept


def is_reference(value: ast.expr) -> bool:
    """Say whether an expression only names something: `self.scale`, `self.blocks[0].scale`, `x.device`."""
    if isinstance(value, ast.Attribute) and value.attr == "device":
        return isinstance(value.value, ast.Name)
    while isinstance(value, ast.Attribute | ast.Subscript):
        value = value.value
    return is_self(value)


def _branch_after_branch(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Order the statements so that what a value is made of stands right before it."""
    made = {name: item for item in statements if (name := target(item)) is not None}
    done: set[str] = set()
    result: list[ast.stmt] = []
    # A statement, and what it reads that has not been looked at.
    stack = [(statements[-1], loads(statements[-1]))]
    while stack:
        item, reads = stack[-1]
        name = next((one for one in reads if one in made and one not in done), None)
        if name is not None:
            done.add(name)
            stack.append((made[name], loads(made[name])))
        else:
            result.append(item)
            stack.pop()
    return result


def _unpacked(statements: list[ast.stmt], layers: Mapping[str, nn.Module]) -> list[ast.stmt]:
    """Write `y, state = f(x)` for a call whose results are only read one by one."""
    reads = Counter(name for item in statements for name in loads(item))
    parts: dict[str, dict[int, str]] = defaultdict(dict)
    for item in statements:
        taken = _part(item)
        if taken is not None:
            parts[taken[0]].setdefault(taken[1], str(target(item)))
    takes = Counter(taken[0] for item in statements if (taken := _part(item)) is not None)
    result: list[ast.stmt] = []
    gone: set[str] = set()
    for item in statements:
        name = target(item)
        if name in gone:
            continue
        own = parts.get(str(name), {})
        if isinstance(item, ast.Assign) and own and takes[str(name)] == reads[str(name)] == len(own):
            count = max(own) + 1
            is_recurrent = isinstance(layers.get(_called(item.value) or ""), nn.RNNBase)
            if len(own) == count or is_recurrent:
                names = [own.get(index, "_") for index in range(2 if is_recurrent else count)]
                targets: list[ast.expr] = [ast.Name(one, ast.Store()) for one in names]
                item = ast.Assign([ast.Tuple(targets, ast.Store())], item.value, lineno=0)
                gone |= set(own.values())
        result.append(item)
    return result


def _part(item: ast.stmt) -> tuple[str, int] | None:
    """Return `(name, index)` of a statement `part = name[index]`."""
    value = item.value if isinstance(item, ast.Assign) else None
    if isinstance(value, ast.Subscript) and isinstance(value.value, ast.Name) and isinstance(value.slice, ast.Constant):
        index = value.slice.value
        return (value.value.id, index) if type(index) is int and index >= 0 else None
    return None


def _called(value: ast.expr) -> str | None:
    return unparse(value.func) if isinstance(value, ast.Call) else None


class _Methods(ast.NodeTransformer):
    """Writes `self.query(x).unflatten(-1, (2, 8))`; on anything but a layer's result the method has no type."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        self._layers = layers

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        if unparse(node.func) == "torch.unflatten" and _called(node.args[0]) in self._layers:
            return ast.Call(ast.Attribute(node.args[0], "unflatten", ast.Load()), node.args[1:], node.keywords)
        return node


class _Joined:
    """The statements, those values written where they are read that are read once."""

    def __init__(self, statements: list[ast.stmt], layers: Mapping[str, nn.Module], arguments: Collection[str]) -> None:
        self._layers = layers
        self._arguments = arguments
        reads = Counter(name for item in statements for name in loads(item))
        # What could still be written where it is read, by name; an entry that is not taken stays a statement.
        self._kept: dict[str, ast.stmt] = {}
        for number, item in enumerate(statements):
            names = [name for name in dict.fromkeys(loads(item)) if reads[name] == 1 and name in self._kept]
            item = Substitution({name: self._take(name) for name in self._chosen(item, names)}).visit(item)
            self._kept[target(item) or f"#{number}"] = item
        self.statements = list(self._kept.values())

    def _value(self, name: str) -> ast.expr:
        item = self._kept[name]
        assert isinstance(item, ast.Assign)
        return item.value

    def _take(self, name: str) -> ast.expr:
        value = self._value(name)
        del self._kept[name]
        return value

    def _chosen(self, item: ast.stmt, names: list[str]) -> list[str]:
        """Return which of the values called `names` are written inside of `item`."""
        value = item.value if isinstance(item, ast.Assign | ast.Return) else None
        if value is None or not names:
            return []
        if isinstance(item, ast.Return):
            if isinstance(value, ast.Name):
                return names
            names = [name for name in names if self._cost(self._value(name)) <= 1]
            return names if self._fits(item, value, names) else []
        names = [name for name in names if not self._is_entry(self._value(name)) and self._is_inside(name, value)]
        if _called(value) == "F.pad":
            # It belongs to what follows.
            names = []
        elif self._is_main(value):
            names = [name for name in names if self._is_light(self._value(name))]
        elif len(names) > 1 or isinstance(value, ast.BinOp | ast.Compare | ast.BoolOp):
            most = _MOST_IN_OPERAND if isinstance(value, ast.BinOp | ast.Compare) else _MOST_IN_ARGUMENT
            most += len(names) == 1
            names = [name for name in names if self._cost(self._value(name)) <= most]
        if self._fits(item, value, names):
            return names
        # Shapes and sizes at least.
        names = [name for name in names if self._is_light(self._value(name))]
        return names if self._fits(item, value, names) else []

    def _fits(self, item: ast.stmt, value: ast.expr, names: list[str]) -> bool:
        operations = sum(self._cost(self._value(name)) for name in names)
        if isinstance(item, ast.Assign):
            operations += self._cost(value)
            known = {name: self._value(name) for name in names}
            whole = Substitution(known).visit(copy.deepcopy(value))
            # The names will be short.
            width = len(unparse(whole)) - sum(len(name) - 1 for name in loads(whole) if name in self._kept)
            return operations <= _MOST_OPERATIONS and width <= _WIDEST
        return operations <= _MOST_OPERATIONS

    def _is_inside(self, name: str, reader: ast.expr) -> bool:
        """Say whether the value of `name` is of the same `self.blocks[0]` as the layer that reads it, or of none."""
        elements = set(_ELEMENT.findall(unparse(self._value(name))))
        function = _called(reader)
        return not elements or function not in self._layers or set(_ELEMENT.findall(str(function))) == elements

    def _is_entry(self, value: ast.expr) -> bool:
        """Say whether a value is an argument with its axes permuted, which deserves a statement."""
        called = value.func if isinstance(value, ast.Call) else None
        is_permute = isinstance(called, ast.Attribute) and called.attr == "permute"
        return is_permute and any(name in self._arguments for name in loads(value))

    def _is_main(self, value: ast.expr) -> bool:
        if not isinstance(value, ast.Call):
            return isinstance(value, ast.BinOp) and isinstance(value.op, ast.MatMult)
        function = unparse(value.func)
        if function in self._layers:
            return isinstance(self._layers[function], _MAIN_LAYERS)
        return function.startswith((*_MAIN_FUNCTIONS, _CONTROL))

    def _is_light(self, value: ast.expr) -> bool:
        """Say whether an expression only moves elements, or drops some."""
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            # A function of ours.
            return all(self._cost(argument) <= 1 for argument in value.args)
        if self._cost(value) > 1:
            return False
        if isinstance(value, ast.Call):
            function = unparse(value.func)
            layer = self._layers.get(function)
            is_method = isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Name)
            is_method = is_method and layer is None and not function.startswith(("torch.", "F.", "math."))
            return function == "F.pad" or isinstance(layer, nn.Dropout) or is_method
        return isinstance(value, ast.Subscript)

    def _cost(self, value: ast.expr) -> int:
        """Count the operations in an expression."""
        if is_reference(value):
            return 0
        own = isinstance(value, ast.Call | ast.BinOp | ast.Compare | ast.Subscript | ast.UnaryOp)
        inner = list(ast.iter_child_nodes(value))
        if isinstance(value, ast.Call) and unparse(value.func) in self._layers:
            inner = [*value.args, *value.keywords]
        if isinstance(value, ast.UnaryOp) and isinstance(value.operand, ast.Constant):
            return 0
        return (
            own
            + sum(self._cost(part) for part in inner if isinstance(part, ast.expr))
            + sum(self._cost(part.value) for part in inner if isinstance(part, ast.keyword))
        )
