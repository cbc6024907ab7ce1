"""An ONNX graph as a PyTorch module, and that module as an ExportedProgram."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch import fx, nn
from torch.export import Dim as TorchDim
from torch.export import ExportedProgram

from translate.converters.lowering.bind import Form
from translate.converters.lowering.interpret import LARGEST_HOST_BYTES, Target
from translate.converters.lowering.table import opset_of
from translate.converters.metadata import KEEP, STRUCTURE, other_names, source_name
from translate.converters.onnx_to_torch.builder import SIZES, Builder, finish
from translate.converters.onnx_to_torch.dtypes import to_torch, torch_dtype
from translate.converters.onnx_to_torch.layers import Layers
from translate.converters.onnx_to_torch.lowerings import TABLE
from translate.converters.onnx_to_torch.target import TorchInterpreter
from translate.converters.onnx_to_torch.values import Value, Weight
from translate.converters.torch_recurrence import opaque_recurrence, with_recurrence
from translate.converters.weights import weights
from translate.errors import ExportError, Problem, UnsupportedError
from translate.models.base import Spec
from translate.models.inputs import default_sizes, example_feeds, format_input, long_sizes, size_of, symbols
from translate.models.kept import unchanged_buffers

# Names that every module has already.
_TAKEN = frozenset(dir(fx.GraphModule(nn.Module(), fx.Graph()))) | {"training", "input_specs"}


def preflight(model: ir.Model) -> list[Problem]:
    """Find every node of `model` that has no lowering, without building anything.

    Nodes that share a problem are counted in one. A lowering may still refuse a case that only shows when shapes and
    constants are known: that is found, as completely, by `module`.
    """
    return TABLE.problems(model)


def module(model: ir.Model) -> fx.GraphModule:
    """Return `model` as a module whose `forward` takes its inputs by name and returns what the source returned.

    Its weights are parameters under their source's names, in layers of torch.nn where they form one; its `code` is the
    PyTorch program. It is in evaluation mode. `meta["inputs"]` and `meta["outputs"]` list the names in the source, in
    order; `meta["parameters"]` gives for each weight's name in the source the one that it has here. Raises
    `CannotTranslateError` naming every node that has no lowering, `UnsupportedError` for an input that is no tensor.
    """
    return Program(model).build([None] * len(model.graph.inputs))


class Program:
    """The graph of `model`, to be built as a module.

    `build` may be called once for each structure of inputs; `outputs` are the names in the source.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model
        self.inputs = [str(value.name) for value in model.graph.inputs]
        self.outputs = [source_name(value) for value in model.graph.outputs]

    def inputs_to_know(self, *forms: Form) -> list[str]:
        """Return the inputs that a lowering wants in one of `forms`, such as the axes of a reduction."""
        known = []
        for value in self._model.graph.inputs:
            for node, position in value.uses():
                row = TABLE.find(node.domain, node.op_type, opset_of(node, self._model.opset_imports))
                wanted = () if row is None else row.signature.inputs
                if position < len(wanted) and wanted[position].form in forms:
                    known.append(str(value.name))
                    break
        return known

    def build(
        self,
        lengths: Sequence[int | None],
        *,
        flat: bool = False,
        known: Mapping[str, Any] | None = None,
        ranks: Mapping[str, Sequence[int]] | None = None,
    ) -> fx.GraphModule:
        """Build the module, which returns a tuple of all outputs if `flat`, else what the source returned.

        `lengths` says of each input how many tensors it is a sequence of, None for one tensor, and -1 for an
        optional that is empty: it is no input of the module then. Neither are the inputs in `known`, which are
        constants of these values. `ranks` has the number of axes of each tensor of a sequence whose shape the model
        does not tell.
        """
        graph = self._model.graph
        root = nn.Module()
        sizes = SIZES if _is_symbolic(graph.inputs) else SIZES[:2]
        builder = Builder(root, sizes)
        known, ranks = known or {}, ranks or {}
        bindings: dict[ir.Value, Any] = {}
        for value, length in zip(graph.inputs, lengths, strict=True):
            name = str(value.name)
            bindings[value] = known[name] if name in known else _input(builder, value, length, ranks.get(name))
        _share_sizes(builder, bindings)
        held, constants = _tensors(self._model)
        for weight in held.values():
            hang(root, weight)
        builder.places = Layers(root, list(held.values()))
        with builder.recording():
            first = next((value for value in bindings.values() if isinstance(value, Value)), None)
            if first is not None:
                builder.locate(first)
            interpreter = TorchInterpreter(self._model.opset_imports)
            results = interpreter.run(graph, bindings | held | constants)
            results = [_computed(result, interpreter.target) for result in results]
            structure = "flat" if flat else self._model.metadata_props.get(STRUCTURE)
            builder.graph.output(builder.create_arg(_structured(structure, self.outputs, results)))
        return self._finished(builder, held)

    def _finished(self, builder: Builder, held: Mapping[ir.Value, Weight]) -> fx.GraphModule:
        graph = builder.graph
        finish(graph)
        result = fx.GraphModule(builder.root, graph, "Translated")
        for value, weight in held.items():
            for name in other_names(value):
                _tie(result, weight, name)
        known = [value for value in self._model.graph.inputs if value.dtype is not None and value.shape is not None]
        # What code alone does not say, in a form that TorchScript keeps, too; `open_model` looks for it.
        options = [format_input(replace(spec, name=identifier(spec.name))) for spec in map(input_spec, known)]
        setattr(result, "input_specs", options)  # noqa: B010  # torch's types know tensors and modules only
        result.meta["inputs"] = self.inputs
        result.meta["outputs"] = self.outputs
        result.meta["parameters"] = {str(value.name): weight.path for value, weight in held.items()}
        return result.eval()


def _tie(root: nn.Module, weight: Weight, name: str) -> None:
    """Give a weight another name, where there is a place for it."""
    *parents, last = name.split(".")
    for part in parents:
        if part not in root._modules:
            if hasattr(root, part):
                return
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    if not hasattr(root, last):
        hang(root, Weight(last, weight.tensor))


def _is_symbolic(inputs: Sequence[ir.Value]) -> bool:
    return any(not isinstance(dim, int) for value in inputs for dim in value.shape or ())


def _input(builder: Builder, value: ir.Value, length: int | None, ranks: Sequence[int] | None) -> Any:
    if length == -1:
        return None
    tensor = value.type
    while isinstance(tensor, ir.SequenceType | ir.OptionalType):
        tensor = tensor.elem_type
    if length is None and isinstance(value.type, ir.SequenceType):
        raise UnsupportedError(f"input {value.name} is a sequence, of which the length is not known")
    if value.shape is not None:
        shapes = [value.shape] * (1 if length is None else length)
    elif ranks is not None:
        shapes = [ir.Shape([None] * rank) for rank in ranks]
    else:
        raise UnsupportedError(f"the number of axes of input {value.name} is not known")
    dtype = torch_dtype(tensor.dtype if tensor is not None else ir.DataType.FLOAT)
    name = identifier(str(value.name))
    examples = [
        [torch.empty([_size(dim, size) for dim in shape], dtype=dtype, device="meta") for size in builder.sizes]
        for shape in shapes
    ]
    if length is None:
        return builder.placeholder(name, examples[0])
    return [builder.placeholder(f"{name}_{i}", tensors) for i, tensors in enumerate(examples)]


def _share_sizes(builder: Builder, bindings: Mapping[ir.Value, Any]) -> None:
    """Let a size that several inputs have by name be read from the first: torch.export knows then that it is one."""
    first: dict[str, tuple[Value, int]] = {}
    for value, bound in bindings.items():
        if isinstance(bound, Value):
            for axis, dim in enumerate(value.shape or ()):
                if not isinstance(dim, int) and dim.value is not None:
                    builder.same_sizes[builder.node_of(bound), axis] = first.setdefault(dim.value, (bound, axis))


def _size(dim: Any, size: int) -> int:
    """Return a dimension in the world where every name has `size`."""
    if isinstance(dim, int):
        return dim
    text = dim.value
    if text is None:
        return size
    try:
        return size_of(text, dict.fromkeys(symbols([Spec("", "", (text,))]), size))
    except Exception:
        return size


def identifier(name: str) -> str:
    """Return `name` as one that Python allows for a variable."""
    name = re.sub(r"\W", "_", name)
    return f"_{name}" if not name or name[0].isdigit() or keyword.iskeyword(name) else name


def _tensors(model: ir.Model) -> tuple[dict[ir.Value, Weight], dict[ir.Value, Any]]:
    """Return the initializers that the module holds, and as arrays those that are constants of its code.

    Held are the weights, and other tensors too large to be constants.
    """
    trainable = weights(model)
    held, constants, taken = {}, {}, set[str]()
    for value in model.graph.initializers.values():
        tensor = value.const_value
        assert tensor is not None, f"initializer {value.name} has no value"
        array = tensor.numpy()
        if value not in trainable and (tensor.nbytes <= LARGEST_HOST_BYTES or tensor.dtype is ir.DataType.STRING):
            constants[value] = array
            continue
        copy = to_torch(array)
        path = path_of(str(value.name), taken)
        own = nn.Parameter(copy) if trainable.get(value) else copy
        held[value] = Weight(path, own, len(list(value.uses())), KEEP in value.metadata_props)
    return held, constants


def path_of(name: str, taken: set[str]) -> str:
    """Return where a tensor called `name` hangs: `dense/kernel:0` at `dense.kernel`; a place is `taken` once only.

    Names of the parts that a module has itself, and Python's keywords, get an underscore, and so does the end of a path
    that is a module.
    `taken` is added to: the path as it is, those of the modules above it with a dot at their end.
    """
    parts = [part for part in re.split(r"[./]", re.sub(r":\d+$", "", name)) if part] or ["tensor"]
    parts = [f"{part}_" if part in _TAKEN or keyword.iskeyword(part) else part for part in parts]
    while ".".join(parts) in taken or any(".".join(parts[:i]) in taken for i in range(1, len(parts))):
        parts = [*parts[:-2], "_".join(parts[-2:])] if len(parts) > 1 else [f"{parts[0]}_"]
    while f"{'.'.join(parts)}." in taken:
        parts[-1] += "_"
    taken.add(".".join(parts))
    taken.update(f"{'.'.join(parts[:i])}." for i in range(1, len(parts)))
    return ".".join(parts)


def hang(root: nn.Module, weight: Weight) -> None:
    """Register a tensor at its path, under plain modules."""
    *parents, name = weight.path.split(".")
    for parent in parents:
        if parent not in root._modules:
            root.add_module(parent, nn.Module())
        root = root.get_submodule(parent)
    if isinstance(weight.tensor, nn.Parameter):
        root.register_parameter(name, weight.tensor)
    else:
        root.register_buffer(name, weight.tensor)


def _computed(result: Any, target: Target) -> Any:
    """Make tensors of an output that is known, also where it is a sequence."""
    if isinstance(result, list):
        return [_computed(item, target) for item in result]
    return None if result is None else target.tensor(result)


def _structured(kind: str | None, names: Sequence[str], results: Sequence[Any]) -> Any:
    """Put the outputs into the form that the source returns them in."""
    if kind == "single" or (kind is None and len(results) == 1):
        return results[0]
    return dict(zip(names, results, strict=True)) if kind == "dict" else tuple(results)


def save(model: ir.Model, path: Path) -> ExportedProgram:
    """Write `model` as an ExportedProgram to `path`, with its symbolic sizes, and return it.

    Raises `CannotTranslateError` naming every node that has no lowering, and `ExportError` with torch.export's words.
    """
    program = exported(module(model), model)
    torch.export.save(program, path)
    return program


def exported(translated: nn.Module, model: ir.Model) -> ExportedProgram:
    """Return the module of `model` as an ExportedProgram in which the sizes that `model` names are dynamic.

    Raises `ExportError` with torch.export's words.
    """
    specs = [input_spec(value) for value in model.graph.inputs]
    named = {name: TorchDim(name) for name in symbols(specs)}
    example = _example(translated, specs)
    refusal: Exception | None = None
    # Where a size follows from another, torch is left to find out how.
    for dims in (named, dict.fromkeys(named, TorchDim.DYNAMIC)):
        shapes = tuple(
            {axis: _torch_dim(dim, dims) for axis, dim in enumerate(spec.shape or ()) if isinstance(dim, str)}
            for spec in specs
        )
        try:
            with torch.no_grad(), opaque_recurrence():
                program = torch.export.export(translated, example, dynamic_shapes=shapes)
            return _without_places(with_recurrence(program))
        except Exception as error:
            # torch.export documents no common base of what it raises; the first refusal has the user's names.
            refusal = refusal or error
    raise ExportError(f"torch.export refused the translated module: {refusal}") from refusal


def _without_places(program: ExportedProgram) -> ExportedProgram:
    """Drop the places in source files that torch.export notes: they name folders of this machine."""
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    return program


# From this size on, an image is more than one pixel still after five strides of two.
_ROOMY = 64


def _example(translated: nn.Module, specs: Sequence[Spec]) -> tuple[torch.Tensor, ...]:
    """Make inputs to trace with, large ones where the module runs on them.

    torch.export takes a size of 0 or 1 for a constant, also one in between, such as that of an image after strides.
    """
    batches = {spec.shape[0] for spec in specs if spec.shape}
    ranges = {name: (_ROOMY, 2**31) for name in symbols(specs) if name not in batches}
    choices = [default_sizes(specs, ranges), default_sizes(specs), long_sizes(specs)]
    refusal: Exception | None = None
    for sizes in (choice[min(1, len(choice) - 1)] for choice in choices if choice):
        feeds = example_feeds(specs, sizes)
        tensors = tuple(to_torch(feeds[spec.name]) for spec in specs)
        try:
            with torch.no_grad(), unchanged_buffers(translated):
                translated(*tensors)
            return tensors
        except Exception as error:
            # A table of positions may end before.
            refusal = error
    raise ExportError(f"the translated module does not run on an example: {refusal}") from refusal


def input_spec(value: ir.Value) -> Spec:
    """Return name, dtype and sizes of an input; an open size without a name gets one. Raises `UnsupportedError`."""
    if value.dtype is None or value.shape is None:
        raise UnsupportedError(f"dtype or number of axes of input {value.name} is not known")
    dims = [dim if isinstance(dim, int) else dim.value for dim in value.shape]
    named = [f"{identifier(str(value.name))}_{axis}" if dim is None else dim for axis, dim in enumerate(dims)]
    return Spec(str(value.name), value.dtype.numpy().name, tuple(named))


def _torch_dim(dim: str, dims: Mapping[str, Any]) -> Any:
    """Return torch's form of `batch`, `32*height` or `seq+1`."""
    names = symbols([Spec("", "", (dim,))])
    if len(names) != 1 or dims[names[0]] is TorchDim.DYNAMIC:
        return TorchDim.DYNAMIC
    (name,) = names
    slope = size_of(dim, {name: 1}) - size_of(dim, {name: 0})
    offset = size_of(dim, {name: 0})
    derived = dims[name] if slope == 1 else slope * dims[name]
    return derived + offset if offset else derived
