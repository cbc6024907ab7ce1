"""A translated module as a Python package: `model.py`, which a person can read and edit, and `model.safetensors`."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import onnx_ir as ir
import torch
from safetensors.torch import save_file
from torch import fx, nn

from translate.converters.metadata import source_name
from translate.converters.onnx_to_torch.export import identifier
from translate.converters.onnx_to_torch.python.forward import forward
from translate.converters.onnx_to_torch.python.layout import WIDTH, statement
from translate.converters.onnx_to_torch.python.loops import rolled
from translate.converters.onnx_to_torch.python.modules import Tree

_LAYERS = '''
class Layers(nn.Module):
    """Layers and tensors as attributes, under the names that the weights have in the file."""

    def __init__(self, /, **parts: nn.Module | nn.Parameter | nn.Buffer) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
'''

_LOAD = '''
def load(folder: str | Path = Path(__file__).parent) -> Model:
    """Return the model in evaluation mode with the weights in `folder`/model.safetensors."""
    model = Model()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model.eval()
'''


def save_python(module: fx.GraphModule, model: ir.Model, folder: Path, provenance: str) -> None:
    """Write `module`, translated from `model`, as a package to `folder`, which must not exist.

    `model.py` imports torch and safetensors only; its `load()` returns the module with its weights, bit by bit those
    of `module`. `provenance` is a sentence for its docstring. Raises `ExportError` for what cannot be written so.
    """
    source = python_source(module, model, provenance)
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(source, encoding="utf-8")
    (folder / "__init__.py").write_text(
        'from .model import Model, load\n\n__all__ = ["Model", "load"]\n', encoding="utf-8"
    )
    save_file(_state(module), folder / "model.safetensors", metadata={"format": "pt"})


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    """Return each tensor under each of its names, as often as it has names: the file shares nothing."""
    seen: set[int] = set()
    state = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        copy = tensor.detach().contiguous()
        state[name] = copy.clone() if id(tensor) in seen else copy
        seen.add(id(tensor))
    return state


def python_source(module: fx.GraphModule, model: ir.Model, provenance: str) -> str:
    """Return the text of `model.py`, see `save_python`."""
    classes = _Classes()
    classes.write("Model", module, _interface(module), _sizes(model))
    own = [textwrap.dedent(inspect.getsource(kind)) for kind in classes.standalone.values()]
    body = "\n\n".join([*own, *classes.texts])
    if classes.groups:
        body = f"{_LAYERS}\n\n{body}"
    imports = ["from __future__ import annotations\n"]
    if "math." in body:
        imports.append("import math")
    imports.append("from pathlib import Path\n")
    if re.search(r"\btorch\.", body):
        imports.append("import torch")
    if re.search(r"\bF\.", body):
        imports.append("import torch.nn.functional as F")
    imports += ["from safetensors.torch import load_file", "from torch import Tensor, nn\n"]
    return "\n".join([_docstring(model, provenance), *imports, "", body.strip("\n"), "", _LOAD])


def _interface(module: fx.GraphModule) -> str:
    """Return the class attribute that says the inputs to a machine."""
    (assignment,) = ast.parse(f"input_specs = {tuple(module.input_specs)!r}").body  # type: ignore[arg-type]
    return f"# Name, sizes and dtype of each input.\n{statement(assignment, 0)}"


def _sizes(model: ir.Model) -> dict[str, str]:
    """Return the names of the sizes of inputs by the expressions that read them."""
    return {
        f"{identifier(str(value.name))}.size({axis})": dim.value
        for value in model.graph.inputs
        for axis, dim in enumerate(value.shape or ())
        if not isinstance(dim, int) and dim.value is not None and dim.value.isidentifier()
    }


def _docstring(model: ir.Model, provenance: str) -> str:
    lines = [*textwrap.wrap(provenance, WIDTH - 3), "", "Inputs"]
    lines += [f"    {_line(value, identifier(str(value.name)))}" for value in model.graph.inputs]
    lines += ["", "Outputs"]
    lines += [f"    {_line(value, source_name(value))}" for value in model.graph.outputs]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{text}\n"""\n'


def _line(value: ir.Value, name: str) -> str:
    dtype = "?" if value.dtype is None else value.dtype.name.lower()
    if value.shape is None:
        return f"{name}  {dtype}"
    dims = ", ".join(str(dim) if isinstance(dim, int) else dim.value or "?" for dim in value.shape)
    return f"{name}  {value.dtype.numpy().name if value.dtype is not None else dtype} [{dims}]"


class _Classes:
    """The classes of the file: the model, and one for each graph inside it, such as a branch."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.groups = False
        # Classes of layers that torch.nn has not, by name.
        self.standalone: dict[str, type[nn.Module]] = {}

    def write(
        self, name: str, module: fx.GraphModule, attributes: str = "", sizes: Mapping[str, str] | None = None
    ) -> None:
        """Add the class of `module`, after those that it needs."""
        tree = Tree(module, self._branch)
        made = [item for text in tree.statements() for item in ast.parse(text).body]
        arguments, statements = forward(module, tree.access, sizes or {})
        self.groups |= tree.groups
        self.standalone |= tree.classes
        lines = [f"class {name}(nn.Module):"]
        if attributes:
            lines += [textwrap.indent(attributes, "    "), ""]
        if made:
            lines += ["    def __init__(self) -> None:", "        super().__init__()"]
            lines += [statement(item, 2) for item in made] + [""]
        lines += _signature(arguments, statements)
        layers = {tree.access(str(node.target)) for node in module.graph.nodes if node.op == "call_module"}
        lines += _body(rolled(statements, tree.lengths), layers)
        self.texts.append("\n".join(lines) + "\n")

    def _branch(self, module: fx.GraphModule, path: str) -> str:
        name = "".join(part.capitalize() for part in re.split(r"[._]", path))
        self.write(name, module)
        text = self.texts.pop()
        # One class for graphs that are the same but for their weights.
        known = next((other for other in self.texts if _body_of(other) == _body_of(text)), None)
        if known is None:
            self.texts.append(text)
            return f"{name}()"
        return f"{known.removeprefix('class ').partition('(')[0]}()"


def _body_of(text: str) -> str:
    """Return a class without its name."""
    return text.partition("(")[2]


def _signature(arguments: Sequence[str], statements: Sequence[ast.stmt]) -> list[str]:
    last = statements[-1]
    value = last.value if isinstance(last, ast.Return) else None
    result = {ast.Tuple: "tuple[Tensor, ...]", ast.Dict: "dict[str, Tensor]"}.get(type(value), "Tensor")
    typed = [f"{argument}: Tensor" for argument in arguments]
    line = f"    def forward({', '.join(['self', *typed])}) -> {result}:"
    if len(line) <= WIDTH:
        return [line]
    return ["    def forward(", "        self,", *(f"        {item}," for item in typed), f"    ) -> {result}:"]


def _body(statements: Sequence[ast.stmt], layers: Container[str]) -> list[str]:
    """Return the statements of a forward in paragraphs: one for each loop, and for each block under its name."""
    lines: list[str] = []
    block, before = "", None
    for item in statements:
        calls = [ast.unparse(node.func) for node in ast.walk(item) if isinstance(node, ast.Call)]
        is_loop = isinstance(item, ast.For)
        own = "" if is_loop else next((_block(call) for call in calls if call in layers), block)
        if own != block or is_loop or isinstance(before, ast.For):
            lines += [""] * bool(lines) + [f"        # {own}"] * bool(own)
        lines.append(statement(item, 2))
        block, before = own, item
    return lines


def _block(layer: str) -> str:
    """Return the block that a layer is in: `blocks[0]` for `self.blocks[0].attention.query`."""
    match = re.fullmatch(r"self\.(.*\])\..*", layer) or re.fullmatch(r"self\.(.+)\.[^.]+", layer)
    return match[1] if match else ""
