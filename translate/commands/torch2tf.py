"""`translate torch2tf`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from translate.commands.options import input_options, judge_options, plan_of, source_options
from translate.commands.reporting import check_reports, publish_report, report_options
from translate.errors import ParityError, UsageError
from translate.serving import Serving
from translate.startup import quiet_frameworks
from translate.terminal import show_progress, show_result


@click.command(short_help="Translate a PyTorch model to TensorFlow.")
@click.argument("source")
@click.option("-o", "--output", metavar="PATH", help="What to write.  [default: <source>_tf here, <source>.keras]")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["saved_model", "keras", "tflite", "onnx"]),
    default="saved_model",
    show_default=True,
    help="keras is one file of Keras's own layers; onnx is the graph in the middle.",
)
@click.option("--force", is_flag=True, help="Replace an earlier result, once it is proven, or --serving-config.")
@click.option(
    "--quantize",
    type=click.Choice(["float16", "dynamic", "int8"]),
    help="TFLite: smaller weights, or with int8 all numbers, whose ranges are measured on --data.",
)
@click.option(
    "--least-snr",
    metavar="DB",
    type=click.FloatRange(min=0),
    help="Least signal-to-noise ratio of what is quantised.  [default: 40 for float16, else 20]",
)
@click.option("--flex", is_flag=True, help="TFLite: allow TensorFlow's operators where TFLite has none.")
@click.option("--serving", metavar="BASE", help="Write the next version in BASE, for TF Serving, instead of -o.")
@click.option("--version", type=click.IntRange(min=0), help="Which version to write with --serving.")
@click.option("--serving-config", is_flag=True, help="With --serving: configuration and clients, beside BASE.")
@click.option("--labels", metavar="FILE", help="With --serving: the names of the classes, one a line.")
@click.option(
    "--method", "methods", metavar="NAME", multiple=True, help="A method that becomes a signature. Repeatable."
)
@click.option(
    "--trainable", is_flag=True, help="Write a signature `training`, too: what the module does in train mode."
)
@click.option("--engine", type=click.Choice(["native", "onnx2tf"]), default="native", show_default=True)
@click.option("--verify/--no-verify", default=True, help="Prove that both compute the same (default).")
@source_options
@input_options
@judge_options
@report_options
def torch2tf(
    source: str,
    output: str | None,
    file_format: Any,
    force: bool,
    quantize: Any,
    least_snr: float | None,
    flex: bool,
    serving: str | None,
    version: int | None,
    serving_config: bool,
    labels: str | None,
    methods: Sequence[str],
    trainable: bool,
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
    """Translate a PyTorch model to a TensorFlow SavedModel, a Keras model or TFLite.

    \b
    SOURCE is one of
      model.pt2                 an ExportedProgram
      model.pt                  TorchScript, or with --unsafe-load a pickled module
      model.onnx                ONNX
      package.module:factory    a function or class that makes the module
      path/file.py:factory      the same, in a file
      folder                    a Hugging Face model

    With --method, each of these methods of a module becomes a signature, and inputs are METHOD.NAME in --input. A
    language model of transformers has prefill and decode, with keys and values as inputs and outputs.

    With --trainable, SOURCE is a factory, a pickled module or a Hugging Face folder. Dropout is random in the signature
    `training`, and BatchNorm goes by the batch and moves its statistics; all is proven like the rest.
    """  # noqa: D301
    from translate.reports.schema import result_report

    if serving is None and (version is not None or serving_config or labels is not None):
        raise UsageError("--version, --serving-config and --labels go with --serving BASE")
    served = None
    if serving is not None:
        served = Serving(Path(serving), version, serving_config, None if labels is None else Path(labels))
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
                methods=methods,
                trainable=trainable,
                engine=engine,
                format=file_format,
                quantize=quantize,
                least_snr=least_snr,
                flex=flex,
                verify=verify,
                force=force,
                serving=served,
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
