"""Parity as an assertion, for the user's own tests; importing this imports no framework.

from translate.testing import assert_parity

def test_the_saved_model_is_the_checkpoint():
    assert_parity("model.pt2", "model_tf")
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from translate.models.base import Array, Spec
    from translate.reports.text import Report
    from translate.verify import Verdict
    from translate.verify.cases import Case

_WIDTH = 110
_MOST_ROWS = 20
_MESSAGE = 300  # characters


def assert_parity(
    source: object,
    target: object,
    *,
    inputs: Sequence[str | Spec] = (),
    sample: str | Path | Mapping[str, Array] | None = None,
    weights: str | Path | None = None,
    unsafe_load: bool = False,
    device: str | None = None,
    sizes: Mapping[str, Sequence[int]] | None = None,
    cases: Iterable[Case] | None = None,
    seed: int = 0,
    rtol: float | Mapping[str, float] | None = None,
    atol: float | Mapping[str, float] | None = None,
    report: str | Path | None = None,
) -> Verdict:
    """Compare two models on the same inputs, and raise `AssertionError` with a table of what differs.

    `source` and `target` are paths, `module:factory` names or live objects, as in `translate.open_model`; `inputs`,
    `weights` and `unsafe_load` are those of the source; a PyTorch module as target takes what the source does.
    `sample` are real inputs, a file or arrays by name, run besides the random ones. `device` is where both run
    ("cpu", "gpu:0"), `sizes` which sizes each symbolic dimension takes ({"batch": [1, 7]}), `seed` that of the first
    random inputs; `cases` replaces all of these inputs. Without `rtol` and `atol` (a number, or one for each output)
    outputs are judged by the source's own rounding error. `report` is a file to write as well, `.json`, `.xml`, `.md`
    or `.html`, also when the assertion fails.

    Returns the verdict. Raises the errors of `open_model` and `UsageError` for options that do not fit.
    """
    # pytest leaves this function out of its traceback: the test is where to look.
    __tracebackhide__ = True
    from translate.reports import check_report_path
    from translate.reports.schema import verify_report

    if report is not None:
        check_report_path(Path(report))
    from translate.comparison import Side, compare_pair, make_cases, open_pair
    from translate.models.device import placement
    from translate.routes import source_label
    from translate.verify.cases import Case, InputPlan, greatest_integers

    start = time.perf_counter()
    file = sample if isinstance(sample, str | Path) else None
    notes: list[str] = []
    pair = open_pair(
        Side(source, inputs, file, weights, unsafe_load=unsafe_load),
        Side(target, unsafe_load=unsafe_load),
        placement=None if device is None else placement(device),
        notes=notes,
    )
    plan = InputPlan(sizes or {}, (seed, seed + 1), data=() if file is None else (Path(file),))
    wanted: InputPlan | list[Case] = plan if cases is None else list(cases)
    if cases is None and isinstance(sample, Mapping):
        wanted = [*make_cases(pair, plan, greatest_integers(sample)), Case("sample", {}, None, sample)]
    verdict = compare_pair(pair, wanted, rtol=rtol, atol=atol).verdict
    values = verify_report(source_label(source), source_label(target), verdict, notes, time.perf_counter() - start)
    if report is not None:
        from translate.publish import write_file
        from translate.reports import render

        write_file(Path(report), render(values, Path(report).suffix))
    if not verdict.passed:
        raise AssertionError(failure_text(values))
    return verdict


def failure_text(report: Report) -> str:
    """Return why the comparison in `report` failed: a sentence, and a table of the outputs that differ."""
    from rich.console import Console

    from translate.reports.summary import summary
    from translate.reports.text import clip, failed_first, outputs, printable

    found = summary(report)
    verdict = report["verdict"]
    failed = [item for item in failed_first(list(outputs(verdict))) if not item[1]["passed"]]
    stream = io.StringIO()
    console = Console(file=stream, width=_WIDTH, markup=False, highlight=False, emoji=False, color_system=None)
    console.print(f"{report['source']['path']} and {report['target']['path']} do not compute the same")
    for sentence in [*found.sentences, *verdict["interface"][1:_MOST_ROWS]]:
        console.print(printable(clip(sentence, _MESSAGE)))
    if failed:
        console.print()
        console.print(_table(failed[:_MOST_ROWS]))
    if len(failed) > _MOST_ROWS:
        console.print(f"and {len(failed) - _MOST_ROWS} more")
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def _table(failed: Sequence[tuple[Report, Report]]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from translate.reports.text import clip, number, printable, run_text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
    for column in ("output", "run"):
        table.add_column(column, overflow="fold")
    for column in ("max abs", "scale", "of limit", "over noise"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for run, output in failed:
        numbers = [number(output[key]) for key in ("max_abs", "scale", "error", "over_noise")]
        where = run_text(run) if run["seed"] is None else f"{run_text(run)}, seed {run['seed']}"
        said = clip(printable("; ".join(output["problems"])), _MESSAGE)
        table.add_row(Text(clip(printable(output["name"]), 60)), Text(where), *numbers, Text(said))
    return table
