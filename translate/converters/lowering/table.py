"""The table of lowerings: operator name and opset → one small function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import onnx_ir as ir

from translate.converters.lowering.bind import Signature, UnboundError
from translate.errors import Problem, merge
from translate.origin import source_line

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Lowering:
    """One row of a table: how `op_type` of `domain` is said in the target's language from opset `since` on.

    `deterministic` is False for operators that draw random numbers: they are never evaluated ahead of time.
    """

    domain: str
    op_type: str
    since: int
    function: Callable[..., Any]
    signature: Signature
    deterministic: bool = True

    @property
    def limits(self) -> str:
        """The text after "Limits:" in the function's docstring: what this lowering refuses."""
        return (self.function.__doc__ or "").partition("Limits:")[2].strip()


class Table:
    """All lowerings to one target.

    `target` is its name for people. `ceilings` gives, for each ONNX domain, the newest opset that the rows were
    tested with; a model above it is refused rather than guessed at. `not_done` maps `(domain, operator)` to the
    reason why it has no row.
    """

    def __init__(
        self, target: str, ceilings: Mapping[str, int], not_done: Mapping[tuple[str, str], str] | None = None
    ) -> None:
        self.target = target
        self.ceilings = dict(ceilings)
        self.not_done = dict(not_done or {})
        self._rows: dict[tuple[str, str], dict[int, Lowering]] = {}

    def lower(
        self, *op_types: str, since: int = 1, domain: str = "", deterministic: bool = True
    ) -> Callable[[Function], Function]:
        """Register the decorated function as the lowering of `op_types` from opset `since` on.

        Raises `ValueError` when there is such a row already.
        """

        def register(function: Function) -> Function:
            signature = Signature.of(function)
            for op_type in op_types:
                self._add(Lowering(domain, op_type, since, function, signature, deterministic))
            return function

        return register

    def lower_unary(self, functions: Mapping[str, Callable[..., Any]], *, domain: str = "") -> None:
        """Register operators of one input that the target has under another name, with the same meaning."""
        for op_type, function in functions.items():
            self.lower(op_type, domain=domain)(_unary(function))

    def _add(self, row: Lowering) -> None:
        versions = self._rows.setdefault((row.domain, row.op_type), {})
        if row.since in versions:
            raise ValueError(f"{row.domain}::{row.op_type} since {row.since} is in the {self.target} table twice")
        versions[row.since] = row

    def __iter__(self) -> Iterator[Lowering]:
        for key in sorted(self._rows):
            yield from (self._rows[key][since] for since in sorted(self._rows[key]))

    def find(self, domain: str, op_type: str, opset: int) -> Lowering | None:
        """Return the newest row that is not newer than `opset`, or None."""
        versions = self._rows.get((domain, op_type), {})
        known = [since for since in versions if since <= opset]
        return versions[max(known)] if known else None

    def problem(self, node: ir.Node, opset: int) -> str | None:
        """Say why `node` cannot be lowered, as far as that shows without running anything; None when it can."""
        ceiling = self.ceilings.get(node.domain)
        if ceiling is not None and opset > ceiling:
            return f"opset {opset} is newer than {ceiling}, the newest that this version knows"
        row = self.find(node.domain, node.op_type, opset)
        if row is None:
            reason = self.not_done.get((node.domain, node.op_type))
            return f"no {self.target} lowering" + (f": {reason}" if reason else "")
        try:
            row.signature.attributes(node)
            row.signature.check_inputs(node)
        except UnboundError as error:
            return str(error)
        return None

    def problems(self, model: ir.Model) -> list[Problem]:
        """Say of every node of `model`, of subgraphs too, why it cannot be lowered; equal problems count as one."""
        problems = []
        for node in model.graph.all_nodes():
            opset = opset_of(node, model.opset_imports)
            reason = self.problem(node, opset)
            if reason is not None:
                problems.append(as_problem(node, opset, reason))
        return merge(problems)


def _unary(function: Callable[..., Any]) -> Callable[[Any], Any]:
    def unary(x: Any) -> Any:
        return function(x)

    return unary


def opset_of(node: ir.Node, opset_imports: Mapping[str, int]) -> int:
    """Return the opset that `node` was written for: its own where it says so, else the model's."""
    if node.version is not None:
        return node.version
    return opset_imports.get(node.domain, 1)


def describe_inputs(node: ir.Node) -> str:
    """Name the inputs of `node` with their dtypes and shapes, and the value of those that are small constants."""
    return "; ".join("-" if value is None else _describe(value) for value in node.inputs)


def _describe(value: ir.Value) -> str:
    dtype = "?" if value.dtype is None else value.dtype.name.lower()
    sizes = ["?"] if value.shape is None else [str(d) if isinstance(d, int) else (d.value or "?") for d in value.shape]
    constant = value.const_value
    known = f" = {constant.numpy().tolist()}" if constant is not None and constant.size <= 8 else ""
    return f"{value.name} {dtype}[{','.join(sizes)}]{known}"


def as_problem(node: ir.Node, opset: int, reason: str) -> Problem:
    """Describe `node` and why it cannot be translated."""
    # The private domains hold ONNX's operators in another form: users know them by ONNX's name.
    own = not node.domain or node.domain.partition(".")[0] == "translate"
    operator = node.op_type if own else f"{node.domain}::{node.op_type}"
    return Problem(operator, node.name or "", opset, reason, describe_inputs(node), source_line(node))
