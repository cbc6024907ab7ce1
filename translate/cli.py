"""The command line: parse, call, print; nothing else.

Neither framework, nor numpy, is imported before a command needs it, so that `translate --help` answers at once.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from rich.console import Console

from translate import __version__
from translate.errors import ParityError, TranslateError, UsageError
from translate.startup import captured_stderr, quiet_frameworks
from translate.terminal import (
    console,
    print_diagnosis,
    print_inspection,
    show_bench,
    show_progress,
    show_result,
    show_verify,
)

if TYPE_CHECKING:
    from translate.verify.cases import InputPlan

# EX_SOFTWARE of sysexits.h, and 128 + SIGINT: clear of the exit codes that mean something here.
_INTERNAL_ERROR = 70
_INTERRUPTED = 130
_ISSUES = "please report it, with the model if you can, to the project's issue tracker"

# `translate --help` and `doctor` work without these; everything else asks for them.
_OPTIONAL = ("torch", "tensorflow")

_POSITIVE = click.FloatRange(min=0, min_open=True)

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Cli(click.Group):
    """Turns every exception into one message on standard error and an exit code."""

    def __call__(self, *args: Any, **extra: Any) -> Any:
        """Run as the program that the shell called; with arguments, as any other command of click."""
        if args or extra:
            return super().__call__(*args, **extra)
        try:
            self.main()
        except SystemExit as exit_request:
            # Taking two frameworks down object by object costs two seconds. All files are closed and in place by now.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(exit_request.code if isinstance(exit_request.code, int) else 0)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        run = functools.partial(super().main, args, prog_name, complete_var, standalone_mode=False, **extra)
        if not standalone_mode:
            return run()
        try:
            sys.exit(run() or 0)
        except click.ClickException as error:
            _fail(error.format_message(), error.exit_code)
        except TranslateError as error:
            _fail(str(error), error.exit_code)
        except ModuleNotFoundError as error:
            if error.name not in _OPTIONAL:
                raise
            _fail(f"this needs {error.name}, which is not installed; pip install {error.name}", UsageError.exit_code)
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted; nothing was written", _INTERRUPTED)
        except Exception as error:
            # A defect of this program: whoever reports it needs the traceback.
            traceback.print_exc()
            _fail(f"unexpected {type(error).__name__}; {_ISSUES}", _INTERNAL_ERROR)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="translate")
def main() -> None:
    """Move trained models between PyTorch and TensorFlow, and prove that they still compute the same thing.

    \b
    Exit codes: 0 done and proven, 1 not equal, 2 usage, 3 the model cannot be opened or is not trusted,
    4 the model cannot be translated.
    """  # noqa: D301
    # As Ctrl-C does: what was half written is removed on the way out.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def _source_options(command: _Command) -> _Command:
    for option in (
        click.option("--unsafe-load", is_flag=True, help="Load pickled models; runs the code that they contain."),
        click.option("--sample", metavar="FILE", help="Example inputs: .npz, .npy, .pt (tensors only)."),
        click.option(
            "--weights", metavar="FILE", help="Weights for a factory: .safetensors, .pt (tensors only), .weights.h5."
        ),
        click.option(
            "--input",
            "inputs",
            metavar="NAME:DIMS[:DTYPE]",
            multiple=True,
            help="An input, as in x:batch,3,224,224 or ids:batch,seq:int64. A name in DIMS is a symbolic dimension; "
            "NAME may be left out (forward's own order); DTYPE defaults to float32. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def _graph_options(command: _Command) -> _Command:
    for option in (
        click.option(
            "--outputs",
            "graph_outputs",
            metavar="NAME,...",
            multiple=True,
            help="Tensors that a frozen graph returns, as in y or y:0.  [default: what nothing in it reads]",
        ),
        click.option(
            "--inputs",
            "graph_inputs",
            metavar="NAME,...",
            multiple=True,
            help="Tensors that a frozen graph takes, as in x or x:0.  [default: its placeholders]",
        ),
    ):
        command = option(command)
    return command


def _names(lists: Sequence[str]) -> list[str]:
    """Return the names in lists that are separated by commas."""
    return [name.strip() for text in lists for name in text.split(",") if name.strip()]


def _input_options(command: _Command) -> _Command:
    for option in (
        click.option(
            "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the first random inputs."
        ),
        click.option("--seeds", type=click.IntRange(min=1), default=2, show_default=True, help="How many seeds."),
        click.option(
            "--data", metavar="PATH", multiple=True, help="Real inputs: .npz, .npy, .pt, or a folder of them."
        ),
        click.option("--normal", metavar="NAME[:MEAN,STD]", multiple=True, help="Draw an input from a normal."),
        click.option("--uniform", metavar="NAME[:LOW,HIGH]", multiple=True, help="Draw an input evenly."),
        click.option("--range", "ranges", metavar="NAME:LOW,HIGH", multiple=True, help="Draw numbers, ends included."),
        click.option("--sizes", metavar="NAME=SIZE,...", multiple=True, help="Sizes to run at, as in batch=1,2,7."),
    ):
        command = option(command)
    return command


def _judge_options(command: _Command) -> _Command:
    classic = "Classic |a-b| <= atol + rtol*|a| instead, for all outputs or one. Repeatable."
    for option in (
        click.option("--atol", metavar="[OUTPUT=]NUMBER", multiple=True, help=classic),
        click.option("--rtol", metavar="[OUTPUT=]NUMBER", multiple=True, help=classic),
    ):
        command = option(command)
    return command


def _device_options(command: _Command) -> _Command:
    for option in (
        click.option("--xla", is_flag=True, help="Compile TensorFlow models with XLA."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads, the same on both sides."),
        click.option("--device", default="cpu", show_default=True, help="Where both run: cpu, gpu:0 (or cuda:0)."),
    ):
        command = option(command)
    return command


def _report_options(command: _Command) -> _Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of text."),
        click.option("--baseline", metavar="FILE", help="An earlier JSON report; what got worse fails."),
        click.option(
            "--report", "reports", metavar="FILE", multiple=True, help="Write .json, .xml (JUnit), .md or .html."
        ),
    ):
        command = option(command)
    return command


@main.command()
@click.argument("source")
@click.option("-o", "--output", metavar="DIR", help="The SavedModel's folder.  [default: <source>_tf here]")
@click.option("--force", is_flag=True, help="Replace an existing SavedModel, once the new one is proven.")
@click.option("--engine", type=click.Choice(["native", "onnx2tf"]), default="native", show_default=True)
@click.option("--verify/--no-verify", default=True, help="Prove that both compute the same (default).")
@_source_options
@_input_options
@_judge_options
@_report_options
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

    old = _check_reports(reports, baseline)
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
                plan=_plan(asked),
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
    passed = _publish_report(report, reports, as_json, old, show_result)
    if failure is not None:
        raise failure
    return 0 if passed else ParityError.exit_code


@main.command()
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
@click.option("--force", is_flag=True, help="Replace an earlier result, once the new one is proven.")
@click.option("--signature", default="serving_default", show_default=True, help="Which function of a SavedModel.")
@click.option("--channels-first", is_flag=True, help="Take and return images as [N, C, H, W], as PyTorch does.")
@click.option("--verify/--no-verify", default=True, help="Prove that both compute the same (default).")
@_graph_options
@_source_options
@_input_options
@_judge_options
@_report_options
def tf2torch(
    source: str,
    output: str | None,
    file_format: Any,
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

    old = _check_reports(reports, baseline)
    with show_progress() as progress, quiet_frameworks():
        from translate import routes
        from translate.verify.tolerance import parse_tolerance

        try:
            result = routes.tf2torch(
                source,
                output,
                format=file_format,
                inputs=inputs,
                sample=sample,
                weights=weights,
                signature=signature,
                graph_inputs=_names(graph_inputs),
                graph_outputs=_names(graph_outputs),
                channels_first=channels_first,
                verify=verify,
                force=force,
                plan=_plan(asked),
                rtol=parse_tolerance("--rtol", rtol),
                atol=parse_tolerance("--atol", atol),
                unsafe_load=unsafe_load,
                progress=progress,
            )
            failure = None
        except routes.NotEqualError as error:
            result, failure = error.result, error
    passed = _publish_report(result_report(result), reports, as_json, old, show_result)
    if failure is not None:
        raise failure
    return 0 if passed else ParityError.exit_code


@main.command()
@click.argument("source")
@click.argument("target")
@_source_options
@click.option("--rename", "renames", metavar="SOURCE=TARGET", multiple=True, help="Two names for one input or output.")
@click.option("--signature", default="serving_default", show_default=True, help="Which function of SavedModels.")
@click.option("--via", metavar="RUNTIME", help="Run TARGET by c-api, openvino, or TF Serving at http://...:8501/v1/...")
@_input_options
@click.option(
    "--edges", default="zeros,ones", show_default=True, help="Of zeros,ones,large,tiny,masked,nan,inf; or none."
)
@_judge_options
@click.option("--bisect", is_flag=True, help="When they differ, find the first value that does.")
@click.option("--bisect-dir", metavar="DIR", help="Write what reproduces it there; implies --bisect.")
@click.option("--grad", is_flag=True, help="Compare gradients and a few optimiser steps too.")
@click.option("--max-slowdown", type=_POSITIVE, help="Fail if TARGET may be slower.")
@click.option(
    "--seconds", type=_POSITIVE, default=10.0, show_default=True, help="How long to measure for --max-slowdown."
)
@click.option("--save-inputs", metavar="DIR", help="Keep the inputs there; --data DIR runs them again.")
@_device_options
@_report_options
def verify(
    source: str,
    target: str,
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    renames: Sequence[str],
    signature: str,
    via: str | None,
    edges: str,
    rtol: Sequence[str],
    atol: Sequence[str],
    bisect: bool,
    bisect_dir: str | None,
    grad: bool,
    max_slowdown: float | None,
    seconds: float,
    save_inputs: str | None,
    device: str,
    threads: int | None,
    xla: bool,
    reports: Sequence[str],
    baseline: str | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Compare two models on the same inputs.

    SOURCE and TARGET are any two of: what torch2tf takes, a SavedModel folder, .keras, .h5, .tflite. --input, --sample
    and --weights belong to SOURCE. Each output may differ by what the source's own rounding explains.
    """
    from translate.models.device import pin, placement
    from translate.publish import check_folder
    from translate.reports.schema import verify_report

    old = _check_reports(reports, baseline)
    for folder in filter(None, (save_inputs, bisect_dir)):
        check_folder(Path(folder))
    pin(threads)
    with show_progress() as progress, quiet_frameworks(tensorflow=_needs_tensorflow([source, target])):
        from translate.comparison import Side, Wanted, compare_pair, open_pair
        from translate.models.align import parse_renames
        from translate.verify.tolerance import parse_tolerance

        start = time.perf_counter()
        wanted = Wanted(
            bisect=bisect or bisect_dir is not None,
            bisect_folder=None if bisect_dir is None else Path(bisect_dir),
            gradients=grad,
            max_slowdown=max_slowdown,
            seconds=seconds,
            save_inputs=None if save_inputs is None else Path(save_inputs),
        )
        plan = _plan(asked, edges, sample)
        progress("open")
        pair = open_pair(
            Side(source, inputs, sample, weights, signature, unsafe_load),
            Side(target, signature=signature, unsafe_load=unsafe_load, via=via),
            renames=parse_renames(renames),
            placement=placement(device, threads=threads, xla=xla),
        )
        found = compare_pair(
            pair,
            plan,
            rtol=parse_tolerance("--rtol", rtol),
            atol=parse_tolerance("--atol", atol),
            wanted=wanted,
            progress=progress,
        )
    report = verify_report(
        source,
        target,
        found.verdict,
        tuple(dict.fromkeys(pair.notes)),
        time.perf_counter() - start,
        finding=found.finding,
        gradients=found.gradients,
        timing=found.timing,
        max_slowdown=max_slowdown,
        replay=save_inputs,
    )
    passed = _publish_report(report, reports, as_json, old, show_verify)
    if not found.verdict.passed:
        raise ParityError(f"{source} and {target} do not compute the same")
    return 0 if passed else ParityError.exit_code


@main.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@_source_options
@click.option("--batch", metavar="SIZE,...", help="Batch sizes to sweep.  [default: 1,8]")
@click.option("--sizes", metavar="NAME=SIZE,...", multiple=True, help="Sizes of other dimensions, as in seq=128.")
@click.option("--seconds", type=_POSITIVE, default=10.0, show_default=True, help="How long to measure in all.")
@click.option("--max-slowdown", type=_POSITIVE, help="Fail if any may be slower than this.")
@click.option("--cold", is_flag=True, help="Also load and run each in a fresh process: start-up and peak memory.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the inputs and of the statistics."
)
@_device_options
@_report_options
def bench(
    models: Sequence[str],
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    batch: str | None,
    sizes: Sequence[str],
    seconds: float,
    max_slowdown: float | None,
    cold: bool,
    seed: int,
    device: str,
    threads: int | None,
    xla: bool,
    reports: Sequence[str],
    baseline: str | None,
    as_json: bool,
) -> int:
    """Time models against each other, in turns, on this device.

    The first MODEL is what the others are measured against; --input, --sample and --weights belong to it.
    """
    from translate.models.device import pin, placement
    from translate.reports.schema import bench_report

    old = _check_reports(reports, baseline)
    pin(threads)
    with show_progress() as progress, quiet_frameworks(tensorflow=_needs_tensorflow(models)):
        from translate.comparison import Side, cold_starts, open_rivals, race
        from translate.verify.sizes import parse_batches, parse_sizes

        start = time.perf_counter()
        notes: list[str] = []
        place = placement(device, threads=threads, xla=xla)
        first = Side(models[0], inputs, sample, weights, unsafe_load=unsafe_load)
        sides = [first, *(Side(model, unsafe_load=unsafe_load) for model in models[1:])]
        batches = None if batch is None else parse_batches(batch)
        progress("open")
        opened = open_rivals(sides, place, notes)
        progress("timing")
        measured = race(opened, parse_sizes(sizes), seconds, batches=batches, seed=seed)
        if cold:
            progress("cold")
            measured = replace(measured, cold=tuple(cold_starts(sides, opened, place)))
    report = bench_report(measured, tuple(dict.fromkeys(notes)), time.perf_counter() - start, max_slowdown=max_slowdown)
    passed = _publish_report(report, reports, as_json, old, show_bench)
    return 0 if passed else ParityError.exit_code


def _plan(asked: Mapping[str, Any], edges: str = "none", sample: str | None = None) -> InputPlan:
    """Read the options of `_input_options`."""
    from translate.models.distributions import parse_distributions
    from translate.verify.cases import InputPlan
    from translate.verify.edges import parse_edges
    from translate.verify.sizes import parse_sizes

    return InputPlan(
        sizes=parse_sizes(asked["sizes"]),
        seeds=range(asked["seed"], asked["seed"] + asked["seeds"]),
        distributions=parse_distributions(asked["ranges"], asked["normal"], asked["uniform"]),
        edges=() if edges == "none" else parse_edges([edges]),
        data=tuple(Path(path) for path in (*asked["data"], *([] if sample is None else [sample]))),
    )


def _needs_tensorflow(models: Sequence[str]) -> bool:
    """Whether TensorFlow will be loaded for these models; it is then loaded quietly, and before anything else."""
    return any(
        Path(model).is_dir() or Path(model).suffix in (".keras", ".h5", ".hdf5", ".tflite", ".pb") for model in models
    )


@main.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@_source_options
def inspect(
    model: str,
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    as_json: bool,
) -> int:
    """Show what a model takes, returns and is made of, and whether it translates."""
    with show_progress() as progress, quiet_frameworks():
        from translate.inspection import inspect as look
        from translate.models.open import open_model

        progress("open")
        notes: list[str] = []
        opened = open_model(model, inputs=inputs, sample=sample, weights=weights, unsafe_load=unsafe_load, notes=notes)
        progress("inspect")
        found = look(opened, notes)
    if as_json:
        from translate.reports.schema import inspection_report, render_json

        click.echo(render_json(inspection_report(model, found)), nl=False)
    else:
        print_inspection(model, found)
    return 0


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def doctor(as_json: bool) -> int:
    """Show versions, devices, engines and problems of the installation."""
    with quiet_frameworks(tensorflow=False), captured_stderr():
        from translate.doctor import diagnose

        found = diagnose()
    if as_json:
        from translate.reports.schema import diagnosis_report, render_json

        click.echo(render_json(diagnosis_report(found)), nl=False)
    else:
        print_diagnosis(found)
    return 0


def _check_reports(paths: Sequence[str], baseline: str | None) -> tuple[str, Mapping[str, Any]] | None:
    """Refuse what cannot be written or read before any work; return the baseline, if there is one, by its name."""
    from translate.reports import check_report_path
    from translate.reports.baseline import read_baseline

    for path in paths:
        check_report_path(Path(path))
    return None if baseline is None else (baseline, read_baseline(Path(baseline)))


def _publish_report(
    report: Mapping[str, Any],
    paths: Sequence[str],
    as_json: bool,
    baseline: tuple[str, Mapping[str, Any]] | None,
    show: Callable[[Console, Mapping[str, Any]], None],
) -> bool:
    """Write and print the report, compared with its baseline; return whether it passed."""
    from translate.publish import write_file
    from translate.reports import render
    from translate.reports.baseline import with_baseline

    report = report if baseline is None else with_baseline(report, *baseline)
    for path in paths:
        write_file(Path(path), render(report, Path(path).suffix))
    if as_json:
        click.echo(render(report, ".json"), nl=False)
    else:
        show(console(), report)
    return bool(report["passed"])
