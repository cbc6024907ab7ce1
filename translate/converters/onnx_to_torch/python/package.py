"""A translated module as a Python package: `model.py`, which a person can read and edit, and `model.safetensors`."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path

import onnx_ir as ir
import torch
from safetensors.torch import save_file
from torch import fx, nn

from translate.converters.metadata import source_name
from translate.converters.onnx_to_torch.export import identifier
from translate.converters.onnx_to_torch.python.classes import About, Classes
from translate.converters.onnx_to_torch.python.layout import WIDTH, statement

_LAYERS = '''
class Layers(nn.Module):
    """Layers and tensors as attributes, under the names that the weights have in the file."""

    def __init__(self, /, **parts: nn.Module | nn.Parameter | nn.Buffer) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name)
'''

_INIT = '''"""A model that was translated to PyTorch; `load()` returns it with its weights."""

from .model import Model, load

__all__ = ["Model", "load"]
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
    (folder / "__init__.py").write_text(_INIT, encoding="utf-8")
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
    classes = Classes(module)
    shapes = [
        [_shape(value, _batch(model)) for value in values] for values in (model.graph.inputs, model.graph.outputs)
    ]
    outputs = [f"{source_name(value)} {shape}" for value, shape in zip(model.graph.outputs, shapes[1], strict=True)]
    about = About("The whole model.", shapes[0], outputs)
    classes.write("Model", module, about, _interface(module), _sizes(model))
    own = [textwrap.dedent(inspect.getsource(kind)) for kind in classes.standalone.values()]
    body = "\n\n".join([*own, *classes.texts])
    if classes.groups:
        body = f"{_LAYERS}\n\n{body}"
    imports = ["from __future__ import annotations\n"]
    if "math." in body:
        imports.append("import math")
    imports.append("from pathlib import Path")
    imports.append("from typing import Any\n" if classes.groups else "")
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
    batch = _batch(model)
    lines += [
        f"    {identifier(str(value.name))}  {_dtype(value)} {_shape(value, batch)}" for value in model.graph.inputs
    ]
    lines += ["", "Outputs"]
    lines += [f"    {source_name(value)}  {_dtype(value)} {_shape(value, batch)}" for value in model.graph.outputs]
    text = "\n".join(lines).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""{text}\n"""\n'


def _dtype(value: ir.Value) -> str:
    return "?" if value.dtype is None else value.dtype.numpy().name


def _shape(value: ir.Value, batch: str) -> str:
    """Return `[batch, 3, 224, 224]`; a size that is not known is `?`, unless it is that of the `batch`."""
    if value.shape is None:
        return "of any shape"
    dims = [
        str(dim) if isinstance(dim, int) else dim.value or (batch if axis == 0 else "?")
        for axis, dim in enumerate(value.shape)
    ]
    return f"[{', '.join(dims)}]"


def _batch(model: ir.Model) -> str:
    """Return the name of the first size of all inputs, `?` if they have none in common."""
    first = {str(value.shape[0]) if value.shape else "?" for value in model.graph.inputs}
    return first.pop() if len(first) == 1 else "?"
