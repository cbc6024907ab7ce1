"""Run two models on the same inputs and compare what they return."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from translate.errors import TranslateError, UsageError
from translate.models.base import Array, Model, Spec
from translate.models.inputs import example_feeds
from translate.verify.sizes import size_choices
from translate.verify.tolerance import Tolerance, tolerance_for
from translate.verify.verdict import OutputParity, RunParity, Side, Verdict

# An output that moves by less than this many allowed distances when the input changes says nothing about parity:
# almost any mistake upstream of it would pass.
_DEAD_BELOW = 10.0

_OTHER_INPUTS = "  choose other sizes with --sizes, fix a dimension with --input, or give real inputs with --sample"

# Compares one output: its name, the source's and the target's value, and the source's own rounding error.
_Judge: TypeAlias = Callable[[str, Array, Array, float], OutputParity]


def compare(
    source: Model,
    target: Model,
    *,
    sizes: Sequence[Mapping[str, int]] | None = None,
    sample: Mapping[str, Array] | None = None,
    seed: int = 0,
    rtol: float | None = None,
    atol: float | None = None,
) -> Verdict:
    """Run both models on the same seeded inputs and return the verdict.

    `sizes` holds one mapping {symbolic dimension: size} for each set of sizes (`size_choices(source)` when None); at
    each, the models are run on the inputs of two seeds, `seed` and `seed + 1`, which also tells whether the outputs
    depend on the inputs at all. `sample` are real inputs, run in addition; random integers then lie between 0 and the
    largest in the sample, otherwise they are 0 or 1. `rtol` and `atol` replace the default tolerance, see
    `tolerance_for`.

    Raises `UsageError` when `sizes` or `sample` do not fit the source's inputs.
    """
    sides = _side(source), _side(target)
    interface = _interface_differences(source, target)
    if interface:
        return Verdict(*sides, runs=(), interface=tuple(interface))
    bounds = {name: max(int(a.max()), 1) for name, a in (sample or {}).items() if a.dtype.kind in "iu" and a.size}
    judge = functools.partial(_compare_output, rtol=rtol, atol=atol)
    runs: list[RunParity] = []
    # For each output, how far it moved between two inputs, in allowed distances; the largest over all sizes.
    movement = {spec.name: 0.0 for spec in source.outputs}
    for size in size_choices(source) if sizes is None else sizes:
        first: dict[str, Array] = {}
        for case_seed in (seed, seed + 1):
            feeds = example_feeds(source.inputs, size, case_seed, bounds)
            expected = _run_source(source, feeds, size)
            runs.append(_run_target(source, target, feeds, expected, judge, RunParity(dict(size), case_seed, ())))
            for name in movement if first else ():
                movement[name] = max(movement[name], judge(name, first[name], expected[name], 0.0).error)
            first = expected
    if sample is not None:
        expected = _run_source(source, sample, {})
        runs.append(_run_target(source, target, sample, expected, judge, RunParity({}, seed, (), inputs="sample")))
    warnings = [
        f'output "{name}" hardly depends on the inputs: its agreement says little'
        for name, moved in movement.items()
        if moved < _DEAD_BELOW
    ]
    return Verdict(*sides, runs=tuple(runs), warnings=tuple(warnings))


def _run_source(source: Model, feeds: Mapping[str, Array], sizes: Mapping[str, int]) -> dict[str, Array]:
    try:
        return source.run(_copies(feeds))
    except TranslateError:
        raise
    except Exception as error:
        # A framework raises anything here. It is the request that does not fit: the source is what it is.
        where = ", ".join(f"{name}={size}" for name, size in sizes.items()) or "these inputs"
        raise UsageError(f"the source itself fails at {where}: {_first_line(error)}\n{_OTHER_INPUTS}") from error


def _run_target(
    source: Model,
    target: Model,
    feeds: Mapping[str, Array],
    expected: Mapping[str, Array],
    judge: _Judge,
    run: RunParity,
) -> RunParity:
    try:
        actual = target.run(_copies(feeds))
    except Exception as error:
        # A framework raises anything here; whatever it is, the target does not do what the source does.
        return replace(run, failure=f"the target fails where the source does not: {_first_line(error)}")
    outputs = [judge(name, expected[name], actual[name], 0.0) for name in expected]
    if any(not output.passed and np.isfinite(output.error) for output in outputs):
        # Too far for the fixed bound: is it further than the source's own rounding explains?
        noise = _rounding_noise(source, feeds, expected)
        outputs = [
            output
            if output.passed
            else judge(output.name, expected[output.name], actual[output.name], noise[output.name])
            for output in outputs
        ]
    return replace(run, outputs=tuple(outputs))


def _rounding_noise(source: Model, feeds: Mapping[str, Array], expected: Mapping[str, Array]) -> dict[str, float]:
    """Return how far each output of the source lies from its value in double precision; 0 where that is not known."""
    exact = source.run_double(_copies(feeds)) or {}
    noise = dict.fromkeys(expected, 0.0)
    for name in noise.keys() & exact.keys():
        value, precise = expected[name], exact[name]
        if precise.shape == value.shape and precise.dtype.kind in "fc":
            distance = np.abs(value.astype(precise.dtype) - precise)
            finite = distance[np.isfinite(distance)]
            noise[name] = float(finite.max()) if finite.size else 0.0
    return noise


def _copies(feeds: Mapping[str, Array]) -> dict[str, Array]:
    # A model that writes into its input must not change the other's.
    return {name: array.copy() for name, array in feeds.items()}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _side(model: Model) -> Side:
    try:
        return Side(model.kind, tuple(model.inputs), tuple(model.outputs))
    except TranslateError:
        raise
    except Exception as error:
        # A PyTorch model is run for its outputs, and may raise anything.
        raise UsageError(f"the {model.kind} fails on example inputs: {_first_line(error)}\n{_OTHER_INPUTS}") from error


def _interface_differences(source: Model, target: Model) -> list[str]:
    """Return what differs between the two interfaces; the order of inputs and outputs carries no meaning."""
    differences: list[str] = []
    for role, ours, theirs in (
        ("input", source.inputs, target.inputs),
        ("output", source.outputs, target.outputs),
    ):
        target_specs = {spec.name: spec for spec in theirs}
        source_names = {spec.name for spec in ours}
        differences += [f'{role} "{spec.name}" is missing in the target' for spec in ours
                        if spec.name not in target_specs]  # fmt: skip
        differences += [f'{role} "{name}" is only in the target' for name in target_specs if name not in source_names]
        for spec in ours:
            if spec.name in target_specs:
                differences += _spec_differences(role, spec, target_specs[spec.name])
    return differences


def _spec_differences(role: str, source: Spec, target: Spec) -> list[str]:
    """Compare dtype, rank and sizes; a symbolic dimension of the source must stay open in the target."""
    if source.dtype != target.dtype:
        return [f'{role} "{source.name}" is {source.dtype} in the source and {target.dtype} in the target']
    if source.shape is None or target.shape is None:
        return []
    fits = len(source.shape) == len(target.shape) and all(
        # An open dimension of the source's output may be known to the target; the runs tell whether that is right.
        a == b or not isinstance(b, int) or (role == "output" and a is None)
        for a, b in zip(source.shape, target.shape, strict=True)
    )
    return [] if fits else [f"{role} {source} of the source is {target} in the target"]


def _compare_output(
    name: str, source: Array, target: Array, noise: float, rtol: float | None, atol: float | None
) -> OutputParity:
    dtype = _dtype_name(source)
    tolerance = replace(tolerance_for(dtype, rtol, atol), noise=noise)
    shape = tuple(int(size) for size in source.shape)
    problems: list[str] = []
    if _dtype_name(target) != dtype:
        problems.append(f"dtype is {dtype} in the source and {_dtype_name(target)} in the target")
    if target.shape != source.shape:
        problems.append(f"shape is {list(source.shape)} in the source and {list(target.shape)} in the target")
    if problems:
        return OutputParity(name, dtype, shape, error=_exact(1), tolerance=tolerance, problems=tuple(problems))
    if source.size == 0:
        return OutputParity(name, dtype, shape, tolerance=tolerance, notes=("the output is empty",))
    if source.dtype.kind in "OSU":
        different = int(np.count_nonzero(source.astype(str) != target.astype(str)))
        problems = [f"{different} of {source.size} texts differ"] if different else []
        return OutputParity(name, dtype, shape, error=_exact(different), tolerance=tolerance, problems=tuple(problems))
    return _compare_numbers(name, source, target, tolerance=tolerance, dtype=dtype)


def _compare_numbers(name: str, source: Array, target: Array, *, tolerance: Tolerance, dtype: str) -> OutputParity:
    shape = tuple(int(size) for size in source.shape)
    different = int(np.count_nonzero(source != target))
    problems: list[str] = []
    notes: list[str] = []
    # Distances in double precision; for 64-bit integers they may be rounded, equality was judged on the originals.
    wide = np.complex128 if source.dtype.kind == "c" else np.float64
    a, b = source.astype(wide), target.astype(wide)

    nan_a, nan_b = np.isnan(a), np.isnan(b)
    if (nan_a != nan_b).any():
        problems.append(f"NaN in {int(nan_a.sum())} places of the source and {int(nan_b.sum())} of the target, "
                        f"{int((nan_a != nan_b).sum())} of them on one side only")  # fmt: skip
    elif nan_a.any():
        notes.append(f"NaN in the same {int(nan_a.sum())} of {a.size} places on both sides")
    infinite = (np.isinf(a) | np.isinf(b)) & ~(nan_a | nan_b)
    unequal_infinities = int(np.count_nonzero(a[infinite] != b[infinite]))
    if unequal_infinities:
        problems.append(f"{unequal_infinities} infinities differ")
    elif infinite.any():
        notes.append(f"the same {int(infinite.sum())} of {a.size} values are infinite on both sides")

    finite = np.isfinite(a) & np.isfinite(b)
    a, b = a[finite], b[finite]
    if a.size == 0:
        return OutputParity(name, dtype, shape, error=_exact(len(problems)), tolerance=tolerance,
                            problems=tuple(problems), notes=tuple(notes))  # fmt: skip
    distance = np.abs(a - b)
    magnitude = np.abs(a)
    scale = float(magnitude.max())
    bound = tolerance.bound(a, scale or 1.0)
    if tolerance.rtol == 0 and tolerance.atol == 0:
        error, too_far = _exact(different), different
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            error = float(np.max(np.where(distance == 0, 0.0, distance / bound)))
        too_far = int(np.count_nonzero(distance > bound))
    error = max(error, _exact(len(problems)))
    if too_far:
        problems.append(f"{too_far} of {source.size} values differ by more than allowed")
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(distance == 0, 0.0, distance / magnitude)
    return OutputParity(
        name,
        dtype,
        shape,
        max_abs=float(distance.max()),
        max_rel=float(relative.max()),
        scale=scale,
        error=error,
        cosine=_cosine(a, b),
        tolerance=tolerance,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _cosine(a: Array, b: Array) -> float | None:
    # Scaled first, so that squares of large values do not overflow.
    norm_a, norm_b = float(np.abs(a).max()), float(np.abs(b).max())
    if norm_a == 0 or norm_b == 0:
        return None
    a, b = a / norm_a, b / norm_b
    return float(np.real(np.vdot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)))


def _exact(differences: int) -> float:
    """Return the error of what must agree exactly: none, or beyond all bounds."""
    return float("inf") if differences else 0.0


def _dtype_name(array: Array) -> str:
    """Return the dtype's name as `Spec` has it."""
    return "str" if array.dtype.kind in "OSU" else array.dtype.name
