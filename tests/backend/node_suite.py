"""ONNX's official node tests: the cases, and how one is run and judged.

python -m tests.backend.node_suite [--torch] [PART OF A NAME ...]     prints what fails, and passed of all

On TensorFlow, or with --torch on PyTorch. What does not pass is listed, with its reason, in exclusions.toml and in
exclusions_torch.toml.
"""

from __future__ import annotations

import importlib
import sys
import tomllib
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests


@dataclass(frozen=True)
class DataSet:
    """The inputs of one run and the outputs that are expected of it, in the model's order."""

    inputs: list[Any]
    outputs: list[Any]


def cases() -> list[TestCase]:
    """Return all node tests of the installed onnx, in a fixed order."""
    return sorted(load_model_tests(kind="node"), key=lambda case: case.name)


def version_set() -> str:
    """Return which set of versions is installed: "pinned" or "newest"."""
    return "pinned" if onnx.__version__ < "1.20" else "newest"


def exclusions(file: str) -> list[dict[str, Any]]:
    """Read the entries of an exclusions file beside this one: `reason`, `cases`, perhaps `only` a set of versions."""
    content = tomllib.loads(Path(__file__).with_name(file).read_text())
    return list(content.get("exclude", []))


def excluded(file: str) -> dict[str, str]:
    """Return the reason for each case that does not pass with the versions that are installed."""
    here = version_set()
    entries = [entry for entry in exclusions(file) if entry.get("only", here) == here]
    return {name: entry["reason"] for entry in entries for name in entry["cases"]}


def load(case: TestCase) -> tuple[onnx.ModelProto, list[DataSet]]:
    """Return the model of a case and its data: read from files up to onnx 1.2x, generated in newer ones."""
    if case.model is not None:
        model = case.model
        return model, [DataSet(_arrays(inputs), _arrays(outputs)) for inputs, outputs in case.data_sets or []]
    folder = Path(case.model_dir)
    model = onnx.load(folder / "model.onnx")
    sets = []
    for data in sorted(folder.glob("test_data_set_*")):
        inputs = [_read(data / f"input_{i}.pb", v) for i, v in enumerate(model.graph.input)]
        outputs = [_read(data / f"output_{i}.pb", v) for i, v in enumerate(model.graph.output)]
        sets.append(DataSet(inputs, outputs))
    return model, sets


def _arrays(values: Iterable[Any]) -> list[Any]:
    # Types of less than a byte are generated as protobufs.
    return [onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else v for v in values]


def _read(path: Path, info: onnx.ValueInfoProto) -> Any:
    kind = info.type.WhichOneof("value")
    content = path.read_bytes()
    if kind == "sequence_type":
        return onnx.numpy_helper.to_list(onnx.SequenceProto.FromString(content))
    if kind == "optional_type":
        return onnx.numpy_helper.to_optional(onnx.OptionalProto.FromString(content))
    return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(content))


def check(case: TestCase, prepare: Any) -> None:
    """Run `case` through a backend's `prepare` and compare as onnx's own runner does; raises `AssertionError`."""
    model, sets = load(case)
    assert sets, "the case has no data"
    rep = prepare(model)
    for data in sets:
        outputs = rep.run(data.inputs)
        assert len(outputs) == len(data.outputs)
        for actual, expected in zip(outputs, data.outputs, strict=True):
            compare(actual, expected, case.rtol, case.atol)


def compare(actual: Any, expected: Any, rtol: float, atol: float) -> None:
    """Demand the same structure, dtype, shape and, within the case's own tolerance, the same numbers."""
    if isinstance(expected, list):
        assert isinstance(actual, list | tuple), f"expected a sequence, got {type(actual)}"
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            compare(one, other, rtol, atol)
        return
    if expected is None:
        assert actual is None, f"expected an empty optional, got {type(actual)}"
        return
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if expected.dtype.kind in "OSU":
        np.testing.assert_array_equal(actual.astype(object), _text(expected))
        return
    assert _name(actual) == _name(expected), f"dtype {actual.dtype}, expected {expected.dtype}"
    if _is_float(expected):
        np.testing.assert_allclose(actual.astype(np.float64), expected.astype(np.float64), rtol=rtol, atol=atol)
    else:
        np.testing.assert_array_equal(actual, expected)


def _text(array: np.ndarray) -> np.ndarray:
    # TensorFlow's strings are bytes.
    return np.vectorize(lambda item: item.encode() if isinstance(item, str) else item, otypes=[object])(array)


def _name(array: np.ndarray) -> str:
    return array.dtype.name


def _is_float(array: np.ndarray) -> bool:
    try:
        ml_dtypes.finfo(array.dtype)
    except ValueError:
        return False
    return True


def _selected(parts: list[str]) -> Iterator[TestCase]:
    return (case for case in cases() if not parts or any(part in case.name for part in parts))


def main(parts: list[str]) -> None:
    """Run the cases whose names contain one of `parts` and print those that fail, with one line of reason each."""
    backend = "torch" if "--torch" in parts else "tensorflow"
    parts = [part for part in parts if part != "--torch"]
    prepare = importlib.import_module(f"translate.backend.{backend}").prepare
    outcome: Counter[str] = Counter()
    for case in _selected(parts):
        try:
            check(case, prepare)
            outcome["passed"] += 1
        except Exception as error:
            outcome["failed"] += 1
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            print(f"{case.name}: {type(error).__name__}: {' | '.join(lines[:3])[:300]}")
            if len(parts) == 1 and parts[0] == case.name:
                traceback.print_exc()
    print(f"{outcome['passed']} passed, {outcome['failed']} failed")


if __name__ == "__main__":
    main(sys.argv[1:])
