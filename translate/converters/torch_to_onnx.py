"""PyTorch → ONNX: PyTorch's own exporters, with the names and the symbolic dimensions of the source kept."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx_ir as ir
import torch
from torch.export import Dim as TorchDim
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, OutputKind
from torch.utils import _pytree as pytree

from translate.converters import torch_numbers, torch_training
from translate.converters.metadata import DETACHED, KIND, NAME, PADDING, STRUCTURE, TIED, UNSAVED
from translate.converters.torch_patches import symbolic_sizes, translation_table
from translate.converters.torch_recurrence import without_recurrence
from translate.errors import ExportError
from translate.models.base import Spec
from translate.models.inputs import default_sizes, example_feeds, size_of, symbols
from translate.models.torch_arrays import to_tensor
from translate.models.torch_model import TorchModel
from translate.models.torch_programs import program_specs, rename_dim, symbol_names
from translate.models.torch_results import Leaf, flatten, structure_of
from translate.origin import innermost_line


def export(model: TorchModel, *, notes: list[str] | None = None) -> ir.Model:
    """Export a model to ONNX, in memory, at the opset that the exporter chooses (18 to 20).

    Inputs, outputs and symbolic dimensions bear the names of `model`; initializers those of the parameters, with
    "parameter" or "buffer" in their `translate.kind` metadata. `translate.structure` in the model's metadata says
    what `forward` returns. `model.inputs` is updated where a dimension turned out to be a function of another.
    Which exporter was needed, if not torch.export, is said in `notes`. Raises `ExportError` with PyTorch's words.
    """
    notes = notes if notes is not None else []
    with _quiet():
        if model.program is not None:
            exported = _from_program(model, model.program, _result(model.program))
        elif isinstance(model.module, torch.jit.ScriptModule):
            exported = _from_script(model, model.module, notes)
        else:
            exported = _from_module(model, notes)
    return exported


def _from_module(model: TorchModel, notes: list[str]) -> ir.Model:
    try:
        return _from_program(model, _export_program(model), model.result)
    except ExportError as refusal:
        # A trace would bake in one side of a branch that depends on data.
        if "data-dependent" in str(refusal).lower():
            raise
        return _traced(model, refusal, notes)


def _from_program(model: TorchModel, program: ExportedProgram, result: Any) -> ir.Model:
    """Write a program as ONNX; `result` has its structure, with a `Leaf` for each tensor."""
    written = _write(model, program)
    known = program_specs(program)
    names = symbol_names(known, model.inputs)
    model.inputs = tuple(
        replace(spec, name=declared.name, shape=tuple(rename_dim(dim, names) for dim in spec.shape or ()))
        for spec, declared in zip(known, model.inputs, strict=True)
    )
    exported = written.model
    _mark_padding(exported, written.exported_program or program)
    _mark_detached(exported, written.exported_program or program)
    _rename_dims(exported, names)
    _name_initializers(exported, *_weights(model), _names_of_tied(model), state_of(model))
    _name_interface(exported, [spec.name for spec in model.inputs], list(flatten(result)))
    exported.metadata_props[STRUCTURE] = structure_of(result)
    model.exported = written.exported_program
    return exported


def _write(model: TorchModel, program: ExportedProgram) -> torch.onnx.ONNXProgram:
    """Run torch.onnx.export on a program. Raises `ExportError`."""
    try:
        # Attention on tensors that need gradients has other strides, at which views of the program may fail.
        with torch.no_grad(), without_recurrence(program):
            table = translation_table() | torch_numbers.translations(program)
            written = torch.onnx.export(
                program, dynamo=True, optimize=False, verbose=False, custom_translation_table=table
            )
    except Exception as error:
        # torch.onnx documents no common base of what it raises.
        raise ExportError(f"torch.onnx.export refused the model: {_refusal(error, model, program)}") from error
    assert written is not None
    return written


def _result(program: ExportedProgram) -> Any:
    """Return what a program returns, with a `Leaf` for each tensor."""
    outputs = [spec.arg for spec in program.graph_signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    leaves = [None if isinstance(arg, ConstantArgument) else Leaf(index) for index, arg in enumerate(outputs)]
    return pytree.tree_unflatten(leaves, program.call_spec.out_spec)


# --- torch.export -----------------------------------------------------------------------------------------------


def _export_program(model: TorchModel) -> ExportedProgram:
    """Run torch.export with the dimensions' names; where a size follows from another, let torch find out how.

    Raises `ExportError`.
    """
    example = _example(model)
    named = {name: TorchDim(name) for name in model.symbols}
    hinted = dict.fromkeys(named, TorchDim.DYNAMIC)
    try:
        return _torch_export(model, example, named, strict=False)
    except Exception as error:
        refusal = error
    # A violated constraint may only be a relation (m = n + 1, n even); other failures may be non-strict mode's.
    about_sizes = _is_about_sizes(refusal)
    for dims, strict in ((hinted, False), (named, True)) if about_sizes else ((named, True),):
        try:
            return _torch_export(model, example, dims, strict=strict)
        except Exception:
            # The first refusal, with the user's names in it, is the one to report.
            continue
    hint = "\n  try     a number for that dimension in --input" if about_sizes else ""
    raise ExportError(f"torch.export refused the model: {_words(refusal, model)}{hint}") from refusal


def _torch_export(
    model: TorchModel, example: Sequence[torch.Tensor], dims: Mapping[str, Any], *, strict: bool
) -> ExportedProgram:
    shapes = tuple(
        {axis: _torch_dim(dim, dims) for axis, dim in enumerate(spec.shape or ()) if isinstance(dim, str)}
        for spec in model.inputs
    )
    is_trained = model.flat.is_trained
    with symbolic_sizes(), torch.set_grad_enabled(is_trained):
        # FlatModule's one argument is *tensors.
        program = torch.export.export(model.flat, tuple(example), dynamic_shapes=(shapes,), strict=strict)
    if is_trained:
        torch_training.detach_no_grad(program)
    return program


def _torch_dim(dim: str, dims: Mapping[str, Any]) -> Any:
    """Return torch's form of `batch`, `32*height` or `seq+1`."""
    (name,) = symbols([Spec("", "", (dim,))])
    if dims[name] is TorchDim.DYNAMIC:
        return TorchDim.DYNAMIC
    slope = size_of(dim, {name: 1}) - size_of(dim, {name: 0})
    derived = dims[name] if slope == 1 else slope * dims[name]
    offset = size_of(dim, {name: 0})
    return derived + offset if offset else derived


# From this size on, an image is more than one pixel still after five strides of two.
_ROOMY = 64


def _example(model: TorchModel) -> list[torch.Tensor]:
    """Make inputs to trace with: no symbolic size is 0 or 1, which torch.export takes for constants.

    Nor should a size between, such as that of an image after some strides: so inputs are large, where the model runs
    on large ones.
    """
    choice = 1 if model.symbols else 0
    feeds = example_feeds(model.inputs, default_sizes(model.inputs, _roomy_ranges(model))[choice])
    try:
        model.run(feeds)
    except Exception:
        # A table of positions may end before.
        feeds = example_feeds(model.inputs, default_sizes(model.inputs, model.ranges)[choice])
        # A model that does not run at these sizes either is the user's business, not the exporter's.
        model.run(feeds)
    return [to_tensor(feeds[spec.name]) for spec in model.inputs]


def _roomy_ranges(model: TorchModel) -> dict[str, tuple[int, int]]:
    """Return the least and greatest size of each name, raised so that its axes have `_ROOMY` elements."""
    ranges = dict(model.ranges)
    # A larger batch, on the first axis, would only make the model slower.
    dims = {dim for spec in model.inputs for dim in (spec.shape or ())[1:] if isinstance(dim, str) and dim != "batch"}
    for dim in sorted(dims):
        (name,) = symbols([Spec("", "", (dim,))])
        least = next((size for size in range(1, _ROOMY) if size_of(dim, {name: size}) >= _ROOMY), _ROOMY)
        low, high = ranges.get(name, (1, 2**31))
        if low < least <= high:
            ranges[name] = (least, high)
    return ranges


def _is_about_sizes(error: BaseException) -> bool:
    return (
        re.search(r"[Cc]onstraints? violated|marked .* as dynamic|pecializ|ConstraintViolation", str(error)) is not None
    )


# How lines of PyTorch's messages begin that help to debug PyTorch, or name a line of ours; the model's follows.
_ADVICE = (
    *("The error above", "For more information", "For extended logs", "For more debugging help", "Caused by: (transl"),
    *("If you suspect the guard", "For C++ stack trace", "consider using data-dependent friendly APIs"),
)


def _words(error: BaseException, model: TorchModel) -> str:
    """Take the lines that help out of PyTorch's message, and put the inputs' names in."""
    text = str(error) or type(error).__name__
    if "torch.classes.quantized." in text:
        return (
            "its layers were quantized by torch.ao.quantization, which only PyTorch itself can run\n"
            "  try     the module as it was before convert() or quantize_dynamic()"
        )
    text = re.sub(r"L?\[?'?tensors'?\]?\[(\d+)\]", lambda match: model.inputs[int(match[1])].name, text)
    # torch.onnx puts advice before the error, coloured.
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).rpartition("## Exception summary")[2]
    lines = [line.strip() for line in text.splitlines()]
    items = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    if items and _is_about_sizes(error):
        return "\n  ".join(dict.fromkeys(items))
    kept = [line for line in lines if line and not line.startswith(_ADVICE)]
    return "\n  ".join(kept[:6])


def _refusal(error: Exception, model: TorchModel, program: ExportedProgram) -> str:
    """Say what torch.onnx.export could not write, and which of the user's lines it comes from."""
    cause: BaseException = error
    told = ""
    while cause.__cause__ is not None:
        cause = cause.__cause__
        told += str(cause)
    if not told:
        return _words(error, model)
    missing = re.match(r"No ONNX function found for <OpOverload\(op='([\w.]+)'", str(cause))
    words = f"it has no ONNX for {missing[1]}" if missing else _words(cause, model)
    refused = re.search(r"Error when translating node %(\w+)", told)
    nodes = [node for node in program.graph.nodes if refused is not None and node.name == refused[1]]
    place = innermost_line(nodes[0].meta.get("stack_trace") or "") if nodes else ""
    return f"{words}\n  from    {place}" if place else words


# --- TorchScript ------------------------------------------------------------------------------------------------


def _from_script(model: TorchModel, module: torch.jit.ScriptModule, notes: list[str]) -> ir.Model:
    """Export TorchScript: as an ExportedProgram if PyTorch can make one of it, else by the TorchScript exporter."""
    from torch._export.converter import TS2EPConverter

    wanted = model.inputs
    args, kwargs = model.flat.nest(_example(model))
    try:
        with torch.no_grad():
            program = TS2EPConverter(module, args, kwargs).convert()
        exported = _from_program(model, program, _result(program))
        if _keeps_dims(wanted, model.inputs):
            exported.metadata_props[STRUCTURE] = model.structure
            notes.append("exported from TorchScript through torch.export (TS2EPConverter)")
            return exported
        raise ExportError(f"a size became constant: {', '.join(map(str, model.inputs))}")
    except Exception as error:
        # The converter asserts, indexes and looks up freely: any failure only means that it cannot.
        model.inputs = wanted
        reason = _words(error, model).partition("\n")[0]
    exported = _torchscript_export(model, module, args, kwargs)
    notes.append(f"exported by the TorchScript exporter (torch.onnx.export, dynamo=False), because: {reason}")
    return exported


def _keeps_dims(wanted: Sequence[Spec], found: Sequence[Spec]) -> bool:
    pairs = [
        pair for w, f in zip(wanted, found, strict=True) for pair in zip(w.shape or (), f.shape or (), strict=True)
    ]
    return not any(isinstance(want, str) and isinstance(have, int) for want, have in pairs)


def _traced(model: TorchModel, refusal: ExportError, notes: list[str]) -> ir.Model:
    """Export through torch.jit.trace, for models that torch.export refuses.

    A trace bakes in whatever Python decided, so the result must give the same numbers at other sizes; if it does
    not, `refusal`, torch.export's own error, is raised.
    """
    from translate.models.onnx_model import OnnxModel

    tensors = _example(model)
    try:
        with torch.no_grad():
            traced = torch.jit.trace(model.flat, tuple(tensors), check_trace=False)  # type: ignore[no-untyped-call]
        exported = _torchscript_export(model, traced, tuple(tensors), {})
        onnx = OnnxModel(exported)
        for seed, sizes in enumerate(default_sizes(model.inputs, model.ranges)):
            feeds = example_feeds(model.inputs, sizes, seed)
            expected, actual = model.run(feeds), onnx.run(feeds)
            for name, array in expected.items():
                np.testing.assert_allclose(
                    actual[name], array, rtol=1e-3, atol=1e-3 * (np.abs(array).max(initial=0) + 1e-6)
                )
    except Exception as error:
        raise refusal from error
    notes.append(f"exported through torch.jit.trace and checked at other sizes, because {refusal}")
    return exported


def _torchscript_export(model: TorchModel, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ir.Model:
    axes = {
        spec.name: {axis: dim for axis, dim in enumerate(spec.shape or ()) if isinstance(dim, str)}
        for spec in model.inputs
    }
    outputs = [spec.name for spec in model.outputs]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder, "model.onnx")
        try:
            torch.onnx.export(
                module,
                args,
                path,
                kwargs=kwargs or None,
                dynamo=False,
                input_names=[spec.name for spec in model.inputs],
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=18,
                do_constant_folding=False,
                # EVAL would fold BatchNorm into the convolutions.
                training=torch.onnx.TrainingMode.PRESERVE,
            )
        except Exception as error:
            raise ExportError(f"the TorchScript exporter refused the model: {_words(error, model)}") from error
        exported = ir.load(path)
        # The weights must outlive the folder.
        ir.external_data.load_to_model(exported)
    # The exporter infers the shapes between from the example, constants where sizes are symbolic.
    for value in _values(exported):
        if value.producer() is not None:
            value.shape = None
    for value, spec in zip(exported.graph.outputs, model.outputs, strict=True):
        value.shape = None if spec.shape is None else ir.Shape(spec.shape)
    _name_initializers(exported, *_weights(model), _names_of_tied(model), state_of(model))
    _name_interface(exported, [spec.name for spec in model.inputs], outputs)
    exported.metadata_props[STRUCTURE] = model.structure
    return exported


# --- names ------------------------------------------------------------------------------------------------------


def _mark_padding(model: ir.Model, program: ExportedProgram) -> None:
    """Leave on the result of each embedding with a padding index what that is; ONNX has no word for it."""
    paddings = {
        node.name: node.args[2]
        for node in program.graph.nodes
        if node.target is torch.ops.aten.embedding.default and len(node.args) > 2 and node.args[2] >= 0
    }
    for value in _values(model):
        if value.name in paddings and value.producer() is not None:
            value.metadata_props[PADDING] = str(paddings[value.name])


def _mark_detached(model: ir.Model, program: ExportedProgram) -> None:
    """Mark what `detach()` returns, which in ONNX is nothing but its argument."""
    detached = {node.name for node in program.graph.nodes if node.target is torch.ops.aten.detach.default}
    for value in _values(model):
        if value.name in detached and value.producer() is not None:
            value.metadata_props[DETACHED] = "yes"


def _rename_dims(model: ir.Model, names: Mapping[str, str]) -> None:
    for value in _values(model):
        if value.shape is None:
            continue
        dims = [dim if isinstance(dim, int) else rename_dim(dim.value, names) for dim in value.shape]
        value.shape = ir.Shape(dims)


def _values(model: ir.Model) -> Iterator[ir.Value]:
    """Iterate over every value of the graph and of its subgraphs once."""
    graphs = [model.graph, *model.graph.subgraphs()]
    for graph in graphs:
        yield from graph.inputs
        yield from graph.initializers.values()
        for node in graph:
            yield from node.outputs


def _weights(model: TorchModel) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the source's parameters and its buffers by name; a tied one has its first name only."""
    owner = model.flat if model.program is None else model.program
    parameters, buffers = dict(owner.named_parameters()), dict(owner.named_buffers())
    return (
        {name.removeprefix("module."): tensor for name, tensor in parameters.items()},
        {name.removeprefix("module."): tensor for name, tensor in buffers.items()},
    )


def state_of(model: TorchModel) -> dict[str, Any]:
    """Return the source's state_dict, by its own names."""
    state = model.flat.state_dict() if model.program is None else model.program.state_dict
    return {name.removeprefix("module."): value for name, value in state.items()}


def _names_of_tied(model: TorchModel) -> dict[tuple[object, ...], list[str]]:
    """Return all names of each tensor of the source that has several."""
    names: dict[tuple[object, ...], list[str]] = {}
    for name, tensor in state_of(model).items():
        if isinstance(tensor, torch.Tensor) and tensor.numel():
            names.setdefault(_place(tensor), []).append(name)
    return {place: several for place, several in names.items() if len(several) > 1}


def _name_initializers(
    model: ir.Model,
    parameters: Mapping[str, torch.Tensor],
    buffers: Mapping[str, torch.Tensor],
    tied: Mapping[tuple[object, ...], Sequence[str]],
    saved: Collection[str],
) -> None:
    """Give initializers the source's names, mark what they are, and keep tied ones once; `saved` is the state_dict."""
    weights = {**buffers, **parameters}
    names = {_place(tensor): name for name, tensor in reversed(weights.items()) if tensor.numel()}
    initializers = model.graph.initializers
    for value in list(initializers.values()):
        name = str(value.name).removeprefix("module.")
        # A tensor of PyTorch still knows where it lies; what was read from a file does not.
        tensor = getattr(value.const_value, "raw", None)
        if isinstance(tensor, torch.Tensor):
            name = names.get(_place(tensor), name)
        if name in initializers and initializers[name] is not value and name in weights:
            ir.convenience.replace_all_uses_with(value, initializers[name])
            initializers.pop(str(value.name))
            continue
        _rename(model, value, name)
        value.metadata_props[KIND] = "parameter" if name in parameters else "buffer"
        if name not in saved:
            value.metadata_props[UNSAVED] = "yes"
        others = [other for other in tied.get(_place(weights[name]), ()) if other != name] if name in weights else []
        if others:
            value.metadata_props[TIED] = ",".join(others)


def _place(tensor: torch.Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype


def _name_interface(model: ir.Model, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Name inputs and outputs; an output that is an input, a weight or another output gets a node of its own."""
    graph = model.graph
    if (len(graph.inputs), len(graph.outputs)) != (len(inputs), len(outputs)):
        raise ExportError(
            f"the exporter made {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            f"expected {', '.join(inputs)} and {', '.join(outputs)}"
        )
    for index, value in enumerate(list(graph.outputs)):
        if value.producer() is None or value in list(graph.outputs)[:index]:
            node = ir.node("Identity", [value])
            copy = node.outputs[0]
            copy.type, copy.shape = value.type, value.shape
            graph.append(node)
            graph.outputs[index] = copy
    for value, name in zip(graph.inputs, inputs, strict=True):
        _rename(model, value, name)
    for value, name in zip(graph.outputs, outputs, strict=True):
        # In ONNX an output cannot be called like an input; its own name is kept beside it.
        _rename(model, value, f"{name}_output" if name in inputs else name)
        value.metadata_props[NAME] = name


def _rename(model: ir.Model, value: ir.Value, name: str) -> None:
    """Give `value` the name; another value that has it gets a new one."""
    if value.name == name:
        return
    taken = {other.name: other for other in _values(model)}
    if name in taken:
        number = 1
        while f"{name}_{number}" in taken:
            number += 1
        taken[name].name = f"{name}_{number}"
    value.name = name


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' progress, warnings and log lines off the terminal; errors are raised as ever."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            # Where it fails, the TorchScript exporter writes the whole graph past Python's streams.
            mock.patch.object(torch._C, "_jit_onnx_log"),
        ):
            yield
    finally:
        logging.disable(level)
