"""Loading the frameworks: quietly, and with what a short-lived program wants of them."""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_frameworks(*, tensorflow: bool = True) -> Iterator[None]:
    """Keep the frameworks' start-up chatter off the terminal; what is set in the environment counts."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # PyTorch's idle threads would spin on the cores that TensorFlow computes on.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Two frameworks make a million objects that live to the end; looking through them again and again for garbage takes
    # a sixth of the time of a small translation.
    gc.set_threshold(200_000, 50, 50)
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if tensorflow and importlib.util.find_spec("tensorflow") is not None:
                # Some of it is written past Python, and before TensorFlow reads its own log level.
                with captured_stderr(), _not_installed("sklearn"):
                    # Keras looks for scikit-learn, for wrappers that no model is made of: half a second.
                    importlib.import_module("tensorflow")
            yield
    finally:
        logging.disable(disabled)


@contextlib.contextmanager
def _not_installed(package: str) -> Iterator[None]:
    """Let whoever imports `package` inside find that it is not there, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # what Python documents for this
    try:
        yield
    finally:
        del sys.modules[package]


@contextlib.contextmanager
def captured_stderr() -> Iterator[None]:
    """Hold back what the process writes to standard error; show it if it ends in an exception."""
    with tempfile.TemporaryFile() as held:
        sys.stderr.flush()
        saved = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
