"""A model on TF Serving, against a stand-in that speaks its protocol."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.models.via.conftest import FIXTURES, assert_identical
from tests.tf_serving import Server, serving
from translate.errors import OpenError, TranslateError, UsageError
from translate.models.base import Array
from translate.models.open import open_model
from translate.models.saved_model import SavedModel
from translate.models.via import open_via
from translate.models.via.http import HttpModel
from translate.verify import compare

pytestmark = pytest.mark.xdist_group("via")


@pytest.fixture(scope="module")
def server(mixed: Path) -> Iterator[Server]:
    with serving(mixed) as started:
        yield started


def test_agrees_with_the_source(digits: Path, planted: Path) -> None:
    source = open_model(FIXTURES / "digits_cnn.pt2")
    with serving(digits, "digits") as server:
        assert compare(source, open_via(server.url, digits)).passed
    with serving(planted, "digits") as server:
        assert not compare(source, open_via(f"{server.url}/versions/1", planted)).passed


def test_every_number_arrives_and_comes_back_exactly(server: Server, mixed: Path, feeds: dict[str, Array]) -> None:
    model = HttpModel(server.url)
    assert [str(spec) for spec in model.inputs] == [
        *("count int64[]", "double float64[?, 3]", "flag bool[?]", "text str[?]", "x float32[?, 2]"),
    ]
    assert_identical(model.run(feeds), SavedModel(mixed).run(feeds))


def test_the_request_is_columnar_and_names_its_signature(server: Server) -> None:
    model = HttpModel(server.url, "strict")
    # One output, which comes without its name.
    np.testing.assert_array_equal(model.run({"x": np.array([[0.1, 2, 3]], np.float32)})["y"], np.float32([[0.1, 2, 3]]))
    request = json.loads(server.requests[-1])
    assert request == {"signature_name": "strict", "inputs": {"x": [[float(np.float32(0.1)), 2.0, 3.0]]}}


def test_an_empty_result_has_its_shape(server: Server) -> None:
    model = HttpModel(server.url, "strict")
    answer = model.download(b'{"outputs": []}')["y"]
    assert answer.shape == (0, 3)
    assert answer.dtype == np.float32
    with pytest.raises(TranslateError, match=r"\[0, 3\], which JSON cannot carry"):
        model.run({"x": np.ones((0, 3), np.float32)})


def test_the_servers_complaint_is_passed_on(server: Server) -> None:
    model = HttpModel(server.url, "strict")
    with pytest.raises(TranslateError, match=r":predict answers 400: (.|\n)*Matrix size-incompatible"):
        model.run({"x": np.ones((2, 4), np.float32)})
    with pytest.raises(TranslateError, match="input x is float64, the server expects float32"):
        model.run({"x": np.ones((2, 3))})
    with pytest.raises(OpenError, match=r"/metadata answers 404: Malformed request"):
        HttpModel(f"{server.url}/versions/2")
    with pytest.raises(OpenError, match="no signature 'third'"):
        HttpModel(server.url, "third")
    with pytest.raises(OpenError, match=r"x is bfloat16, which TF Serving's REST cannot carry"):
        HttpModel(server.url, "brain")


@pytest.mark.parametrize("url", ["http://host/models/x", "http://host:8501/v1/models/", "http://host/v1/models/a?b"])
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match=r"expected http://HOST:8501/v1/models/NAME"):
        open_via(url, "unused")


def test_a_server_that_is_not_there_or_does_not_answer() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/models/x"
        with pytest.raises(OpenError, match=r"cannot be reached: .*refused"):
            HttpModel(url)
        silent.listen()
        with pytest.raises(OpenError, match="cannot be reached: timed out"):
            HttpModel(url, timeout=0.2)


def test_what_is_no_tf_serving(server: Server) -> None:
    model = HttpModel(server.url, "strict")
    with pytest.raises(TranslateError, match="not what TF Serving answers"):
        model.download(b"<html>")
    with pytest.raises(TranslateError, match="output y cannot be read as float32"):
        model.download(b'{"outputs": [[1, 2], [3]]}')
