"""The command line: the commands of `commands/`, and what becomes of errors.

Neither framework, nor numpy, is imported before a command needs it, so that `translate --help` answers at once.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from translate import __version__
from translate.commands.bench import bench
from translate.commands.doctor import doctor
from translate.commands.inspect import inspect
from translate.commands.tf2torch import tf2torch
from translate.commands.torch2tf import torch2tf
from translate.commands.verify import verify
from translate.commands.weights import extract_weights, update_weights
from translate.errors import TranslateError, UsageError

# EX_SOFTWARE of sysexits.h, and 128 + SIGINT: clear of the exit codes that mean something here.
_INTERNAL_ERROR = 70
_INTERRUPTED = 130
_ISSUES = "please report it, with the model if you can, to the project's issue tracker"

# `translate --help` and `doctor` work without these; everything else asks for them.
_OPTIONAL = ("torch", "tensorflow")


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
            _fail("\n".join([str(error), *getattr(error, "__notes__", ())]), error.exit_code)
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


for command in (torch2tf, tf2torch, verify, bench, inspect, update_weights, extract_weights, doctor):
    main.add_command(command)
