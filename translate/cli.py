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
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from rich.console import Console

from translate import __version__
from translate.errors import TranslateError, UsageError
from translate.startup import captured_stderr, quiet_frameworks
from translate.terminal import console, print_diagnosis, print_inspection, show_progress, show_result, show_verify

# EX_SOFTWARE of sysexits.h, and 128 + SIGINT: clear of the exit codes that mean something here.
_INTERNAL_ERROR = 70
_INTERRUPTED = 130
_ISSUES = "please report it, with the model if you can, to the project's issue tracker"

# `translate --help` and `doctor` work without these; everything else asks for them.
_OPTIONAL = ("torch", "tensorflow")

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
    """Move trained models from PyTorch to TensorFlow, and prove that they still compute the same thing.

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
        click.option("--weights", metavar="FILE", help="state_dict for a factory: .safetensors, .pt (tensors only)."),
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


def _verdict_options(command: _Command) -> _Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the report as JSON instead of text."),
        click.option("--report", "reports", metavar="FILE", multiple=True, help="Write .json, .xml (JUnit) or .md."),
        click.option("--seed", default=0, show_default=True, help="Seed of the random inputs."),
        click.option("--atol", type=click.FloatRange(min=0), help="Classic |a-b| <= atol + rtol*|a| instead."),
        click.option("--rtol", type=click.FloatRange(min=0), help="Classic |a-b| <= atol + rtol*|a| instead."),
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
@_verdict_options
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
    rtol: float | None,
    atol: float | None,
    seed: int,
    reports: Sequence[str],
    as_json: bool,
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
    from translate.reports import check_report_path
    from translate.reports.schema import result_report

    for path in reports:
        check_report_path(Path(path))
    began = time.perf_counter()
    with show_progress() as progress, quiet_frameworks():
        from translate import routes

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
                rtol=rtol,
                atol=atol,
                seed=seed,
                unsafe_load=unsafe_load,
                progress=progress,
            )
            failure = None
        except routes.NotEqualError as error:
            result, failure = error.result, error
    report = result_report(result)
    report["seconds"] = {"start": round(loaded - began, 3), **report["seconds"]}
    _publish_report(report, reports, as_json, show_result)
    if failure is not None:
        raise failure
    return 0


@main.command()
@click.argument("source")
@click.argument("target")
@click.option("--sizes", metavar="NAME=SIZE,...", multiple=True, help="Sizes to run at, as in batch=1,2,7. Repeatable.")
@_source_options
@_verdict_options
def verify(
    source: str,
    target: str,
    sizes: Sequence[str],
    inputs: Sequence[str],
    weights: str | None,
    sample: str | None,
    unsafe_load: bool,
    rtol: float | None,
    atol: float | None,
    seed: int,
    reports: Sequence[str],
    as_json: bool,
) -> int:
    """Compare two models on the same inputs.

    SOURCE and TARGET are any two of what torch2tf takes, or SavedModel folders. --input, --sample and --weights belong
    to SOURCE.
    """
    from translate.errors import ParityError
    from translate.reports import check_report_path
    from translate.reports.schema import verify_report

    for path in reports:
        check_report_path(Path(path))
    saved_models = Path(source).is_dir() or Path(target).is_dir()
    with show_progress() as progress, quiet_frameworks(tensorflow=saved_models):
        from translate.models.open import open_model
        from translate.models.renamed import with_signature_names
        from translate.routes import read_sample
        from translate.verify import compare
        from translate.verify.sizes import parse_sizes, size_choices

        start = time.perf_counter()
        asked = parse_sizes(sizes)
        notes: list[str] = []
        progress("open")
        ours = open_model(source, inputs=inputs, sample=sample, weights=weights, unsafe_load=unsafe_load, notes=notes)
        names = [spec.name for spec in ours.inputs]
        # A SavedModel made from a source had to rename such inputs; so both are compared under the same names.
        ours = with_signature_names(ours)
        theirs = with_signature_names(open_model(target, unsafe_load=unsafe_load, notes=notes))
        arrays = None if sample is None else read_sample(sample, names, ours)
        progress("verify")
        verdict = compare(ours, theirs, sizes=size_choices(ours, asked), sample=arrays, seed=seed, rtol=rtol, atol=atol)
    report = verify_report(source, target, verdict, notes, time.perf_counter() - start)
    _publish_report(report, reports, as_json, show_verify)
    if not verdict.passed:
        raise ParityError(f"{source} and {target} do not compute the same")
    return 0


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


def _publish_report(
    report: Mapping[str, Any], paths: Sequence[str], as_json: bool, show: Callable[[Console, Mapping[str, Any]], None]
) -> None:
    from translate.publish import write_file
    from translate.reports import render

    for path in paths:
        write_file(Path(path), render(report, Path(path).suffix))
    if as_json:
        click.echo(render(report, ".json"), nl=False)
    else:
        show(console(), report)
