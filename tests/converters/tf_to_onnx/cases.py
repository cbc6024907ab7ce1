"""One TensorFlow function, traced, exported to ONNX and run by onnxruntime: shared by the tests of the lowerings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import tensorflow as tf
import torch
from onnx.reference import ReferenceEvaluator

from translate.converters.onnx_to_torch.export import Program
from translate.converters.passes import prepare_for_torch
from translate.converters.tf_to_onnx import export
from translate.errors import CannotTranslateError
from translate.models.base import Spec


@dataclass(frozen=True)
class Input:
    """An input of random numbers between `low` and `high`; a name among its `dims` is an open dimension."""

    dims: tuple[int | str, ...]
    dtype: str = "float32"
    low: float = -2.0
    high: float = 2.0

    def draw(self, generator: np.random.Generator, sizes: Mapping[str, int]) -> np.ndarray[Any, Any]:
        shape = [sizes[dim] if isinstance(dim, str) else dim for dim in self.dims]
        return np.asarray(generator.uniform(self.low, self.high, shape)).astype(self.dtype)


def floats(*dims: int | str, low: float = -2.0, high: float = 2.0, dtype: str = "float32") -> Input:
    """Floating-point numbers."""
    return Input(dims, dtype, low, high)


def ints(*dims: int | str, low: int = 0, high: int = 5, dtype: str = "int32") -> Input:
    """Whole numbers from `low` up to before `high`."""
    return Input(dims, dtype, low, high)


def check(
    function: Callable[..., Any],
    *inputs: Input | np.ndarray[Any, Any],
    sizes: Sequence[Mapping[str, int]] = (),
    rtol: float = 1e-5,
    atol: float = 1e-6,
    reference: bool = False,
    static: bool = True,
) -> ir.Model:
    """Compare the exported `function` with TensorFlow at two sizes of the open dimensions, and with all sizes fixed.

    An array among the `inputs` is fed as it is. Names, dtypes and shapes must be the same too. `reference` runs
    ONNX's reference evaluator, for operators that onnxruntime has no kernel for. Returns the model with open sizes.
    """
    chosen = list(sizes) or [_sizes(inputs, start) for start in (4, 7)]
    model, traced = exported(function, inputs)
    for assigned in chosen:
        _compare(model, traced, _draw(inputs, assigned), rtol, atol, reference)
    if static and any(isinstance(given, Input) and not _fixed(given) for given in inputs):
        drawn = _draw(inputs, chosen[0])
        _compare(*exported(function, drawn), drawn, rtol, atol, reference)
    return model


def check_in_torch(
    function: Callable[..., Any],
    *inputs: Input | np.ndarray[Any, Any],
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> ir.Model:
    """As `check`, of the function as a PyTorch module: for operators that are not ONNX's. Returns the ONNX model."""
    model, traced = exported(function, inputs)
    kept = model.clone()
    prepare_for_torch(model)
    module = Program(model).build([None] * len(inputs), flat=True)
    for start in (4, 7):
        arrays = _draw(inputs, _sizes(inputs, start))
        with torch.no_grad():
            actual = [result.numpy() for result in module(*map(torch.from_numpy, arrays))]
        _close(actual, traced, arrays, rtol, atol)
    return kept


def refuses(function: Callable[..., Any], *inputs: Input | np.ndarray[Any, Any], match: str) -> None:
    """Check that `function` is refused with a reason that `match`es."""
    with pytest.raises(CannotTranslateError, match=match):
        exported(function, inputs)


def exported(function: Callable[..., Any], inputs: Sequence[Input | np.ndarray[Any, Any]]) -> tuple[ir.Model, Any]:
    """Trace and export; inputs are called x0, x1..., outputs y0, y1..."""
    specs = [_spec(given, f"x{i}") for i, given in enumerate(inputs)]
    signature = [tf.TensorSpec([d if isinstance(d, int) else None for d in s.shape or ()], s.dtype) for s in specs]
    traced = tf.function(function, autograph=False).get_concrete_function(*signature)
    return export(traced, specs, [f"y{i}" for i in range(len(traced.outputs))]), traced


def run(model: ir.Model, feeds: Mapping[str, np.ndarray[Any, Any]], reference: bool = False) -> list[Any]:
    """Check the model by ONNX's rules and run it."""
    proto = ir.serde.serialize_model(model)
    onnx.checker.check_model(proto, full_check=True)
    if reference:
        return list(ReferenceEvaluator(proto).run(None, dict(feeds)))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feeds)))


def operators(model: ir.Model) -> list[str]:
    """List the operators of a model and its subgraphs."""
    return [node.op_type for node in model.graph.all_nodes()]


def _compare(
    model: ir.Model, traced: Any, arrays: Sequence[np.ndarray[Any, Any]], rtol: float, atol: float, reference: bool
) -> None:
    _close(run(model, {f"x{i}": array for i, array in enumerate(arrays)}, reference), traced, arrays, rtol, atol)


def _close(
    actual: Sequence[Any], traced: Any, arrays: Sequence[np.ndarray[Any, Any]], rtol: float, atol: float
) -> None:
    expected = [value.numpy() for value in tf.nest.flatten(traced(*map(tf.constant, arrays)))]
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        assert np.asarray(ours).dtype == theirs.dtype or theirs.dtype == object
        assert np.shape(ours) == theirs.shape
        if theirs.dtype.kind in "fc":
            np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
        else:
            np.testing.assert_array_equal(ours, theirs)


def _draw(inputs: Sequence[Input | np.ndarray[Any, Any]], sizes: Mapping[str, int]) -> list[np.ndarray[Any, Any]]:
    generator = np.random.default_rng(0)
    return [given.draw(generator, sizes) if isinstance(given, Input) else given for given in inputs]


def _sizes(inputs: Sequence[Input | np.ndarray[Any, Any]], start: int) -> dict[str, int]:
    """Give each open dimension a size of its own."""
    return {name: start + i for i, name in enumerate(dict.fromkeys(_open(inputs)))}


def _open(inputs: Sequence[Input | np.ndarray[Any, Any]]) -> Iterator[str]:
    for given in inputs:
        if isinstance(given, Input):
            yield from (dim for dim in given.dims if isinstance(dim, str))


def _fixed(given: Input) -> bool:
    return all(isinstance(dim, int) for dim in given.dims)


def _spec(given: Input | np.ndarray[Any, Any], name: str) -> Spec:
    if isinstance(given, Input):
        return Spec(name, given.dtype, given.dims)
    return Spec(name, str(given.dtype) if given.dtype.kind not in "SUO" else "str", given.shape)
