"""The classes of a package: one for the model, and one for each graph inside it."""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from translate.converters.onnx_to_torch.python.blocks import BEFORE, Method, with_methods
from translate.converters.onnx_to_torch.python.expressions import is_standalone
from translate.converters.onnx_to_torch.python.forward import Forward
from translate.converters.onnx_to_torch.python.layout import WIDTH, docstring, statement
from translate.converters.onnx_to_torch.python.loops import rolled
from translate.converters.onnx_to_torch.python.modules import Tree
from translate.converters.onnx_to_torch.python.remarks import Remarks

# Names of classes that the file uses for other things.
_TAKEN = frozenset({"F", "Layers", "Model", "Path", "Tensor", "load", "load_file", "math", "nn", "torch"})
# What a graph module is called that has no name of its own.
_UNNAMED = frozenset({"Branch", "GraphModule", "Translated"})
# Forwards of more statements than this are written in paragraphs.
_ONE_PARAGRAPH = 8


@dataclass(frozen=True)
class About:
    """What is said of a module: what it is, and the shapes of what it takes and returns, if they are known."""

    summary: str = "A part of the model."
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()

    def results(self, arguments: Sequence[str]) -> str:
        """Return a sentence with the shapes of what goes in and comes out."""
        if len(self.inputs) != len(arguments) or not arguments:
            return "Return the results of this part."
        taken = ", ".join(f"{name} {shape}" for name, shape in zip(arguments, self.inputs, strict=True))
        return f"Return {', '.join(self.outputs)} of {taken}."


class Classes:
    """The classes of the file, in the order in which they need each other."""

    def __init__(self, root: nn.Module) -> None:
        self.texts: list[str] = []
        # Whether one needs the class `Layers`.
        self.groups = False
        # Layers and functions that PyTorch has not, by name.
        self.standalone: dict[str, Any] = {}
        # Names that no further class may have: also those of our own layers, whose source is in the file.
        self._names = {*_TAKEN, *(type(one).__name__ for one in root.modules() if is_standalone(type(one)))}
        self._remarks = Remarks()

    def write(
        self,
        name: str,
        module: fx.GraphModule,
        about: About,
        attributes: str = "",
        sizes: Mapping[str, str] | None = None,
    ) -> None:
        """Add the class of `module`, after those that it needs.

        `sizes` has names for the sizes of the model's inputs, {"x.size(0)": "batch"}; None for a graph inside, of which
        the arguments may be renamed.
        """
        tree = Tree(module, self._branch)
        made = [item for text in tree.statements() for item in ast.parse(text).body]
        forward = Forward(module, tree.access, sizes)
        self.groups |= tree.groups
        self.standalone |= tree.classes | forward.functions
        statements = rolled(forward.statements, tree.lengths)
        statements, methods = with_methods(statements, {child for child, _ in module.named_children()})
        lines = [f"class {name}(nn.Module):", *docstring(about.summary, 1), ""]
        if attributes:
            lines += [textwrap.indent(attributes, "    "), ""]
        if made:
            lines += ["    def __init__(self) -> None:", "        super().__init__()"]
            blocks = {block.name for method in methods for block in method.blocks}
            lines += [*self._remarks.said(_made(made, blocks), module), ""]
        lines += _signature(forward.arguments, forward.statements)
        lines += docstring(about.results(forward.arguments), 2)
        lines += self._remarks.said(_paragraphs(statements, methods, set(forward.layers)), module)
        for method in methods:
            lines += ["", *method.lines()]
        self.texts.append("\n".join(lines) + "\n")

    def _branch(self, module: fx.GraphModule, path: str) -> str:
        """Return the call that makes a graph module inside, having added its class."""
        words = re.split(r"[._]", path)
        plain = "".join(word[:1].upper() + word[1:] for word in words)
        plain = plain if type(module).__name__ in _UNNAMED else type(module).__name__
        name, number = plain, 2
        while name in self._names:
            name, number = f"{plain}{number}", number + 1
        self._names.add(name)
        self.write(name, module, module.meta.get("about", About()))
        text = self.texts.pop()
        # One class for graphs that are the same but for their weights.
        known = next((other for other in self.texts if _body_of(other) == _body_of(text)), None)
        if known is None:
            self.texts.append(text)
            return f"{name}()"
        self._names.remove(name)
        return f"{known.removeprefix('class ').partition('(')[0]}()"


def _body_of(text: str) -> str:
    """Return a class without its name and what is said of it."""
    return "\n".join(line for line in text.partition("(")[2].splitlines() if not line.lstrip().startswith(('"""', "#")))


def _made(statements: Sequence[ast.stmt], blocks: set[str]) -> list[str]:
    """Return the statements that make the layers, those of each of `blocks` in a paragraph."""
    lines: list[str] = []
    before = ""
    for item in statements:
        text = statement(item, 2)
        name = text.strip().removeprefix("self.")
        block = next((one for one in blocks if name.startswith(f"{one}_")), "")
        lines += [""] * (block != before and bool(lines))
        lines.append(text)
        before = block
    return lines


def _signature(arguments: Sequence[str], statements: Sequence[ast.stmt]) -> list[str]:
    last = statements[-1]
    value = last.value if isinstance(last, ast.Return) else None
    result = "Tensor"
    if isinstance(value, ast.Tuple):
        result = f"tuple[{', '.join(['Tensor'] * len(value.elts)) or '()'}]"
    elif isinstance(value, ast.Dict):
        result = "dict[str, Tensor]"
    typed = [f"{argument}: Tensor" for argument in arguments]
    line = f"    def forward({', '.join(['self', *typed])}) -> {result}:"
    if len(line) <= WIDTH:
        return [line]
    return ["    def forward(", "        self,", *(f"        {item}," for item in typed), f"    ) -> {result}:"]


def _paragraphs(statements: Sequence[ast.stmt], methods: Sequence[Method], layers: set[str]) -> list[str]:
    """Return the statements of a forward in paragraphs: one for each loop, and for each block of layers."""
    runs = _runs(statements, methods, layers)
    lines: list[str] = []
    for number, (block, run) in enumerate(runs):
        longest = max(len(run), len(runs[number - 1][1]))
        if number and (block.path or longest > 1) and (block.path or len(statements) > _ONE_PARAGRAPH):
            lines.append("")
        if block.path and not block.is_loop:
            lines.append(f"        # {block.path}")
        lines += [statement(item, 2) for item in run]
    return lines


@dataclass(frozen=True)
class _Block:
    """A block of layers: its `path` if it is a module, and its `name` if that only begins the names of its layers."""

    path: str = ""
    name: str = ""
    is_loop: bool = False


def _runs(
    statements: Sequence[ast.stmt], methods: Sequence[Method], layers: set[str]
) -> list[tuple[_Block, list[ast.stmt]]]:
    """Return the statements that belong together, with the block that they belong to."""
    calls = tuple(f"self.{method.name}(" for method in methods)
    blocks: list[_Block | None] = []
    for index, item in enumerate(statements):
        text = ast.unparse(item)
        if calls and any(call in text for call in calls):
            blocks.append(_Block(name="methods"))
        elif isinstance(item, ast.For):
            blocks.append(_Block(f"loop {index}", is_loop=True))
        else:
            blocks.append(_block(item, layers))
    for index in reversed(range(len(blocks) - 1)):
        if blocks[index] is None and BEFORE.match(ast.unparse(statements[index])):
            blocks[index] = blocks[index + 1]
    runs: list[tuple[_Block, list[ast.stmt]]] = []
    for block, item in zip(blocks, statements, strict=True):
        if runs and (block is None or block == runs[-1][0]) and not runs[-1][0].is_loop:
            runs[-1][1].append(item)
        else:
            runs.append((block or _Block(), [item]))
    return runs


def _block(item: ast.stmt, layers: set[str]) -> _Block | None:
    """Return the block that a statement's layers are in: `blocks[0]` for `self.blocks[0].attention.query`."""
    calls = [ast.unparse(node.func) for node in ast.walk(item) if isinstance(node, ast.Call)]
    layer = next((call for call in calls if call in layers), None)
    if layer is None:
        return None
    match = re.fullmatch(r"self\.(.*\])\..*", layer) or re.fullmatch(r"self\.(.+)\.[^.]+", layer)
    if match:
        return _Block(match[1])
    flat = re.fullmatch(r"self\.([A-Za-z]+_?\d+[a-z]?)_\w+", layer)
    return _Block(name=flat[1] if flat else "")
