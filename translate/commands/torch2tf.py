"""`translate torch2tf`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click

from translate.commands.options import input_options, judge_options, plan_of, source_options
from translate.commands.reporting import check_reports, publish_report, report_options
from translate.errors import ParityError
from translate.startup import quiet_frameworks
from translate.terminal import show_progress, show_result


@click.command()
@click.argument("source")
@click.option("-o", "--output", metavar="DIR", help="The SavedModel's folder.  [default: <source>_tf here]")
@click.option("--force", is_flag=True, help="Replace an existing SavedModel, once the new one is proven.")
@click.option("--engine", type=click.Choice(["native", "onnx2tf"]), default="native", show_default=True)
@click.option("--verify/--no-verify", default=True, help="Prove that both compute the same (default).")
@source_options
@input_options
@judge_options
@report_options
def torch2tf(
    source: str,
    output: str | None,
    force: bool,
    engine: Any,
    verify: bool,
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    rtol: Sequence[str],
    atol: Sequence[str],
    reports: Sequence[str],
    baseline: str | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Translate a PyTorch model to a TensorFlow SavedModel.

    \b
    SOURCE is one of
      model.pt2                 an ExportedProgram
      model.pt                  TorchScript, or with --unsafe-load a pickled module
      model.onnx                ONNX
      package.module:factory    a function or class that makes the module
      path/file.py:factory      the same, in a file
      folder                    a Hugging Face model
    """  # noqa: D301
    from translate.reports.schema import result_report

    old = check_reports(reports, baseline)
    began = time.perf_counter()
    with show_progress() as progress, quiet_frameworks():
        from translate import routes
        from translate.verify.tolerance import parse_tolerance

        loaded = time.perf_counter()
        try:
            result = routes.torch2tf(
                source,
                output,
                inputs=inputs,
                sample=sample,
                weights=weights,
                engine=engine,
                verify=verify,
                force=force,
                plan=plan_of(asked),
                rtol=parse_tolerance("--rtol", rtol),
                atol=parse_tolerance("--atol", atol),
                unsafe_load=unsafe_load,
                progress=progress,
            )
            failure = None
        except routes.NotEqualError as error:
            result, failure = error.result, error
    report = result_report(result)
    report["seconds"] = {"start": round(loaded - began, 3), **report["seconds"]}
    passed = publish_report(report, reports, as_json, old, show_result)
    if failure is not None:
        raise failure
    return 0 if passed else ParityError.exit_code
