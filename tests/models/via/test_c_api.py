"""A SavedModel through TensorFlow's C API, in a process without Python's TensorFlow."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.models.via.conftest import FIXTURES, assert_identical
from translate.errors import OpenError, TranslateError
from translate.models.base import Array
from translate.models.device import placement
from translate.models.open import open_model
from translate.models.saved_model import SavedModel
from translate.models.via import c_api, open_via, wire
from translate.verify import compare

pytestmark = pytest.mark.xdist_group("via")


def test_agrees_with_the_source(digits: Path, planted: Path) -> None:
    source = open_model(FIXTURES / "digits_cnn.pt2")
    assert compare(source, open_via("c-api", digits)).passed
    assert not compare(source, open_via("c-api", planted)).passed


def test_every_dtype_comes_back_as_tensorflow_returns_it(mixed: Path, feeds: dict[str, Array]) -> None:
    feeds["text"][0] = b"with\0zero"
    assert_identical(open_via("c-api", mixed).run(feeds), SavedModel(mixed).run(feeds))


def test_bfloat16(mixed: Path) -> None:
    model = open_via("c-api", mixed, signature="brain", placement=placement(threads=1))
    x = np.array([[1, -2, 0.5]], ml_dtypes.bfloat16)
    assert_identical(model.run({"x": x}), {"y": 2 * x})
    assert model.run({"x": x[:0]})["y"].shape == (0, 3)


def test_what_was_uploaded_stays_apart(mixed: Path) -> None:
    model = open_via("c-api", mixed, signature="strict")
    ones, twos = (model.upload({"x": np.full((1, 3), value, np.float32)}) for value in (1, 2))
    first = model.call(ones)
    np.testing.assert_allclose(model.download(first)["y"], 1)
    np.testing.assert_allclose(model.download(model.call(twos))["y"], 2)
    with pytest.raises(ValueError, match="earlier call"):
        model.download(first)


def test_the_worker_imports_no_framework() -> None:
    program = "import sys, translate.models.via.c_api_worker; print({'tensorflow', 'torch', 'keras'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"


def test_tensorflows_own_complaint_is_passed_on(mixed: Path) -> None:
    model = open_via("c-api", mixed, signature="strict")
    with pytest.raises(TranslateError, match="Matrix size-incompatible"):
        model.run({"x": np.ones((2, 4), np.float32)})
    # And the process goes on.
    np.testing.assert_allclose(model.run({"x": np.ones((2, 3), np.float32)})["y"], 1)
    with pytest.raises(TranslateError, match="an input is float64, the signature expects float32"):
        model.run({"x": np.ones((2, 3))})


def test_a_crash_is_an_error_that_says_how_and_what_was_written(mixed: Path) -> None:
    model = open_via("c-api", mixed, signature="strict")
    assert isinstance(model, c_api.CApiModel)
    worker = model._worker
    os.write(worker._errors.fileno(), b"F0000 something is very wrong\n")
    worker._process.send_signal(signal.SIGSEGV)
    with pytest.raises(TranslateError, match=r"killed by signal 11:(.|\n)*something is very wrong"):
        model.run({"x": np.ones((2, 3), np.float32)})


def test_the_process_ends_with_the_model(mixed: Path) -> None:
    model = open_via("c-api", mixed, signature="strict")
    assert isinstance(model, c_api.CApiModel)
    process = model._worker._process
    del model
    assert process.wait(10) is not None


def test_what_cannot_be_loaded(mixed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OpenError, match="no signature 'third'; it has brain, serving_default, strict"):
        open_via("c-api", mixed, signature="third")
    with pytest.raises(OpenError, match=r"has no saved_model\.pb"):
        open_via("c-api", tmp_path)
    shutil.copytree(mixed, tmp_path / "model", ignore=shutil.ignore_patterns("saved_model.pb"))
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"\xff" * 20)
    with pytest.raises(OpenError, match="no readable SavedModel"):
        open_via("c-api", tmp_path / "model")
    monkeypatch.setattr(c_api.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OpenError, match="pip install tensorflow"):
        open_via("c-api", mixed)


def test_variables_that_are_missing_are_tensorflows_to_tell(digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits, tmp_path / "model", ignore=shutil.ignore_patterns("variables.data*"))
    with pytest.raises(OpenError, match="C API cannot load"):
        open_via("c-api", tmp_path / "model")


def test_the_wire_carries_what_it_is_given() -> None:
    stream = io.BytesIO()
    tensors = {"a": wire.Tensor("float32", (2, 0), b""), "b": wire.Tensor("str", (2,), [b"\0x", b""])}
    wire.write(stream, {"do": "call"}, {**tensors, "c": wire.Tensor("int8", (), b"\x07")})
    whole = stream.getvalue()
    message, back = wire.read(io.BytesIO(whole))
    assert message == {"do": "call"}
    assert back == {**tensors, "c": wire.Tensor("int8", (), b"\x07")}
    with pytest.raises(EOFError):
        wire.read(io.BytesIO(whole[:-1]))
