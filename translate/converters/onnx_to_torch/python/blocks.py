"""Blocks of layers that repeat, `conv2_block1_1_conv`, `conv2_block1_1_bn`..., as methods that are called for each.

The names of such layers begin with that of their block. In a tree of modules each block would be a module; where the
layers are all in one, and keep their names, a method takes the block's name.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from translate.converters.onnx_to_torch.python.flow import loads, target
from translate.converters.onnx_to_torch.python.layout import docstring, statement
from translate.converters.onnx_to_torch.python.types import with_typed_result

# A method that saves fewer statements than this is not worth a name.
_LEAST_SAVED = 6
# Padding, permuting and pooling belong to what follows, anything else without a layer to what is before it.
BEFORE = re.compile(r"\w+ = (F\.pad|torch\.mean|torch\.amax|\w+\.permute)\(")
_LAYER = re.compile(r"self\.(\w+)")


@dataclass(frozen=True)
class Block:
    """Statements that compute `result` from `inputs`, with the layers whose names begin with `name`."""

    name: str
    statements: tuple[str, ...]
    inputs: tuple[str, ...]
    result: str

    @property
    def body(self) -> tuple[str, ...]:
        """The statements without the block's name."""
        own = re.compile(rf"self\.{self.name}_(\w+)\b")
        return tuple(own.sub(lambda match: f'layer("{match[1]}")', text) for text in self.statements)


@dataclass(frozen=True)
class Method:
    """A method that runs all `blocks`, which differ in the name only."""

    name: str
    blocks: tuple[Block, ...]

    def lines(self) -> list[str]:
        """Return its source."""
        first = self.blocks[0]
        names = [block.name for block in self.blocks]
        listed = ", ".join(names) if len(names) < 5 else f"{', '.join(names[:3])} and so on"
        arguments = ", ".join(f"{name}: Tensor" for name in first.inputs)
        said = f"Run the layers whose names begin with that of a block: {listed}."
        statements = [item for text in first.body for item in ast.parse(text).body]
        last = statements.pop()
        assert isinstance(last, ast.Assign)
        statements = with_typed_result([*statements, ast.Return(last.value)], first.inputs)
        return [
            f"    def {self.name}(self, block: str, {arguments}) -> Tensor:",
            *docstring(said, 2),
            "",
            "        def layer(name: str) -> nn.Module:",
            '            return self.get_submodule(f"{block}_{name}")',
            "",
            *(statement(item, 2) for item in statements),
        ]


def with_methods(statements: list[ast.stmt], layers: Collection[str]) -> tuple[list[ast.stmt], list[Method]]:
    """Replace the blocks that repeat, of `layers` that the module has itself, by calls of methods."""
    texts = [ast.unparse(item) for item in statements]
    deepest = max((name.count("_") for name in layers), default=0)
    best: list[tuple[int, int, Block]] = []
    saved = _LEAST_SAVED - 1
    for depth in range(1, deepest + 1):
        found = _repeated(_blocks(statements, texts, layers, depth))
        kinds = len({block.body for *_, block in found})
        gain = sum(stop - start for start, stop, _ in found)
        gain -= sum(len(body) for body in {block.body for *_, block in found}) + len(found) + kinds
        if gain > saved:
            best, saved = found, gain
    methods = _methods([block for *_, block in best])
    by_body = {method.blocks[0].body: method for method in methods}
    result: list[ast.stmt] = []
    last = 0
    for start, stop, block in best:
        result += statements[last:start]
        call = f"{block.result} = self.{by_body[block.body].name}({block.name!r}, {', '.join(block.inputs)})"
        result += ast.parse(call).body
        last = stop
    return _looped([*result, *statements[last:]]), methods


def _blocks(
    statements: Sequence[ast.stmt], texts: Sequence[str], layers: Collection[str], depth: int
) -> list[tuple[int, int, Block]]:
    """Return the runs of statements whose layers' names begin with the same `depth` words."""
    owners: list[str | None] = []
    for text in texts:
        names = {name for name in _LAYER.findall(text) if name in layers}
        prefixes = {"_".join(name.split("_")[:depth]) if name.count("_") >= depth else "" for name in names}
        owners.append(None if not names else prefixes.pop() if len(prefixes) == 1 else "")
    for index in reversed(range(len(owners) - 1)):
        if owners[index] is None and BEFORE.match(texts[index]):
            owners[index] = owners[index + 1]
    for index in range(1, len(owners)):
        if owners[index] is None:
            owners[index] = owners[index - 1]
    found = []
    start = 0
    while start < len(owners):
        stop = start + 1
        while stop < len(owners) and owners[stop] == owners[start]:
            stop += 1
        owner = owners[start]
        if owner and not any(isinstance(item, ast.Return | ast.AnnAssign) for item in statements[start:stop]):
            block = _block(owner, statements, texts, start, stop)
            if block is not None:
                found.append((start, stop, block))
        start = stop
    return found


def _block(name: str, statements: Sequence[ast.stmt], texts: Sequence[str], start: int, stop: int) -> Block | None:
    """Return a run of statements as a block, if it has one result."""
    bound: set[str] = set()
    inputs: list[str] = []
    for item in statements[start:stop]:
        inputs += [one for one in _locals(item) if one not in bound and one not in inputs]
        bound |= _bound(item)
    results: set[str] = set()
    open_ = set(bound)
    for item in statements[stop:]:
        results |= open_ & set(_locals(item))
        open_ -= _bound(item)
    if len(results) != 1 or not inputs or target(statements[stop - 1]) not in results:
        return None
    return Block(name, tuple(texts[start:stop]), tuple(inputs), results.pop())


def _bound(item: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(item) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


_MODULES = frozenset({"self", "torch", "F", "math", "nn"})


def _locals(item: ast.stmt) -> list[str]:
    called = {id(node.func) for node in ast.walk(item) if isinstance(node, ast.Call)}
    own = {node.id for node in ast.walk(item) if isinstance(node, ast.Name) and id(node) in called}
    return [name for name in loads(item) if name not in _MODULES and name not in own]


def _repeated(found: list[tuple[int, int, Block]]) -> list[tuple[int, int, Block]]:
    counts: dict[tuple[str, ...], int] = defaultdict(int)
    for *_, block in found:
        counts[block.body] += 1
    return [(start, stop, block) for start, stop, block in found if counts[block.body] > 1 and stop - start > 1]


def _methods(blocks: Sequence[Block]) -> list[Method]:
    by_body: dict[tuple[str, ...], list[Block]] = defaultdict(list)
    for block in blocks:
        by_body[block.body].append(block)
    methods: list[Method] = []
    for alike in by_body.values():
        base = _name(alike[0])
        taken = {method.name for method in methods}
        names = [base, *(f"{base}_{number}" for number in range(2, len(by_body) + 1))]
        methods.append(Method(next(name for name in names if name not in taken), tuple(alike)))
    return methods


def _name(block: Block) -> str:
    """Return a name for the method of a block: what it is called without its number, and how it ends."""
    words = re.sub(r"\d+[a-z]?$", "", block.name).strip("_").split("_")
    noun = words[-1] or "block"
    adds_input = re.search(rf"\b({'|'.join(block.inputs)})\b \+|\+ ({'|'.join(block.inputs)})\b", block.statements[-1])
    kept = adds_input and not any(text.startswith(f"{block.inputs[0]} = ") for text in block.statements[:-1])
    if kept:
        return f"_residual_{noun}"
    if any("shortcut" in text for text in block.statements):
        return f"_projected_{noun}"
    return f"_padded_{noun}" if any("F.pad(" in text for text in block.statements) else f"_{noun}"


_CALL = re.compile(r"(\w+) = self\.(\w+)\('(\w+)', (.+)\)")


def _looped(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Write calls of one method for several blocks as a loop."""
    result: list[ast.stmt] = []
    texts = [ast.unparse(item) for item in statements]
    index = 0
    while index < len(statements):
        match = _CALL.fullmatch(texts[index])
        names: list[str] = []
        while match is not None and index + len(names) < len(texts):
            other = _CALL.fullmatch(texts[index + len(names)])
            if other is None or other.group(1, 2, 4) != match.group(1, 2, 4):
                break
            names.append(other[3])
        if match is not None and len(names) > 1:
            call = f"{match[1]} = self.{match[2]}(block, {match[4]})"
            result += ast.parse(f"for block in {tuple(names)!r}:\n    {call}").body
            index += len(names)
        else:
            result.append(statements[index])
            index += 1
    return result
