"""A TensorFlow function computed in float64, to measure the rounding of the float32 that it computes in.

Its graph is written again with float64 for float32. What a variable or a constant holds stays float32 and is cast where
it is read; so is what goes into, and comes out of, an operator that has no kernel for float64, and what is float32 by
definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import kernels, op_def_registry

_SINGLE, _DOUBLE, _RESOURCE = (t.as_datatype_enum for t in (tf.float32, tf.float64, tf.resource))
# Their results depend on how many bits a number has: other random numbers, other bytes.
_RANDOM = ("Random", "StatelessRandom", "Truncated", "StatelessTruncated", "Multinomial", "StatelessMultinomial")
_BY_BITS = (*_RANDOM, "Bitcast", "Decode", "Parse", "Const")
# Where TensorFlow 1 writes a loop into a graph, in place of calling a function.
_FRAMES = frozenset({"Enter", "Exit", "NextIteration"})
# TensorFlow keeps the functions of all graphs in one place.
_SUFFIX = "_in_float64"
# Larger weights are not cast.
_LARGEST_BYTES = 2**30
# How a node refers to an output of another, given the name of that, the argument, the place in it and among all.
_Refer = Callable[[str, str, int, int], str]


class DoubleFunction:
    """A concrete function in float64: its graph is written when it is first run."""

    def __init__(self, function: Any) -> None:
        """Prepare nothing yet."""
        self._function = function
        self._run: Callable[[Sequence[tf.Tensor]], list[tf.Tensor]] | None = None
        self._fails = sum(variable.shape.num_elements() * 4 for variable in function.graph.variables) > _LARGEST_BYTES

    def __call__(self, values: Sequence[tf.Tensor]) -> list[tf.Tensor] | None:
        """Take the tensors of the inputs and return those of the outputs; None where TensorFlow refuses the graph.

        So it is, too, with weights of more than a gigabyte, for all of them may be there in float64 at once.
        """
        if self._fails:
            return None
        try:
            self._run = self._run or doubled(self._function)
            return self._run(values)
        except (ValueError, tf.errors.OpError):
            self._fails = True
            return None


def doubled(function: Any) -> Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]:
    """Return a concrete function in float64: it takes the tensors of its inputs, and returns those of its outputs.

    Raises `ValueError` for a graph that TensorFlow does not accept so.
    """
    definition = function.graph.as_graph_def()
    library = {body.signature.name for body in definition.library.function}
    renamed = _widen(definition.node, library, lambda name, _, __, place: f"{name}:{place}" if place else name)
    del definition.library.gradient[:]
    for body in definition.library.function:
        body.signature.name += _SUFFIX
        for argument in (*body.signature.input_arg, *body.signature.output_arg):
            argument.type = _DOUBLE if argument.type == _SINGLE else argument.type
        inner = _widen(body.node_def, library, lambda name, argument, index, _: f"{name}:{argument}:{index}")
        for name, reference in list(body.ret.items()):
            body.ret[name] = inner.get(reference, reference)
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(definition, name=""), [])

    def tensor(original: tf.Tensor) -> tf.Tensor:
        reference = original.name.removesuffix(":0")
        reference = renamed.get(reference, reference)
        return wrapped.graph.get_tensor_by_name(reference if ":" in reference else f"{reference}:0")

    # The inputs are placeholders, which hold what they are given.
    given = [wrapped.graph.get_tensor_by_name(value.name) for value in function.inputs]
    pruned = wrapped.prune(given, [tensor(value) for value in function.outputs])

    def run(values: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        every = zip([*values, *function.captured_inputs], given, strict=True)
        with tf.device("CPU"):
            return list(pruned(*[v if v.dtype == place.dtype else tf.cast(v, place.dtype) for v, place in every]))

    return run


@dataclass(frozen=True)
class _Port:
    """An input or output of a node: the operator's argument, the place in it and among all, the dtype.

    `fixed` says that no attribute of the node decides on the dtype.
    """

    argument: str
    index: int
    place: int
    dtype: int
    fixed: bool


def _widen(nodes: Any, library: set[str], refer: _Refer) -> dict[str, str]:
    """Rewrite the nodes of one graph in place; return what became of references to what is cast after its node."""
    renamed: dict[str, str] = {}
    narrowing, widening = [], []
    for node in nodes:
        if node.op in library:
            # A function that is called by its own name takes and returns what it says itself.
            node.op += _SUFFIX
            continue
        operator = op_def_registry.get(node.op)
        stays = _stays(node, operator)
        for port in _ports(node, operator.input_arg):
            if port.dtype == _SINGLE and (stays or port.fixed):
                cast = _cast(f"{node.name}/narrow_{port.place}", node.input[port.place], _DOUBLE, _SINGLE)
                node.input[port.place] = refer(cast.name, "y", 0, 0)
                narrowing.append(cast)
        for port in _ports(node, operator.output_arg):
            if port.dtype == _SINGLE and (stays or port.fixed):
                reference = refer(node.name, port.argument, port.index, port.place)
                widening.append(_cast(f"{node.name}/wide_{port.place}", reference, _SINGLE, _DOUBLE))
                renamed[reference] = refer(widening[-1].name, "y", 0, 0)
        node.ClearField("experimental_type")
        for value in node.attr.values():
            for called in (*([value.func] if value.HasField("func") else []), *value.list.func):
                called.name += _SUFFIX
            if not stays:
                if value.type == _SINGLE:
                    value.type = _DOUBLE
                elif _SINGLE in value.list.type:
                    value.list.type[:] = [_DOUBLE if one == _SINGLE else one for one in value.list.type]
    nodes.extend(narrowing)
    for node in nodes:
        node.input[:] = [renamed.get(reference, reference) for reference in node.input]
    _delay(nodes, {refer(cast.name, "y", 0, 0): cast for cast in widening})
    nodes.extend(widening)
    return renamed


def _delay(nodes: Any, casts: dict[str, Any]) -> None:
    """Let each of `casts`, by the reference to it, wait for what its only reader computes with.

    TensorFlow computes whatever it can at once: all weights would be there in float64 before the first is read.
    """
    if any(node.op in _FRAMES for node in nodes):
        # What is in a loop cannot be waited for outside of it.
        return
    readers: dict[str, list[Any]] = {}
    for node in nodes:
        for reference in {one for one in node.input if one in casts}:
            readers.setdefault(reference, []).append(node)
    for reference, (reader, *others) in readers.items():
        # With one reader there is no other way from the cast to what that waits for.
        if not others:
            sources = [one.partition(":")[0] for one in reader.input if one not in casts and not one.startswith("^")]
            casts[reference].input.extend(f"^{source}" for source in dict.fromkeys(sources))


def _stays(node: Any, operator: Any) -> bool:
    """Say whether a node has to compute in float32: for what it reads or means, or for the kernels that there are."""
    if node.op.startswith(_BY_BITS):
        return True
    if any(argument.type == _RESOURCE for argument in (*operator.input_arg, *operator.output_arg)):
        return True
    single = [name for name, value in node.attr.items() if value.type == _SINGLE]
    return any(not _has_double(node.op, name) for name in single)


@cache
def _has_double(operator: str, attribute: str) -> bool:
    """Say whether a kernel for the CPU takes float64 for an attribute that is a dtype."""
    allowed = next(a.allowed_values.list.type for a in op_def_registry.get(operator).attr if a.name == attribute)
    if allowed and _DOUBLE not in allowed:
        return False
    known = [k for k in kernels.get_registered_kernels_for_op(operator).kernel if k.device_type in ("CPU", "DEFAULT")]
    limits = [{limit.name: limit.allowed_values.list.type for limit in kernel.constraint} for kernel in known]
    return any(attribute not in limit or _DOUBLE in limit[attribute] for limit in limits)


def _ports(node: Any, arguments: Sequence[Any]) -> Iterator[_Port]:
    place = 0
    for argument in arguments:
        if argument.type_list_attr:
            dtypes = list(node.attr[argument.type_list_attr].list.type)
        else:
            dtype = argument.type or node.attr[argument.type_attr].type
            dtypes = [dtype] * (node.attr[argument.number_attr].i if argument.number_attr else 1)
        for index, dtype in enumerate(dtypes):
            yield _Port(argument.name, index, place, dtype, bool(argument.type))
            place += 1


def _cast(name: str, source: str, old: int, new: int) -> Any:
    node = tf.compat.v1.NodeDef(name=name, op="Cast", input=[source])
    node.attr["SrcT"].type, node.attr["DstT"].type = old, new
    return node
