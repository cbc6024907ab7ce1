"""An ONNX graph as a TensorFlow module, and that module as a SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from translate.converters.lowering import Interpreter
from translate.converters.lowering.bind import Form
from translate.converters.lowering.interpret import LARGEST_HOST_BYTES
from translate.converters.lowering.table import opset_of
from translate.converters.metadata import KIND, ORIGIN, PERMUTATION, STRUCTURE, UNSAVED, other_names, source_name
from translate.converters.onnx_to_tf.dtypes import tf_dtype
from translate.converters.onnx_to_tf.lowerings import TABLE
from translate.converters.onnx_to_tf.target import TensorFlowTarget, scope_name, static_shape
from translate.converters.weights import weights
from translate.errors import Problem, UnsupportedError
from translate.manifest import Manifest, Parameter, Permutation, Signature, Value

# Attributes of the loaded object that weights may not take the place of.
RESERVED = frozenset({"signatures", "graph_debug_info", "variables", "trainable_variables", "tensorflow_version"})

# A TensorFlow object that tracks what is set on it, and nothing else: a SavedModel's root. tf.Module would do, but
# for its read-only `variables`, which a loaded SavedModel would then lack.
Trackable: Any = tf.__internal__.tracking.AutoTrackable


class _Callable(Trackable):  # type: ignore[misc]  # TensorFlow has no types
    """A SavedModel's root before it is saved: Python looks for `__call__` on the class, TensorFlow on the object."""

    def __call__(self, *inputs: Any) -> Any:
        return self.__dict__["__call__"](*inputs)


def preflight(model: ir.Model) -> list[Problem]:
    """Find every node of `model` that has no lowering, without building anything.

    Nodes that share a problem are counted in one. A lowering may still refuse a case that only shows when shapes and
    constants are known: that is found, as completely, by `save`.
    """
    return TABLE.problems(model)


def save(model: ir.Model, directory: Path) -> None:
    """Write `model` as a SavedModel to `directory`.

    Its signature `serving_default` has the names, dtypes and symbolic dimensions of the model's inputs and outputs.
    What became of its weights and values stands in the folder's manifest. Raises `CannotTranslateError` naming every
    node that has no lowering.
    """
    program = Program(model)
    root = root_of(program)
    hang_variables(root, named_variables({"": program}))
    tf.saved_model.save(root, str(directory), signatures={"serving_default": root.serving_default})
    manifest(program).write(directory)


def save_methods(models: Mapping[str, ir.Model], directory: Path) -> None:
    """Write several graphs of one module as a SavedModel with a signature for each, and each weight once.

    The loaded object has a function for each, too: `loaded.decode(...)` returns what the signature `decode` does.
    Raises `CannotTranslateError` naming every node that has no lowering.
    """
    programs: dict[str, Program] = {}
    for name, model in models.items():
        programs[name] = Program(model, list(programs.values()))
    root = Trackable()
    functions = {name: _flat(program) for name, program in programs.items()}
    hang_variables(root, named_variables(programs))
    for name, function in functions.items():
        setattr(root, name, function)
    tf.saved_model.save(root, str(directory), signatures=functions)
    known = {name: manifest(program) for name, program in programs.items()}
    Manifest(
        # Of a weight that several read, the first says how it is stored.
        parameters={name: one for part in reversed(known.values()) for name, one in part.parameters.items()},
        signatures={name: Signature(part.inputs, part.outputs, part.values) for name, part in known.items()},
    ).write(directory)


def module(model: ir.Model) -> Any:
    """Return `model` as a TensorFlow object that can be called, trained and saved.

    `module(*inputs)` returns what the source returned: one tensor, a tuple or a dict of them.
    `module.variables` and `module.trainable_variables` list its weights, which also hang on it under their own
    names: `module.layer1.conv.weight`.
    """
    program = Program(model)
    root = root_of(program)
    hang_variables(root, named_variables({"": program}))
    return root


def root_of(program: Program) -> Any:
    """Return a SavedModel's root that can be called, with the function `serving_default`, but no variables yet."""
    structured = structure(program.structure, program.outputs)
    flat = _flat(program)

    @tf.function(input_signature=program.specs(), autograph=False)
    def call(*inputs: tf.Tensor) -> Any:
        return structured(flat(*inputs))

    root = _Callable()
    setattr(root, "__call__", call)  # noqa: B010  # the object's own, found before the class's
    root.serving_default = flat
    return root


def _flat(program: Program) -> Any:
    @tf.function(input_signature=program.specs(), autograph=False)
    def flat(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        # Identity: a signature may not return its own input, and an output keeps its name.
        return {name: tf.identity(value) for name, value in program(*inputs).items()}

    return flat


def named_variables(programs: Mapping[str, Program]) -> dict[str, tf.Variable]:
    """Return the variables of the programs, which share weights, each once, by their names."""
    variables: dict[str, tf.Variable] = {}
    for name, program in programs.items():
        for value, variable in program.variables.items():
            # Large constants are called by numbers, which mean something else in another graph.
            own = str(value.name) if KIND in value.metadata_props or not name else f"{value.name}_{name}"
            variables.setdefault(own, variable)
    return variables


def hang_variables(root: Any, variables: Mapping[str, tf.Variable]) -> None:
    """Set the variables on a SavedModel's root, each under its name, and the two lists of them."""
    root.variables = list(variables.values())
    root.trainable_variables = [variable for variable in root.variables if variable.trainable]
    for name, variable in variables.items():
        _hang(root, name.split("."), variable)


class Program:
    """The graph of `model` as a Python function on tensors, and the variables that it reads.

    Calling it in a `tf.function` builds the graph. Its arguments are the model's inputs in order; it returns a dict
    of tensors (or lists of them, for ONNX sequences) by output name. Weights that `others` have, it reads there.
    """

    def __init__(self, model: ir.Model, others: Sequence[Program] = (), state: Sequence[ir.Value] = ()) -> None:
        """Make the variables; `state` are initializers that become some, though the graph need not read them."""
        self._model = model
        self.structure = model.metadata_props.get(STRUCTURE)
        self.outputs = [source_name(value) for value in model.graph.outputs]
        known = {str(v.name): (v, one) for other in reversed(others) for v, one in other.variables.items()}
        self.variables: dict[ir.Value, tf.Variable] = {}
        # How to turn the axes of those that another program stores in another order.
        self._turns: dict[ir.Value, tuple[int, ...]] = {}
        # By name, the variables and the order of axes in which they are stored.
        self._stored: dict[str, tuple[tf.Variable, Permutation]] = {}
        unread = {value: False for value in state if value.name not in model.graph.initializers}
        for value, trainable in (variables_of(model) | unread).items():
            if KIND in value.metadata_props and str(value.name) in known:
                theirs, self.variables[value] = known[str(value.name)]
                if _permutation(theirs) != _permutation(value):
                    self._turns[value] = _turn(_order(theirs), _order(value))
            else:
                theirs, self.variables[value] = value, _variable(value, trainable)
            self._stored[str(value.name)] = self.variables[value], _permutation(theirs)
        initializers = model.graph.initializers.values()
        self._constants = {value: _array(value) for value in initializers if value not in self.variables}
        # What each value of the graph became when it was last built: a tensor, a host value, a list.
        self.built: Mapping[ir.Value, Any] = {}

    def specs(self) -> list[tf.TensorSpec]:
        """Return name, dtype and shape of each input; raises `UnsupportedError` for one that is not a tensor."""
        return [_spec(value) for value in self._model.graph.inputs]

    def __call__(self, *inputs: Any) -> dict[str, Any]:
        """Build the graph on `inputs`; raises `CannotTranslateError` naming every node that has no lowering."""
        graph, target = self._model.graph, TensorFlowTarget()
        bindings: dict[ir.Value, Any] = dict(zip(graph.inputs, inputs, strict=True)) | self._constants
        bindings |= {value: self._read(value) for value in self.variables}
        interpreter = Interpreter(TABLE, self._model.opset_imports, target)
        results = interpreter.run(graph, bindings)
        self.built = interpreter.values
        results = [
            result if result is None or isinstance(result, list) else target.tensor(result) for result in results
        ]
        return dict(zip(self.outputs, results, strict=True))

    def assign(self, name: str, tensor: tf.Tensor) -> None:
        """Give the weight called `name` a new value, whose axes are in the source's order."""
        variable, permutation = self._stored[name]
        variable.assign(tensor if permutation is None else tf.transpose(tensor, permutation))

    def _read(self, value: ir.Value) -> tf.Tensor:
        tensor = tf.convert_to_tensor(self.variables[value])
        return tf.transpose(tensor, self._turns[value]) if value in self._turns else tensor


def manifest(program: Program) -> Manifest:
    """Return what became of the interface, the weights and, once its graph is built, the values of `program`.

    Left out are values that no tensor is: those known while translating, lists, and what is inside a loop or a branch.
    """
    # Of a graph that is not PyTorch's nobody knows; here, what PyTorch does not know is a large constant.
    told = any(KIND in value.metadata_props for value in program.variables)
    parameters = {
        str(value.name): Parameter(
            variable.name.removesuffix(":0"),
            _permutation(value),
            variable.trainable,
            other_names(value),
            UNSAVED not in value.metadata_props and (KIND in value.metadata_props or not told),
        )
        for value, variable in program.variables.items()
    }
    given = {value.name for value in program.built if value.producer() is None}
    values: dict[str, Value] = {}
    for value, tensor in program.built.items():
        node, name = value.producer(), value.metadata_props.get(ORIGIN, value.name)
        is_tensor = isinstance(tensor, tf.Tensor) and tensor.dtype not in (tf.resource, tf.variant)
        if node is not None and name and name not in given and is_tensor:
            # The first of several copies is the one that the operator itself made; the others are transposes of it.
            values.setdefault(name, Value(tensor.name, _permutation(value), node.op_type, str(node.name)))
    inputs = [spec.name for spec in program.specs()]
    return Manifest(inputs, program.outputs, program.structure, parameters, values)


def _permutation(value: ir.Value) -> Permutation:
    text = value.metadata_props.get(PERMUTATION)
    return None if text is None else tuple(int(axis) for axis in text.split(","))


def _order(value: ir.Value) -> tuple[int, ...]:
    return _permutation(value) or tuple(range(len(_array(value).shape)))


def _turn(theirs: Sequence[int], ours: Sequence[int]) -> tuple[int, ...]:
    """Return the permutation that makes a tensor stored in the order `theirs` one in the order `ours`."""
    return tuple(list(theirs).index(axis) for axis in ours)


def variables_of(model: ir.Model) -> dict[ir.Value, bool]:
    """Return the initializers of `model` that become variables, each with whether it is trainable.

    These are its weights, and other tensors too large to be constants of the graph. What a lowering must know ahead
    of time stays constant.
    """
    large = {v: False for v in model.graph.initializers.values() if _is_large(v)}
    candidates = large | weights(model)
    return {v: t for v, t in candidates.items() if not _read_while_translating(v, model.opset_imports)}


def _is_large(value: ir.Value) -> bool:
    tensor = value.const_value
    return tensor is not None and tensor.nbytes > LARGEST_HOST_BYTES and tensor.dtype is not ir.DataType.STRING


def _read_while_translating(value: ir.Value, opset_imports: Mapping[str, int]) -> bool:
    for node, position in value.uses():
        row = TABLE.find(node.domain, node.op_type, opset_of(node, opset_imports))
        inputs = () if row is None else row.signature.inputs
        if position < len(inputs) and inputs[position].form in (Form.HOST, Form.EITHER):
            return True
    return False


def _variable(value: ir.Value, trainable: bool) -> tf.Variable:
    name = scope_name(str(value.name).replace(".", "/"))
    return tf.Variable(_array(value), trainable=trainable, name=name, dtype=tf_dtype(_known_dtype(value)))


def _spec(value: ir.Value) -> tf.TensorSpec:
    if isinstance(value.type, ir.SequenceType | ir.OptionalType):
        raise UnsupportedError(f"input {value.name} is a {type(value.type).__name__}, which a signature cannot take")
    return tf.TensorSpec(static_shape(value), tf_dtype(_known_dtype(value)), scope_name(str(value.name)))


def _array(value: ir.Value) -> np.ndarray:
    assert value.const_value is not None, f"initializer {value.name} has no value"
    return value.const_value.numpy()


def _known_dtype(value: ir.Value) -> ir.DataType:
    dtype = (
        value.dtype if value.dtype is not None else value.const_value.dtype if value.const_value is not None else None
    )
    assert dtype is not None, f"{value.name} has no dtype"
    return dtype


def structure(kind: str | None, names: Sequence[str]) -> Callable[[dict[str, tf.Tensor]], Any]:
    """Return the function that puts named outputs into the form that the source returns them in."""
    if kind == "single" or (kind is None and len(names) == 1):
        return lambda outputs: outputs[names[0]]
    if kind == "dict":
        return lambda outputs: outputs
    return lambda outputs: tuple(outputs[name] for name in names)


def _hang(root: Any, path: Sequence[str], variable: tf.Variable) -> None:
    """Set `variable` at `root.a.b.c`; a path that is already taken is shortened by joining its last parts."""
    *parents, leaf = path
    for depth, parent in enumerate(parents):
        parent = f"_{parent}" if parent in RESERVED or parent.startswith("__") else parent
        child = getattr(root, parent, None)
        if child is None:
            child = Trackable()
            setattr(root, parent, child)
        elif not isinstance(child, Trackable):
            leaf = ".".join(path[depth:])
            break
        root = child
    setattr(root, f"_{leaf}" if leaf in RESERVED or hasattr(root, leaf) else leaf, variable)
