"""The verdicts on several functions of one SavedModel as one verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from translate.models.base import Spec
    from translate.verify.verdict import Side, Verdict


def joined(parts: Mapping[str, Verdict]) -> Verdict:
    """Return the verdicts on several functions of one model as one, see `prefixed`."""
    from translate.verify.verdict import Side, Verdict

    def side(which: str) -> Side:
        sides: dict[str, Side] = {name: getattr(part, which) for name, part in parts.items()}
        return Side(
            next(iter(sides.values())).kind,
            tuple(spec for name, one in sides.items() for spec in prefixed(name, one.inputs)),
            tuple(spec for name, one in sides.items() for spec in prefixed(name, one.outputs)),
        )

    runs = [
        replace(run, outputs=tuple(replace(output, name=_name(name, output.name)) for output in run.outputs))
        for name, part in parts.items()
        for run in part.runs
    ]
    return Verdict(
        side("source"),
        side("target"),
        tuple(runs),
        tuple(_said(name, text) for name, part in parts.items() for text in part.interface),
        tuple(_said(name, text) for name, part in parts.items() for text in part.warnings),
    )


def prefixed(name: str, specs: Sequence[Spec]) -> list[Spec]:
    """Return the inputs or outputs of the function `name` as `name.output`; as they are where the name is empty."""
    return [replace(spec, name=_name(name, spec.name)) for spec in specs]


def _name(function: str, own: str) -> str:
    return f"{function}.{own}" if function else own


def _said(function: str, text: str) -> str:
    return f"{function}: {text}" if function else text
