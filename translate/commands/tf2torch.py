"""`translate tf2torch`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from translate.commands.options import (
    custom_objects_option,
    graph_options,
    input_options,
    judge_options,
    names_in,
    plan_of,
    source_options,
)
from translate.commands.reporting import check_reports, publish_report, report_options
from translate.errors import ParityError
from translate.startup import quiet_frameworks
from translate.terminal import show_progress, show_result


@click.command()
@click.argument("source")
@click.option("-o", "--output", metavar="PATH", help="What to write.  [default: <source>.pt2 here]")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["pt2", "python", "torchscript", "onnx"]),
    default="pt2",
    show_default=True,
    help="python is a folder of model.py, to read and edit, and model.safetensors.",
)
@click.option(
    "--route",
    type=click.Choice(["auto", "layers", "graph"]),
    default="auto",
    show_default=True,
    help="By the layers of a Keras model, or by its graph; auto takes the graph where the layers do not do.",
)
@click.option("--force", is_flag=True, help="Replace an earlier result, once the new one is proven.")
@click.option("--signature", default="serving_default", show_default=True, help="Which function of a SavedModel.")
@click.option("--channels-first", is_flag=True, help="Take and return images as [N, C, H, W], as PyTorch does.")
@click.option("--verify/--no-verify", default=True, help="Prove that both compute the same (default).")
@graph_options
@source_options
@custom_objects_option
@input_options
@judge_options
@report_options
def tf2torch(
    source: str,
    output: str | None,
    file_format: Any,
    route: Any,
    force: bool,
    signature: str,
    graph_inputs: Sequence[str],
    graph_outputs: Sequence[str],
    channels_first: bool,
    verify: bool,
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    custom_objects: str | None,
    rtol: Sequence[str],
    atol: Sequence[str],
    reports: Sequence[str],
    baseline: str | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Translate a TensorFlow or Keras model to PyTorch.

    \b
    SOURCE is one of
      model.keras, model.h5     a Keras model
      folder                    a SavedModel
      graph.pb                  a frozen graph
      model.tflite              TFLite, quantised or not
      model.onnx                ONNX
      path/file.py:factory      a function that makes a Keras model, or a tf.function
    """  # noqa: D301
    from translate.reports.schema import result_report

    old = check_reports(reports, baseline)
    with show_progress() as progress, quiet_frameworks():
        from translate import routes
        from translate.verify.tolerance import parse_tolerance

        try:
            result = routes.tf2torch(
                source,
                output,
                format=file_format,
                route=route,
                inputs=inputs,
                sample=sample,
                weights=weights,
                signature=signature,
                graph_inputs=names_in(graph_inputs),
                graph_outputs=names_in(graph_outputs),
                channels_first=channels_first,
                verify=verify,
                force=force,
                plan=plan_of(asked),
                rtol=parse_tolerance("--rtol", rtol),
                atol=parse_tolerance("--atol", atol),
                unsafe_load=unsafe_load,
                custom_objects=custom_objects,
                progress=progress,
            )
            failure = None
        except routes.NotEqualError as error:
            result, failure = error.result, error
    passed = publish_report(result_report(result), reports, as_json, old, show_result)
    if failure is not None:
        raise failure
    return 0 if passed else ParityError.exit_code
