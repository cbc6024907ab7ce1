"""Every error that a user can cause, the exit code of each, and how it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

# What TensorFlow puts before the line that says what is wrong.
_PREAMBLE = ("Graph execution error", "Detected at node", "<stack traces unavailable>")


def in_a_line(error: BaseException) -> str:
    """Return a framework's error in one line: its class, and the first line of its message that tells something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_PREAMBLE)] or lines
    return f"{type(error).__name__}: {telling[0][:300]}" if telling else type(error).__name__


class TranslateError(Exception):
    """An error whose message is meant for the user; `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(TranslateError):
    """The request itself is wrong: a bad option, an unwritable or already existing destination."""

    exit_code = 2


class OpenError(TranslateError):
    """The model cannot be opened: missing, empty, truncated, of an unknown kind."""

    exit_code = 3


class UntrustedError(OpenError):
    """Opening the model would run code that comes with the file, and nobody allowed it."""


class ParityError(TranslateError):
    """Source and target were both run and do not compute the same thing."""

    exit_code = 1


class ExportError(TranslateError):
    """The source framework's own exporter refused the model; the message is the exporter's."""

    exit_code = 4


class UnsupportedError(TranslateError):
    """Raised by a lowering for a case that it does not cover; the walk adds which node it was."""

    exit_code = 4


@dataclass(frozen=True)
class Problem:
    """One kind of node that cannot be translated, and where the nodes are.

    `operator` is the operator's name, `node` the first node's name, `count` how many nodes share the problem,
    `reason` what is missing, `inputs` their names, dtypes and shapes, `source` a `file:line` of the original
    model's code, `hint` what to try.
    """

    operator: str
    node: str
    opset: int
    reason: str
    inputs: str = ""
    source: str = ""
    hint: str = ""
    count: int = 1

    def __str__(self) -> str:
        nodes = "" if self.count == 1 else f" and {self.count - 1} more"
        # Layers of Keras have no version.
        opset = f" (opset {self.opset})" if self.opset else ""
        lines = [f'{self.operator} "{self.node}"{nodes}{opset}: {self.reason}']
        for label, text in (("inputs", self.inputs), ("from", self.source), ("try", self.hint)):
            if text:
                lines.append(f"  {label:<7} {text}")
        return "\n".join(lines)


def merge(problems: Sequence[Problem]) -> list[Problem]:
    """Count the nodes that share an operator and a reason in one problem each, in order of appearance."""
    merged: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        first = merged.setdefault((problem.operator, problem.reason), replace(problem, count=0))
        merged[problem.operator, problem.reason] = replace(first, count=first.count + problem.count)
    return list(merged.values())


class CannotTranslateError(TranslateError):
    """The model uses operators, or cases of operators, that have no lowering: all of them, in one report."""

    exit_code = 4

    def __init__(self, target: str, problems: Sequence[Problem]) -> None:
        problems = merge(problems)
        self.target = target
        self.problems = tuple(problems)
        operators = {problem.operator for problem in problems}
        nodes = sum(problem.count for problem in problems)
        head = f"{_count(len(operators), 'operator')} ({_count(nodes, 'node')}) cannot be translated to {target}"
        body = "\n".join(str(problem) for problem in problems)
        super().__init__(head + "\n" + "\n".join("  " + line for line in body.splitlines()))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
